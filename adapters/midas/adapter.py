"""MIDAS archives, version 3: communities, folders and items, of which some have DICOM metadata.

Its Web API answers with status 200 and `stat`, `ok` or `fail`, under the content type of a page. DICOM
metadata stand in an item's metadata under the element `DICOM`, taken from its first file. The Solr module can
search them, but gives items without their community, and only those that it has indexed: so it is not used.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import TYPE_CHECKING

from adapters.midas.tree import MidasTree
from adapters.shared.http import Http
from adapters.shared.items import ITEMS, Bounds, Walk, as_collections, capabilities
from adapters.shared.options import Options
from broker.adapter import Ask, Page
from broker.errors import BadConfig
from broker.setup.credentials import login
from broker.setup.limits import Limits
from broker.setup.network import Network
from catalog.archives import Archive
from catalog.capability import Can

if TYPE_CHECKING:
    from catalog.collection import Collection


class Midas:
    """One MIDAS archive."""

    def __init__(
        self, name: str, tree: MidasTree, can: Can = ITEMS, bounds: Bounds | None = None, width: int = 4
    ) -> None:
        self.name = name
        self.can = can
        self.via = "MIDAS Web API"
        self._tree = tree
        self._bounds = bounds or Bounds()
        self._width = width

    @classmethod
    def configured(cls, archive: Archive) -> Midas:
        """From a federation entry. Options: see `docs/federation.md`. Raises BadConfig."""
        options = Options(archive)
        limits = Limits.of(archive.name, archive.limits)
        can, bounds = capabilities(options), Bounds.of(options)
        network = Network.of(archive.name, archive.network)
        options.done()
        who = login(archive.name, archive.auth, archive.url)
        if who.kind not in ("none", "basic", "netrc", "bearer"):
            raise BadConfig(
                f"archive {archive.name}: auth: MIDAS knows no kind {who.kind!r}; "
                "write basic (e-mail address and API key), netrc or bearer (a token)"
            )
        http = Http(archive.url, {}, limits, network, private=who.kind != "none")
        return cls(archive.name, MidasTree(http, who), can, bounds, limits.connections)

    def request(self, ask: Ask) -> str:
        """The address of the first question, after the log-in: which communities there are."""
        del ask
        return self._tree.url("midas.community.list")

    async def find(self, ask: Ask) -> AsyncIterator[Page]:
        """Series, folder by folder; items that are none are counted in a note. Raises ArchiveError."""
        async with aclosing(Walk(self._tree, ask, self._bounds, self._width).pages()) as pages:
            async for page in pages:
                yield page

    async def check(self) -> str:
        """How many communities can be seen. Raises ArchiveError."""
        return f"MIDAS, {len(await self._tree.collections())} communities"

    async def collections(self) -> list[Collection]:
        """Its communities, with what they say of themselves. Raises ArchiveError."""
        return as_collections(
            self.name, self.via, self._tree.url("midas.community.list"), await self._tree.collections()
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._tree.close()
