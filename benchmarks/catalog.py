"""A million rows imported into the catalog and searched, in DuckDB and in PostgreSQL."""

from __future__ import annotations

import contextlib
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import duckdb
import idc_index_data

from adapters.idc import sorted_copy
from adapters.local.adapter import Local
from benchmarks.measure import Runs, Way, in_turn, timed
from benchmarks.processes import ROOT, Helper, Unavailable
from benchmarks.tables import Aim, Result, Table
from broker.adapter import Ask
from broker.api import Session
from broker.query import Query
from catalog.duckdb_reader import FOLDED
from catalog.holdings import Store
from catalog.importing import Wanted, import_into
from catalog.imports.rows import Options
from catalog.store import store

ABOUT = (
    "1,000,000 series of the IDC index as a CSV file with 24 columns: imported into the catalog, searched "
    "through the broker, and by the same SQL on a connection that is open; DuckDB beside PostgreSQL."
)
ROWS, FEW, CLIENTS = 1_000_000, 50_000, 8
SEARCHES: dict[str, tuple[Query, int | None]] = {
    "three conditions, 100": (
        Query("series", "SeriesDescription~flair", Modality="MR", StudyDate="2000-"),
        100,
    ),
    "three conditions, all": (
        Query("series", "SeriesDescription~flair", Modality="MR", StudyDate="2000-"),
        None,
    ),
    "CT lungs since 2005, all": (
        Query("series", Modality="CT", BodyPartExamined="LUNG", StudyDate="2005-"),
        None,
    ),
    "one PatientID": (Query("series", PatientID="TCGA-B8-4143"), None),
    "contains: dynamic contrast": (Query("series", "SeriesDescription~dynamic contrast"), None),
    "studies of one collection": (Query("studies", Collection="ispy2"), None),
    "studies, three conditions": (
        Query("studies", "SeriesDescription~flair", Modality="MR", StudyDate="2000-"),
        None,
    ),
}
SIZE = (
    "SELECT sum(pg_total_relation_size(c.oid)) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
    "WHERE nspname = 'imaging_broker' AND relkind = 'r'"
)
IMPORT = ("store", "s", "rows/s", "MB on disk", "bytes a row")
SEARCH = ("search", "rows", "DuckDB: ms", "x SQL", "- SQL: ms", "PostgreSQL: ms", "x SQL", "- SQL: ms")


def run(*, quick: bool) -> Result:
    """Import, search, search by several at once."""
    result = Result("catalog", ABOUT)
    with tempfile.TemporaryDirectory(prefix="broker-catalog-") as folder, contextlib.ExitStack() as stack:
        table = _table(Path(folder) / "idc.csv", FEW if quick else ROWS)
        stores: dict[str, tuple[Store, str, str]] = {}
        place = str(Path(folder) / "catalog.duckdb")
        stores["DuckDB"] = (store(place), place, "")
        try:
            url, password = stack.enter_context(_postgres())
            stores["PostgreSQL"] = (store(url, password), url, password)
        except Unavailable as error:
            result.notes.append(f"without PostgreSQL: {error}")
        _imports(result, table, stores)
        _searches(result, stores, quick=quick)
        _clients(result, stores, seconds=2.0 if quick else 10.0)
    return result


def _table(place: Path, rows: int) -> Path:
    """The index as a table with DICOM's names."""
    parquet = Path(str(idc_index_data.IDC_INDEX_PARQUET_FILEPATH))
    with duckdb.connect() as db:
        db.execute(f"COPY ({sorted_copy.selection(parquet)} LIMIT {rows}) TO '{place}' (HEADER)")
    return place


@contextlib.contextmanager
def _postgres() -> Iterator[tuple[str, str]]:
    """The server that the tests use, with fsync as it is in earnest."""
    sys.path.insert(0, str(ROOT / "tests"))
    from peers.postgres import PASSWORD, Postgres

    missing = Postgres.missing()
    if missing:
        raise Unavailable(missing)
    with Postgres(fsync="on") as server:
        yield server.database("catalog"), PASSWORD


def _imports(result: Result, table: Path, stores: dict[str, tuple[Store, str, str]]) -> None:
    rows: list[list[str]] = []
    for name, (kept, place, password) in stores.items():
        wanted = Wanted(table, "idc-copy")
        start = time.perf_counter()
        _, outcome = import_into(kept, wanted, Options())
        first = time.perf_counter() - start
        if outcome.refused:
            raise RuntimeError(f"{outcome.refused} rows were rejected")
        size = _size(place, password)
        each = f"{size / outcome.added:.0f}"
        rows.append([name, f"{first:.1f}", f"{outcome.added / first:,.0f}", f"{size / 1e6:.0f}", each])
    note = f"The CSV file has {table.stat().st_size / 1e6:.0f} MB. One run each."
    result.tables.append(Table("Import", IMPORT, rows, note))


def _size(place: str, password: str) -> int:
    if not password:
        return Path(place).stat().st_size
    import psycopg

    with psycopg.connect(place, password=password) as db:
        row = db.execute(SIZE).fetchone()
    return int(row[0]) if row else 0


def _searches(result: Result, stores: dict[str, tuple[Store, str, str]], *, quick: bool) -> None:
    cells: dict[str, list[Any]] = {name: [name] for name in SEARCHES}
    for kind, (kept, place, password) in stores.items():
        with _by_hand(place, password) as hand:
            for name, (query, limit) in SEARCHES.items():
                rows_, *others = _sql(kept, query, limit)
                ways: dict[str, Way] = {
                    "broker": timed(_asked(kept, query, limit)),
                    "hand": partial(hand.ask, [rows_]),
                    "same": partial(hand.ask, [rows_, *others]),
                }
                runs = in_turn(ways, rounds=3 if quick else 9, seconds=0 if quick else 3)
                if kind == "DuckDB":
                    cells[name].append(f"{int(runs.figure('hand', 'rows').median):,}")
                above = runs.compare("broker", "hand", lambda b, h: 1000 * (b["seconds"] - h["seconds"]))
                cells[name] += [runs.figure("broker", times=1000), runs.ratio("broker", "hand"), above]
                about = f"{kind}, {name}: share of 1.3 x the same SQL + 5 ms, least of each"
                result.aims.append(Aim(about, _share(runs, "same"), 1.0))
                if others:
                    about = f"{kind}, {name}: the same, beside SQL that does not say what is unknown"
                    result.aims.append(Aim(about, _share(runs, "hand"), 1.0))
    note = (
        "By hand: the SQL of the rows, an open connection, `fetchall`, no objects; a process of its own. "
        "The broker also says how much its conditions leave unknown: counted by the import where it is one "
        "condition, else by a statement more. The same SQL, in the aims, is both; `broker explain` shows it."
    )
    rows = [row + ["-"] * (len(SEARCH) - len(row)) for row in cells.values()]
    result.tables.append(Table("Search", SEARCH, rows, note))


def _share(runs: Runs, way: str) -> float:
    """Of the least of each: what else goes on on the machine only ever adds."""
    return min(runs.figure("broker").runs) / (1.3 * min(runs.figure(way).runs) + 0.005)


class _Told(Local):
    """Keeps what it would send."""

    sent: ClassVar[list[str]] = []

    def request(self, ask: Ask) -> str:
        self.sent[:] = self.statements(ask)
        return super().request(ask)


def _sql(kept: Store, query: Query, limit: int | None) -> list[str]:
    Session(query, at=[_Told("idc-copy", kept)], limit=limit).explain()
    return list(_Told.sent)


def _asked(kept: Store, query: Query, limit: int | None) -> Callable[[], object]:
    import broker

    return lambda: broker.search(query, at=[Local("idc-copy", kept)], limit=limit)


def _by_hand(place: str, password: str) -> Helper:
    return Helper("sql.py", place, password or FOLDED.replace("CREATE", "CREATE TEMP"))


def _clients(result: Result, stores: dict[str, tuple[Store, str, str]], seconds: float) -> None:
    rows: list[list[str]] = []
    for name, (_, place, password) in stores.items():
        for count in (1, CLIENTS):
            told = _together(place, password, count, seconds)
            searches = sum(one["searches"] for one in told)
            longest = max(one["longest"] for one in told)
            rows.append([name, str(count), f"{searches / seconds:.1f}", f"{longest * 1000:.0f}"])
    columns = ("store", "clients", "searches/s", "longest: ms")
    note = (
        "Processes that search through the broker, three kinds of questions in turn, at most 100 rows each."
    )
    result.tables.append(Table("Several at once", columns, rows, note))


def _together(place: str, password: str, count: int, seconds: float) -> list[dict[str, float]]:
    told: list[dict[str, float]] = []
    with contextlib.ExitStack() as stack:
        helpers = [
            stack.enter_context(Helper("client.py", place, password, str(seconds))) for _ in range(count)
        ]
        threads = [threading.Thread(target=lambda h=h: told.append(h.ask())) for h in helpers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    if len(told) < count:
        raise RuntimeError("a client failed")
    return told
