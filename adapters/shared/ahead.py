"""Several requests under way: their results in the order in which they were wanted, or as they come."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable
from contextlib import aclosing, asynccontextmanager
from typing import TypeVar

T = TypeVar("T")

Job = Callable[[], Awaitable[T]]
"""Something to be asked, when its turn comes."""


async def in_order(jobs: Iterable[Job[T]], ahead: int) -> AsyncGenerator[T, None]:
    """The result of each job, in the order of the jobs, with up to `ahead` of them under way.

    What a job raises is raised in its place. Leaving, or an error, cancels the others and waits for
    them; use it under `aclosing`.
    """
    waiting = iter(jobs)
    under_way: deque[asyncio.Task[T]] = deque()
    try:
        while True:
            while len(under_way) < ahead and (job := next(waiting, None)) is not None:
                under_way.append(asyncio.create_task(_awaited(job)))
            if not under_way:
                return
            yield await under_way[0]
            under_way.popleft()
    finally:
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)


async def _awaited(job: Job[T]) -> T:
    return await job()


@asynccontextmanager
async def eagerly(
    source: AsyncGenerator[list[T], None],
) -> AsyncIterator[Callable[[int], Awaitable[list[T]]]]:
    """A function that gives what has come from `source` since the last call, so much at least; [] at its end.

    The source is read as fast as it comes, however slow its reader is, so that it never holds up what the
    reader needs. What it raises is raised after everything that it gave before. Leaving closes it.
    """
    came: asyncio.Queue[list[T] | None] = asyncio.Queue()
    task = asyncio.create_task(_moved(source, came))

    async def some(least: int) -> list[T]:
        found: list[T] = []
        while len(found) < least or not came.empty():
            batch = await came.get()
            if batch is None:
                came.put_nowait(None)
                break
            found += batch
        if not found:
            await task
        return found

    try:
        yield some
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _moved(source: AsyncGenerator[list[T], None], to: asyncio.Queue[list[T] | None]) -> None:
    try:
        async with aclosing(source) as batches:
            async for batch in batches:
                to.put_nowait(batch)
    finally:
        to.put_nowait(None)
