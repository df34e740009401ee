"""A MIDAS 3 server on loopback: `/api/json?method=...`, with the envelope and error codes of its source.

No reply of a MIDAS server was ever recorded: names and forms were read in its source.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from peers.loopback import RestServer
from peers.shelves import Item, Shelf, shelves

BASE = "/midas"
WHEN = "2010-06-08 12:06:00"
METHODS = frozenset(
    "midas.login midas.version midas.modules.list midas.community.list midas.community.children "
    "midas.folder.children midas.item.get "
    "midas.item.getmetadata".split()
)
PRIVACY = {"privacy_status": "0", "uuid": "4c0e2f0a1b2c3d4e5f60718293a4b5c6d7e8f9001"}


class Failed(Exception):
    """A `stat: fail`: its code and message."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass
class MidasServer(RestServer):
    """A MIDAS archive of shelves.

    users    e-mail address -> API key: who may log in;  private: guests see nothing
    fails    method -> code that it fails with
    expires  a token is good for so many questions, 0: for ever
    old      DICOM names as an older toolkit wrote them: `PatientsSex`
    labelled replies are labelled as JSON; PHP says text/html
    loop     every folder stands in itself
    modules  that are enabled
    """

    held: list[Shelf] = field(default_factory=shelves)
    users: Mapping[str, str] = field(default_factory=dict)
    private: bool = False
    fails: Mapping[str, int] = field(default_factory=dict)
    expires: int = 0
    old: bool = False
    labelled: bool = False
    loop: bool = False
    modules: frozenset[str] = frozenset({"api", "dicomextractor", "thumbnailcreator"})
    tokens: dict[str, int] = field(default_factory=dict, init=False)

    @property
    def url(self) -> str:
        """Its base address."""
        return self.origin + BASE

    def answer(self, request: web.Request, form: Mapping[str, str]) -> web.Response:
        if request.path != f"{BASE}/api/json":
            return web.Response(status=404, text="<html>404</html>", content_type="text/html")
        try:
            told = {"code": 0, "data": self._data({**request.query, **form}), "message": "", "stat": "ok"}
        except Failed as error:
            told = {"code": error.code, "data": "", "message": str(error), "stat": "fail"}
        kind = "application/json" if self.labelled else "text/html"
        return web.Response(text=json.dumps(told), content_type=kind)

    def _data(self, asked: Mapping[str, str]) -> Any:
        method = asked.get("method", "")
        if method not in METHODS:
            raise Failed(-101, f"Server error. Requested method {method} does not exist.")
        if method in self.fails:
            raise Failed(self.fails[method], "This item doesn't exist or you don't have the permissions.")
        if method == "midas.version":
            return {"version": "3.4.3"}
        if method == "midas.modules.list":
            return {"modules": sorted(self.modules)}
        if method == "midas.login":
            return self._logged_in(asked)
        self._admitted(asked.get("token"))
        if method == "midas.community.list":
            return [self._community(shelf) for shelf in self.held]
        if "id" not in asked:
            raise Failed(-150, "Parameter id is not defined")
        return self._of(method, int(asked["id"]))

    def _of(self, method: str, number: int) -> Any:
        if method == "midas.folder.children":
            shelf = next((s for top in self.held for s in top.every() if s.number == number), None)
            if shelf is None:
                raise Failed(-151, "Invalid policy")
            below = [shelf, *shelf.shelves] if self.loop else shelf.shelves
            return {"folders": list(map(_folder, below)), "items": list(map(_item, shelf.items))}
        items = [i for top in self.held for s in top.every() for i in s.items if i.number == number]
        if not items:
            raise Failed(-151, "This item doesn't exist or you don't have the permissions.")
        return self._metadata(items[0]) if method == "midas.item.getmetadata" else _item(items[0])

    def _logged_in(self, asked: Mapping[str, str]) -> dict[str, str]:
        for name in ("email", "apikey", "appname"):
            if name not in asked:
                raise Failed(-150, f"Parameter {name} is not defined")
        if self.users.get(asked["email"]) != asked["apikey"]:
            raise Failed(-101, "Unable to authenticate. Please check credentials.")
        token = base64.b64encode(f"{asked['email']}{len(self.tokens)}".encode()).decode()
        self.tokens[token] = 0
        return {"token": token}

    def _admitted(self, token: str | None) -> None:
        if token is None:
            if self.private:
                raise Failed(-151, "You don't have the permissions.")
            return
        used = self.tokens.get(token)
        if used is None or (self.expires and used >= self.expires):
            raise Failed(-101, "Invalid token")
        self.tokens[token] = used + 1

    def _community(self, shelf: Shelf) -> dict[str, str]:
        more = {"creation": WHEN, "privacy": "0", "admingroup_id": "19", "can_join": "1", "view": "112"}
        return {
            "community_id": str(shelf.number - 10),
            "folder_id": str(shelf.number),
            "name": shelf.name,
            **more,
        }

    def _metadata(self, item: Item) -> list[dict[str, str]]:
        pairs = [("DICOM", self._spelled(name), value) for name, value in item.dicom.items()]
        pairs += [("Document", name, value) for name, value in item.other.items()]
        pairs += [("DICOM", "NumSlices", "3")] if item.dicom else []
        return [
            {"metadata_id": str(100 + n), "metadatatype": "0", "element": e, "qualifier": q, "value": v}
            for n, (e, q, v) in enumerate(pairs)
        ]

    def _spelled(self, name: str) -> str:
        ours = name.startswith("Patient") and name not in ("PatientID", "PatientPosition")
        return name.replace("Patient", "Patients") if self.old and ours else name


def _folder(shelf: Shelf) -> dict[str, Any]:
    more = {"description": "", "date_update": WHEN, "date_creation": WHEN, "view": "12", "teaser": None}
    return {"folder_id": str(shelf.number), "parent_id": "41", "name": shelf.name, **more, **PRIVACY}


def _item(item: Item) -> dict[str, Any]:
    more = {"description": "", "type": "0", "date_creation": WHEN, "date_update": WHEN, "thumbnail_id": None}
    size = {"sizebytes": str(item.size), "view": "5", "download": "2"}
    return {"item_id": str(item.number), "name": item.name, **more, **size, **PRIVACY, "extraFields": {}}
