"""Rows as pages: what comes next is under way while a page is looked at, unless the page is enough."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from contextlib import aclosing
from typing import Any

import pytest

from adapters.tables.pages import Asked, pages
from adapters.tables.worker import Worker
from broker.adapter import Ask, Page
from broker.errors import ServerFault
from catalog.keywords import Level


class Numbers:
    """A database that knows one statement: the numbers up to a limit."""

    def __init__(self, most: int) -> None:
        self.left = iter(range(most))
        self.fetches = 0
        self.closed = False

    def execute(self, text: str, values: Sequence[str]) -> None:
        raise NotImplementedError

    def fetchmany(self, size: int) -> list[tuple[Any, ...]]:
        self.fetches += 1
        return [(str(n),) for _, n in zip(range(size), self.left, strict=False)]

    def interrupt(self) -> None:
        return

    def close(self) -> None:
        self.closed = True


class Counting:
    """What is undecided, and whether anybody asked."""

    def __init__(self) -> None:
        self.asked = threading.Event()

    def __call__(self, db: Numbers) -> dict[str, int]:
        self.asked.set()
        assert not db.fetchmany(1), "it is counted when there are no more rows"
        return {"Modality": 3}


def ask(limit: int | None = None) -> Ask:
    return Ask(Level.SERIES, (), ("Modality",), limit)


def one(db: Numbers) -> list[tuple[Any, ...]]:
    return [("1",)]


async def read(most: int, limit: int | None = None, sizes: tuple[int, int] = (2, 3)) -> list[Page]:
    db = Numbers(most)
    worker: Worker[Numbers] = Worker("numbers", lambda _: db, lambda _: None)
    try:
        asked: Asked[Numbers] = Asked(lambda d: d.fetchmany(sizes[0]), Counting(), sizes=sizes)
        async with aclosing(pages(worker, ask(limit), lambda _: asked)) as found:
            return [page async for page in found]
    finally:
        await worker.close()


@pytest.mark.parametrize("most", range(12))
@pytest.mark.parametrize("limit", [None, 1, 2, 5, 11])
async def test_every_row_comes_once_and_then_what_is_undecided(most: int, limit: int | None) -> None:
    *found, last = await read(most, limit)
    assert [row for page in found for row in page.rows] == [(str(n),) for n in range(most)]
    assert all(page.rows and not page.unknown for page in found)
    assert (list(last.rows), last.unknown) == ([], {"Modality": 3})


async def test_the_undecided_are_counted_while_the_last_page_is_looked_at() -> None:
    counting, worker = Counting(), Worker[Numbers]("numbers", lambda _: Numbers(0), lambda _: None)
    async with aclosing(pages(worker, ask(), lambda _: Asked(one, counting))) as found:
        await anext(found)
        assert await asyncio.to_thread(counting.asked.wait, 10)
    await worker.close()


async def test_who_has_enough_and_leaves_has_nothing_counted() -> None:
    counting, worker = Counting(), Worker[Numbers]("numbers", lambda _: Numbers(0), lambda _: None)
    async with aclosing(pages(worker, ask(limit=1), lambda _: Asked(one, counting))) as found:
        await anext(found)
    await worker.close()
    assert not counting.asked.is_set()


async def test_what_fails_ahead_is_raised_where_it_is_wanted_and_nowhere_else() -> None:
    def fails(db: Numbers) -> dict[str, int]:
        raise OSError("disk")

    def translated(error: Exception) -> ServerFault:
        return ServerFault(f"the index: {error}")

    for wanted in (True, False):
        worker = Worker[Numbers]("numbers", lambda _: Numbers(0), translated)
        async with aclosing(pages(worker, ask(), lambda _: Asked(one, fails))) as found:
            assert (await anext(found)).rows == [("1",)]
            if wanted:
                with pytest.raises(ServerFault, match="the index: disk"):
                    await anext(found)
        await worker.close()


async def test_with_a_twin_the_undecided_are_counted_while_the_rows_are_sought() -> None:
    counting, twin = Counting(), Numbers(0)
    worker = Worker[Numbers]("numbers", lambda _: Numbers(0), lambda _: None)

    def first(db: Numbers) -> list[tuple[Any, ...]]:
        assert counting.asked.wait(10), "it is counted beside"
        return one(db)

    async with aclosing(pages(worker, ask(), lambda _: Asked(first, counting, lambda _: twin))) as found:
        told = [page async for page in found]
    await worker.close()
    assert [p.unknown for p in told] == [{}, {"Modality": 3}]
    assert twin.fetches == 1
    assert twin.closed


async def test_where_no_twin_can_be_had_the_undecided_are_counted_all_the_same() -> None:
    tried = threading.Event()

    def refused(stop: threading.Event) -> Numbers:
        tried.set()
        raise OSError("too many connections")

    def first(db: Numbers) -> list[tuple[Any, ...]]:
        assert tried.wait(10)
        return one(db)

    worker = Worker[Numbers]("numbers", lambda _: Numbers(0), lambda e: ServerFault(str(e)))
    async with aclosing(pages(worker, ask(), lambda _: Asked(first, Counting(), refused))) as found:
        told = [page async for page in found]
    await worker.close()
    assert [p.unknown for p in told] == [{}, {"Modality": 3}]


async def test_who_leaves_lets_the_twin_go() -> None:
    worker, twin = Worker[Numbers]("numbers", lambda _: Numbers(0), lambda _: None), Numbers(0)
    counting = Counting()

    def first(db: Numbers) -> list[tuple[Any, ...]]:
        assert counting.asked.wait(10)
        return one(db)

    async with aclosing(pages(worker, ask(), lambda _: Asked(first, counting, lambda _: twin))) as found:
        await anext(found)
    await worker.close()
    assert twin.closed


async def test_what_is_found_at_once_is_not_worth_a_twin() -> None:
    def unwanted(stop: threading.Event) -> Numbers:
        raise AssertionError("another connection")

    db, counting = Numbers(0), Counting()
    worker = Worker[Numbers]("numbers", lambda _: db, lambda _: None)
    async with aclosing(pages(worker, ask(), lambda _: Asked(one, counting, unwanted))) as found:
        assert [page.unknown async for page in found] == [{}, {"Modality": 3}]
        async with asyncio.timeout(10):  # it is let go when nothing more can be wanted of it
            while not db.closed:
                await asyncio.sleep(0.001)
    await worker.close()


async def test_no_job_is_begun_after_one_that_failed() -> None:
    def refused(stop: threading.Event) -> Numbers:
        tries.append(stop)
        raise OSError("no such server")

    tries: list[threading.Event] = []
    worker = Worker[Numbers]("numbers", refused, lambda e: ServerFault(str(e)))
    with pytest.raises(ServerFault, match="no such server"):
        async with aclosing(pages(worker, ask(), lambda _: Asked(one, Counting()))) as found:
            await anext(found)
    await worker.close()
    assert len(tries) == 1
