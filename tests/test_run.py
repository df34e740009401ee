"""The fan-out: one deadline, one failure harms nobody, leaving ends everything, the answer is the same."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from asking import ask, report_of

import broker
from adapters.rows import Rows
from broker.adapter import Ask, Page
from broker.errors import Limited, ServerFault, Unreachable
from broker.report import Status
from broker.run import Done, Records
from catalog.capability import Can, Kind
from catalog.keywords import Level

STUDIES = [
    {"StudyInstanceUID": f"1.{i}", "StudyDate": f"20{i:02d}0101", "PatientID": str(i)} for i in range(20)
]
CAN = Can(levels=frozenset({Level.STUDY}), lists_all=True)


class Scripted:
    """An archive that yields pages, sleeps, or raises, as it is told."""

    def __init__(self, name: str, *script: Any, can: Can = CAN) -> None:
        self.name, self.can, self._script = name, can, script
        self.ended = False

    async def find(self, ask: Ask) -> AsyncIterator[Page]:
        try:
            for act in self._script:
                if isinstance(act, BaseException):
                    raise act
                if isinstance(act, float):
                    await asyncio.sleep(act)
                else:
                    yield Page.of(act)
        finally:
            self.ended = True


FAULTS: list[tuple[list[Any], Status, str, int]] = [
    ([STUDIES], Status.OK, "", 20),
    ([Unreachable("no")], Status.FAILED, "unreachable", 0),
    ([STUDIES[:5], Limited("later", 3)], Status.PARTIAL, "rate_limited", 5),
    ([STUDIES[:5], 60.0], Status.PARTIAL, "timeout", 5),
    ([60.0], Status.FAILED, "timeout", 0),
    ([ZeroDivisionError()], Status.FAILED, "internal", 0),
    ([RecursionError()], Status.FAILED, "internal", 0),
    ([MemoryError()], Status.FAILED, "internal", 0),
]


@pytest.mark.parametrize("position", range(3))
@pytest.mark.parametrize(("script", "status", "reason", "kept"), FAULTS)
async def test_a_fault_is_named_and_harms_no_other(
    script: list[Any], status: Status, reason: str, kept: int, position: int
) -> None:
    archives: list[Any] = [Rows("one", STUDIES[:7]), Rows("two", STUDIES[7:])]
    archives.insert(position, Scripted("odd", *script))
    answer = await ask("studies", at=archives, timeout=0.2)
    told = report_of(answer, "odd")
    assert (told.status, told.reason, told.kept) == (status, reason, kept)
    assert report_of(answer, "one").kept + report_of(answer, "two").kept == 20
    assert len(answer) == 20
    assert answer.complete is (status is Status.OK)
    assert [r.archive for r in answer.reports] == [a.name for a in archives]


class Stubborn(Scripted):
    """An archive whose adapter does not let itself be cancelled, and opens something at its end."""

    opened = False

    async def find(self, ask: Ask) -> AsyncIterator[Page]:
        end = time.monotonic() + 1
        while time.monotonic() < end:
            try:
                await asyncio.sleep(0.05)
            except asyncio.CancelledError:
                continue
        self.opened = True
        yield Page.of([])

    async def close(self) -> None:
        self.opened = False


async def test_not_even_an_adapter_that_swallows_its_cancellation_holds_the_answer() -> None:
    start, stubborn = time.monotonic(), Stubborn("stubborn")
    answer = await ask("studies", at=[stubborn, Rows("one", STUDIES)], timeout=0.2)
    assert time.monotonic() - start < 0.9
    assert report_of(answer, "stubborn").reason == "timeout"
    assert len(answer) == 20
    await asyncio.sleep(1.2)
    assert not stubborn.opened, "it is closed once more when it has ended at last"


class Lingering(Scripted):
    """An archive that ends only while it is being closed."""

    closes: int = 0
    most = at_once = 0

    async def find(self, ask: Ask) -> AsyncIterator[Page]:
        while not self.closes:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(0.02)
        yield Page.of([])

    async def close(self) -> None:
        self.closes += 1
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        await asyncio.sleep(0.1)
        self.at_once -= 1


async def test_an_archive_is_not_closed_twice_at_once() -> None:
    """The second would close the connection on which the first takes leave of the archive."""
    lingering = Lingering("lingering")
    async with broker.asking("studies", at=[lingering]):
        await asyncio.sleep(0.05)
    await asyncio.sleep(0.3)
    assert (lingering.closes, lingering.most) == (2, 1)


async def test_who_is_cancelled_while_archives_are_closed_waits_for_that() -> None:
    archive = Lingering("slow")
    archive.closes = 1
    asked = asyncio.create_task(ask("studies", at=[archive]))
    while not archive.at_once:
        await asyncio.sleep(0.001)
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    assert archive.at_once == 0


async def test_leaving_the_stream_closes_every_adapter() -> None:
    archives = [Scripted(f"s{i}", STUDIES[:1], 60.0) for i in range(5)]
    async with broker.asking("studies", at=archives) as events:
        seen = 0
        async for event in events:
            assert isinstance(event, Records)
            seen += 1
            if seen == len(archives):
                break
    assert all(a.ended for a in archives)


async def test_events_come_as_pages_arrive() -> None:
    slow = Scripted("slow", STUDIES[:1], 0.05, STUDIES[1:2])
    async with broker.asking("studies", at=[slow, Rows("fast", STUDIES[2:])]) as events:
        order = [type(e) if isinstance(e, Done) else e.source.archive async for e in events]
    assert order.index("fast") < len(order) - 1 - order[::-1].index("slow")
    assert order.count(Done) == 2


async def test_a_million_rows_wait_for_a_slow_reader() -> None:
    """The queue is bounded: an archive does not run ahead of who reads it without end."""
    produced = 0

    class Endless(Scripted):
        async def find(self, ask: Ask) -> AsyncIterator[Page]:
            nonlocal produced
            while True:
                produced += 1
                yield Page.of(STUDIES[:1])
                await asyncio.sleep(0)

    async with broker.asking("studies", at=[Endless("endless")]) as events:
        await asyncio.sleep(0.3)
        assert produced < 200
        await anext(events)


def test_search_works_in_a_script_and_leaves_no_thread() -> None:
    before = threading.active_count()
    assert len(broker.search("studies", "StudyDate=2005-", at=[Rows("mine", STUDIES)])) == 15
    assert threading.active_count() <= before


async def test_search_works_where_a_loop_is_running() -> None:
    before = threading.active_count()
    assert len(broker.search("studies", at=[Rows("mine", STUDIES)])) == 20
    assert threading.active_count() <= before
    with pytest.raises(broker.BadQuery):
        broker.search("studies", "Modalty=CT", at=[Rows("mine", STUDIES)])


async def test_an_archive_that_cannot_apply_a_condition_is_not_asked() -> None:
    plain = Scripted(
        "plain", STUDIES, can=Can(frozenset({Level.STUDY}), returns=frozenset({"StudyInstanceUID"}))
    )
    answer = await ask(
        "studies", "PatientSex=F", at=[plain, Rows("one", [{**STUDIES[0], "PatientSex": "F"}])]
    )
    told = report_of(answer, "plain")
    assert (told.status, told.refused, plain.ended) == (Status.REFUSED, ["PatientSex=F"], False)
    assert "PatientSex" in told.detail
    assert len(answer) == 1


async def test_a_limit_is_per_answer_and_says_when_there_is_more() -> None:
    answer = await ask("studies", at=[Rows("one", STUDIES[:12]), Rows("two", STUDIES[8:])], limit=10)
    assert [e.uid for e in answer] == [f"1.{i}" for i in range(10)]
    assert answer.more
    whole = await ask("studies", at=[Rows("one", STUDIES[:12]), Rows("two", STUDIES[8:])], limit=20)
    assert (len(whole), whole.more) == (20, False)


@pytest.mark.parametrize("level", [Level.STUDY, Level.PATIENT])
async def test_what_comes_again_counts_once(level: Level) -> None:
    """A page repeated, an overlap, one record twice in a page: kept, limit and `more` go by what is new."""
    can = Can(frozenset({level}), lists_all=True)
    script = [STUDIES[:5], STUDIES[:5], STUDIES[3:8], [STUDIES[9], STUDIES[9]]]
    archive = Scripted("again", *script, can=can)
    told = report_of(await ask(level.name, at=[archive]), "again")
    assert (told.kept, told.fetched, told.more) == (9, 17, False)
    for limit, more in ((5, True), (7, True), (8, True), (9, False), (10, False)):
        answer = await ask(level.name, at=[archive], limit=limit)
        assert (len(answer), answer.more) == (min(limit, 9), more)


async def test_another_word_of_the_same_archive_is_kept_and_counts_once() -> None:
    other = {**STUDIES[0], "PatientID": "other"}
    answer = await ask("studies", at=[Scripted("again", STUDIES[:2], [other])], limit=2)
    assert answer.entities[0].first("PatientID") == ("0", "other")
    assert report_of(answer, "again").kept == 2
    assert not answer.more


async def test_series_are_grouped_where_studies_are_asked_and_the_report_says_so() -> None:
    series = [
        {
            "StudyInstanceUID": f"1.{i // 3}",
            "SeriesInstanceUID": f"2.{i}",
            "Modality": "CT" if i % 3 else "MR",
        }
        for i in range(9)
    ]
    archive = Rows("series-only", series, Level.SERIES)
    answer = await ask("studies", "Modality=MR", at=[archive])
    assert {e.uid for e in answer} == {"1.0", "1.1", "1.2"}
    assert report_of(answer, "series-only").level == "SERIES"
    assert all("Modality" not in e.values for e in answer)
    assert len((await ask("studies", at=[archive], limit=2)).entities) == 2


async def test_unknown_records_take_no_place_within_a_limit() -> None:
    """PS3.4 C.2.2.1.2 permits an archive to send records that have no value to judge."""
    nameless = [{"StudyInstanceUID": f"9.{i}", "PatientID": ""} for i in range(5)]

    class Permissive(Scripted):
        async def find(self, ask: Ask) -> AsyncIterator[Page]:
            rows = [*nameless, *STUDIES]
            yield Page.of(rows[: ask.limit])

    can = Can(frozenset({Level.STUDY}), {"PatientID": frozenset({Kind.WILDCARD})})
    answer = await ask("studies", "PatientID=1*", at=[Permissive("permissive", can=can)], limit=5)
    assert [e.first("PatientID") for e in answer] == ["1", "10", "11", "12", "13"]
    assert answer.more
    assert report_of(answer, "permissive").unknown == {"PatientID": 5}


async def test_a_question_asked_once_more_without_its_limit_is_one_question() -> None:
    """What cannot be read counts once; where only the second asking fails, what the first brought is kept."""
    nameless = [{"StudyInstanceUID": f"9.{i}", "PatientID": ""} for i in range(4)]

    class Permissive(Scripted):
        fails = False

        async def find(self, ask: Ask) -> AsyncIterator[Page]:
            if self.fails and ask.limit is None:
                raise ServerFault("no more")
            yield replace(Page.of([*nameless, *STUDIES][: ask.limit]), bad=1)

    can = Can(frozenset({Level.STUDY}), {"PatientID": frozenset({Kind.WILDCARD})})
    archive = Permissive("unreadable", can=can)
    told = report_of(await ask("studies", "PatientID=0*", at=[archive], limit=5), "unreadable")
    assert (told.status, told.reason, told.bad) == (Status.PARTIAL, "bad_records=1", 1)
    archive = Permissive("failing", can=can)
    archive.fails = True
    told = report_of(await ask("studies", "PatientID=0*", at=[archive], limit=5), "failing")
    assert (told.status, told.reason, told.kept) == (Status.PARTIAL, "upstream_5xx", 1)


async def test_items_of_a_sequence_given_in_python() -> None:
    steps = [
        {"ScheduledProcedureStepID": "S1"},
        {"ScheduledProcedureStepID": "S2", "RequestedProcedureID": "R2"},
    ]
    rows: list[dict[str, Any]] = [
        {"SeriesInstanceUID": "1.1", "RequestAttributesSequence": steps},
        {"SeriesInstanceUID": "1.2"},
    ]
    path = "RequestAttributesSequence."
    both = [f"{path}ScheduledProcedureStepID=S2", f"{path}RequestedProcedureID=R2"]
    answer = await ask("series", *both, at=[Rows("mine", rows, Level.SERIES)])
    assert [e.uid for e in answer] == ["1.1"]
    crossed = [f"{path}ScheduledProcedureStepID=S1", f"{path}RequestedProcedureID=R2"]
    assert len(await ask("series", *crossed, at=[Rows("mine", rows, Level.SERIES)])) == 0
