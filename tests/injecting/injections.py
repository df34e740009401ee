"""Random faults of archives of every kind among healthy ones: what they say, and what must hold."""

from __future__ import annotations

import asyncio
import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from unittest.mock import patch

from injecting.kinds import Database, Injected, Kind, Remote, idc, local
from injecting.upstreams import running
from peers.cases import HTTP

from broker.adapter import Adapter
from broker.answer import Answer
from broker.api import Session
from broker.query import Query
from broker.report import Report

DEADLINE = 1.0
TICK = 0.05
BESIDE = ("dicomweb", "dimse", "xnat", "nbia")  # kinds of the third healthy archive: those that are quick
QUERY = Query("studies")

Words = Mapping[str, object]
"""UID -> what one archive said of it."""


def words(answer: Answer, archive: str) -> Words:
    """What one archive said, by UID; without a UID by all of what it said."""
    said = [
        (e.uid, {k: v for k, v in e.said[archive].items() if k != "DataURL"})  # it holds the port
        for e in answer
        if archive in e.said
    ]
    return {uid or repr(sorted(own.items())): own for uid, own in said}


@dataclass
class Surroundings:
    """Honest archives of every kind, and what each of them says."""

    kinds: list[Kind]
    healthy: list[Remote]
    truth: dict[str, Words] = field(default_factory=dict)

    async def learn(self) -> None:
        """What is said without any fault, and how many bytes that takes. Everything is loaded then, too."""
        for number, healthy in enumerate(self.healthy):
            self.truth[f"healthy{number}"] = await self._whole(healthy.honest("made"))
        for kind in self.kinds:
            made = await asyncio.to_thread(kind.honest, "made")
            self.truth[kind.kind] = await self._whole(made)
            if isinstance(kind, Remote):
                await kind.measure(self._whole)
        for case in HTTP:
            case.fault()  # some take a while to make

    async def _whole(self, archive: Adapter) -> Words:
        answer = await Session(QUERY, at=[archive]).answer(30)
        assert answer.complete, answer.reports
        return words(answer, archive.name)


@contextmanager
def _index_as_it_was() -> Iterator[None]:
    """What the injections into the IDC index change in this process is put back."""
    import idc_index_data

    index = idc_index_data.IDC_INDEX_PARQUET_FILEPATH
    with patch.dict(os.environ), patch.object(idc_index_data, "IDC_INDEX_PARQUET_FILEPATH", index):
        yield


@asynccontextmanager
async def surroundings() -> AsyncIterator[Surroundings]:
    """Archives of every kind, in another process and in a folder of their own."""
    with _index_as_it_was(), running() as urls, tempfile.TemporaryDirectory() as folder:
        remote = [
            Remote(kind, url) for kind, url in urls.items() if not kind.startswith(("healthy", "postgres"))
        ]
        databases = [Database("postgres", urls["postgres"])] if "postgres" in urls else []
        healthy = [Remote("dicomweb", url) for kind, url in urls.items() if kind.startswith("healthy")]
        kinds: list[Kind] = [*remote, *databases, local(Path(folder)), idc(Path(folder))]
        made = Surroundings(kinds, healthy)
        await made.learn()
        yield made


@dataclass
class Outcome:
    """One question to one to three faulty archives beside three healthy ones.

    wrong  the invariants that were broken, in words;  over: seconds over the deadline
    """

    injected: dict[str, tuple[str, Injected]]
    answer: Answer
    over: float
    wrong: list[str] = field(default_factory=list)


async def one(around: Surroundings, rng: random.Random, deadline: float = DEADLINE) -> Outcome:
    """Random faults at random positions."""
    async with AsyncExitStack() as stack:
        healthy = {
            f"good{n}": (f"healthy{n}", kind.honest(f"good{n}")) for n, kind in enumerate(around.healthy)
        }
        other = rng.choice([k for k in around.kinds if k.kind in BESIDE])
        healthy["good2"] = (other.kind, other.honest("good2"))
        injected = {}
        chosen = rng.sample(around.kinds, rng.choice((1, 1, 1, 2, 3)))
        # in one order, for some wait for their turn
        for number, kind in enumerate(sorted(chosen, key=lambda k: k.kind)):
            name = f"bad{number}"
            injected[name] = (kind.kind, await stack.enter_async_context(kind.injected(name, rng)))
        adapters = [a for _, a in healthy.values()] + [i.adapter for _, i in injected.values()]
        rng.shuffle(adapters)
        start = time.perf_counter()
        answer = await Session(QUERY, at=adapters).answer(deadline)
        outcome = Outcome(injected, answer, max(time.perf_counter() - start - deadline, 0.0))
        outcome.wrong = judged(around, outcome, {name: kind for name, (kind, _) in healthy.items()})
    return outcome


def judged(around: Surroundings, outcome: Outcome, healthy: Mapping[str, str]) -> list[str]:
    """What is wrong with an answer: a lie, a record lost, an archive that is not spoken of."""
    reports = {r.archive: r for r in outcome.answer.reports}
    if set(reports) != {*healthy, *outcome.injected}:
        return ["lie: an archive has no report"]
    wrong = []
    for name, kind in healthy.items():
        if not reports[name].ok or words(outcome.answer, name) != around.truth[kind]:
            wrong.append(f"lost: {kind} {name}: {_told(reports[name])}")
    for name, (kind, injected) in outcome.injected.items():
        if reports[name].ok and _lie(around.truth[kind], words(outcome.answer, name), injected):
            wrong.append(f"lie: {kind} {name}: {injected.fault}: {_told(reports[name])}")
    if outcome.answer.complete != all(r.ok for r in reports.values()):
        wrong.append("lie: complete although a source was not, or the other way round")
    return wrong


def _lie(truth: Words, came: Words, injected: Injected) -> bool:
    """Whether what is called complete is not what the archive holds.

    Where a byte was changed, it is what the archive said that counts: one record may be another one, but none
    whose UID came may be missing beside it.
    """
    if not injected.flips:
        return came != truth
    if injected.said is None:
        return False
    lost = [uid for uid in truth if uid not in came and uid.encode() in injected.said]
    return len(lost) > injected.flips


def _told(report: Report) -> str:
    return f"{report.status.value} ({report.reason}), {report.fetched} records, {report.seconds:.2f} s"


@dataclass
class Tally:
    """What many injections came to."""

    overs: list[float] = field(default_factory=list)
    lates: list[float] = field(default_factory=list)
    complete: int = 0
    lies: int = 0
    lost: int = 0
    again: int = 0
    by_kind: Counter[str] = field(default_factory=Counter)

    def add(self, outcome: Outcome) -> None:
        """One more."""
        self.overs.append(outcome.over)
        self.complete += outcome.answer.complete
        self.lies += any(w.startswith("lie") for w in outcome.wrong)
        self.lost += any(w.startswith("lost") for w in outcome.wrong)
        self.by_kind.update(kind for kind, _ in outcome.injected.values())
        faults = {name: f"{kind}: {i.fault}" for name, (kind, i) in outcome.injected.items()}
        if outcome.wrong or outcome.over > 0.25:
            print(*outcome.wrong, f"{outcome.over:.3f} s over", faults, sep="; ", file=sys.stderr, flush=True)

    def told(self) -> None:
        """Print it."""
        overs, lates, count = sorted(self.overs), sorted(self.lates), len(self.overs)
        kinds = ", ".join(f"{kind} {n:,}" for kind, n in sorted(self.by_kind.items()))
        print(f"injections: {count:,}; answers that were complete: {self.complete:,}; faulty: {kinds}")
        print(f"complete although a source was not: {self.lies}; healthy records lost: {self.lost}")
        print(f"a healthy archive did not answer in {DEADLINE:g} s, but when asked again: {self.again}")
        print(f"seconds over the deadline: p99.9 {_most(overs, 0.999):.3f}, most {overs[-1]:.3f}")
        late = f"p99.9 {_most(lates, 0.999):.3f}, most {lates[-1]:.3f}"
        print(f"by so much a pause of {TICK:g} s was late, as the machine was busy: {late}", flush=True)

    async def watch(self) -> None:
        """How late this process is by itself, for others are at work on the machine."""
        while True:
            start = time.perf_counter()
            await asyncio.sleep(TICK)
            self.lates.append(time.perf_counter() - start - TICK)


def _most(ordered: list[float], part: float) -> float:
    return ordered[max(int(len(ordered) * part) - 1, 0)]


async def at_random(count: int, seed: int = 1, at_once: int = 8, deadline: float = DEADLINE) -> int:
    """Random faults; prints what they came to, and returns how many broke an invariant."""
    async with surroundings() as around:
        tally = await injections(around, count, seed, at_once, deadline)
    return tally.lies + tally.lost


async def injections(around: Surroundings, count: int, seed: int, at_once: int, deadline: float) -> Tally:
    """So many questions, some of them at once."""
    rng, tally, turns = random.Random(seed), Tally(), asyncio.Semaphore(at_once)

    async def ask(own: float) -> None:
        async with turns:
            outcome = await one(around, random.Random(own), deadline)
            if any(wrong.startswith("lost") for wrong in outcome.wrong):
                tally.again += 1  # was it the fault, or a busy machine? The same faults, and more time
                outcome.wrong = (await one(around, random.Random(own), 10 * deadline)).wrong
            tally.add(outcome)

    watching = asyncio.create_task(tally.watch())
    for begin in range(0, count, 500):
        await asyncio.gather(*(ask(rng.random()) for _ in range(min(500, count - begin))))
        tally.told()
    watching.cancel()
    return tally
