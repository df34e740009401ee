"""Following a merged answer as it grows: early, complete, the same in any order, and bounded in memory."""

from __future__ import annotations

import asyncio
import random
import re
import subprocess
import sys
import tracemalloc
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from asking import ask
from hypothesis import given, settings
from hypothesis import strategies as st

import broker
from broker.adapter import Ask, Page
from broker.answering.export import entity as plain
from broker.joining.entity import Entity, Key
from broker.merge import Change
from broker.run import Done
from catalog.capability import Can
from catalog.keywords import Level

KEYWORDS = ("SeriesInstanceUID", "StudyInstanceUID", "Modality", "PatientSex")


class Paged:
    """An archive that tells its pages when it is let."""

    def __init__(
        self, name: str, pages: Sequence[list[tuple[Any, ...]]], turns: Sequence[float] = ()
    ) -> None:
        self.name = name
        self.can = Can(levels=frozenset({Level.SERIES}), returns=frozenset(KEYWORDS), lists_all=True)
        self.told = 0
        self.let = asyncio.Event()
        self._pages = pages
        self._turns = turns or [0.0] * len(pages)

    async def find(self, ask: Ask) -> AsyncIterator[Page]:
        for turn, rows in zip(self._turns, self._pages, strict=True):
            await asyncio.sleep(turn)
            yield Page(KEYWORDS, rows)
            self.told += 1
            await self.let.wait()


def let(archive: Paged) -> Paged:
    """One that need not wait."""
    archive.let.set()
    return archive


async def test_the_first_change_comes_with_the_first_page_of_the_first_archive() -> None:
    slow = Paged("slow", [[("2.1", "1.1", "CT", "F")]], [3600.0])
    first = Paged(
        "first", [[("2.1", "1.1", "CT", "F"), ("2.2", "1.1", "CT", "F")], [("2.3", "1.1", "CT", "")]]
    )
    async with broker.following("series", at=[slow, first]) as changes:
        event = await asyncio.wait_for(anext(changes), 5)
        assert isinstance(event, broker.Changed)
        assert (event.change, event.entity.uid, event.entity.archives) == (Change.FOUND, "2.1", ("first",))
        assert (first.told, slow.told) == (1, 0)  # its second page is still to come
        assert changes.answer.total == 2


async def test_each_change_shows_the_entity_as_it_is_then() -> None:
    one, two, three = (Paged(n, [[("2.1", "1.1", m, "")]]) for n, m in (("a", "CT"), ("b", ""), ("c", "MR")))
    told: list[tuple[str, tuple[str, ...]]] = []
    async with broker.following("series", at=[one, two, three]) as changes:
        async for event in changes:
            if isinstance(event, broker.Changed):
                told.append((event.change.value, event.entity.archives))
            if len(told) == 3:
                for archive in (one, two, three):
                    archive.let.set()
    assert [archives for _, archives in told] == [("a",), ("a", "b"), ("a", "b", "c")]
    assert [change for change, _ in told] == ["found", "extended", "collided"]
    assert [e.archives for e in changes.answer] == [("a",), ("b",), ("c",)]


ROW = st.tuples(
    st.sampled_from(["2.1", "2.2", "2.3", "", "bad"]),
    st.sampled_from(["1.1", "1.2", ""]),
    st.sampled_from(["CT", "MR", "", None]),
    st.sampled_from(["M", "F", None]),
)
WORLD = st.dictionaries(
    st.sampled_from("abc"), st.lists(st.lists(ROW, min_size=1, max_size=3), max_size=3), min_size=1
)


@given(WORLD, st.randoms())
@settings(max_examples=60, deadline=None)
def test_the_last_of_each_is_the_answer_of_search(world: dict[str, Any], chance: random.Random) -> None:
    def archives() -> list[Paged]:
        turns = {name: [chance.random() / 1000 for _ in pages] for name, pages in world.items()}
        return [let(Paged(name, world[name], turns[name])) for name in sorted(world)]

    async def followed() -> tuple[dict[Key, Entity], broker.Answer]:
        state: dict[Key, Entity] = {}
        async with broker.following("series", at=archives()) as changes:
            async for event in changes:
                if isinstance(event, broker.Changed):
                    assert (event.change is Change.FOUND) >= (event.entity.key not in state)
                    assert (event.change is Change.COLLIDED) <= bool(event.entity.stops)
                    state[event.entity.key] = event.entity
        return state, changes.answer

    async def searched() -> broker.Answer:
        return await ask("series", at=archives())

    state, answer = asyncio.run(followed())
    expected = told(asyncio.run(searched()))
    assert told(answer) == expected
    assert sorted(told([part for e in state.values() for part in e.parts]), key=repr) == sorted(
        expected, key=repr
    )
    assert [r.archive for r in answer.reports] == sorted(world)


def told(entities: Any) -> list[Any]:
    """Everything that is said of entities, but when."""
    found = [plain(e) for e in entities]
    for e in found:
        for copy in e["locations"]:
            copy.pop("retrieved")
    return found


async def test_leaving_early_ends_every_request() -> None:
    archives = [Paged(name, [[("2.1", "1.1", "CT", "F")]] * 3) for name in "ab"]
    async with broker.following("series", at=archives) as changes:
        await anext(changes)
    assert max(a.told for a in archives) == 1
    assert not [t for t in asyncio.all_tasks() if t is not asyncio.current_task()]


async def test_reports_come_as_archives_end() -> None:
    async with broker.following("series", at=[let(Paged("a", [[("2.1", "1.1", "CT", "F")]]))]) as changes:
        events = [event async for event in changes]
    assert isinstance(events[-1], Done)
    assert (events[-1].report.archive, changes.answer.complete, len(changes.answer)) == ("a", True, 1)


async def test_an_entity_costs_a_bounded_amount_of_memory() -> None:
    """Four archives that know the same 20,000 series; the rows exist beforehand."""
    rows = [[(f"2.{n}", f"1.{n}", "CT", "F" if a % 2 else "") for n in range(20_000)] for a in range(4)]
    archives = [
        let(Paged(f"a{i}", [own[n : n + 1000] for n in range(0, 20_000, 1000)])) for i, own in enumerate(rows)
    ]
    tracemalloc.start()
    try:
        seen = 0
        async with broker.following("series", at=archives) as changes:
            async for _ in changes:
                seen += 1
            now, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert seen == 80_000 + 4
    assert now / 20_000 < 400
    assert peak / 20_000 < 800  # a dict that grows is there twice for a moment


@pytest.mark.parametrize("page", ["identity.md"])
def test_the_example_of_the_documents_runs(page: str, tmp_path: Path) -> None:
    text = (Path(__file__).parent.parent / "docs" / page).read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    done = subprocess.run(
        [sys.executable, "-c", example], capture_output=True, text=True, timeout=120, check=True, cwd=tmp_path
    )
    lines = done.stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["found"] * 3 + ["idc:", "True"]
