"""`probe`: ask a live archive what it really does, by few and harmless questions, and keep what it showed.

An adapter answers for its protocol (`Probes`); the self-test of `broker.probing` suits every archive. What is
kept are keywords, kinds of matching, verdicts and counts: the values that are asked for belong to patients.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from urllib.parse import urlsplit, urlunsplit

from broker.adapter import Adapter, Ask, Checks, Closes, Counts, CountsBy
from broker.admitting.admission import Admission
from broker.admitting.audit import Audit
from broker.admitting.pauses import Pauses
from broker.errors import ArchiveError, BadConfig, DeadlinePassed
from broker.matching import filled
from broker.planning.evidence import by
from broker.planning.measured import ANY_TEXT
from broker.probing.finding import Finding, Probed, Probes
from broker.probing.selftest import QUESTIONS, SHOWN, SelfTest
from broker.probing.verdicts import matching, searchable
from broker.registry import adapter_for
from catalog.archives import Archive
from catalog.evidence import Evidence, Status
from catalog.keywords import Level
from catalog.probes import BEHAVIOUR, MATCHING, Found, measured, record, recorded

Watch = Callable[[str, int], None]

TIMEOUT = 120.0
NARROW = 16  # questions where only what is promised may be asked: each may be many requests


@dataclass(frozen=True, slots=True)
class Change:
    """What an archive says or does otherwise than when it was last measured. `before` None: never was."""

    found: Found
    before: Evidence | None


@dataclass(slots=True)
class Result:
    """What came of probing one archive. With an `error` nothing was kept, and what was known stands."""

    archive: str
    found: list[Found] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    questions: int = 0
    seconds: float = 0.0
    error: ArchiveError | BadConfig | None = None


async def probe(
    archive: Archive,
    *,
    timeout: float = TIMEOUT,
    pause: float = 0.0,
    audit: Audit | None = None,
    watch: Watch | None = None,
) -> Result:
    """Ask one archive, and keep what it showed. Never raises for an archive that does not answer.

    pause  seconds between two questions;  watch: called before each one, with their number so far
    """
    result, start = Result(archive.name), time.perf_counter()
    try:
        found, result.questions = await _asked(archive, timeout, pause, audit, watch)
    except (ArchiveError, BadConfig) as error:
        result.error = error
    else:
        evidence = _evidence(archive, found, result.questions)
        known = [f for f in recorded().found if f.archive == archive.name]
        result.found, result.changes = evidence, list(changes(known, evidence))
        record(evidence)
    result.seconds = time.perf_counter() - start
    return result


async def _asked(
    archive: Archive, timeout: float, pause: float, audit: Audit | None, watch: Watch | None
) -> tuple[list[Finding], int]:
    """Raises ArchiveError and BadConfig."""
    adapter = adapter_for(archive)
    terms = Admission.of(archive, Pauses(), audit)
    error: ArchiveError | None = None
    try:
        async with asyncio.timeout(timeout), terms.turn():
            return await _Probing(archive, adapter, terms, pause, watch).run()
    except TimeoutError as raised:
        error = DeadlinePassed(f"not done within {timeout:g} s; nothing was kept")
        raise error from raised
    except ArchiveError as raised:
        error = raised
        raise
    finally:
        terms.note(archive.name, error, 0)
        if isinstance(adapter, Closes):
            await adapter.close()


class _Probing:
    """One archive being probed."""

    def __init__(
        self,
        archive: Archive,
        adapter: Adapter,
        terms: Admission,
        pause: float,
        watch: Watch | None,
    ) -> None:
        self._archive, self._adapter, self._terms = archive, adapter, terms
        self._pause, self._watch = pause, watch
        self._count = 0

    async def run(self) -> tuple[list[Finding], int]:
        """What was found, and by how many questions. Raises ArchiveError."""
        adapter = self._adapter
        told = await adapter.probe() if isinstance(adapter, Probes) else Probed()
        self._count += told.questions
        test = await self._tested(told)
        kinds = matching(test.outcomes, told.by_study)
        own = [*told.findings, *await self._sizes()]
        count = [searchable(matching(test.outcomes))] if kinds else []
        made = [*own, *count, *test.behaviour, *kinds]
        cells = [await self._api([*own, *test.behaviour])] + [
            f for f in (_size(test), _nodes(test)) if f is not None
        ]
        given = {f.capability for f in own}
        return [*(c for c in cells if c.capability not in given), *made], self._count

    async def _tested(self, told: Probed) -> SelfTest:
        adapter, free = self._adapter, told.find is not None
        most = QUESTIONS if free or self._counts else NARROW
        encoded = any(f.value == ANY_TEXT and f.status is Status.NO for f in told.findings)
        test = SelfTest(told.find or adapter.find, adapter.can, free, self._ask, most, encoded, told.by_study)
        await test.run(told.levels or adapter.can.levels, told.samples)
        return test

    @property
    def _counts(self) -> bool:
        """Whether counting everything costs the archive little."""
        return isinstance(self._adapter, Counts) and not isinstance(self._adapter, CountsBy)

    async def _ask(self, ask: Ask) -> None:
        """Before a question is sent."""
        if self._count:
            await asyncio.sleep(self._pause)
        self._count += 1
        if self._watch is not None:
            self._watch(self._archive.name, self._count)
        self._terms.asked(self._adapter, ask)

    async def _api(self, found: list[Finding]) -> Finding:
        speaks = await self._adapter.check() if isinstance(self._adapter, Checks) else ""
        self._count += isinstance(self._adapter, Checks)
        speaks = speaks or getattr(self._adapter, "via", "") or self._archive.adapter
        login = self._archive.auth.get("kind", "none")
        how = "without a log-in" if login == "none" else f"with a log-in ({login})"
        said = [f"{f.about}: {f.value}" for f in found if f.capability == BEHAVIOUR]
        lost = any(f.value == ANY_TEXT and f.status is Status.NO for f in found)
        said += ["values of other characters than letters and digits are not found"] if lost else []
        note = "; ".join(said) + "." if said else ""
        return Finding("public_api", Status.YES, f"{speaks}, {how}", note=note)

    async def _sizes(self) -> list[Finding]:
        """What the archive counts by itself."""
        adapter, counts = self._adapter, {}
        if not isinstance(adapter, Counts) or not self._counts:
            return []
        for level in sorted(adapter.can.levels):
            await self._ask(Ask(level))
            tally = await adapter.count(Ask(level), ())
            if tally is not None:
                counts[level] = tally.total
        names = {Level.PATIENT: "patients", Level.STUDY: "studies", Level.SERIES: "series"}
        said = ", ".join(f"{count:,} {names[level]}" for level, count in counts.items())
        return [Finding("size", Status.TEXT, said, note="As it counts them itself.")] if said else []


def _size(test: SelfTest) -> Finding | None:
    """How many studies were shown; where answers are cut short, that says nothing."""
    count = len(test.studies)
    if not count or any(f.about == "halves" and f.status is Status.NO for f in test.behaviour):
        return None
    if test.whole:
        return Finding("size", Status.TEXT, f"{count} studies", note="All of them were listed.")
    note = "No more were listed." if count >= SHOWN else "Those of other dates, or of none, come on top."
    return Finding("size", Status.TEXT, f"at least {count} studies", note=note)


def _nodes(test: SelfTest) -> Finding | None:
    """Whether records of several nodes came: Retrieve AE Titles (0008,0054)."""
    told = {t for row in test.studies for t in filled(row.get("RetrieveAETitle"), "AE")}
    if not told:
        return None
    status = Status.YES if len(told) > 1 else Status.TEXT
    value = f"{len(told)} retrieve AE titles" if len(told) > 1 else "one retrieve AE title"
    return Finding("federated", status, value, note=f"In {len(test.studies)} studies that were shown.")


def _evidence(archive: Archive, found: Iterable[Finding], questions: int) -> list[Found]:
    cite, program, url = f"probe, {questions} questions", by(), _bare(archive.url)
    return [
        Found(
            archive.name,
            f.capability,
            measured(f.status, f.value, cite=cite, by=program, url=url, about=f.about, note=f.note),
        )
        for f in found
    ]


def _bare(url: str) -> str:
    """An address without what may log in."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def changes(known: Iterable[Found], new: Iterable[Found]) -> Iterable[Change]:
    """What is otherwise than when it was last measured. `known`: everything so far, oldest first."""
    last = {_matter(f): f.evidence for f in known}
    for f in new:
        before = last.get(_matter(f))
        if before is None or (before.status, _told(before, f)) != (f.evidence.status, _told(f.evidence, f)):
            yield Change(f, before)


def _matter(f: Found) -> tuple[str, str, str, str]:
    """What a piece of evidence speaks of: a kind of matching is part of that."""
    kind = f.evidence.value if f.capability == MATCHING else ""
    return f.archive, f.capability, f.evidence.about, kind


def _told(e: Evidence, f: Found) -> str:
    return "" if f.capability == MATCHING else e.value
