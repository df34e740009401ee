"""Several requests at once, their results in the order in which they were asked for."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from typing import TypeVar

T = TypeVar("T")

Job = Callable[[], Awaitable[T]]


async def in_order(jobs: Iterable[Job[T]], width: int) -> AsyncGenerator[T, None]:
    """The results of `jobs`, of which at most `width` are under way or waiting to be taken.

    The first failure ends it; ending it, in whatever way, cancels what is still under way. Use it under
    `aclosing`.
    """
    waiting: deque[asyncio.Task[T]] = deque()
    try:
        for job in jobs:
            waiting.append(asyncio.ensure_future(_run(job)))
            if len(waiting) >= width:
                result = await waiting[0]
                waiting.popleft()
                yield result
        while waiting:
            result = await waiting[0]
            waiting.popleft()
            yield result
    finally:
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


async def _run(job: Job[T]) -> T:
    return await job()
