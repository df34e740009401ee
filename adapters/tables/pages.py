"""The rows of a statement as pages. While one is looked at, the thread already does what comes next.

What the conditions leave undecided is counted beside, where another connection may be had that sees the same.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar

from adapters.tables.levels import Layout
from adapters.tables.sql import Clause
from adapters.tables.unknown import counting, unknown
from adapters.tables.worker import Connection, Worker
from broker.adapter import Ask, Page
from broker.errors import ArchiveError
from broker.matching import Value
from broker.meaning.values import KEEPS_BACKSLASH
from catalog.keywords import Level, keyword

C = TypeVar("C", bound=Connection)
Rows = list[tuple[Any, ...]]

SIZES = (1000, 10_000)
MOMENT = 0.002  # seconds: another connection takes about as long, so what is found sooner is not worth it


@dataclass(frozen=True, slots=True)
class Asked(Generic[C]):
    """What is done with a connection for one answer.

    first      begins the statement and gives its first `sizes[0]` rows
    undecided  counts what the conditions leave undecided; None where that is not wanted
    twin       another connection that sees the very same state: there that is counted while rows are sought
    sizes      rows of the first page, and of the others
    """

    first: Callable[[C], Rows]
    undecided: Callable[[C], dict[str, int]] | None = None
    twin: Callable[[threading.Event], C] | None = None
    sizes: tuple[int, int] = SIZES


def planned(
    ask: Ask,
    text: Clause,
    missing: Mapping[str, int],
    layout: Layout,
    twin: Callable[[], Callable[[threading.Event], C]] | None,
    sizes: tuple[int, int] = SIZES,
) -> Asked[C]:
    """What an answer takes, of which `text` gives the rows.

    `twin` says how another connection is had; it is only called where that serves.
    """
    first = partial(_first, text=text, size=sizes[0])
    if ask.unknown:
        return Asked(first, sizes=sizes)
    undecided = partial(unknown, ask=ask, missing=missing, layout=layout)
    beside = twin is not None and not ask.limit and counting(ask, missing, layout) is not None
    return Asked(first, undecided, twin() if twin and beside else None, sizes)


def _first(db: Connection, text: Clause, size: int) -> Rows:
    db.execute(*text)
    return db.fetchmany(size)


class _Answering(Generic[C]):
    """What the thread does by itself: from the plan to the first rows and, where those are all, to the count.

    The undecided are counted by whoever claims that first: there, or beside.
    """

    def __init__(self, ask: Ask, plan: Callable[[C], Asked[C]]) -> None:
        self._most = ask.limit or sys.maxsize
        self._plan = plan
        self._asked: Asked[C]  # planned first
        self._unclaimed = threading.Lock()
        self._count: Callable[[C], dict[str, int]] | None = None

    def claim(self) -> bool:
        """Whether nobody else counts."""
        return self._unclaimed.acquire(blocking=False)

    def plan(self, db: C) -> Asked[C]:
        """What is to be done."""
        self._asked = self._plan(db)
        return self._asked

    def first(self, db: C) -> Rows:
        """The first rows."""
        asked = self._asked
        rows = asked.first(db)
        if asked.undecided and len(rows) < min(asked.sizes[0], self._most) and self.claim():
            self._count = asked.undecided
        return rows

    def count(self, db: C) -> dict[str, int]:
        """What is undecided; nothing where somebody else counts, or will."""
        return self._count(db) if self._count else {}


async def pages(worker: Worker[C], ask: Ask, plan: Callable[[C], Asked[C]]) -> AsyncGenerator[Page, None]:
    """Pages of what is found, then one that says what is undecided. Raises ArchiveError."""
    answering = _Answering(ask, plan)
    planned, first, counted = worker.chain(answering.plan, answering.first, answering.count)
    beside: Worker[C] | None = None
    try:
        asked: Asked[C] = await planned
        if asked.twin and asked.undecided:
            await asyncio.wait([first], timeout=MOMENT)
            if not first.done() and answering.claim():
                beside = worker.beside(asked.twin)
                counted = beside.soon(asked.undecided)
                beside.finish()
        answer = _Answer(worker, ask, asked, answering.claim, counted, beside is not None)
        async with aclosing(answer.pages(first)) as found:
            async for page in found:
                yield page
    finally:
        if beside:
            await beside.close()


@dataclass(slots=True)
class _Answer(Generic[C]):
    """What is looked at, page by page.

    claim    whether nobody counts the undecided yet
    counted  their count, where somebody does; `beside`: on another connection
    """

    worker: Worker[C]
    ask: Ask
    asked: Asked[C]
    claim: Callable[[], bool]
    counted: asyncio.Future[dict[str, int]]
    beside: bool

    async def pages(self, first: asyncio.Future[Rows]) -> AsyncGenerator[Page, None]:
        """Pages of rows, and one of what is undecided."""
        told, split = 0, _splits(self.ask)
        async with aclosing(self._rows(first)) as found:
            async for rows, last in found:
                told += len(rows)
                enough = self.ask.limit and told >= self.ask.limit  # who has enough asks for nothing more
                if last and not enough:
                    self._count()
                if rows:
                    yield _page(self.ask, rows, split)
        if self.asked.undecided:
            self._count()
            yield Page(self.ask.fields, [], unknown=await self._undecided(self.asked.undecided))

    async def _rows(self, first: asyncio.Future[Rows]) -> AsyncGenerator[tuple[Rows, bool], None]:
        """Rows, and whether they are the last; the next are fetched while these are looked at."""
        rows, (size, then) = await first, self.asked.sizes
        while len(rows) == size:
            ahead = self.worker.soon(lambda db: db.fetchmany(then))
            yield rows, False
            rows, size = await ahead, then
        yield rows, True

    def _count(self) -> None:
        """What is undecided is counted from now on, if it is not yet; the connection does nothing more."""
        if self.asked.undecided and self.claim():
            self.counted = self.worker.soon(self.asked.undecided)
        if not self.beside:
            self.worker.finish()

    async def _undecided(self, undecided: Callable[[C], dict[str, int]]) -> dict[str, int]:
        """What was counted; that no other connection could be had is no reason to have no answer."""
        try:
            return await self.counted
        except ArchiveError:
            if not self.beside:
                raise
            return await self.worker.run(undecided)


def _page(ask: Ask, rows: Rows, split: tuple[int, ...]) -> Page:
    return Page(ask.fields, [_valued(row, split) for row in rows] if split else rows)


def _splits(ask: Ask) -> tuple[int, ...]:
    """Columns in which a group may hold several values in one text."""
    if ask.level is Level.SERIES:
        return ()
    return tuple(i for i, k in enumerate(ask.fields) if keyword(k).vr not in KEEPS_BACKSLASH)


def _valued(row: tuple[Value, ...], split: tuple[int, ...]) -> tuple[Value, ...]:
    several = [i for i in split if isinstance(row[i], str) and "\\" in row[i]]  # type: ignore[operator]
    if not several:
        return row
    return tuple(
        tuple(v.split("\\")) if i in several and isinstance(v, str) else v for i, v in enumerate(row)
    )
