"""One global order over the merged answer; pages hold still whatever archive is faster."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator

import pytest
from asking import ask
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.rows import Rows
from broker.adapter import Ask, Page
from broker.answer import Answer
from broker.answering.pages import Order, cursor, resumed
from broker.errors import BadQuery
from broker.query import Query
from catalog.capability import Can
from catalog.keywords import Level

WORLD = [
    {
        "StudyInstanceUID": f"1.{n}",
        "StudyDate": f"20{n % 20:02d}0101" if n % 7 else "",
        "NumberOfStudyRelatedSeries": str(n % 13),
    }
    for n in range(10_000)
]


class Shuffled:
    """An archive that tells its rows in another order each time, in pages, at its own pace."""

    def __init__(self, name: str, rows: list[dict[str, str]], seed: random.Random) -> None:
        self.name, self._rows, self._random = name, rows, seed
        self.can = Can(levels=frozenset({Level.STUDY}), lists_all=True)

    async def find(self, ask: Ask) -> AsyncIterator[Page]:
        rows = self._random.sample(self._rows, len(self._rows))
        for start in range(0, len(rows), 1000):
            await asyncio.sleep(self._random.random() / 1000)
            yield Page.of(rows[start : start + 1000])


async def pages(archives: list[Shuffled], order: str, limit: int) -> list[Answer]:
    """Every page of an answer, one after the other."""
    found = [await ask("studies", at=archives, order=order, limit=limit)]
    while found[-1].next:
        found.append(await ask("studies", at=archives, order=order, limit=limit, after=found[-1].next))
    return found


@pytest.mark.parametrize("order", ["StudyInstanceUID", "-StudyDate,NumberOfStudyRelatedSeries"])
async def test_paging_yields_each_study_exactly_once(order: str) -> None:
    chance = random.Random(1)
    archives = [Shuffled(name, chance.sample(WORLD, 6_000), chance) for name in "abc"]
    whole = await ask("studies", at=archives, order=order)
    found = await pages(archives, order, 1_700)
    assert [e.uid for page in found for e in page] == [e.uid for e in whole]
    assert len({e.uid for page in found for e in page}) == len(whole) > 9_000
    assert found[0].total == len(whole)
    assert found[0].exact
    assert found[-1].next is None


async def test_what_arrives_in_between_neither_repeats_nor_hides() -> None:
    first = await ask("studies", at=[Rows("a", WORLD[10:30])], order="StudyInstanceUID", limit=10)
    second = await ask("studies", at=[Rows("a", WORLD[:30])], order="StudyInstanceUID", after=first.next)
    shown = [e.uid for e in first]
    assert not set(shown) & {e.uid for e in second}
    assert {str(r["StudyInstanceUID"]) for r in WORLD[10:30]} <= {*shown, *(e.uid for e in second)}


async def test_numbers_by_value_and_what_has_no_value_last() -> None:
    rows = [
        {"StudyInstanceUID": f"1.{i}", "NumberOfStudyRelatedSeries": v}
        for i, v in enumerate(["10", "9", "", "09.0", "x"])
    ]
    up = await ask("studies", at=[Rows("a", rows)], order="NumberOfStudyRelatedSeries")
    down = await ask("studies", at=[Rows("a", rows)], order="-NumberOfStudyRelatedSeries")
    assert [e.uid for e in up] == ["1.1", "1.3", "1.0", "1.4", "1.2"]
    assert [e.uid for e in down] == ["1.4", "1.0", "1.1", "1.3", "1.2"]


@pytest.mark.parametrize("text", ["", "x", "e30", "!!!", "eyJ2IjoxfQ", "W10"])
async def test_a_bad_cursor_is_a_bad_query(text: str) -> None:
    with pytest.raises(BadQuery, match="cursor"):
        resumed(Query("studies"), Order.of("StudyDate"), text or "-")


async def test_a_cursor_belongs_to_its_question_and_order() -> None:
    (entity,) = await ask("studies", at=[Rows("a", WORLD[:1])])
    made = cursor(Query("studies"), Order.of("StudyDate"), entity)
    assert resumed(Query("studies"), Order.of("StudyDate"), made)
    for query, order in ((Query("studies", StudyDate="2010"), "StudyDate"), (Query("studies"), "-StudyDate")):
        with pytest.raises(BadQuery, match="another question"):
            resumed(query, Order.of(order), made)


@given(st.text(max_size=80))
@settings(max_examples=200)
def test_no_text_breaks_the_reading_of_a_cursor(text: str) -> None:
    with pytest.raises(BadQuery):
        resumed(Query("studies"), Order.of("StudyDate"), text)


def test_an_unknown_keyword_in_the_order_is_named() -> None:
    with pytest.raises(BadQuery, match="StudyDate"):
        Order.of("Studydate")


async def test_a_total_is_exact_or_at_least() -> None:
    exact = await ask("studies", at=[Rows("a", WORLD[:30])], limit=10, order="StudyDate")
    assert (exact.total, exact.exact, exact.more, len(exact)) == (30, True, True, 10)
    least = await ask("studies", at=[Rows("a", WORLD[:30])], limit=10)
    assert (least.total, least.exact, least.more) == (10, False, True)


async def test_no_side_of_a_collision_is_lost_between_pages() -> None:
    """One archive that contradicts itself has several sides under one UID: each is shown once."""
    rows = [
        {"StudyInstanceUID": f"1.{n}", "PatientSex": sex, "StudyDescription": f"{sex}{n}"}
        for n in range(5)
        for sex in "MF"
    ]
    found = [await ask("studies", at=[Rows("a", rows)], order="StudyInstanceUID", limit=1)]
    while found[-1].next:
        after = found[-1].next
        found.append(
            await ask("studies", at=[Rows("a", rows)], order="StudyInstanceUID", limit=1, after=after)
        )
    shown = [e.first("StudyDescription") for page in found for e in page]
    assert sorted(str(text) for text in shown) == sorted(row["StudyDescription"] for row in rows)
