"""Leaving: within a second, with nothing left behind."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing

import pytest

from broker.adapter import Adapter, Ask
from broker.conform.base import Base, Opened, close, must, none_of
from broker.conform.leaks import Open, left_behind
from broker.plan import Wish
from broker.planning.trust import Distrust
from broker.query import Query
from broker.run import Asking

SOON = 1.0  # seconds in which a cancelled question must be over
ROUNDS = 5
UNDER_WAY = 0.1  # seconds after which a question to a hanging archive is waiting for it


class Ending(Base):
    """What is left when a question is not waited for."""

    def test_nothing_is_left_behind_a_whole_answer(self) -> None:
        """All pages read, then closed: no thread, socket or task remains, and it can be asked again."""
        self._leaves_nothing(_read_all)

    def test_nothing_is_left_behind_the_first_page(self) -> None:
        """Who has seen enough leaves after one page."""
        self._leaves_nothing(_read_one)

    def test_nothing_is_left_behind_a_cancelled_question(self) -> None:
        """Cancelled at once, and while it works."""
        self._leaves_nothing(_cancel_early)

    def test_cancelling_a_hanging_archive_takes_less_than_a_second(self) -> None:
        """The question ends as cancelled, although the archive never answers, and nothing remains."""
        self._leaves_nothing(_cancel_waiting, self._hanging())

    def test_leaving_the_broker_ends_a_hanging_archive(self) -> None:
        """`async with broker.asking(...)` is left within a second."""
        self._leaves_nothing(_leave_broker, self._hanging())

    def _hanging(self) -> Opened:
        opened = self.hanging()
        if opened is None:
            pytest.skip("hanging() is not given: an archive that never answers cannot be tested")
        return opened

    def _leaves_nothing(
        self, leave: Callable[[Adapter, Ask], Awaitable[None]], opened: Opened | None = None
    ) -> None:
        async def work(adapter: Adapter) -> None:
            before = Open.now()
            level = min(self.levels(adapter.can))
            ask = Ask(level, (), self.fields(adapter.can, level))
            for _ in range(ROUNDS):
                await leave(adapter, ask)
                await _soon(close(adapter), "close()")
            none_of(await left_behind(before), f"left behind by {ROUNDS} questions")

        self.run(work, opened)


async def _read_all(adapter: Adapter, ask: Ask) -> None:
    async with aclosing(adapter.find(ask)) as pages:  # type: ignore[type-var]
        async for _ in pages:
            pass


async def _read_one(adapter: Adapter, ask: Ask) -> None:
    async with aclosing(adapter.find(ask)) as pages:  # type: ignore[type-var]
        async for _ in pages:
            break


async def _cancel_early(adapter: Adapter, ask: Ask) -> None:
    for pause in (0.0, 0.002, 0.02):
        task = asyncio.create_task(_read_all(adapter, ask))
        await asyncio.sleep(pause)
        await _cancelled(task, must_wait=False)


async def _cancel_waiting(adapter: Adapter, ask: Ask) -> None:
    task = asyncio.create_task(_read_all(adapter, ask))
    await asyncio.sleep(UNDER_WAY)
    must(not task.done(), f"the archive of hanging() answered, or failed: {task}")
    await _cancelled(task, must_wait=True)


async def _cancelled(task: asyncio.Task[None], must_wait: bool) -> None:
    """Cancel, and see that it is over soon: as cancelled, or because it had ended already."""
    early = task.done()
    task.cancel()
    await _soon(asyncio.wait({task}), "a cancelled question")
    must(
        task.cancelled() or early or not must_wait,
        "it swallowed its cancellation, and ended as if it were done",
    )
    if not task.cancelled() and (error := task.exception()) is not None:
        raise AssertionError(f"cancelled, it raised {type(error).__name__}") from error


async def _leave_broker(adapter: Adapter, ask: Ask) -> None:
    async def main() -> None:
        async with Asking(Query(ask.level), [adapter], [Wish(scan=True)], 60.0, Distrust()):
            await asyncio.sleep(UNDER_WAY)

    await _soon(main(), "leaving the broker", UNDER_WAY + SOON)


async def _soon(work: Awaitable[object], what: str, limit: float = SOON) -> None:
    """Wait for something that must not take long. What takes longer is left to itself."""
    task = asyncio.ensure_future(work)
    done, _ = await asyncio.wait({task}, timeout=limit)
    must(done, f"{what} is not over after {limit:g} s")
    task.result()
