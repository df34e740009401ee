"""MIDAS archives, version 3: communities, folders and items, of which some have DICOM metadata.

Its Web API answers with status 200 and `stat`, `ok` or `fail`, under the content type of a page. DICOM
metadata stand in an item's metadata under the element `DICOM`, taken from its first file. The Solr module can
search them, but gives items without their community, and only those that it has indexed: so it is not used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from adapters.midas.tree import MidasTree
from adapters.shared.item_archive import ItemArchive
from adapters.shared.items import Bounds, capabilities
from adapters.shared.options import Options
from broker.setup.limits import Limits
from catalog.archives import Archive

if TYPE_CHECKING:
    from broker.probing.finding import Probed


class Midas(ItemArchive[MidasTree]):
    """One MIDAS archive."""

    software = "MIDAS"
    called = "communities"
    logins = "basic (e-mail address and API key), netrc or bearer (a token)"
    via = "MIDAS Web API"

    @classmethod
    def configured(cls, archive: Archive) -> Midas:
        """From a federation entry. Options: see `docs/federation.md`. Raises BadConfig."""
        options = Options(archive)
        limits = Limits.of(archive.name, archive.limits)
        can, bounds = capabilities(options), Bounds.of(options)
        options.done()
        who, http = cls._reached(archive, archive.url, limits)
        return cls(archive.name, MidasTree(http, who), can, bounds, limits.connections)

    async def probe(self) -> Probed:
        """Its version and modules, its communities, whether items have DICOM metadata. Raises ArchiveError.

        Nothing but names of communities can be asked for, so no record is.
        """
        from adapters.midas.probe import findings
        from broker.probing.finding import Probed

        return Probed(*await findings(self._tree), samples=())
