"""The Web API of MIDAS 3, `/api/json?method=...`, as collections, folders and items."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from adapters.shared.http import Http, turn
from adapters.shared.items import Contents, Described, Folder, dicom, megabytes
from adapters.shared.replies import JSON, decoded, listed
from broker.errors import ArchiveError, Forbidden, Malformed, RefusedByArchive, ServerFault
from broker.setup.credentials import Login, Secret

ACCEPT = f"{JSON}, text/html;q=0.5"  # PHP's label for what nobody labels
COMMUNITIES = "midas.community.list"
APP = "Default"  # the application that MIDAS makes an API key for by itself

_INTERNAL, _TOKEN, _POLICY = -100, -101, -151  # error codes of its core


class MidasTree:
    """One MIDAS archive, logged in to when the first question is asked."""

    def __init__(self, http: Http, login: Login) -> None:
        self._http = http
        self._login = login
        self._token: Secret | None = login.secret if login.kind == "bearer" else None
        self._entering = asyncio.Lock()

    @property
    def listing(self) -> str:
        """The address of the list of communities."""
        return self._url(COMMUNITIES)

    def _url(self, method: str) -> str:
        return self._http.base.rstrip("/") + _target(method)

    async def collections(self) -> list[Folder]:
        """The communities that can be seen, each as its root folder. Raises ArchiveError."""
        records, bad = listed(await self._call(COMMUNITIES))
        found = [
            Folder(str(r["folder_id"]), str(r.get("name", "")), about=str(r.get("description") or ""))
            for r in records
            if r.get("folder_id")
        ]
        if bad or len(found) < len(records):
            raise Malformed("a community has no folder", "bad_shape")
        return found

    async def contents(self, folder: Folder) -> Contents:
        """The folders and items of a folder. Raises ArchiveError."""
        data = await self._call("midas.folder.children", id=folder.key)
        if not isinstance(data, dict):
            raise Malformed("the reply is not the children of a folder", "bad_shape")
        folders, bad = listed(data.get("folders", []))
        items, worse = listed(data.get("items", []))
        below = [folder.below(str(f["folder_id"])) for f in folders if f.get("folder_id")]
        known = [item for item in items if item.get("item_id")]
        lost = len(folders) - len(below) + len(items) - len(known)
        return Contents(folder, below, known, bad + worse + lost)

    async def described(self, item: Mapping[str, Any]) -> Described:
        """The DICOM metadata of an item's newest revision. Raises ArchiveError."""
        key = str(item["item_id"])
        records, bad = listed(await self._call("midas.item.getmetadata", id=key))
        said = {str(r.get("qualifier")): r.get("value") for r in records if r.get("element") == "DICOM"}
        more = {"SizeInMB": megabytes(item.get("sizebytes"))}
        more["DataURL"] = f"{self._url('midas.item.download')}&id={key}"
        return Described(dicom(said), more, bad > 0)

    async def version(self) -> str:
        """The version that it says it is. Raises ArchiveError."""
        told = await self._call("midas.version")
        if not isinstance(told, dict) or not isinstance(told.get("version"), str):
            raise Malformed("the reply is not a version", "bad_shape")
        return str(told["version"])

    async def modules(self) -> str:
        """The modules that are enabled, separated by commas. Raises ArchiveError."""
        told = await self._call("midas.modules.list")
        if not isinstance(told, dict) or not isinstance(told.get("modules"), list):
            raise Malformed("the reply is not a list of modules", "bad_shape")
        return ", ".join(sorted(map(str, told["modules"])))

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()

    async def _call(self, method: str, **parameters: str) -> Any:
        """The `data` of a reply; logged in again once, where a token has come to its end."""
        token = await self._entered()
        try:
            return await self._post(method, _with(parameters, token))
        except Forbidden as error:
            if token is None or self._login.kind == "bearer" or error.reason != "auth":
                raise
            return await self._post(method, _with(parameters, await self._entered(token)))

    async def _entered(self, expired: Secret | None = None) -> Secret | None:
        """The token of a session, got with the e-mail address and API key; None for a guest."""
        async with self._entering:
            if self._login.secret is not None and (self._token is None or self._token is expired):
                who: dict[str, str | Secret] = {"email": self._login.username, "appname": APP}
                data = await self._post("midas.login", {**who, "apikey": self._login.secret})
                if not isinstance(data, dict) or not isinstance(data.get("token"), str):
                    raise Forbidden("it did not accept the e-mail address and API key")
                self._token = Secret(data["token"])
        return self._token

    async def _post(self, method: str, form: Mapping[str, str | Secret]) -> Any:
        body = await self._http.post(_target(method), form, ACCEPT)
        if body is not None and body.lstrip()[:1] == b"<":
            raise Malformed("it answered a page instead of JSON", "not_json")
        async with turn():
            reply, _ = decoded(body or b"")
        if not isinstance(reply, dict) or reply.get("stat") not in ("ok", "fail"):
            raise Malformed("the reply has no stat", "bad_shape")
        if reply["stat"] == "fail":
            raise _failure(method, reply.get("code"))
        return reply.get("data")


def _target(method: str) -> str:
    return f"/api/json?method={method}"


def _with(parameters: Mapping[str, str], token: Secret | None) -> dict[str, str | Secret]:
    return {**parameters, "token": token} if token else dict(parameters)


def _failure(method: str, code: object) -> ArchiveError:
    """MIDAS's error code as an error of ours; its texts may repeat what was asked."""
    if code == _TOKEN:  # also for a method that it does not have
        return Forbidden(f"it refuses the token or the method {method} (code {code})")
    if code == _POLICY:
        return Forbidden(f"{method}: nothing is there, or it may not be seen (code {code})", "forbidden")
    if code == _INTERNAL:
        return ServerFault(f"{method} failed on its side (code {code})")
    return RefusedByArchive(f"it refused {method} (code {code})")
