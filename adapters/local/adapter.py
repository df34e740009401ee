"""An archive without an interface: what was imported of it into the catalog."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import replace
from functools import partial

from adapters.local.layout import capabilities, layout, missing
from adapters.shared.options import Options
from adapters.tables import count as sql_count
from adapters.tables import sql
from adapters.tables.levels import Layout, statement
from adapters.tables.pages import SIZES, Asked, pages, planned
from adapters.tables.unknown import counting, unknown
from adapters.tables.worker import Worker
from broker.adapter import Ask, Facet, Page, Tally
from broker.errors import ArchiveError, Malformed, ServerFault, Unreachable
from broker.setup.credentials import login
from catalog.archives import Archive
from catalog.capability import Can
from catalog.holdings import Held, Reader, Store
from catalog.keywords import Level
from catalog.problems import CatalogError, Corrupt, Missing
from catalog.store import store, usual


class Local:
    """The holdings of one archive in a store. `sizes` are the rows of the first page, and of the others."""

    sizes = SIZES

    def __init__(self, name: str, store_: Store, archive: str = "") -> None:
        self.name = name
        self.via = ""
        self._archive = archive or name
        self._store = store_
        self._held: Held | None = None
        self._fault: CatalogError | None = None
        self.can = self._look()

    @classmethod
    def configured(cls, archive: Archive) -> Local:
        """From a federation entry; options `catalog`: another store; `holdings`: another name there."""
        options = Options(archive)
        place, holdings = options.text("catalog") or str(usual()), options.text("holdings")
        options.done()
        entry = login(archive.name, archive.auth)
        password = entry.secret.reveal() if entry.secret else None
        return cls(archive.name, store(place, password), holdings)

    def _look(self) -> Can:
        """What the holdings permit. A store that cannot be read may be asked anything: then `find` fails."""
        try:
            self._held = self._store.held().get(self._archive)
        except CatalogError as error:
            self._fault = error
            return Can(levels=frozenset(Level), lists_all=True, cite="the catalog cannot be read")
        return capabilities(self._held)

    def request(self, ask: Ask) -> str:
        """The SQL, with its parameters in place."""
        return "; ".join(self.statements(ask))

    def statements(self, ask: Ask) -> list[str]:
        """The SQL of the rows and, where it takes any, of what the conditions leave unknown."""
        held = self._known()
        lay = layout(held, self._store.dialect)
        unsure = None if ask.unknown else counting(ask, missing(held), lay)
        return [sql.shown(clause) for clause in (statement(ask, lay), unsure) if clause]

    def _known(self) -> Held:
        """What is held. Raises ServerFault, and what else the store says."""
        if self._fault is not None:
            raise _ours(self._fault) from self._fault
        return self._some(self._held)

    def _some(self, held: Held | None) -> Held:
        if held is None:
            raise ServerFault(f"nothing of {self._archive} was imported yet", "catalog_missing")
        return held

    def _now(self, db: Reader) -> tuple[Held, Layout]:
        """What is held in the very state that is read: there may have been an import since."""
        held = self._some(db.held(self._archive))
        return held, layout(held, self._store.dialect)

    def _planned(self, db: Reader, ask: Ask) -> Asked[Reader]:
        """What is to be done, in the very state that is read."""
        held, lay = self._now(db)
        self.via = f"catalog, as of {held.as_of}"
        return planned(ask, statement(ask, lay), missing(held), lay, partial(_twin, db), self.sizes)

    async def find(self, ask: Ask) -> AsyncIterator[Page]:
        """Pages of rows, fetched in a thread of its own that ends with the search. Raises ArchiveError."""
        self._known()
        ask = replace(ask, fields=tuple(k for k in ask.fields if self.can.gives(k)))
        worker = self._worker()
        try:
            async with aclosing(pages(worker, ask, partial(self._planned, ask=ask))) as found:
                async for page in found:
                    yield page
        finally:
            await worker.close()

    def ungrouped(self) -> str:
        """Why it is not counted by collections. Raises ArchiveError."""
        if "Collection" in self._known().columns:
            return "what was imported names several collections in one row, and is not counted by them"
        return "what was imported names no collection"

    async def count(self, ask: Ask, facets: tuple[Facet, ...]) -> Tally | None:
        """Entities in all and by each facet; None for a facet that is no column. Raises ArchiveError."""
        held = self._known()
        single = {k for k, about in held.columns.items() if about.regular}
        if not all(sql_count.able(facet, ask.level, single) for facet in facets):
            return None
        worker = self._worker()
        try:
            held, lay = await worker.run(self._now)
            counts = await worker.run(partial(unknown, ask=ask, missing=missing(held), layout=lay))
            return await sql_count.tally(worker.fetchall, ask, facets, lay, counts)
        finally:
            await worker.close()

    def _worker(self) -> Worker[Reader]:
        return Worker("catalog", lambda stop: self._store.reader(stop.is_set), _translated)

    async def check(self) -> str:
        """What is held, and since when. Raises ArchiveError."""
        held = self._known()
        return f"catalog of {held.as_of}, {sum(held.rows.values()):,} rows"


def _twin(db: Reader) -> Callable[[threading.Event], Reader]:
    another = db.twin()
    return lambda stop: another(stop.is_set)


def _translated(error: Exception) -> ArchiveError | None:
    return _ours(error) if isinstance(error, CatalogError) else None


def _ours(error: CatalogError) -> ArchiveError:
    reason = getattr(error, "reason", "catalog_failed")
    if isinstance(error, Missing):
        return Unreachable(str(error), reason)
    return (Malformed if isinstance(error, Corrupt) else ServerFault)(str(error), reason)
