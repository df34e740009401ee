"""The same records give the same answer from any archive: exact, ignorant, wrong, or lying about its pages.

What differs is the reports: what was asked and checked, fetched, and promised in vain.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import capabilities, conditions, near

from broker.adapter import Ask, Page
from broker.answer import Answer
from broker.api import Session
from broker.matching import Value, compiled
from broker.meaning.joint import tests as joined
from broker.meaning.logic import all_of
from broker.query import Condition, Query, condition
from broker.report import Report
from catalog.capability import Can, Kind
from catalog.keywords import Level

Record = Mapping[str, Value]
EVERY = frozenset(Kind) - {Kind.ANY_CASE}
NUMBERS = itertools.count()


@dataclass
class Archive:
    """Records behind a way of applying conditions; this one promises nothing and applies nothing."""

    records: Sequence[Record]
    promises: Mapping[str, frozenset[Kind]] = field(default_factory=dict)
    name: str = field(default_factory=lambda: f"archive {next(NUMBERS)}")
    can: Can = field(init=False)
    asked: list[Ask] = field(default_factory=list)

    def __post_init__(self) -> None:
        keywords = frozenset(k for record in self.records for k in record)
        self.can = Can(
            frozenset({Level.SERIES}), self.promises, keywords, lists_all=True, combines=True, lists=2
        )

    def accepts(self, record: Record, ask: Ask) -> bool:
        return True

    async def find(self, ask: Ask) -> AsyncIterator[Page]:
        self.asked.append(ask)
        yield paged([r for r in self.records if self.accepts(r, ask)])


def paged(records: Sequence[Record]) -> Page:
    """Records as a page, values as they are."""
    keywords = tuple(dict.fromkeys(k for record in records for k in record))
    return Page(keywords, [tuple(record.get(k) for k in keywords) for record in records])


class Exact(Archive):
    """Applies every condition as DICOM means it, and drops what is unknown, as most do (PS3.4 C.2.2.1.2)."""

    def accepts(self, record: Record, ask: Ask) -> bool:
        return all_of(test.of(record) for test in joined(ask.conditions)) is True


class Wrong(Exact):
    """Promises everything and applies it wrongly: case is ignored, `%` and `_` leak, dates go by the year."""

    def accepts(self, record: Record, ask: Ask) -> bool:
        return super().accepts(record, ask) or all(leaks(c, record.get(c.column)) for c in ask.conditions)


def leaks(c: Condition, value: Value) -> bool:
    """Whether SQL LIKE without a case would let a value through."""
    if not isinstance(value, str) or not value:
        return False
    like = [replace(m, text=m.text.casefold().replace("%", "*").replace("_", "?")) for m in c.matches]
    like = [replace(m, kind=Kind.WILDCARD) if "*" in m.text or "?" in m.text else m for m in like]
    if c.key.vr in ("DA", "TM", "DT", "IS", "DS", "US", "UI", "AS", "AT"):
        return value[:3] in str(c)
    return compiled(replace(c, matches=tuple(like)))(value.casefold()) is not False


class Repeating(Exact):
    """Sends every page twice, and each begins with the last record of the one before."""

    async def find(self, ask: Ask) -> AsyncIterator[Page]:
        self.asked.append(ask)
        found = [r for r in self.records if self.accepts(r, ask)]
        for start in range(0, len(found), 2):
            page = paged(found[max(0, start - 1) : start + 2])
            yield page
            yield page


class Lossless(Wrong):
    """Lets records through of which a condition is unknown, as PS3.4 C.2.2.1.2 permits."""

    def accepts(self, record: Record, ask: Ask) -> bool:
        return all_of(test.of(record) for test in joined(ask.conditions)) is not False


KINDS = [Archive, Exact, Wrong, Repeating, Lossless]


def answers(level: str, asked: Sequence[Condition], archives: Sequence[Archive]) -> list[Answer]:
    """Each archive asked alone."""

    async def all_of_them() -> list[Answer]:
        query = Query(level, *map(str, asked))
        return [await Session(query, at=[archive]).answer() for archive in archives]

    return asyncio.run(all_of_them())


def keys(answer: Answer) -> set[str]:
    """What was found, by UID."""
    assert answer.complete
    return {str(e.uid) for e in answer}


SEQUENCE = "RequestAttributesSequence"
STEP, PROCEDURE = (f"{SEQUENCE}.{name}" for name in ("ScheduledProcedureStepID", "RequestedProcedureID"))
in_items = st.lists(
    st.sampled_from([f"{STEP}=A", f"{STEP}=A,B", f"{PROCEDURE}=1*", f'{PROCEDURE}=""']), max_size=2
)
item = st.builds(
    lambda step, procedure: (("ScheduledProcedureStepID", step), ("RequestedProcedureID", procedure)),
    st.sampled_from(["A", "B", ""]),
    st.sampled_from(["1", "2", None]),
)
items: st.SearchStrategy[Value] = st.lists(item, max_size=2).map(tuple) | st.none()


@st.composite
def questions(draw: st.DrawFn) -> tuple[list[Condition], list[Record]]:
    """Conditions, and records that are near to what they ask."""
    found = draw(st.lists(conditions(), min_size=1, max_size=3)) + [condition(t) for t in draw(in_items)]
    asked = list({c.keyword: c for c in found}.values())
    flat = [c for c in asked if not c.key.sequence]
    records: list[Record] = []
    for number in range(draw(st.integers(1, 6))):
        record = {c.keyword: draw(near(c)) for c in flat} | {SEQUENCE: draw(items)}
        own = {"SeriesInstanceUID": f"1.2.{number}", "StudyInstanceUID": f"1.9.{number % 3}"}
        records.append(record | own)
    return asked, records


@pytest.mark.parametrize(("level", "key"), [("SERIES", "SeriesInstanceUID"), ("STUDY", "StudyInstanceUID")])
@given(question=questions(), data=st.data())
@settings(max_examples=100, deadline=None)
def test_every_archive_gives_the_same_answer(
    level: str, key: str, question: tuple[list[Condition], list[Record]], data: st.DataObject
) -> None:
    asked, records = question
    wanted = {r[key] for r in records if all_of(test.of(r) for test in joined(asked)) is True}
    promises = dict.fromkeys((c.keyword for c in asked), EVERY)
    archives = [kind(records, {} if kind is Archive else promises) for kind in KINDS]
    half = Exact(records)
    half.can = replace(data.draw(capabilities(*asked)), levels=half.can.levels, returns=half.can.returns)
    archives.append(half)
    for archive, answer in zip(archives, answers(level, asked, archives), strict=True):
        assert keys(answer) == wanted, type(archive).__name__


# --- one question, and what the reports say

RECORDS: list[Record] = [
    {"SeriesInstanceUID": f"1.2.{n}", "StudyInstanceUID": "1.9", "StudyDescription": text}
    for n, text in enumerate(["A_1", "AB1", "a_1", "A_1", "", "C"])
]
ASKED = [condition("StudyDescription=A_*")]


def report_of(kind: type[Archive]) -> tuple[Report, Archive]:
    """The report of one archive on the question, which it answers rightly."""
    archive = kind(RECORDS, {} if kind is Archive else {"StudyDescription": EVERY})
    (answer,) = answers("SERIES", ASKED, [archive])
    assert keys(answer) == {"1.2.0", "1.2.3"}
    return answer.reports[0], archive


def test_an_archive_that_promises_nothing_is_checked() -> None:
    report, archive = report_of(Archive)
    assert (report.asked, report.checked) == ([], ["StudyDescription=A_*"])
    assert (report.fetched, report.kept, report.broken, report.reason) == (6, 2, {}, "")
    assert report.unknown == {"StudyDescription": 1}
    assert [ask.conditions for ask in archive.asked] == [()]


def test_an_exact_archive_is_asked() -> None:
    report, archive = report_of(Exact)
    assert (report.asked, report.checked) == (["StudyDescription=A_*"], [])
    assert (report.fetched, report.kept, report.broken, report.unknown) == (2, 2, {}, {})
    assert [ask.conditions for ask in archive.asked] == [tuple(ASKED)]


def test_a_wrong_archive_is_found_out() -> None:
    report, _ = report_of(Wrong)
    assert (report.fetched, report.kept, report.broken) == (4, 2, {"StudyDescription": 2})
    assert report.reason == "filter_not_applied"


def test_an_archive_that_keeps_unknown_records_breaks_no_promise() -> None:
    report, _ = report_of(Lossless)
    assert (report.fetched, report.broken, report.unknown) == (3, {}, {"StudyDescription": 1})


def test_repeated_rows_are_one_entity() -> None:
    report, _ = report_of(Repeating)
    assert (report.fetched, report.broken) == (4, {})


def test_all_of_them_together_are_one_answer() -> None:
    archives = [kind(RECORDS, {} if kind is Archive else {"StudyDescription": EVERY}) for kind in KINDS]
    query = Query("SERIES", *map(str, ASKED))
    answer = asyncio.run(Session(query, at=archives).answer())
    assert keys(answer) == {"1.2.0", "1.2.3"}
    assert all(len(e.archives) == len(KINDS) for e in answer)


def test_a_trusting_question_is_asked_again_without_trust() -> None:
    archive = Wrong(RECORDS, {"StudyDescription": EVERY})
    first, second = (answers("SERIES", ASKED, [archive])[0].reports[0] for _ in range(2))
    assert (first.asked, first.checked) == (["StudyDescription=A_*"], [])
    assert (second.asked, second.checked, second.broken) == ([], ["StudyDescription=A_*"], {})


@pytest.mark.parametrize("kind", KINDS)
def test_conditions_of_one_sequence_hold_in_one_item(kind: type[Archive]) -> None:
    """PS3.4 C.2.2.2.6."""

    def one(step: str, procedure: str) -> tuple[tuple[str, Value], ...]:
        return (("ScheduledProcedureStepID", step), ("RequestedProcedureID", procedure))

    held: list[Value] = [
        (one("A", "1"),),
        (one("A", "2"), one("B", "1")),
        (one("B", "2"), one("A", "1")),
        None,
    ]
    records: list[Record] = [{"SeriesInstanceUID": f"1.2.{n}", SEQUENCE: v} for n, v in enumerate(held)]
    archive = kind(records, {} if kind is Archive else {STEP: EVERY, PROCEDURE: EVERY})
    (answer,) = answers("SERIES", [condition(f"{STEP}=A"), condition(f"{PROCEDURE}=1")], [archive])
    assert keys(answer) == {"1.2.0", "1.2.2"}
