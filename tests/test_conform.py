"""The conformance suite itself: who keeps the contract passes, who breaks it is caught at the right place."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, ClassVar

import pytest

from adapters.rows import Rows
from broker.adapter import Adapter, Ask, Page
from broker.conform import AdapterTests
from broker.errors import ArchiveError, Forbidden, Unreachable
from broker.meaning.joint import tests as joined
from broker.meaning.logic import all_of
from catalog.capability import Can, Kind
from catalog.keywords import Level
from fixtures.dicom import truth

STUDIES: list[dict[str, Any]] = [dict(held["study"]) for held in truth()["archives"]["a"]]
RECORDS = {Level.STUDY: STUDIES}
EVERY = frozenset(Kind) - {Kind.ANY_CASE}
TEXT = EVERY - {Kind.RANGE}
CAN = Can(
    levels=frozenset({Level.STUDY}),
    matches={
        "StudyInstanceUID": frozenset({Kind.SINGLE, Kind.ANY_OF}),
        "PatientID": TEXT,
        "PatientName": TEXT,
    }
    | {"StudyDate": EVERY - {Kind.WILDCARD, Kind.CONTAINS}, "PatientSex": TEXT},
    returns=frozenset(k for study in STUDIES for k in study),
    lists_all=True,
)


class Exact:
    """Keeps the contract: applies every condition as DICOM means it, four records a page."""

    def __init__(self, can: Can = CAN, behave: str = "") -> None:
        self.name, self.can, self.behave = "exact", can, behave
        self.sent: list[str] = []

    def request(self, ask: Ask) -> str:
        return " ".join(map(str, ask.conditions)) or "all"

    def hits(self, ask: Ask) -> list[dict[str, Any]]:
        tests = joined(ask.conditions)
        return [s for s in STUDIES if all_of(t.of(_valued(s)) for t in tests) is True]

    async def find(self, ask: Ask) -> AsyncIterator[Page]:
        self.sent.append(self.request(ask))
        if self.behave == "hang":
            await asyncio.Event().wait()
        if self.behave == "fail":
            raise Unreachable("nobody is there")
        found = self.hits(ask)[: ask.limit]
        for at in range(0, len(found), 4):
            await asyncio.sleep(0)
            yield Page.of(found[at : at + 4])


def _valued(study: Mapping[str, Any]) -> dict[str, Any]:
    return {k: tuple(v) if isinstance(v, list) else v for k, v in study.items()}


class ForExact(AdapterTests):
    """The suite over an archive in memory."""

    records = RECORDS
    make: ClassVar[Callable[..., Any]] = Exact

    def archive(self) -> Any:
        return self._opened("")

    def hanging(self) -> Any:
        return self._opened("hang")

    def failing(self) -> Sequence[tuple[type[ArchiveError], Any]]:
        return [(Unreachable, self._opened("fail"))]

    def received(self) -> Sequence[str]:
        return list(self.adapter.sent)

    @asynccontextmanager
    async def _opened(self, behave: str) -> AsyncIterator[Adapter]:
        self.adapter = type(self).make(behave=behave)
        yield self.adapter


class TestExact(ForExact):
    """An adapter that keeps the contract passes."""


class TestRows(AdapterTests):
    """The smallest adapter passes."""

    records = RECORDS
    paged = False

    @asynccontextmanager
    async def archive(self) -> AsyncIterator[Adapter]:
        yield Rows("mine", STUDIES)


# adapters that lie, each in one way


class LosesRecords(Exact):
    """Promises wildcards and takes `*` for a character."""

    def hits(self, ask: Ask) -> list[dict[str, Any]]:
        starred = any(m.kind is Kind.WILDCARD for c in ask.conditions for m in c.matches)
        return [] if starred else super().hits(ask)


class LosesTheEnds(Exact):
    """Takes ranges for exclusive."""

    def hits(self, ask: Ask) -> list[dict[str, Any]]:
        ends = {end for c in ask.conditions for m in c.matches for end in (m.low, m.high)} - {""}
        return [s for s in super().hits(ask) if s.get("StudyDate") not in ends]


class AnyInsteadOfAll(Exact):
    """Joins two conditions by OR, and drops what satisfies both."""

    def hits(self, ask: Ask) -> list[dict[str, Any]]:
        if len(ask.conditions) < 2:
            return super().hits(ask)
        alone = [super(AnyInsteadOfAll, self).hits(Ask(ask.level, (c,))) for c in ask.conditions]
        return [s for s in alone[0] if s not in alone[1]] + [s for s in alone[1] if s not in alone[0]]


class IgnoresConditions(Exact):
    """Promises to match and lists everything."""

    def hits(self, ask: Ask) -> list[dict[str, Any]]:
        return STUDIES


class DropsTheLast(Exact):
    """Takes a page that is not full for the end, and drops it."""

    async def find(self, ask: Ask) -> AsyncIterator[Page]:
        async for page in super().find(ask):
            if len(page.rows) == 4:
                yield page


class RepeatsPages(Exact):
    """Sends every page twice."""

    async def find(self, ask: Ask) -> AsyncIterator[Page]:
        async for page in super().find(ask):
            yield page
            yield page


class OnePage(Exact):
    """Says that it pages, and does not."""

    async def find(self, ask: Ask) -> AsyncIterator[Page]:
        yield Page.of(self.hits(ask))


class StopsShort(Exact):
    """Brings one record fewer than the limit."""

    def hits(self, ask: Ask) -> list[dict[str, Any]]:
        return super().hits(ask)[: ask.limit - 1 if ask.limit else None]


class LeaksThreads(Exact):
    """Waits in a thread that nobody ends."""

    async def find(self, ask: Ask) -> AsyncIterator[Page]:
        done = threading.Event()
        THREADS.append(done)
        threading.Thread(target=done.wait, daemon=True, name="leak").start()
        async for page in super().find(ask):
            yield page


class BlocksThePool(Exact):
    """Waits in the loop's own pool: cancelling frees the task, not the thread."""

    async def find(self, ask: Ask) -> AsyncIterator[Page]:
        done = threading.Event()
        THREADS.append(done)
        if self.behave == "hang":
            await asyncio.to_thread(done.wait)
        async for page in super().find(ask):
            yield page


class LeaksSockets(Exact):
    """Opens a connection for each question and closes none."""

    async def find(self, ask: Ask) -> AsyncIterator[Page]:
        SOCKETS.extend(socket.socketpair())
        async for page in super().find(ask):
            yield page


class LeaksTasks(Exact):
    """Starts a task that outlives the question."""

    async def find(self, ask: Ask) -> AsyncIterator[Page]:
        self.task = asyncio.create_task(asyncio.sleep(60))
        async for page in super().find(ask):
            yield page


class SwallowsCancellation(Exact):
    """Goes on when it is told to stop, and ends as if it were done."""

    async def find(self, ask: Ask) -> AsyncIterator[Page]:
        with contextlib.suppress(asyncio.CancelledError):
            async for page in super().find(ask):
                yield page


class IgnoresCancellation(Exact):
    """Does not even end."""

    async def find(self, ask: Ask) -> AsyncIterator[Page]:
        end = asyncio.get_running_loop().time() + 1.5
        while self.behave == "hang" and asyncio.get_running_loop().time() < end:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(0.1)
        if self.behave != "hang":
            async for page in super().find(ask):
                yield page


class NamelessKeywords(Exact):
    """Yields a column without a name."""

    async def find(self, ask: Ask) -> AsyncIterator[Page]:
        async for page in super().find(ask):
            yield Page((*page.keywords, None), [(*row, "") for row in page.rows])  # type: ignore[arg-type]


class NumbersForTexts(Exact):
    """Yields values that are not text."""

    async def find(self, ask: Ask) -> AsyncIterator[Page]:
        async for page in super().find(ask):
            yield Page(page.keywords, [(*row[:-1], 1) for row in page.rows])  # type: ignore[arg-type]


class LosesCharacters(Exact):
    """Answers in ASCII."""

    async def find(self, ask: Ask) -> AsyncIterator[Page]:
        async for page in super().find(ask):
            rows = [
                tuple(v.encode("ascii", "replace").decode() if isinstance(v, str) else v for v in r)
                for r in page.rows
            ]
            yield Page(page.keywords, rows)


class ForeignError(Exact):
    """Lets an error of its library through."""

    async def find(self, ask: Ask) -> AsyncIterator[Page]:
        if self.behave == "fail":
            raise ConnectionResetError("gone")
        async for page in super().find(ask):
            yield page


class TellsValues(Exact):
    """Repeats the query in its error."""

    async def find(self, ask: Ask) -> AsyncIterator[Page]:
        if self.behave == "fail":
            raise Unreachable(f"nobody answered {self.request(ask)}")
        async for page in super().find(ask):
            yield page


class WrongError(Exact):
    """Takes a dead host for a wrong password."""

    async def find(self, ask: Ask) -> AsyncIterator[Page]:
        if self.behave == "fail":
            raise Forbidden("no")
        async for page in super().find(ask):
            yield page


class EmptyInTrouble(Exact):
    """Takes a dead host for an empty archive."""

    async def find(self, ask: Ask) -> AsyncIterator[Page]:
        if self.behave != "fail":
            async for page in super().find(ask):
                yield page


class ShowsAnother(Exact):
    """Shows a request that it does not send."""

    def request(self, ask: Ask) -> str:
        self.shown = getattr(self, "shown", 0) + 1
        return f"{super().request(ask)} {self.shown}"


class ForgetsTheUnknown(Exact):
    """Says that it can tell of records without a value, and neither counts nor sends them."""

    def __init__(self, can: Can = CAN, behave: str = "") -> None:
        from dataclasses import replace

        super().__init__(replace(can, unknowns=True), behave)


class PromisesNonsense(Exact):
    """Promises a range of names."""

    def __init__(self, can: Can = CAN, behave: str = "") -> None:
        from dataclasses import replace

        super().__init__(replace(can, matches={**can.matches, "PatientName": EVERY}), behave)


class FailsOnWhatItDoesNotKnow(Exact):
    """Says that it returns whatever it is asked for, and fails at what it does not know."""

    def __init__(self, can: Can = CAN, behave: str = "") -> None:
        from dataclasses import replace

        super().__init__(replace(can, returns=None), behave)

    async def find(self, ask: Ask) -> AsyncIterator[Page]:
        if "EchoTime" in ask.fields:
            raise KeyError("EchoTime")
        async for page in super().find(ask):
            yield page


class AnotherAnswer(Exact):
    """Answers the second of two questions at once from what is left of the first."""

    async def find(self, ask: Ask) -> AsyncIterator[Page]:
        self.at = 0
        found = self.hits(ask)[: ask.limit]
        while self.at < len(found):
            start, self.at = self.at, self.at + 3
            await asyncio.sleep(0)
            yield Page.of(found[start : start + 3])


THREADS: list[threading.Event] = []
SOCKETS: list[socket.socket] = []

LIARS: list[tuple[type[Exact], str]] = [
    (LosesRecords, "test_nothing_is_lost_that_truth_accepts"),
    (LosesRecords, "test_through_the_broker_exactly_the_right_records_come"),
    (LosesTheEnds, "test_nothing_is_lost_that_truth_accepts"),
    (AnyInsteadOfAll, "test_two_conditions_hold_together"),
    (IgnoresConditions, "test_a_promise_narrows"),
    (DropsTheLast, "test_every_record_comes"),
    (RepeatsPages, "test_no_record_comes_twice"),
    (OnePage, "test_it_gives_its_records_in_pages"),
    (StopsShort, "test_a_limit_brings_no_fewer"),
    (StopsShort, "test_the_brokers_limit_is_exact_and_says_whether_there_is_more"),
    (LeaksThreads, "test_nothing_is_left_behind_a_whole_answer"),
    (LeaksThreads, "test_nothing_is_left_behind_the_first_page"),
    (BlocksThePool, "test_cancelling_a_hanging_archive_takes_less_than_a_second"),
    (LeaksSockets, "test_nothing_is_left_behind_a_cancelled_question"),
    (LeaksTasks, "test_nothing_is_left_behind_a_whole_answer"),
    (SwallowsCancellation, "test_cancelling_a_hanging_archive_takes_less_than_a_second"),
    (IgnoresCancellation, "test_cancelling_a_hanging_archive_takes_less_than_a_second"),
    (NamelessKeywords, "test_pages_hold_rows_of_texts_under_their_keywords"),
    (NumbersForTexts, "test_pages_hold_rows_of_texts_under_their_keywords"),
    (LosesCharacters, "test_values_come_back_as_they_are_held"),
    (LosesCharacters, "test_characters_beyond_ascii_come_back_and_are_found"),
    (ForeignError, "test_trouble_ends_in_an_error_of_the_contract"),
    (ForeignError, "test_the_report_says_what_went_wrong"),
    (TellsValues, "test_trouble_ends_in_an_error_of_the_contract"),
    (WrongError, "test_trouble_ends_in_an_error_of_the_contract"),
    (EmptyInTrouble, "test_trouble_ends_in_an_error_of_the_contract"),
    (EmptyInTrouble, "test_the_report_says_what_went_wrong"),
    (ShowsAnother, "test_the_request_that_is_shown_is_the_one_that_is_sent"),
    (ForgetsTheUnknown, "test_records_without_a_value_are_counted_or_returned"),
    (PromisesNonsense, "test_its_capabilities_can_be_meant"),
    (FailsOnWhatItDoesNotKnow, "test_an_attribute_that_it_does_not_know_is_never_ignored"),
    (AnotherAnswer, "test_the_same_question_has_the_same_answer"),
]


@pytest.mark.parametrize(("liar", "test"), LIARS, ids=[f"{liar.__name__}-{test[5:]}" for liar, test in LIARS])
def test_a_liar_is_caught_by_the_test_for_its_lie(liar: type[Exact], test: str) -> None:
    suite = type("ForLiar", (ForExact,), {"make": liar})()
    try:
        with pytest.raises(AssertionError):
            getattr(suite, test)()
    finally:
        for done in THREADS:
            done.set()
        for end in SOCKETS:
            end.close()
        THREADS.clear()
        SOCKETS.clear()


def test_every_test_of_the_suite_catches_somebody() -> None:
    """No test of the suite is one that cannot fail."""
    every = {name for name in dir(AdapterTests) if name.startswith("test_")}
    elsewhere = {
        "test_it_is_an_adapter",
        "test_it_shows_no_secret",
        "test_an_unknown_option_is_refused",
        "test_letters_of_any_case_match_where_it_says_so",
        "test_leaving_the_broker_ends_a_hanging_archive",
    }
    assert every == {test for _, test in LIARS} | elsewhere
