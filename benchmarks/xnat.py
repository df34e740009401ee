"""All series of an XNAT: the broker beside xnatpy's plain requests and xnatpy's objects."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass
from typing import Any

from adapters.shared.http import Http, Reply
from adapters.xnat.adapter import Xnat
from benchmarks.measure import Figure, Numbers, Runs, Way, in_turn
from benchmarks.processes import xnat
from benchmarks.tables import Aim, Result, Table
from broker.api import Session
from broker.query import Query
from broker.run import Event, Records
from broker.setup.credentials import Login, Secret

ABOUT = (
    "1,000 sessions of 10 scans in 4 projects of our own XNAT, served by another process with 50 ms before "
    "every answer; its answers are kept, so that clients and transport are measured and not an XNAT's "
    "database. Connections, sessions and log-ins are new in every run."
)
LATENCY = 0.05
SAMPLE, SESSIONS, SCANS = 6, 1000, 10
USER = {"user": "alice", "password": "pass:wörd"}
GUEST, MEMBER = "broker, as a guest", "broker, logged in"
JSON, OBJECTS = "xnatpy get_json, without its model", "xnatpy objects (extrapolated)"
STUDY = "ID,UID,date,time,label,subject_ID,subject_label,dcmPatientId,dcmPatientName,project"
SERIES = ",".join(
    ["ID", *(f"xnat:imageScanData/{n}" for n in ("ID", "UID", "type", "series_description", "modality"))]
)


def run(*, quick: bool) -> Result:
    """Every way, in turn."""
    result = Result("xnat", ABOUT)
    with xnat(LATENCY) as url:
        ways: dict[str, Way] = {
            GUEST: lambda: _broker(url, None),
            MEMBER: lambda: _broker(url, Login("basic", USER["user"], Secret(USER["password"]))),
            JSON: lambda: _get_json(url),
            OBJECTS: lambda: _objects(url),
        }
        runs = in_turn(ways, rounds=3 if quick else 9, rare={OBJECTS: 1})
    columns = ("way", "all series: s", "x broker, logged in", "first rows: s", "requests")
    result.tables.append(Table("10,000 series", columns, [_row(runs, way) for way in ways]))
    result.aims += _aims(runs)
    result.notes += [
        "broker: `Session.answer`: logged in to, fetched, put together, checked, merged, the session ended.",
        f"{OBJECTS}: connecting with the data model, then UID, date and scans of {SAMPLE} of {SESSIONS} "
        "sessions, and UID, modality and description of each scan.",
        f"{JSON}: two requests for the whole site, and no merge; a guest's xnatpy logs in by the front page.",
    ]
    return result


def _row(runs: Runs, way: str) -> list[str | Figure]:
    first = runs.figure(way, "first")
    seconds, requests = runs.figure(way), runs.figure(way, "requests")
    return [way, seconds, runs.ratio(way, MEMBER), first if first.median else "-", requests]


def _aims(runs: Runs) -> list[Aim]:
    found = []
    for way in (GUEST, MEMBER):
        found.append(Aim(f"{way}: all series", runs.figure(way).median, 1.5, "s"))
        found.append(Aim(f"{way}: first rows", runs.figure(way, "first").median, 0.3, "s"))
        found.append(Aim(f"{way}: requests", runs.figure(way, "requests").median, 19, "requests"))
    return found


@dataclass(slots=True)
class _Counted(Http):
    """HTTP that counts what it asks."""

    count: int = 0

    async def ask(self, *words: Any, **more: Any) -> Reply:
        self.count += 1
        return await Http.ask(self, *words, **more)


def _broker(url: str, user: Login | None) -> Numbers:
    http = _Counted(url, keeps_cookies=False)
    moments: list[float] = []

    def watch(event: Event) -> None:
        if isinstance(event, Records):
            moments.append(time.perf_counter())

    start = time.perf_counter()
    answer = asyncio.run(Session(Query("series"), at=[Xnat("xnat", http, user)]).answer(60, watch))
    end = time.perf_counter()
    return _numbers(end - start, len(answer), moments[0] - start, http.count)


def _numbers(seconds: float, series: int, first: float, requests: int) -> Numbers:
    if series != SESSIONS * SCANS:
        raise AssertionError(f"{series} series instead of {SESSIONS * SCANS}")
    return {"seconds": seconds, "first": first, "requests": requests}


def _connected(url: str, **more: Any) -> Any:
    import xnat

    quiet = logging.getLogger("benchmarks.xnatpy")
    quiet.setLevel(logging.ERROR)
    return xnat.connect(url, **USER, logger=quiet, **more)


def _counting(connection: Any) -> list[object]:
    """What the connection asks from now on."""
    asked: list[object] = []
    connection.interface.hooks["response"].append(lambda reply, *_, **__: asked.append(reply.status_code))
    return asked


def _get_json(url: str) -> Numbers:
    start = time.perf_counter()
    with _connected(url, no_parse_model=True) as c:
        asked = _counting(c)
        rows = [
            c.get_json("/data/experiments", query={"xsiType": "xnat:imageSessionData", "columns": columns})
            for columns in (STUDY, SERIES)
        ]
        series = [row for row in rows[1]["ResultSet"]["Result"] if row["xnat:imagescandata/id"]]
    return _numbers(time.perf_counter() - start, len(series), 0.0, len(asked) + 5)


def _objects(url: str) -> Numbers:
    """A few sessions, as many times as there are."""
    start = time.perf_counter()
    with _connected(url) as c:
        listed = list(c.experiments.values())
        ready = time.perf_counter()
        asked = _counting(c)
        for session in listed[:SAMPLE]:
            _ = (session.uid, session.date)
            _ = [(s.uid, s.modality, s.series_description) for s in session.scans.values()]
        each = (time.perf_counter() - ready) / SAMPLE
    seconds = ready - start + each * len(listed)
    return _numbers(seconds, len(listed) * SCANS, 0.0, len(asked) // SAMPLE * len(listed))
