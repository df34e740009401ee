"""Conditions applied to a million real records, and a wildcard made to be slow."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import duckdb
import idc_index_data

from adapters.idc import sorted_copy
from adapters.idc.adapter import IDC
from benchmarks.measure import Figure, in_turn, short, timed
from benchmarks.tables import Aim, Result, Table
from broker.adapter import Page
from broker.matching import Column, Value, compiled
from broker.plan import Wish, plan
from broker.planning.check import Checker
from broker.query import Query, condition

ABOUT = (
    "Modality=CT, StudyDate=2000-2015 and a wildcard on SeriesDescription over series of the IDC index, in "
    "pages of 10,000."
)
CONDITIONS = ("Modality=CT", "StudyDate=2000-2015", "SeriesDescription=*LUNG*?0*")
KEYWORDS = ("Modality", "StudyDate", "SeriesDescription")
PAGE = 10_000
COLUMN, CHECKER, EACH = "Column, all conditions", "Checker (what a search does)", "every value anew"

Rows = list[tuple[Value, ...]]


def run(*, quick: bool) -> Result:
    """A million, then one value at a time."""
    pages = _pages(100_000 if quick else 1_000_000)
    count = sum(map(len, pages))
    result = Result("matching", ABOUT)
    ways = {
        COLUMN: timed(lambda: _columns(pages)),
        CHECKER: timed(lambda: _checker(pages)),
        EACH: timed(lambda: _each(pages)),
    }
    runs = in_turn(ways, rounds=3 if quick else 5)
    rows: list[list[str | Figure]] = [
        [way, runs.figure(way), runs.figure(way, times=1e9 / count), runs.ratio(way, EACH)] for way in ways
    ]
    columns = ("way", "seconds", "ns a row", "x every value anew")
    result.tables.append(Table(f"{count:,} series, {_columns(pages):,} match", columns, rows))
    million = runs.figure(COLUMN).median * 1e6 / count
    result.aims.append(Aim("a million records and three conditions", million, 1.5, "s"))
    worst = _pathological(result)
    result.aims.append(Aim("a wildcard made to be slow, one value of 64 letters", worst, 10.0, "ms"))
    return result


def _columns(pages: list[Rows]) -> int:
    """How many rows satisfy all."""
    tests = [Column(condition(text)).__getitem__ for text in CONDITIONS]
    found = 0
    for page in pages:
        answers = [map(test, column) for test, column in zip(tests, zip(*page, strict=True), strict=True)]
        found += sum(map(all, zip(*answers, strict=True)))
    return found


def _checker(pages: list[Rows]) -> int:
    made = plan(Query("series", *CONDITIONS), "idc", IDC, Wish())
    checker = Checker(made, IDC)
    return sum(len(kept.rows) for page in pages for _, kept in checker.sort(Page(KEYWORDS, page)))


def _each(pages: list[Rows]) -> int:
    tests = [compiled(condition(text)) for text in CONDITIONS]
    rows = (row for page in pages for row in page)
    return sum(all(test(value) for test, value in zip(tests, row, strict=True)) for row in rows)


def _pathological(result: Result) -> float:
    """Milliseconds for patterns that make a backtracking matcher try every split."""
    cases: dict[str, tuple[str, str]] = {
        "*a*a* ... *b (20 stars) on 64 letters a": ("*a" * 20 + "*b", "a" * 64),
        "*?a*?a* ... *b (15 stars) on 64 letters a": ("*?a" * 15 + "*b", "a" * 64),
        "*a*a* ... *b (20 stars) on 10,000 letters a": ("*a" * 20 + "*b", "a" * 10_000),
        "*ab*ab* ... *c (10 stars) on 64 letters ab": ("*ab" * 10 + "*c", "ab" * 32),
    }
    times = {name: _milliseconds(lambda c=case: _once(*c)) for name, case in cases.items()}  # type: ignore[misc]
    rows = [[name, short(ms)] for name, ms in times.items()]
    columns = ("pattern", "ms (best of 5, compiling included)")
    result.tables.append(Table("Wildcards made to be slow", columns, rows))
    return max(ms for (name, ms) in times.items() if "10,000" not in name)


def _once(pattern: str, value: str) -> None:
    Column(condition(f"SeriesDescription={pattern}"))[value]


def _milliseconds(work: Callable[[], object]) -> float:
    times = []
    for _ in range(5):
        start = time.perf_counter()
        work()
        times.append((time.perf_counter() - start) * 1000)
    return min(times)


def _pages(count: int) -> list[Rows]:
    parquet = Path(str(idc_index_data.IDC_INDEX_PARQUET_FILEPATH))
    listed = ", ".join(f'"{name}"' for name in KEYWORDS)
    with duckdb.connect() as db:
        db.execute(f"SELECT {listed} FROM ({sorted_copy.selection(parquet)}) LIMIT {count}")
        pages: list[Rows] = []
        while rows := db.fetchmany(PAGE):
            pages.append(rows)
    return pages
