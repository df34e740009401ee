"""The NCI Imaging Data Commons, from the index that the package `idc-index-data` ships: offline, exact.

A study is a group of series rows. Where the series of one study disagree (651 studies of v25 have several
StudyDates), the study has all the values. A condition on a series attribute in a question for studies means
"has at least one such series", all of them in the same series.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from adapters import idc_copy, sql
from broker.adapter import Ask, Page
from broker.errors import BadConfig, Malformed, ServerFault
from broker.matching import Value
from broker.query import Condition
from catalog.archives import Archive
from catalog.capability import Can, Kind
from catalog.keywords import Level, keyword

if TYPE_CHECKING:
    import duckdb

T = TypeVar("T")

_TEXT = frozenset({Kind.SINGLE, Kind.ANY_OF, Kind.WILDCARD, Kind.CONTAINS, Kind.EMPTY})
_EXACT = frozenset({Kind.SINGLE, Kind.ANY_OF, Kind.EMPTY})
_DATE = frozenset({Kind.SINGLE, Kind.ANY_OF, Kind.RANGE, Kind.EMPTY})
_BY_VR = {"UI": _EXACT, "AS": _EXACT, "IS": _EXACT, "DS": _EXACT, "DA": _DATE}

_IMAGES = 'CAST(sum(CAST("NumberOfSeriesRelatedInstances" AS BIGINT)) AS VARCHAR)'
_COUNTS = {
    Level.STUDY: {
        "ModalitiesInStudy": 'string_agg(DISTINCT "Modality", \'\\\' ORDER BY "Modality")',
        "NumberOfStudyRelatedSeries": "CAST(count(*) AS VARCHAR)",
        "NumberOfStudyRelatedInstances": _IMAGES,
    },
    Level.PATIENT: {
        "NumberOfPatientRelatedStudies": 'CAST(count(DISTINCT "StudyInstanceUID") AS VARCHAR)',
        "NumberOfPatientRelatedSeries": "CAST(count(*) AS VARCHAR)",
        "NumberOfPatientRelatedInstances": _IMAGES,
    },
}
_GROUPS = {Level.PATIENT: ("Collection", "PatientID"), Level.STUDY: ("StudyInstanceUID",)}
_FIRST, _NEXT = 1000, 10_000

_COMPUTED = frozenset(name for counts in _COUNTS.values() for name in counts)

IDC = Can(
    levels=frozenset(Level),
    matches={name: _BY_VR.get(keyword(name).vr, _TEXT) for name in idc_copy.COLUMNS},
    returns=frozenset(idc_copy.COLUMNS) | _COMPUTED,
    lists_all=True,
    relational=True,
    lists=1000,
    stars=3,
    own_level=_COMPUTED,
)


class Idc:
    """The IDC index on this machine."""

    def __init__(self, name: str = "idc", copy: bool = True) -> None:
        self.name = name
        self.can = IDC
        self.via = ""
        self._copy = copy
        self._parquet, self._version = _index(name)

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
        finally:
            await worker.close()

    def _open(self, stop: threading.Event) -> duckdb.DuckDBPyConnection:
        import duckdb

        place = idc_copy.ensure(self._parquet, self._version, stop) if self._copy else None
        if place is not None:
            with contextlib.suppress(duckdb.Error):
                db = duckdb.connect(str(place), read_only=True)
                self.via = f"sorted copy of the IDC index {self._version}"
                return db
        db = duckdb.connect()
        db.execute(f"CREATE VIEW series AS {idc_copy.selection(self._parquet)}")
        self.via = f"parquet of idc-index-data {self._version}"
        return db


def statement(ask: Ask) -> sql.Clause:
    """The SQL of a question and its parameters."""
    limit = f" LIMIT {ask.limit}" if ask.limit else ""
    if ask.level is Level.SERIES:
        text, values = sql.where(ask.conditions)
        return f"SELECT {_listed(ask.fields)} FROM series WHERE {text}{limit}", values  # noqa: S608
    group = _listed(_GROUPS[ask.level])
    text, values = _among(ask, group)
    columns = ", ".join(_aggregate(f, ask.level) for f in ask.fields)
    order = _listed(("Collection", "PatientID", *_GROUPS[ask.level]))
    order = order if ask.level is Level.PATIENT else 'min("Collection"), min("PatientID"), "StudyInstanceUID"'
    return f"SELECT {columns} FROM series WHERE {text} GROUP BY {group} ORDER BY {order}{limit}", values  # noqa: S608


def _among(ask: Ask, group: str) -> sql.Clause:
    """The groups of which some series satisfies the conditions: finer ones in the same series."""
    finer = [c for c in ask.conditions if c.key.level > ask.level]
    sets: list[list[Condition]] = [[c] for c in ask.conditions if c.key.level <= ask.level]
    sets += [finer] if finer else []
    parts = [sql.where(conditions) for conditions in sets]
    text = " AND ".join(f"({group}) IN (SELECT {group} FROM series WHERE {t})" for t, _ in parts)  # noqa: S608
    return text or "true", [v for _, values in parts for v in values]


def _aggregate(name: str, level: Level) -> str:
    if name in _COUNTS[level]:
        return f'{_COUNTS[level][name]} AS "{name}"'
    if name in _GROUPS[level]:
        return f'"{name}"'
    return f'CASE WHEN min("{name}") = max("{name}") THEN min("{name}") ELSE string_agg(DISTINCT "{name}", \'\\\' ORDER BY "{name}") END AS "{name}"'  # noqa: E501


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(f'"{name}"' for name in names)


def _valued(rows: list[tuple[Any, ...]], ask: Ask) -> list[tuple[Value, ...]]:
    """Rows as they are; only groups may hold several values in one text."""
    if ask.level is Level.SERIES:
        return rows
    return [tuple(tuple(v.split("\\")) if v is not None and "\\" in v else v for v in row) for row in rows]


def _index(name: str) -> tuple[Path, str]:
    try:
        import idc_index_data
    except ImportError as error:
        raise BadConfig(f"archive {name} needs the package idc-index-data") from error
    path = Path(str(idc_index_data.IDC_INDEX_PARQUET_FILEPATH))
    if not path.is_file():
        raise BadConfig(f"archive {name}: idc-index-data has no index at {path}")
    return path, str(idc_index_data.__version__)


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
        self._stop.set()
        ended = self._pool.submit(self._end)
        self._pool.shutdown(wait=False)
        while not ended.done():
            if self._db is not None:
                self._db.interrupt()
            await asyncio.sleep(0.002)

    def _end(self) -> None:
        if self._db is not None:
            self._db.close()
