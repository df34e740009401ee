"""The rows of a statement as pages. While one is looked at, the thread already does what comes next.

What the conditions leave undecided is counted beside, where another connection may be had that sees the same.
"""

from __future__ import annotations

import asyncio
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


async def pages(worker: Worker[C], ask: Ask, asked: Asked[C]) -> AsyncGenerator[Page, None]:
    """Pages of what is found, then one that says what is undecided. Raises ArchiveError."""
    beside = worker.beside(asked.twin) if asked.twin else None
    begun = beside.soon(asked.undecided) if beside and asked.undecided else None
    try:
        async with aclosing(_pages(worker, ask, asked, begun)) as found:
            async for page in found:
                yield page
    finally:
        if beside:
            await beside.close()


async def _pages(
    worker: Worker[C], ask: Ask, asked: Asked[C], begun: asyncio.Future[dict[str, int]] | None
) -> AsyncGenerator[Page, None]:
    told, split = 0, _splits(ask)
    async for rows, last in _rows(worker, asked):
        told += len(rows)
        enough = ask.limit and told >= ask.limit  # who has enough asks for nothing more
        if asked.undecided and last and not enough:
            begun = begun or worker.soon(asked.undecided)
        if rows:
            yield _page(ask, rows, split)
    if asked.undecided:
        begun = begun or worker.soon(asked.undecided)
        yield Page(ask.fields, [], unknown=await _counted(worker, asked.undecided, begun))


async def _rows(worker: Worker[C], asked: Asked[C]) -> AsyncGenerator[tuple[Rows, bool], None]:
    """Rows, and whether they are the last; the next are fetched while these are looked at."""
    rows, (size, then) = await worker.run(asked.first), asked.sizes
    while len(rows) == size:
        ahead = worker.soon(lambda db: db.fetchmany(then))
        yield rows, False
        rows, size = await ahead, then
    yield rows, True


async def _counted(
    worker: Worker[C], undecided: Callable[[C], dict[str, int]], begun: asyncio.Future[dict[str, int]]
) -> dict[str, int]:
    """What was counted; a connection that could not be had once more is no reason to have no answer."""
    try:
        return await begun
    except ArchiveError:
        return await worker.run(undecided)


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
