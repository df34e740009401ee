"""Several requests under way, their results in the order in which they were wanted."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
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
