"""A Girder server on loopback: `/api/v1` with its paging, its errors, and its plug-in dicom_viewer."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from peers.loopback import RestServer, as_json
from peers.shelves import Item, Shelf, shelves

ROOT = "/api/v1"
WHEN = "2021-03-04T10:00:00.000000+00:00"
LIMIT = 50


class Refused(Exception):
    """An error of Girder's: its status and message."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass
class GirderServer(RestServer):
    """A Girder archive of shelves.

    users      login -> password;  private: guests are refused
    plugin     DICOM metadata stand in `dicom.meta`, and can be searched; otherwise in the item's own `meta`
    deaf       `limit` is ignored: always its usual 50
    stuck      `offset` is ignored too
    page_cap   no page is longer than this, whatever the limit
    """

    held: list[Shelf] = field(default_factory=shelves)
    users: Mapping[str, str] = field(default_factory=dict)
    private: bool = False
    plugin: bool = True
    deaf: bool = False
    stuck: bool = False
    page_cap: int = 10_000
    tokens: set[str] = field(default_factory=set, init=False)

    @property
    def url(self) -> str:
        """Its base address."""
        return self.origin

    def answer(self, request: web.Request, form: Mapping[str, str]) -> web.Response:
        routes: dict[str, Callable[[web.Request], Any]] = {
            "/collection": lambda r: self._page(r, map(_collection, self.held)),
            "/folder": self._folders,
            "/item": self._items,
            "/resource/search": self._search,
            "/system/version": lambda _: {"apiVersion": "3.1.4", "release": "3.1.4"},
            "/user/authentication": self._login,
            "/user/me": lambda r: {"_id": _id("5", 1), "login": "alice"} if self._user(r) else None,
        }
        route = routes.get(request.path.removeprefix(ROOT))
        if route is None or not request.path.startswith(ROOT):
            return as_json({"message": "No matching route", "type": "rest"}, 400)
        try:
            self._admitted(request)
            return as_json(route(request))
        except Refused as error:
            return as_json({"message": str(error), "type": "access"}, error.status)

    def _admitted(self, request: web.Request) -> None:
        if self.private and not self._user(request) and "/user/" not in request.path:
            raise Refused(401, "Read access denied (user None).")

    def _user(self, request: web.Request) -> bool:
        return request.headers.get("Girder-Token") in self.tokens

    def _login(self, request: web.Request) -> Any:
        given = request.headers.get("Authorization", "").removeprefix("Basic ")
        name, _, password = base64.b64decode(given).decode().partition(":")
        if name not in self.users or self.users[name] != password:
            raise Refused(401, "Login failed.")
        token = f"token-{len(self.tokens)}"
        self.tokens.add(token)
        return {"user": {"login": name}, "authToken": {"token": token, "expires": WHEN, "scope": []}}

    def _page(self, request: web.Request, records: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
        limit = LIMIT if self.deaf else int(request.query.get("limit", LIMIT))
        offset = 0 if self.stuck else int(request.query.get("offset", 0))
        found = list(records)[offset:]
        return found[: min(limit or self.page_cap, self.page_cap)]

    def _shelf(self, key: str) -> Shelf:
        every = (s for top in self.held for s in top.every())
        found = next((s for s in every if key in (_id("c", s.number), _id("f", s.number))), None)
        if found is None:
            raise Refused(400, "Invalid folder id")
        return found

    def _folders(self, request: web.Request) -> list[dict[str, Any]]:
        if request.query.get("parentType") not in ("collection", "folder"):
            raise Refused(400, "Parameter parentType is required.")
        return self._page(request, map(_folder, self._shelf(request.query["parentId"]).shelves))

    def _items(self, request: web.Request) -> list[dict[str, Any]]:
        if "folderId" not in request.query:
            raise Refused(400, "Invalid search mode.")
        shelf = self._shelf(request.query["folderId"])
        top = next(top for top in self.held if shelf in list(top.every()))
        return self._page(request, [self._told(top, shelf, item) for item in shelf.items])

    def _search(self, request: web.Request) -> dict[str, Any]:
        if request.query.get("mode") != "dicom" or not self.plugin:
            raise Refused(400, "Search mode not found")
        wanted = request.query["q"].lower()
        hits = [
            self._told(top, shelf, item)
            for top in self.held
            for shelf in top.every()
            for item in shelf.items
            if any(wanted in text.lower() for pair in item.dicom.items() for text in pair)
        ]
        return {"item": self._page(request, hits)}

    def _told(self, top: Shelf, shelf: Shelf, item: Item) -> dict[str, Any]:
        told: dict[str, Any] = {
            "_id": _id("1", item.number),
            "_modelType": "item",
            "baseParentId": _id("c", top.number),
            "baseParentType": "collection",
            "created": WHEN,
            "updated": WHEN,
            "description": "",
            "folderId": _id("f", shelf.number),
            "meta": dict(item.other),
            "name": item.name,
            "size": item.size,
        }
        if item.dicom and self.plugin:
            told["dicom"] = {"meta": _typed(item.dicom), "files": []}
        elif item.dicom:
            told["meta"] |= item.dicom
        return told


def _typed(said: Mapping[str, str]) -> dict[str, Any]:
    """As pydicom has them: numbers are numbers."""
    return {k: int(v) if k == "SeriesNumber" else v for k, v in said.items()}


def _id(kind: str, number: int) -> str:
    return f"{kind}{number:023x}"


def _collection(shelf: Shelf) -> dict[str, Any]:
    more: dict[str, Any] = {"_modelType": "collection", "_accessLevel": 0, "created": WHEN, "public": True}
    more |= {"description": f"Given by <b>patients</b>: {shelf.name}"}
    more |= {"size": sum(i.size for s in shelf.every() for i in s.items), "updated": WHEN, "meta": {}}
    return {"_id": _id("c", shelf.number), "name": shelf.name, **more}


def _folder(shelf: Shelf) -> dict[str, Any]:
    more = {"_modelType": "folder", "_accessLevel": 0, "created": WHEN, "description": "", "public": True}
    return {"_id": _id("f", shelf.number), "name": shelf.name, **more, "size": 0, "updated": WHEN, "meta": {}}
