"""The NCI Imaging Data Commons, from the index that the package `idc-index-data` ships: offline, exact."""

from __future__ import annotations

import os
import threading
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from adapters.idc import citing, sorted_copy
from adapters.idc.layout import LAYOUT, PLAIN
from adapters.shared.options import Options
from adapters.tables import count as sql_count
from adapters.tables import sql
from adapters.tables.levels import Layout, statement
from adapters.tables.pages import SIZES, Asked, pages, planned
from adapters.tables.unknown import unknown
from adapters.tables.worker import Worker, everything
from broker.adapter import Ask, Facet, Page, Tally
from broker.errors import ArchiveError, BadConfig, Malformed, ServerFault
from catalog.archives import Archive
from catalog.capability import Can, Kind
from catalog.keywords import Level, keyword

if TYPE_CHECKING:
    import duckdb

    from catalog.collection import Collection

_TEXT = frozenset({Kind.SINGLE, Kind.ANY_OF, Kind.WILDCARD, Kind.CONTAINS, Kind.EMPTY})
_EXACT = frozenset({Kind.SINGLE, Kind.ANY_OF, Kind.EMPTY})
_DATE = frozenset({Kind.SINGLE, Kind.ANY_OF, Kind.RANGE, Kind.EMPTY})
_BY_VR = {"UI": _EXACT, "AS": _EXACT, "IS": _EXACT, "DS": _EXACT, "DA": _DATE}

COLUMNS = frozenset(sorted_copy.COLUMNS)
_COMPUTED = frozenset(name for counts in LAYOUT.counts.values() for name in counts)

IDC = Can(
    levels=frozenset(Level),
    matches={name: _BY_VR.get(keyword(name).vr, _TEXT) for name in sorted_copy.COLUMNS},
    returns=frozenset(sorted_copy.COLUMNS) | _COMPUTED,
    lists_all=True,
    relational=True,
    lists=1000,
    stars=3,
    own_level=_COMPUTED,
    unknowns=True,
    names="idc",
    cite="the index, by SQL",
)


class Idc:
    """The IDC index on this machine. `sizes` are the rows of the first page, and of the others."""

    sizes = SIZES

    def __init__(self, name: str = "idc", copy: bool = True) -> None:
        self.name = name
        self.can = IDC
        self.via = ""
        self._copy = copy
        self._place: Path | None = None  # of the sorted copy that is searched
        self._version = _version(name)

    @classmethod
    def configured(cls, archive: Archive) -> Idc:
        """From a federation entry; option `copy = false` searches the wheel's file as it is."""
        options = Options(archive)
        copy = options.switch("copy", True)
        options.done()
        return cls(archive.name, copy)

    def request(self, ask: Ask) -> str:
        """The SQL, with its parameters in place."""
        return sql.shown(statement(ask, LAYOUT if self._copy else PLAIN))

    async def find(self, ask: Ask) -> AsyncIterator[Page]:
        """Pages of rows, fetched in a thread of its own that ends with the search. Raises ServerFault."""
        worker = Worker("idc", self._open, _translated)
        try:
            async with aclosing(pages(worker, ask, partial(self._planned, ask=ask))) as found:
                async for page in found:
                    yield page
        except Malformed:
            self._forget()
            raise
        finally:
            await worker.close()

    def _planned(self, db: duckdb.DuckDBPyConnection, ask: Ask) -> Asked[duckdb.DuckDBPyConnection]:
        """What is to be done. What is no copy has tables that no other connection sees."""
        twin, lay = partial(_twin, db) if self._place else None, self._layout
        return planned(ask, statement(ask, lay), _missing(db), lay, twin, self.sizes)

    @property
    def _layout(self) -> Layout:
        """Of what is open."""
        return LAYOUT if self._place else PLAIN

    def _forget(self) -> None:
        """A damaged copy is removed: the next search makes another."""
        if self._place is not None:
            self._place.unlink(missing_ok=True)

    async def check(self) -> str:
        """The version of the index, and how many series it holds. Raises ServerFault."""
        worker = Worker("idc", lambda _: self._plain(), _translated)
        try:
            ((count,),) = await worker.fetchall("SELECT count(*) FROM series", [])
        finally:
            await worker.close()
        return f"IDC index {self._version}, {count:,} series"

    async def count(self, ask: Ask, facets: tuple[Facet, ...]) -> Tally | None:
        """Entities in all and by each facet; None for a facet that is no column. Raises ServerFault."""
        if not all(sql_count.able(facet, ask.level, COLUMNS) for facet in facets):
            return None
        worker = Worker("idc", self._open, _translated)
        try:
            told = await worker.run(lambda db: unknown(db, ask, _missing(db), self._layout))
            return await sql_count.tally(worker.fetchall, ask, facets, self._layout, told)
        finally:
            await worker.close()

    async def citations(self, dois: Sequence[str]) -> Mapping[str, str]:
        """What the index has of these DOIs. Raises ServerFault."""
        worker = Worker("idc", lambda _: duckdb_in_memory(), _translated)
        try:
            return await worker.run(lambda db: citing.read(db, _parquet(), dois))
        finally:
            await worker.close()

    async def collections(self) -> list[Collection]:
        """Its collections and analysis results, counted in the index. Raises ServerFault."""
        from adapters.idc import collections

        worker = Worker("idc", lambda _: duckdb_in_memory(), _translated)
        try:
            return await worker.run(lambda db: collections.read(db, _parquet(), self.name, self._version))
        finally:
            await worker.close()

    def _open(self, stop: threading.Event) -> duckdb.DuckDBPyConnection:
        import duckdb

        place = sorted_copy.ensure(_parquet, self._version, stop) if self._copy else None
        if place is not None:
            self._place = place
            try:
                db = _shared(place).cursor()
                db.execute("SELECT keyword FROM missing LIMIT 1").fetchall()
            except (duckdb.Error, OSError):
                self._forget()
            else:
                self.via = f"sorted copy of the IDC index {self._version}"
                return db
        return self._plain()

    def _plain(self) -> duckdb.DuckDBPyConnection:
        import duckdb

        self._place = None

        db = duckdb.connect()
        db.execute(f"CREATE TEMP VIEW series AS {sorted_copy.marked(_parquet())}")
        db.execute("CREATE TABLE missing (keyword VARCHAR, series BIGINT)")  # nothing is known
        self.via = f"parquet of idc-index-data {self._version}"
        return db


def _twin(db: duckdb.DuckDBPyConnection) -> Callable[[threading.Event], duckdb.DuckDBPyConnection]:
    cursor = db.cursor()
    return lambda _: cursor


def _missing(db: duckdb.DuckDBPyConnection) -> dict[str, int]:
    """Of how many series a condition on a keyword is unknown, where that was counted."""
    return dict(everything(db, "FROM missing", []))


def duckdb_in_memory() -> duckdb.DuckDBPyConnection:
    """A database that holds nothing."""
    import duckdb

    return duckdb.connect()


_OPEN: dict[tuple[int, str], tuple[tuple[int, int], duckdb.DuckDBPyConnection]] = {}
_OPENING = threading.Lock()


def _shared(place: Path) -> duckdb.DuckDBPyConnection:
    """The copy, opened once in a process: opening takes longer than many a search. For cursors only."""
    import duckdb

    state = place.stat()
    key, now = (os.getpid(), str(place)), (state.st_ino, state.st_mtime_ns)
    with _OPENING:
        if key not in _OPEN or _OPEN[key][0] != now:
            _OPEN.pop(key, None)  # as long as it is open, DuckDB gives the old file again
            _OPEN[key] = (now, duckdb.connect(str(place), read_only=True))
        return _OPEN[key][1]


def _version(name: str) -> str:
    """The version of the index. Its package is only imported where its file is needed: that takes 15 ms."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("idc-index-data")
    except PackageNotFoundError as error:
        raise BadConfig(f"archive {name} needs the package idc-index-data") from error


def _parquet() -> Path:
    import idc_index_data

    path = Path(str(idc_index_data.IDC_INDEX_PARQUET_FILEPATH))
    if not path.is_file():
        raise ServerFault(f"idc-index-data has no index at {path}", "catalog_missing")
    return path


_DAMAGED = ("InvalidInputException", "IOException", "SerializationException", "FatalException")


def _translated(error: Exception) -> ArchiveError | None:
    """DuckDB's errors as ours."""
    import duckdb

    if isinstance(error, tuple(getattr(duckdb, name) for name in _DAMAGED)):
        return Malformed(f"the index cannot be read: {type(error).__name__}", "catalog_corrupt")
    if isinstance(error, duckdb.Error):
        return ServerFault(f"the index cannot be searched: {type(error).__name__}")
    return None
