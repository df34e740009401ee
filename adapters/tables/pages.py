"""The rows of a statement as pages. While one is looked at, the thread already does what comes next."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from typing import Any, TypeVar

from adapters.tables.worker import Connection, Worker
from broker.adapter import Ask, Page
from broker.matching import Value
from broker.meaning.values import KEEPS_BACKSLASH
from catalog.keywords import Level, keyword

C = TypeVar("C", bound=Connection)
Rows = list[tuple[Any, ...]]

SIZES = (1000, 10_000)
"""Rows of the first page, and of the others."""


async def pages(
    worker: Worker[C],
    ask: Ask,
    rows: Rows,
    undecided: Callable[[C], dict[str, int]] | None,
    sizes: tuple[int, int] = SIZES,
) -> AsyncGenerator[Page, None]:
    """Pages of what the worker's connection gives, of which `rows` are the first; then what is undecided.

    Raises ArchiveError.
    """
    split, size, told = _splits(ask), sizes[0], len(rows)
    while len(rows) == size:
        ahead = worker.soon(lambda db: db.fetchmany(sizes[1]))
        yield _page(ask, rows, split)
        rows, size = await ahead, sizes[1]
        told += len(rows)
    if rows and ask.limit and told >= ask.limit:  # who has enough asks for nothing more
        yield _page(ask, rows, split)
        rows = []
    counting = worker.soon(undecided) if undecided else None
    if rows:
        yield _page(ask, rows, split)
    if counting:
        yield Page(ask.fields, [], unknown=await counting)


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
