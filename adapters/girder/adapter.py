"""Girder archives: collections, folders and items, of which some have DICOM metadata.

Its plug-in dicom_viewer keeps what is common to the files of an item under `dicom.meta`, by DICOM keyword;
what came from MIDAS stands in the item's own `meta`. Core Girder searches names, not metadata; the plug-in
can search its own, and is asked to where the federation file says that it is there.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import TYPE_CHECKING

from adapters.girder.tree import GirderTree
from adapters.shared.item_archive import ItemArchive
from adapters.shared.items import Bounds, Walk, capabilities
from adapters.shared.options import Options
from broker.adapter import Ask, Page
from broker.setup.credentials import headers
from broker.setup.limits import Limits
from catalog.archives import Archive
from catalog.capability import Can, Kind

if TYPE_CHECKING:
    from broker.probing.finding import Probed

SEARCHED = ("SeriesInstanceUID", "StudyInstanceUID", "PatientID")
"""What the plug-in's search is asked for: parts of values, in any case, so that nothing equal is missed."""


class Girder(ItemArchive[GirderTree]):
    """One Girder archive."""

    software = "Girder"
    via = "Girder REST v1"

    @classmethod
    def configured(cls, archive: Archive) -> Girder:
        """From a federation entry. Options: see `docs/federation.md`. Raises BadConfig."""
        options = Options(archive)
        limits = Limits.of(archive.name, archive.limits)
        can, bounds = capabilities(options), Bounds.of(options)
        can = searching(can) if options.switch("dicom_search", False) else can
        options.done()
        who, http = cls._reached(archive, _root(archive.url), limits)
        if who.kind == "bearer":
            return cls(archive.name, GirderTree(http, who.secret), can, bounds, limits.connections)
        tree = GirderTree(http, None, headers(archive.name, archive.auth, archive.url))
        return cls(archive.name, tree, can, bounds, limits.connections)

    async def _pages(self, walk: Walk, ask: Ask) -> AsyncGenerator[Page, None]:
        searched = next((c for c in ask.conditions if c.keyword in SEARCHED), None)
        if searched is None:
            return walk.pages()
        return walk.among(await self._tree.search(searched.matches[0].text, self._bounds.items))

    async def probe(self) -> Probed:
        """Its version and size, DICOM metadata, and whether they can be searched. Raises ArchiveError.

        It is not asked by the self-test: its search finds parts of values, which is no fault.
        """
        from adapters.girder.probe import findings
        from broker.probing.finding import Probed

        return Probed(*await findings(self._tree, SEARCHED), samples=())


def _root(url: str) -> str:
    bare = url.rstrip("/")
    return bare if bare.endswith("/api/v1") else f"{bare}/api/v1"


def searching(can: Can) -> Can:
    """The capabilities, where the plug-in's search is there."""
    kinds = frozenset({Kind.SINGLE, Kind.ANY_CASE})
    return replace(can, matches={**can.matches, **dict.fromkeys(SEARCHED, kinds)})
