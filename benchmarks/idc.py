"""Searches of the IDC index: the broker beside the same SQL by hand, and beside the client of idc-index."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import idc_index_data

from adapters.idc import sorted_copy
from adapters.idc.adapter import Idc
from benchmarks.measure import Figure, Runs, Way, in_turn, timed
from benchmarks.processes import Commands, Helper, Unavailable, command, environment, versions
from benchmarks.tables import Aim, Result, Table
from broker.api import Session
from broker.query import Query

ABOUT = (
    "The same selections of 1,044,191 series with the same columns: through the broker, as SQL over "
    "the sorted copy that the broker makes and over the package's parquet, and through idc-index's IDCClient."
)
UID = "1.3.6.1.4.1.14519.5.2.1.7695.1700.177999425608604501268294082105"

SEARCHES: dict[str, tuple[Query, int | None]] = {
    "CT lungs since 2000, 20": (
        Query("series", Modality="CT", BodyPartExamined="LUNG*", StudyDate="2000-"),
        20,
    ),
    "one PatientID": (Query("series", PatientID="TCGA-B8-4143"), None),
    "MR with flair": (Query("series", "SeriesDescription~flair", Modality="MR"), None),
    "studies of ispy2": (Query("studies", Collection="ispy2"), None),
    "one SeriesInstanceUID": (Query("series", SeriesInstanceUID=UID), None),
    "all MG": (Query("series", Modality="MG"), None),
}
WARM = (
    "search", "rows", "SQL, copy: ms", "broker: x SQL", "broker - SQL: ms", "SQL, parquet: x SQL",
    "idc-index: x broker",
)  # fmt: skip
NO_COPY = "broker, ndjson, makes its copy"
EMPTY = 'XDG_CACHE_HOME=$(mktemp -d) && export XDG_CACHE_HOME && "$@"; rm -r "$XDG_CACHE_HOME"'
FIRST = "CT lungs since 2000, 20"


def run(*, quick: bool) -> Result:
    """Warm, then as processes."""
    result = Result("idc", ABOUT)
    parquet = Path(str(idc_index_data.IDC_INDEX_PARQUET_FILEPATH))
    copy = sorted_copy.ensure(lambda: parquet, str(idc_index_data.__version__), threading.Event())
    if copy is None:
        raise Unavailable("the sorted copy of the IDC index cannot be made here")
    python: Path | None = None
    try:
        python = environment("idc-index", "idc-index")
        result.notes.append(f"the client: {versions(python, 'idc-index', 'pandas', 'duckdb')}")
    except Unavailable as error:
        result.notes.append(f"without idc-index: {error}")
    client = _client(python) if python is not None else {}
    _warm(result, parquet, copy, client, quick=quick)
    _fresh(result, copy, python, quick=quick)
    return result


def _sql(name: str) -> str:
    """What the broker asks DuckDB for the rows."""
    query, limit = SEARCHES[name]
    return Session(query, at=[Idc()], limit=limit).explain()[0].requests[0]


def _client_sql(name: str) -> str:
    columns = ", ".join(f'{sql} AS "{column}"' for column, sql in sorted_copy.COLUMNS.items())
    return _sql(name).replace("FROM series", f"FROM (SELECT {columns} FROM index) series")


def _client(python: Path) -> dict[str, Figure]:
    """Seconds of each search with a client that is under way, once each, for they are slow."""
    with Helper("idc_client.py", python=python) as helper:
        helper.ask("")
        return {name: Figure((helper.ask(_client_sql(name))["seconds"],)) for name in SEARCHES}


def _warm(result: Result, parquet: Path, copy: Path, client: Mapping[str, Figure], *, quick: bool) -> None:
    view = f"CREATE VIEW series AS {sorted_copy.selection(parquet)}"
    rows = []
    # SQL in processes of its own: DuckDB shares what is open in one process, which would help the broker
    with Helper("sql.py", str(copy)) as sorted_, Helper("sql.py", "-", view) as raw:
        for name in SEARCHES:
            sql = _sql(name)
            ways: dict[str, Way] = {
                "broker": timed(_broker(name)),
                "copy": partial(sorted_.ask, sql),
                "parquet": partial(raw.ask, sql),
            }
            runs = in_turn(ways, rounds=3 if quick else 9, seconds=0 if quick else 4)
            rows.append(_row(name, runs, client.get(name)))
            share = runs.compare("broker", "copy", lambda b, s: b["seconds"] / (1.3 * s["seconds"] + 0.005))
            result.aims.append(Aim(f"{name}: share of 1.3 x the same SQL + 5 ms", share.median, 1.0))
    result.tables.append(
        Table(
            "Warm",
            WARM,
            rows,
            "SQL: an open connection, `fetchall`, no objects made; each way in a process of its own. "
            "idc-index: one query each, the client constructed.",
        )
    )


def _row(name: str, runs: Runs, client: Figure | None) -> list[str | Figure]:
    slower = "-" if client is None else Figure((client.median / runs.figure("broker").median,))
    above = runs.compare("broker", "copy", lambda b, s: 1000 * (b["seconds"] - s["seconds"]))
    return [
        name,
        f"{int(runs.figure('copy', 'rows').median):,}",
        runs.figure("copy", times=1000),
        runs.ratio("broker", "copy"),
        above,
        runs.ratio("parquet", "copy"),
        slower,
    ]


def _broker(name: str) -> Callable[[], object]:
    import broker

    query, limit = SEARCHES[name]
    return lambda: broker.search(query, at=["idc"], limit=limit)


def _fresh(result: Result, copy: Path, python: Path | None, *, quick: bool) -> None:
    """From the start of a process to its end, for the first search."""
    query, limit = SEARCHES[FIRST]
    words = [command("broker"), "search", "series", *map(str, query.conditions), "--at", "idc"]
    words += ["--limit", str(limit)]
    fetch = f"duckdb.connect({str(copy)!r}, read_only=True).execute({_sql(FIRST)!r}).fetchall()"
    lines = {
        "SQL over the copy": [sys.executable, "-c", f"import duckdb; print({fetch})"],
        "broker, ndjson": [*words, "--format", "ndjson"],
        "broker, table": words,
        NO_COPY: ["/bin/sh", "-c", EMPTY, "sh", *words, "--format", "ndjson"],
    }
    if python is not None:
        script = Path(__file__).parent / "helpers" / "idc_client.py"
        lines["idc-index"] = [str(python), str(script), _client_sql(FIRST)]
    with Commands() as commands:
        ways: dict[str, Way] = {name: partial(commands.run, line) for name, line in lines.items()}
        rare = {"idc-index": 1 if quick else 3, NO_COPY: 1 if quick else 3}
        runs = in_turn(ways, rounds=3 if quick else 9, rare=rare)
    base = "SQL over the copy"
    rows: list[list[str | Figure]] = [
        [n, runs.figure(n, times=1000), runs.ratio(n, base), runs.figure(n, "mb"), runs.ratio(n, base, "mb")]
        for n in lines
    ]
    columns = ("a fresh process", "ms", "x SQL", "peak MB", "x SQL (memory)")
    result.tables.append(Table(f"First answer of a fresh process: {FIRST}", columns, rows))
    if python is not None:
        sooner = runs.ratio("idc-index", "broker, ndjson").median
        smaller = runs.ratio("broker, ndjson", "idc-index", "mb").median
        result.aims.append(Aim("first answer of a process before idc-index's", sooner, 15.0, least=True))
        result.aims.append(Aim("its peak memory, of idc-index's", smaller, 0.2))
