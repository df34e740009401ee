"""The NCI Imaging Data Commons, from the index that the package `idc-index-data` ships: offline, exact."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from adapters import idc_copy, idc_count, sql
from adapters.idc_sql import COUNTS, MACRO, statement, unknowns
from broker.adapter import Ask, Facet, Page, Tally
from broker.errors import BadConfig, Malformed, ServerFault
from broker.matching import Value
from catalog.archives import Archive
from catalog.capability import Can, Kind
from catalog.keywords import Level, keyword

if TYPE_CHECKING:
    import duckdb

    from catalog.collection import Collection

T = TypeVar("T")

_TEXT = frozenset({Kind.SINGLE, Kind.ANY_OF, Kind.WILDCARD, Kind.CONTAINS, Kind.EMPTY})
_EXACT = frozenset({Kind.SINGLE, Kind.ANY_OF, Kind.EMPTY})
_DATE = frozenset({Kind.SINGLE, Kind.ANY_OF, Kind.RANGE, Kind.EMPTY})
_BY_VR = {"UI": _EXACT, "AS": _EXACT, "IS": _EXACT, "DS": _EXACT, "DA": _DATE}

_FIRST, _NEXT = 1000, 10_000

_COMPUTED = frozenset(name for counts in COUNTS.values() for name in counts)

IDC = Can(
    levels=frozenset(Level),
    matches={name: _BY_VR.get(keyword(name).vr, _TEXT) for name in idc_copy.COLUMNS},
    returns=frozenset(idc_copy.COLUMNS) | _COMPUTED,
    lists_all=True,
    relational=True,
    lists=1000,
    stars=3,
    own_level=_COMPUTED,
    unknowns=True,
    cite="the index, by SQL",
)


class Idc:
    """The IDC index on this machine."""

    def __init__(self, name: str = "idc", copy: bool = True) -> None:
        self.name = name
        self.can = IDC
        self.via = ""
        self._copy = copy
        self._filled: frozenset[str] = frozenset()  # attributes that every series has
        self._version = _version(name)

    @classmethod
    def configured(cls, archive: Archive) -> Idc:
        """From a federation entry; option `copy = false` searches the wheel's file as it is."""
        unknown = set(archive.options) - {"copy"}
        if unknown:
            raise BadConfig(f"archive {archive.name}: unknown option {min(unknown)!r} for idc")
        return cls(archive.name, bool(archive.options.get("copy", True)))

    def request(self, ask: Ask) -> str:
        """The SQL, with its parameters in place."""
        return sql.shown(statement(ask))

    async def find(self, ask: Ask) -> AsyncIterator[Page]:
        """Pages of rows, fetched in a thread of its own that ends with the search. Raises ServerFault."""
        worker = _Worker(self._open)
        try:
            text, values = statement(ask)
            await worker.run(lambda db: db.execute(text, values))
            size = _FIRST
            while rows := await worker.run(lambda db, n=size: db.fetchmany(n)):  # type: ignore[misc]
                yield Page(ask.fields, _valued(rows, ask))
                size = _NEXT
            if not ask.unknown:
                yield await self._unknown(worker, ask)
        finally:
            await worker.close()

    async def check(self) -> str:
        """The version of the index, and how many series it holds. Raises ServerFault."""
        worker = _Worker(lambda _: self._plain())
        try:
            (count,) = await worker.run(lambda db: db.execute("SELECT count(*) FROM series").fetchall()[0])
        finally:
            await worker.close()
        return f"IDC index {self._version}, {count:,} series"

    async def count(self, ask: Ask, facets: tuple[Facet, ...]) -> Tally | None:
        """Entities in all and by each facet; None for a facet that is no column. Raises ServerFault."""
        if not all(idc_count.able(facet, ask.level) for facet in facets):
            return None
        worker = _Worker(self._open)
        try:
            ((total,),) = await self._rows(worker, idc_count.total(ask))
            groups = {f: _grouped(await self._rows(worker, idc_count.grouped(ask, f)), total) for f in facets}
            return Tally(total, groups, (await self._unknown(worker, ask)).unknown)
        finally:
            await worker.close()

    @staticmethod
    async def _rows(worker: _Worker, asked: sql.Clause) -> list[tuple[Any, ...]]:
        return await worker.run(lambda db: db.execute(*asked).fetchall())

    async def collections(self) -> list[Collection]:
        """Its collections and analysis results, counted in the index. Raises ServerFault."""
        from adapters import idc_collections

        worker = _Worker(lambda _: duckdb_in_memory())
        try:
            return await worker.run(lambda db: idc_collections.read(db, _parquet(), self.name, self._version))
        finally:
            await worker.close()

    async def _unknown(self, worker: _Worker, ask: Ask) -> Page:
        """No rows, but how many were left out because a condition is unknown of them."""
        told = dict.fromkeys((c.keyword for c in ask.conditions), 0)
        found = unknowns(ask, self._filled)
        if found is not None:
            keywords, (text, values) = found
            (counts,) = await worker.run(lambda db: db.execute(text, values).fetchall())
            told |= zip(keywords, counts, strict=True)
        return Page(ask.fields, [], unknown=told)

    def _open(self, stop: threading.Event) -> duckdb.DuckDBPyConnection:
        import duckdb

        place = idc_copy.ensure(_parquet, self._version, stop) if self._copy else None
        if place is not None:
            with contextlib.suppress(duckdb.Error):
                db = _shared(place).cursor()
                self._filled = frozenset(name for (name,) in db.execute("FROM filled").fetchall())
                db.execute(MACRO)
                self.via = f"sorted copy of the IDC index {self._version}"
                return db
        return self._plain()

    def _plain(self) -> duckdb.DuckDBPyConnection:
        import duckdb

        db = duckdb.connect()
        db.execute(f"CREATE VIEW series AS {idc_copy.selection(_parquet())}")
        db.execute(MACRO)
        self.via = f"parquet of idc-index-data {self._version}"
        return db


def duckdb_in_memory() -> duckdb.DuckDBPyConnection:
    """A database that holds nothing."""
    import duckdb

    return duckdb.connect()


_OPEN: dict[tuple[object, ...], duckdb.DuckDBPyConnection] = {}
_OPENING = threading.Lock()


def _shared(place: Path) -> duckdb.DuckDBPyConnection:
    """The copy, opened once in a process: opening takes longer than many a search. For cursors only."""
    import duckdb

    state = place.stat()
    key = (os.getpid(), str(place), state.st_ino, state.st_mtime_ns)
    with _OPENING:
        if key not in _OPEN:
            _OPEN[key] = duckdb.connect(str(place), read_only=True)
        return _OPEN[key]


def _valued(rows: list[tuple[Any, ...]], ask: Ask) -> list[tuple[Value, ...]]:
    """Rows as they are; only groups may hold several values in one text."""
    if ask.level is Level.SERIES:
        return rows
    return [tuple(tuple(v.split("\\")) if v is not None and "\\" in v else v for v in row) for row in rows]


def _grouped(rows: list[tuple[Any, ...]], total: int) -> dict[str, int]:
    """Value -> entities; "" for those that have none."""
    found = {value: n for value, n in rows if value is not None}
    silent = total - sum(n for value, n in rows if value is None)
    return {**found, "": silent} if silent else found


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


class _Worker:
    """One DuckDB connection in one thread; closing interrupts whatever it is doing."""

    def __init__(self, connect: Callable[[threading.Event], duckdb.DuckDBPyConnection]) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="idc")
        self._connect = connect
        self._db: duckdb.DuckDBPyConnection | None = None
        self._stop = threading.Event()

    async def run(self, job: Callable[[duckdb.DuckDBPyConnection], T]) -> T:
        """The job's result. Raises ServerFault for what DuckDB refuses."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, self._do, job)

    def _do(self, job: Callable[[duckdb.DuckDBPyConnection], T]) -> T:
        import duckdb

        try:
            if self._db is None:
                self._db = self._connect(self._stop)
            return job(self._db)
        except duckdb.InvalidInputException as error:
            raise Malformed(f"the index cannot be read: {type(error).__name__}", "catalog_corrupt") from error
        except duckdb.Error as error:
            raise ServerFault(f"the index cannot be searched: {type(error).__name__}") from error

    async def close(self) -> None:
        """Interrupt, close, end the thread.

        DuckDB forgets an interruption that comes just before a statement begins, hence more than one.
        """
        import duckdb

        self._stop.set()
        ended = self._pool.submit(self._end)
        self._pool.shutdown(wait=False)
        while not ended.done():
            db = self._db
            with contextlib.suppress(duckdb.Error):  # it may have closed just now
                if db is not None:
                    db.interrupt()
            await asyncio.sleep(0.002)

    def _end(self) -> None:
        db, self._db = self._db, None
        if db is not None:
            db.close()
