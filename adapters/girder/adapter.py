"""Girder archives: collections, folders and items, of which some have DICOM metadata.

Its plug-in dicom_viewer keeps what is common to the files of an item under `dicom.meta`, by DICOM keyword;
what came from MIDAS stands in the item's own `meta`. Core Girder searches names, not metadata; the plug-in
can search its own, and is asked to where the federation file says that it is there.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING

from adapters.girder.tree import GirderTree
from adapters.shared.http import Http
from adapters.shared.items import ITEMS, Bounds, Walk, as_collections, capabilities
from adapters.shared.options import Options
from broker.adapter import Ask, Page
from broker.errors import BadConfig
from broker.setup.credentials import headers, login
from broker.setup.limits import Limits
from broker.setup.network import Network
from catalog.archives import Archive
from catalog.capability import Can, Kind

if TYPE_CHECKING:
    from catalog.collection import Collection

SEARCHED = ("SeriesInstanceUID", "StudyInstanceUID", "PatientID")
"""What the plug-in's search is asked for: parts of values, in any case, so that nothing equal is missed."""


class Girder:
    """One Girder archive."""

    def __init__(
        self, name: str, tree: GirderTree, can: Can = ITEMS, bounds: Bounds | None = None, width: int = 4
    ) -> None:
        self.name = name
        self.can = can
        self.via = "Girder REST v1"
        self._tree = tree
        self._bounds = bounds or Bounds()
        self._width = width

    @classmethod
    def configured(cls, archive: Archive) -> Girder:
        """From a federation entry. Options: see `docs/federation.md`. Raises BadConfig."""
        options = Options(archive)
        limits = Limits.of(archive.name, archive.limits)
        can, bounds = capabilities(options), Bounds.of(options)
        can = searching(can) if options.switch("dicom_search", False) else can
        network = Network.of(archive.name, archive.network)
        options.done()
        who = login(archive.name, archive.auth, archive.url)
        if who.kind not in ("none", "basic", "netrc", "bearer"):
            raise BadConfig(
                f"archive {archive.name}: auth: Girder knows no kind {who.kind!r}; "
                "write basic, netrc or bearer (a token)"
            )
        http = Http(_root(archive.url), {}, limits, network, private=who.kind != "none")
        if who.kind == "bearer":
            return cls(archive.name, GirderTree(http, who.secret), can, bounds, limits.connections)
        tree = GirderTree(http, None, headers(archive.name, archive.auth, archive.url))
        return cls(archive.name, tree, can, bounds, limits.connections)

    def request(self, ask: Ask) -> str:
        """The address of the first question, after the log-in: which collections there are."""
        del ask
        return self._tree.url("/collection?")

    async def find(self, ask: Ask) -> AsyncIterator[Page]:
        """Series, folder by folder; items that are none are counted in a note. Raises ArchiveError."""
        walk = Walk(self._tree, ask, self._bounds, self._width)
        searched = next((c for c in ask.conditions if c.keyword in SEARCHED), None)
        if searched is None:
            found = walk.pages()
        else:
            found = walk.among(await self._tree.search(searched.matches[0].text, self._bounds.items))
        async with aclosing(found) as pages:
            async for page in pages:
                yield page

    async def check(self) -> str:
        """How many collections can be seen. Raises ArchiveError."""
        return f"Girder, {len(await self._tree.collections())} collections"

    async def collections(self) -> list[Collection]:
        """Its collections, with what they say of themselves. Raises ArchiveError."""
        return as_collections(
            self.name, self.via, self._tree.url("/collection?"), await self._tree.collections()
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._tree.close()


def _root(url: str) -> str:
    bare = url.rstrip("/")
    return bare if bare.endswith("/api/v1") else f"{bare}/api/v1"


def searching(can: Can) -> Can:
    """The capabilities, where the plug-in's search is there."""
    kinds = frozenset({Kind.SINGLE, Kind.ANY_CASE})
    return replace(can, matches={**can.matches, **dict.fromkeys(SEARCHED, kinds)})
