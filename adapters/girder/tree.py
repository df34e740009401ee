"""The REST API of Girder, `/api/v1`, as collections, folders and items."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from adapters.shared.http import Http, turn
from adapters.shared.items import Contents, Described, Folder, dicom, megabytes
from adapters.shared.replies import JSON, decoded, listed
from broker.errors import Forbidden, Malformed, TooMuch
from broker.setup.credentials import Secret

PAGE = 500  # records asked for at once
COLLECTIONS = "/collection?"
USUAL = 50  # what Girder sends where it is not told: perhaps also where it does not listen

# without one of these an item's own metadata are somebody's notes, whatever words they use
_TELLING = ("SeriesInstanceUID", "StudyInstanceUID", "SOPInstanceUID", "SOPClassUID")


class GirderTree:
    """One Girder archive.

    token  a session's, if there is one already;  entry  headers that get one from the log-in
    """

    def __init__(
        self, http: Http, token: Secret | None = None, entry: Mapping[str, Secret] | None = None
    ) -> None:
        self._http = http
        self._token = token
        self._entry = entry or {}
        self._known = not (token or self._entry)  # whether it is clear who asks
        self._entering = asyncio.Lock()
        self._longest = 0  # records of a page

    @property
    def listing(self) -> str:
        """The address of the first page of the list of collections."""
        return self._http.base.rstrip("/") + _page(COLLECTIONS, 0)

    async def collections(self) -> list[Folder]:
        """The collections that can be seen. Raises ArchiveError."""
        records, bad = await self._all(COLLECTIONS)
        if bad:
            raise Malformed("a collection has no id", "bad_shape")
        return [_collection(r) for r in records]

    async def contents(self, folder: Folder) -> Contents:
        """The folders and items of a folder; a collection itself has no items. Raises ArchiveError."""
        kind, key = "folder" if folder.depth else "collection", quote(folder.key, safe="")
        folders, bad = await self._all(f"/folder?parentType={kind}&parentId={key}&")
        below = [folder.below(str(f["_id"])) for f in folders]
        if not folder.depth:
            return Contents(folder, below, bad=bad)
        items, worse = await self._all(f"/item?folderId={key}&")
        return Contents(folder, below, items, bad + worse)

    async def described(self, item: Mapping[str, Any]) -> Described:
        """The DICOM metadata of an item, which came with it."""
        more = {"SizeInMB": megabytes(item.get("size"))}
        base = self._http.base.rstrip("/")
        return Described(
            dicom(_metadata(item)),
            {**more, "DataURL": f"{base}/item/{quote(str(item['_id']), safe='')}/download"},
        )

    async def search(self, text: str, most: int) -> list[Contents]:
        """The items in whose DICOM metadata a text stands, by collection. Raises ArchiveError."""
        collections = {c.key: c for c in await self.collections()}
        words = quote('["item"]', safe="")
        path = f"/resource/search?q={quote(text, safe='')}&mode=dicom&types={words}&"
        items, bad = await self._all(path, most)
        found: dict[str, Contents] = {}
        for item in items:
            home = collections.get(str(item.get("baseParentId")))
            if home is not None:  # folders of users are in no collection
                found.setdefault(home.key, Contents(home)).items.append(item)
        if bad and not found:
            raise Malformed("no item that was found has an id", "bad_shape")
        for contents in [*found.values()][:1]:
            contents.bad = bad
        return [found[key] for key in collections if key in found]

    async def version(self) -> str:
        """The release that it says it is. Raises ArchiveError."""
        told = await self._get("/system/version")
        release = (told.get("release") or told.get("apiVersion")) if isinstance(told, dict) else None
        if not isinstance(release, str):
            raise Malformed("the reply is not a version", "bad_shape")
        return release

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()

    async def _all(self, path: str, most: int | None = None) -> tuple[list[dict[str, Any]], int]:
        """Every record of a list, page by page, and how many have no id."""
        found: dict[str, dict[str, Any]] = {}
        seen = bad = 0
        while True:
            value = await self._get(_page(path, seen))
            records, worse = listed(value["item"] if isinstance(value, dict) and "item" in value else value)
            before, bad = len(found), bad + worse + sum("_id" not in r for r in records)
            found.update((str(r["_id"]), r) for r in records if "_id" in r)
            count = len(records) + worse
            seen += count
            longest, self._longest = self._longest, max(self._longest, count)
            if not count or count > PAGE or count < longest:  # it has made longer pages than this one
                return list(found.values()), bad
            if len(found) == before:
                if count < min(PAGE, USUAL):  # neither limit nor offset is read: that was everything
                    return list(found.values()), bad
                raise TooMuch("it repeats the same page: offset is ignored", "paging_loop")
            if most is not None and seen > most:
                raise TooMuch(f"it finds more than {most:,} items", "record_limit")

    async def _get(self, target: str) -> Any:
        await self._entered()
        return await self._asked(target, {"Girder-Token": self._token} if self._token else {})

    async def _entered(self) -> None:
        """Somebody, and not a guest: for a token that has come to its end, Girder answers as to a guest."""
        async with self._entering:
            if self._known:
                return
            if self._token is None:
                self._token = _token(await self._asked("/user/authentication", self._entry))
            if not isinstance(await self._asked("/user/me", {"Girder-Token": self._token}), dict):
                raise Forbidden("it does not know the token, or no longer")
            self._known = True

    async def _asked(self, target: str, headers: Mapping[str, Secret]) -> Any:
        reply = await self._http.ask(target, JSON, headers=headers)
        async with turn():
            return decoded(reply.body or b"")[0]


def _collection(record: Mapping[str, Any]) -> Folder:
    size, about = record.get("size"), str(record.get("description") or "")
    known = size if isinstance(size, int) and 0 <= size < 2**63 else None
    return Folder(str(record["_id"]), str(record.get("name", "")), about=about, size=known)


def _token(value: object) -> Secret:
    held = value.get("authToken") if isinstance(value, dict) else None
    if not isinstance(held, dict) or not isinstance(held.get("token"), str):
        raise Malformed("the log-in gave no token", "bad_shape")
    return Secret(held["token"])


def _page(path: str, offset: int) -> str:
    return f"{path}limit={PAGE}&offset={offset}"


def _metadata(item: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the plug-in keeps; otherwise the item's own metadata, where they are plainly DICOM's."""
    kept = item.get("dicom")
    if isinstance(kept, dict) and isinstance(kept.get("meta"), dict):
        return dict(kept["meta"])
    own = item.get("meta")
    return own if isinstance(own, dict) and any(name in own for name in _TELLING) else {}
