"""A million series of eight archives, three in ten known to several of them, made into entities."""

from __future__ import annotations

import gc
import time
import tracemalloc
from collections.abc import Mapping

from benchmarks.measure import Figure, Way, in_turn
from benchmarks.processes import Helper, Unavailable, environment, versions
from benchmarks.tables import Aim, Result, Table
from broker.adapter import Page
from broker.joining.entity import Source
from broker.matching import Value
from broker.merge import Merge
from catalog.keywords import Level

ABOUT = (
    "1,000,000 series from 8 archives in pages of 1,000, interleaved; 30 % of the rows are of series "
    "that four archives know, and one in a hundred of these disagrees. Every second archive has one more "
    "column, of those that must not contradict each other. The rows exist beforehand."
)
SOURCES, PAGE, SHARED_BY = 8, 1000, 4
KEYWORDS = (
    "SeriesInstanceUID", "StudyInstanceUID", "PatientID", "Modality", "StudyDate", "SeriesDescription",
    "BodyPartExamined", "SeriesNumber",
)  # fmt: skip
MORE = (*KEYWORDS, "PatientSex")
MERGE, POLARS = "Merge", "polars, full merge"
FIRST_WINS, COALESCING = "dict by UID, first wins", "dict by UID, every saying kept"

Offers = list[tuple[Page, Source]]


def run(*, quick: bool) -> Result:
    """Time of each way, then memory of the broker's."""
    total = 100_000 if quick else 1_000_000
    offers = _offers(total)
    gc.freeze()
    result = Result("merge", ABOUT)
    ways: dict[str, Way] = {
        MERGE: lambda: _merge(offers),
        FIRST_WINS: lambda: _first(offers),
        COALESCING: lambda: _all(offers),
    }
    helper = _polars(result, total)
    if helper is not None:
        ways[POLARS] = helper.ask
    runs = in_turn(ways, rounds=3 if quick else 5)
    if helper is not None:
        helper.__exit__(None, None, None)
    rows: list[list[str | Figure]] = [
        [way, runs.figure(way), runs.figure(way, "rows"), runs.ratio(way, FIRST_WINS)] for way in ways
    ]
    entities = int(runs.figure(MERGE, "entities").median)
    columns = ("way", "seconds", "rows a second", "x first wins")
    result.tables.append(Table(f"{total:,} rows, {entities:,} entities", columns, rows))
    held, read = _held(offers)
    shared, _ = _held(offers[: len(offers) // 4])  # where all are known to four archives
    first = runs.figure(MERGE, "first", 1000)
    details = [
        ["bytes held for each entity, beside its rows", f"{held:,.0f}"],
        ["the same, for entities of four archives", f"{shared:,.0f}"],
        ["the same, for all, when every entity was read", f"{read:,.0f}"],
        ["first entities after", first.text(" ms")],
        ["`result()`", runs.figure(MERGE, "result", 1000).text(" ms")],
        ["reading who knows each entity, and what they say otherwise", f"{_reading(offers):.2f} s"],
    ]
    result.tables.append(Table("Merge", ("", "measured"), details))
    if helper is not None:
        result.aims.append(Aim("time, of polars' full merge", runs.ratio(MERGE, POLARS).median, 2.5))
    result.aims.append(Aim("held for an entity that four archives know", shared, 400.0, "bytes"))
    result.aims.append(Aim("first record after one page", first.median, 10.0, "ms"))
    return result


def _polars(result: Result, total: int) -> Helper | None:
    try:
        python = environment("polars", "polars")
        result.notes.append(
            f"{versions(python, 'polars')}, in a process of its own; its columns exist beforehand"
        )
        helper = Helper("polars_merge.py", str(total), python=python)
        helper.ask()
    except Unavailable as error:
        result.notes.append(f"without polars: {error}")
        return None
    return helper


def _offers(total: int) -> Offers:
    """Every page with its source, the sources in turn. `helpers/polars_merge.py` makes the same."""
    each = total // SOURCES
    shared = each * 3 // 10
    pages: list[Offers] = []
    for source in range(SOURCES):
        keywords = MORE if source % 2 else KEYWORDS
        said = Source(f"archive{source}", source, keywords, 0.0)
        rows = [_row(source, n, n < shared) for n in range(each)]
        pages.append([(Page(keywords, rows[i : i + PAGE]), said) for i in range(0, each, PAGE)])
    return [offer for together in zip(*pages, strict=True) for offer in together]


def _row(source: int, number: int, shared: bool) -> tuple[Value, ...]:
    """A series; a shared one has the same number in the four archives of its group."""
    owner = 100 + source // SHARED_BY if shared else source
    uid = f"1.3.6.1.4.1.14519.5.2.1.{7000 + owner}.{10**15 + number}"
    date = "20200101" if not shared or number % 100 or source % SHARED_BY else "20200102"
    text = f"Series {number % 500}"
    row = (uid, uid[:-2], f"P{number // 50}", "CT", date, text, "CHEST", str(number % 20))
    return (*row, "F") if source % 2 else row


def _merge(offers: Offers) -> Mapping[str, float]:
    start = time.perf_counter()
    merge = Merge(Level.SERIES)
    merge.add(*offers[0])
    first = time.perf_counter() - start
    for page, source in offers[1:]:
        merge.add(page, source)
    added = time.perf_counter()
    found = merge.result()
    end = time.perf_counter()
    rows = sum(len(page.rows) for page, _ in offers) / (end - start)
    return {
        "seconds": end - start, "first": first, "result": end - added, "entities": len(found), "rows": rows,
    }  # fmt: skip


def _first(offers: Offers) -> Mapping[str, float]:
    """The least that can be done."""
    start = time.perf_counter()
    found: dict[Value, tuple[Value, ...]] = {}
    for page, _ in offers:
        for row in page.rows:
            found.setdefault(row[0], row)
    return _told(start, offers)


def _all(offers: Offers) -> Mapping[str, float]:
    """Nothing lost, nothing checked."""
    start = time.perf_counter()
    found: dict[Value, list[tuple[Source, tuple[Value, ...]]]] = {}
    for page, source in offers:
        for row in page.rows:
            found.setdefault(row[0], []).append((source, row))
    return _told(start, offers)


def _told(start: float, offers: Offers) -> Mapping[str, float]:
    seconds = time.perf_counter() - start
    return {"seconds": seconds, "rows": sum(len(page.rows) for page, _ in offers) / seconds}


def _reading(offers: Offers) -> float:
    """Seconds to read every entity of the result as a person would."""
    merge = _whole(offers)
    start = time.perf_counter()
    for entity in merge.result():
        _ = entity.archives, entity.conflicts
    return time.perf_counter() - start


def _whole(offers: Offers) -> Merge:
    merge = Merge(Level.SERIES)
    for page, source in offers:
        merge.add(page, source)
    return merge


def _held(offers: Offers) -> tuple[float, float]:
    """Bytes that each entity adds to its row: merged, and with all of them read."""
    tracemalloc.start()
    try:
        merge = _whole(offers)
        merged = tracemalloc.get_traced_memory()[0] / len(merge)
        entities = list(merge.result())
        return merged, tracemalloc.get_traced_memory()[0] / len(entities)
    finally:
        tracemalloc.stop()
