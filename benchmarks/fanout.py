"""Many archives at once: what the broker adds to the wait for the slowest, beside other ways of asking."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import aiohttp
import pydicom
from dicomweb_client import DICOMwebClient
from yarl import URL

from adapters.dicomweb.adapter import ACCEPT, QIDO, DicomWeb, Paging
from adapters.shared.http import Http
from benchmarks.measure import Figure, Numbers, Runs, Way, in_turn
from benchmarks.processes import archives
from benchmarks.tables import Aim, Result, Table
from broker.adapter import Adapter
from broker.api import Session
from broker.plan import Wish, plan
from broker.query import Query
from broker.run import Event, Records
from catalog.keywords import keyword

ABOUT = (
    "N archives on loopback, served by another process, each with 200 studies and 50 ms before every answer. "
    "Overhead is what an answer takes beyond these 50 ms; connections are new in every run."
)
LATENCY = 0.05
STUDIES = 200
SIZES = (8, 32, 128)
QUERIES = {
    "all studies": Query("studies"),
    "CT of 2001-2015": Query("studies", ModalitiesInStudy="CT", StudyDate="2001-2015"),
}
BROKER, AIOHTTP = "broker", "aiohttp, bytes only"
PEER, LOOP = "dicomweb-client + pydicom, threads", "dicomweb-client, loop"
CAREFUL = "broker, asks for an empty last page"


def run(*, quick: bool) -> Result:
    """Every number of archives, with and without conditions."""
    result = Result("fanout", ABOUT)
    for servers in SIZES[:1] if quick else SIZES:
        with archives(servers, STUDIES, LATENCY) as urls:
            for name, query in QUERIES.items():
                _measure(result, urls, name, query, quick=quick)
    result.notes += [
        "broker: `Session.answer` with one DicomWeb adapter per archive: fetched, decoded, checked, merged; "
        "`exact_pages` is set, so that a short page is the last.",
        "An archive of which that is not known is asked for one page more when there are conditions: "
        "one more round trip, here 50 ms of the overhead.",
        "lag: how late a task that sleeps 1 ms was woken at worst, while the answer was made.",
    ]
    return result


def _measure(result: Result, urls: list[str], name: str, query: Query, *, quick: bool) -> None:
    count = len(urls)
    ways: dict[str, Way] = {
        BROKER: _asyncio(lambda watch: _broker(urls, query, Paging(exact=True), watch)),
        AIOHTTP: _asyncio(lambda watch: _bytes(_targets(urls, query), watch)),
        PEER: lambda: _threads(urls, query),
        LOOP: lambda: _loop(urls, query),
    }
    if query.conditions:
        ways[CAREFUL] = _asyncio(lambda watch: _broker(urls, query, Paging(), watch))
    few = 1 if quick else 3
    runs = in_turn(ways, rounds=3 if quick else 9, seconds=0 if quick else 6, rare={PEER: few, LOOP: few})
    rows = int(runs.figure(BROKER, "rows").median)
    table = [_row(runs, way, count) for way in ways]
    columns = ("way", "overhead: ms", "x aiohttp", "us a row", "first rows after 50 ms: ms", "lag: ms")
    result.tables.append(Table(f"{count} archives, {name}: {rows:,} rows", columns, table))
    result.aims += _aims(runs, count, name, rows)


def _aims(runs: Runs, count: int, name: str, rows: int) -> list[Aim]:
    where = f"{count} archives, {name}"
    share = runs.compare(BROKER, AIOHTTP, lambda b, a: b["overhead"] / (1.5 * a["overhead"] + 8e-6 * rows))
    aims = [Aim(f"{where}: share of 1.5 x aiohttp + 8 us a row", share.median, 1.0)]
    if not QUERIES[name].conditions:
        below = runs.ratio(PEER, BROKER, "overhead").median
        aims.append(Aim(f"{where}: overhead below {PEER}", below, 20.0, least=True))
    if count == 32:
        first = runs.figure(BROKER, "first", 1000).median
        aims.append(Aim(f"{where}: first rows after the fastest archive", first, 15.0, "ms"))
    aims.append(Aim(f"{where}: lag of the event loop", runs.figure(BROKER, "lag", 1000).median, 25.0, "ms"))
    return aims


def _row(runs: Runs, way: str, count: int) -> list[str | Figure]:
    overhead = runs.figure(way, "overhead", 1000)
    rows = runs.figure(way, "rows").median or count
    first = runs.figure(way, "first", 1000)
    lag = runs.figure(way, "lag", 1000)
    shown: list[str | Figure] = [
        way,
        overhead,
        runs.ratio(way, AIOHTTP, "overhead"),
        Figure(tuple(run * 1000 / rows for run in overhead.runs)),
    ]
    shown.append(first if first.median else "-")
    shown.append(lag if lag.median else "-")
    return shown


Watch = Callable[[], None]


def _asyncio(work: Callable[[Watch], Awaitable[int]]) -> Way:
    """An asyncio way, with the moment of its first rows and the lag of its loop."""

    async def whole() -> Numbers:
        late = asyncio.create_task(_lag())
        await asyncio.sleep(0)
        moments: list[float] = []
        start = time.perf_counter()
        rows = await work(lambda: moments.append(time.perf_counter()))
        end = time.perf_counter()
        late.cancel()
        first = min(moments, default=end) - start
        return _numbers(end - start, rows, first=first - LATENCY, lag=await late)

    return lambda: asyncio.run(whole())


async def _lag() -> float:
    """The worst delay of a task that sleeps 1 ms, until it is cancelled."""
    worst = 0.0
    with suppress(asyncio.CancelledError):
        while True:
            start = time.perf_counter()
            await asyncio.sleep(0.001)
            worst = max(worst, time.perf_counter() - start - 0.001)
    return worst


def _numbers(seconds: float, rows: int, *, first: float = 0.0, lag: float = 0.0) -> Numbers:
    return {"overhead": seconds - LATENCY, "rows": rows, "first": first, "lag": lag}


def _adapters(urls: Sequence[str], paging: Paging) -> list[Adapter]:
    return [DicomWeb(f"peer{n}", Http(url), paging=paging) for n, url in enumerate(urls)]


async def _broker(urls: Sequence[str], query: Query, paging: Paging, watch: Watch) -> int:
    def seen(event: Event) -> None:
        if isinstance(event, Records):
            watch()

    answer = await Session(query, at=_adapters(urls, paging)).answer(watch=seen)
    if not answer.complete:
        raise RuntimeError(repr(answer))
    return len(answer)


def _targets(urls: Sequence[str], query: Query) -> list[str]:
    """The very requests of the broker."""
    asks = plan(query, "peer", QIDO, Wish()).asks
    return [DicomWeb("peer", Http(url)).request(asks[0]) for url in urls]


async def _bytes(targets: Sequence[str], watch: Watch) -> int:
    """Only the bodies, with one session."""
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as session:

        async def one(target: str) -> None:
            async with session.get(URL(target, encoded=True), headers={"Accept": ACCEPT}) as reply:
                await reply.read()
            watch()

        await asyncio.gather(*(one(target) for target in targets))
    return 0


def _client(url: str, query: Query) -> list[dict[str, Any]]:
    fields = plan(query, "peer", QIDO, Wish()).asks[0].fields
    conditions = {c.keyword: str(c.matches[0]) for c in query.conditions}
    tags = [keyword(f).tag for f in fields if keyword(f).tag]
    client = DICOMwebClient(url)
    return [*client.search_for_studies(limit=1000, fields=tags, search_filters=conditions)]


def _loop(urls: Sequence[str], query: Query) -> Numbers:
    """One archive after the other, plain dicts."""
    start = time.perf_counter()
    rows = [row for url in urls for row in _client(url, query)]
    return _numbers(time.perf_counter() - start, len(rows))


def _threads(urls: Sequence[str], query: Query) -> Numbers:
    """A thread per archive, every row as a pydicom Dataset."""

    def one(url: str) -> list[pydicom.Dataset]:
        return [pydicom.Dataset.from_json(row) for row in _client(url, query)]

    start = time.perf_counter()
    with ThreadPoolExecutor(len(urls)) as pool:
        rows = [row for found in pool.map(one, urls) for row in found]
    return _numbers(time.perf_counter() - start, len(rows))
