"""What adapters for archives of folders and items have in common: they walk what `shared.items` describes."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import TYPE_CHECKING, Generic, TypeVar

from adapters.shared.http import Http
from adapters.shared.items import ITEMS, Bounds, Tree, Walk, as_collections
from broker.adapter import Ask, Page
from broker.errors import BadConfig
from broker.setup.credentials import Login, login
from broker.setup.limits import Limits
from broker.setup.network import Network
from catalog.archives import Archive
from catalog.capability import Can

if TYPE_CHECKING:
    from catalog.collection import Collection

AnyTree = TypeVar("AnyTree", bound=Tree)


class ItemArchive(Generic[AnyTree]):
    """One archive of folders and items. A subclass says by which log-in it is asked.

    software, called  what it is, and what it calls its collections;  via: how it is spoken to
    logins            the kinds of log-in that it knows, for people
    """

    software: str
    called = "collections"
    logins = "basic, netrc or bearer (a token)"
    via: str

    def __init__(
        self, name: str, tree: AnyTree, can: Can = ITEMS, bounds: Bounds | None = None, width: int = 4
    ) -> None:
        self.name = name
        self.can = can
        self._tree = tree
        self._bounds = bounds or Bounds()
        self._width = width

    @classmethod
    def _reached(cls, archive: Archive, base: str, limits: Limits) -> tuple[Login, Http]:
        """Who logs in, and the way there. Raises BadConfig."""
        network = Network.of(archive.name, archive.network)
        who = login(archive.name, archive.auth, archive.url)
        if who.kind not in ("none", "basic", "netrc", "bearer"):
            raise BadConfig(
                f"archive {archive.name}: auth: {cls.software} knows no kind {who.kind!r}; write {cls.logins}"
            )
        return who, Http(base, {}, limits, network, private=who.kind != "none")

    def request(self, ask: Ask) -> str:
        """The address of the first question, after the log-in: which collections there are."""
        del ask
        return self._tree.listing

    async def find(self, ask: Ask) -> AsyncIterator[Page]:
        """Series, folder by folder; items that are none are counted in a note. Raises ArchiveError."""
        walk = Walk(self._tree, ask, self._bounds, self._width)
        async with aclosing(await self._pages(walk, ask)) as pages:
            async for page in pages:
                yield page

    async def _pages(self, walk: Walk, ask: Ask) -> AsyncGenerator[Page, None]:
        """The pages of a question; an archive that can search may spare the walk."""
        del ask
        return walk.pages()

    async def check(self) -> str:
        """How many collections can be seen. Raises ArchiveError."""
        return f"{self.software}, {len(await self._tree.collections())} {self.called}"

    async def collections(self) -> list[Collection]:
        """Its collections, with what they say of themselves. Raises ArchiveError."""
        return as_collections(self.name, self.via, self._tree.listing, await self._tree.collections())

    async def close(self) -> None:
        """Close the connections."""
        await self._tree.close()
