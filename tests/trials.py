"""One faulty archive among healthy ones: what must hold, whatever the fault.

python tests/trials.py            every case, at every position: the table of docs/reliability.md
python tests/trials.py random N   N random injections: honesty, healthy records, time over the deadline
python tests/trials.py soak S     mixed faults for S seconds: memory, sockets, threads, tasks, and slopes
"""

from __future__ import annotations

import asyncio
import gc
import os
import random
import statistics
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]

from peers.cases import HTTP, Case
from peers.faults import HOST, Faulty, silence, spoiled
from peers.qido import QidoServer

from adapters.dicomweb.adapter import QIDO, DicomWeb
from adapters.shared.http import Http
from broker.adapter import Adapter
from broker.answer import Answer
from broker.api import Session
from broker.query import Query
from broker.report import Report
from broker.setup.limits import Limits
from fixtures.dicom import Holding

DEADLINE = 0.6
GRACE = 0.25  # seconds over the deadline that the contract allows
HEALTHY = 3

Word = Mapping[tuple[str, str], Mapping[str, Any]]


def holdings(archive: int, studies: int = 12) -> list[Holding]:
    """Studies of one archive; every other one is also held by its neighbour."""
    return [_study(archive if n % 2 else (archive + 1) % (HEALTHY + 1), n) for n in range(studies)]


def _study(origin: int, n: int) -> Holding:
    uid = f"1.2.826.{origin + 1}.{n + 1}"
    study = {"StudyInstanceUID": uid, "PatientID": f"P{origin}-{n}", "StudyDate": f"2020010{n % 9 + 1}"}
    return {
        "study": {**study, "ModalitiesInStudy": "CT"},
        "series": [{"SeriesInstanceUID": f"{uid}.1", "Modality": "CT"}],
    }


def dicomweb(name: str, port: int) -> DicomWeb:
    """A DICOMweb archive with the usual limit of bytes."""
    limits = Limits(connect=2, idle=5, first_byte=5)
    return DicomWeb(name, Http(f"http://{HOST}:{port}/dicom-web", limits=limits), QIDO)


@dataclass
class Trial:
    """What came of one question: its answer, the faulty archive's report, seconds over the deadline."""

    answer: Answer
    report: Report
    over: float
    healthy: Word
    faulty: Word


async def ask(adapters: Sequence[Adapter], faulty: str, deadline: float = DEADLINE) -> Trial:
    """All studies of all archives."""
    start = time.perf_counter()
    answer = await Session(Query("studies"), at=adapters).answer(deadline)
    over = max(time.perf_counter() - start - deadline, 0.0)
    words = {(e.uid or "", archive): own for e in answer for archive, own in e.said.items()}
    healthy = {key: own for key, own in words.items() if key[1] != faulty}
    own = {key: own for key, own in words.items() if key[1] == faulty}
    report = next(r for r in answer.reports if r.archive == faulty)
    return Trial(answer, report, over, healthy, own)


class Place:
    """Three healthy archives and one whose fault can be chosen, at any position among them."""

    def __init__(self) -> None:
        self._stack = AsyncExitStack()
        self._servers: list[QidoServer] = []

    async def __aenter__(self) -> Place:
        for number in range(HEALTHY + 1):
            server = QidoServer(holdings(number))
            self._servers.append(await self._stack.enter_async_context(server))
        self.truth = await self._baseline()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._stack.__aexit__(None, None, None)

    async def _baseline(self) -> Trial:
        return await ask([dicomweb(f"a{n}", s.port) for n, s in enumerate(self._servers)], "a3", 10)

    def port(self, number: int) -> int:
        """The port of an honest server."""
        return self._servers[number].port

    async def trial(self, port: int, position: int, deadline: float = DEADLINE) -> Trial:
        """The faulty archive `a3` at this port, at one of the positions 0 to 3."""
        adapters = [dicomweb(f"a{n}", self._servers[n].port) for n in range(HEALTHY)]
        adapters.insert(position, dicomweb("a3", port))
        return await ask(adapters, "a3", deadline)

    async def faulty(self, fault: Any) -> Faulty:
        """The fault before the fourth server; it stands until this place is left."""
        return await self._stack.enter_async_context(Faulty(fault, (HOST, self.port(HEALTHY))))


@dataclass(frozen=True)
class Held:
    """What a process holds: tasks, threads, open files, resident bytes."""

    tasks: int
    threads: int
    files: int
    memory: int

    @classmethod
    def now(cls) -> Held:
        gc.collect()
        memory = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        files = len(list(Path("/proc/self/fd").iterdir()))
        # the loop's own pool keeps its threads for whoever needs one next
        threads = sum(not t.name.startswith("asyncio_") for t in threading.enumerate())
        return cls(len(asyncio.all_tasks()), threads, files, memory)


async def settled(before: Held, within: float = 2.0) -> Held:
    """What is held once everything has had time to end."""
    end = time.monotonic() + within
    while True:
        now = Held.now()
        calm = now.tasks <= before.tasks and now.threads <= before.threads and now.files <= before.files
        if calm or time.monotonic() > end:
            return now
        await asyncio.sleep(0.02)


def violations(case: Case, trial: Trial, truth: Trial, requests: int, grace: float = GRACE) -> list[str]:
    """The invariants I1, I2, I3, I7 of one trial, in words; empty where all hold."""
    told = trial.report
    wrong = []
    if trial.healthy != truth.healthy:
        wrong.append("I1: a healthy archive's records differ")
    if trial.over > grace:
        wrong.append(f"I2: {trial.over:.3f} s over the deadline")
    if (told.status.value, told.reason) != (case.status, case.reason):
        wrong.append(f"I3: {told.status.value} ({told.reason}) instead of {case.status} ({case.reason})")
    if told.ok != (case.status == "ok") or trial.answer.complete != told.ok:
        wrong.append("I3: complete or not is not said as it is")
    if requests > case.attempts:
        wrong.append(f"I7: {requests} requests, at most {case.attempts}")
    return wrong


class Peak:
    """The most memory that the process held meanwhile, in MB over what it held at the beginning."""

    def __enter__(self) -> Peak:
        self.rise, self._start, self._stop = 0.0, Held.now().memory, threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        size = os.sysconf("SC_PAGE_SIZE")
        while not self._stop.wait(0.005):
            held = int(Path("/proc/self/statm").read_text().split()[1]) * size
            self.rise = max(self.rise, (held - self._start) / 1e6)


HEAD = ("case", "status", "reason", "requests", "s over the deadline", "MB more", "healthy records")


async def table() -> int:
    """Every case at every position; the rows of docs/reliability.md."""
    bad = 0
    print(f"| {' | '.join(HEAD)} |\n|{'---|' * len(HEAD)}")
    async with Place() as place:
        await place.trial(place.port(HEALTHY), 0)  # what is loaded once is no fault's doing
        for case in HTTP:
            row, wrong = await _row(place, case)
            print(f"| {' | '.join(row)} |", flush=True)
            bad += len(wrong)
            print(*wrong, sep="\n", end="\n" if wrong else "", file=sys.stderr)
        ratio = await _ratio(place)
    print(f"\nfirst record of healthy archives beside a hanging one: {ratio:.2f} times the usual")
    return 1 if bad else 0


async def _row(place: Place, case: Case) -> tuple[list[str], list[str]]:
    over, requests, same, wrong = 0.0, 0, True, []
    fault = case.fault()
    with Peak() as peak:
        for position in range(HEALTHY + 1):
            peer = await place.faulty(fault if position == 0 else case.fault())
            trial = await place.trial(peer.port, position)
            told, over, requests = trial.report, max(over, trial.over), max(requests, len(peer.requests))
            same = same and trial.healthy == place.truth.healthy
            found = violations(case, trial, place.truth, len(peer.requests))
            wrong += [f"  {case.name}, position {position}: {text}" for text in found]
    cells = [
        case.name,
        told.status.value,
        told.reason or "-",
        str(requests),
        f"{over:.3f}",
        f"{peak.rise:.0f}",
    ]
    return [*cells, "identical" if same else "DIFFERENT"], wrong


async def _ratio(place: Place, times: int = 40) -> float:
    """Seconds to the first record with a hanging neighbour, over those with an honest one: medians."""
    hanging = await place.faulty(silence)
    firsts: dict[int, list[float]] = {hanging.port: [], place.port(HEALTHY): []}
    for _ in range(times):
        for port, seen in firsts.items():
            trial = await place.trial(port, 0, 0.3)
            seen.append(min(r.first for r in trial.answer.reports if r.archive != "a3" and r.first))
    beside, usual = (statistics.median(seen) for seen in firsts.values())
    return beside / usual


HOW = ("cut", "reset", "stall", "slow", "garbage")


async def injection(place: Place, rng: random.Random, deadline: float) -> tuple[str, Trial]:
    """One random fault at a random position."""
    if rng.random() < 0.3:
        case = rng.choice(HTTP)
        name, fault = case.name, case.fault()
    else:
        how, at = rng.choice(HOW), rng.randrange(6000)
        name, fault = f"{how} at byte {at}", spoiled(at, how)
    async with Faulty(fault, (HOST, place.port(HEALTHY))) as peer:
        return name, await place.trial(peer.port, rng.randrange(HEALTHY + 1), deadline)


async def at_random(count: int, seed: int = 1, at_once: int = 8) -> int:
    """Random faults; prints what they came to, and returns how many broke an invariant."""
    rng = random.Random(seed)
    overs: list[float] = []
    lies = lost = complete = 0
    for case in HTTP:
        case.fault()  # some take a while to make
    async with Place() as place:
        turns = asyncio.Semaphore(at_once)

        async def one(own: random.Random) -> None:
            nonlocal lies, lost, complete
            async with turns:
                name, trial = await injection(place, own, 1.0)
            overs.append(trial.over)
            complete += trial.answer.complete
            if trial.answer.complete and trial.faulty != place.truth.faulty:
                lies += 1
                print(f"lie: {name}", file=sys.stderr)
            if trial.healthy != place.truth.healthy:
                lost += 1
                print(
                    f"lost: {name}: {[(r.archive, r.reason) for r in trial.answer.reports]}", file=sys.stderr
                )

        for begin in range(0, count, 500):
            size = min(500, count - begin)
            await asyncio.gather(*(one(random.Random(rng.random())) for _ in range(size)))
            if sys.stderr.isatty():
                print(f"\r{begin + size:,} of {count:,}", end="", file=sys.stderr)
    overs.sort()
    print(f"injections: {count:,}; answers that were complete: {complete:,}")
    print(f"complete although a source was not: {lies}; with records of a healthy archive lost: {lost}")
    print(f"seconds over the deadline: p99.9 {overs[int(len(overs) * 0.999) - 1]:.3f}, most {overs[-1]:.3f}")
    return lies + lost


async def soak(seconds: float, seed: int = 1) -> int:
    """Mixed faults for a while; prints samples, and the slope of each in its second half."""
    rng = random.Random(seed)
    samples: list[tuple[float, Held]] = []
    asked = 0
    async with Place() as place:
        start = last = time.monotonic()
        while time.monotonic() - start < seconds:
            await asyncio.gather(*(injection(place, random.Random(rng.random()), 0.3) for _ in range(4)))
            asked += 4
            if time.monotonic() - last > seconds / 60:
                last = time.monotonic()
                await asyncio.sleep(0.3)
                samples.append((last - start, Held.now()))
    half = samples[len(samples) // 2 :]
    print(f"{asked:,} questions in {seconds:g} s")
    for name in ("tasks", "threads", "files", "memory"):
        points = [(t, float(getattr(held, name))) for t, held in half]
        unit = "MB" if name == "memory" else ""
        scale = 1e6 if unit else 1
        ends = f"{points[0][1] / scale:.1f} -> {points[-1][1] / scale:.1f} {unit}"
        print(f"{name}: {ends}, slope {_slope(points) * 3600 / scale:+.2f} {unit} an hour")
    return 0


def _slope(points: Sequence[tuple[float, float]]) -> float:
    """Per second, by least squares."""
    n = len(points)
    mean_t, mean_v = sum(t for t, _ in points) / n, sum(v for _, v in points) / n
    spread = sum((t - mean_t) ** 2 for t, _ in points)
    return sum((t - mean_t) * (v - mean_v) for t, v in points) / spread if spread else 0.0


def main(words: Sequence[str]) -> int:
    """The command."""
    match words:
        case []:
            return asyncio.run(table())
        case ["random", count]:
            return asyncio.run(at_random(int(count)))
        case ["soak", seconds]:
            return asyncio.run(soak(float(seconds)))
    print(__doc__, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
