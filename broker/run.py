"""The fan-out: every archive asked at once, under one deadline, each on its own.

`Asking` is an async context manager over an async iterator of events. Leaving it, at any moment, cancels
every request that is still under way. (An async generator could not do that: PEP 789.)
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from types import TracebackType

from broker.adapter import Adapter, Closes, Page
from broker.admitting.admission import Admission, logged
from broker.conversation import Conversation
from broker.errors import ArchiveError, DeadlinePassed
from broker.joining.entity import Source
from broker.plan import Wish
from broker.planning.trust import Distrust
from broker.query import Query
from broker.report import Report

log = logging.getLogger("broker")

GRACE = 0.15  # seconds after the deadline in which an archive may still end by itself
CLOSING = 1.0  # seconds that archives have for letting go of what they hold, where the deadline leaves them
MOMENT = 0.04  # seconds that they have in any case
WAITING = 64  # pages that may wait for a slow reader before archives are slowed down too


@dataclass(frozen=True, slots=True)
class Records:
    """Event: records that satisfy the query, from one archive. `source` says who and with which columns."""

    source: Source
    page: Page


@dataclass(frozen=True, slots=True)
class Done:
    """Event: an archive has ended, well or not."""

    report: Report


Event = Records | Done


class Asking:
    """One query under way.

    >>> import asyncio, broker
    >>> async def main():
    ...     async with broker.asking(broker.Query("series", Modality="CT"), limit=1, at=["idc"]) as events:
    ...         return [type(event).__name__ async for event in events]
    >>> asyncio.run(main())
    ['Records', 'Done']
    """

    def __init__(
        self,
        query: Query,
        archives: Sequence[Adapter],
        wishes: Sequence[Wish],
        timeout: float,
        distrust: Distrust | None = None,
        admissions: Sequence[Admission] = (),
    ) -> None:
        self.query = query
        self._archives = archives
        self._timeout = timeout
        self._distrust = distrust or Distrust()
        terms = zip(archives, wishes, admissions or [Admission()] * len(archives), strict=True)
        self._open = {rank: self._conversation(rank, *each) for rank, each in enumerate(terms)}
        self._queue: asyncio.Queue[Event] = asyncio.Queue(WAITING)
        self._tasks: list[asyncio.Task[None]] = []
        self._starting = asyncio.Lock()
        self._end = 0.0

    def _conversation(self, rank: int, adapter: Adapter, wish: Wish, admission: Admission) -> Conversation:
        return Conversation(self.query, rank, adapter, wish, admission, self._distrust)

    async def __aenter__(self) -> Asking:
        self._end = asyncio.get_running_loop().time() + self._timeout
        self._tasks = [asyncio.create_task(self._ask(talk)) for talk in self._open.values()]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._tasks:
            task.cancel()
        closing = asyncio.create_task(self._closed())
        try:
            await asyncio.shield(closing)
        except asyncio.CancelledError:  # a loop that ends now would leave sessions open at the archives
            await asyncio.wait([closing])
            raise

    async def _closed(self) -> None:
        """No archive is asked any more, and what each holds open is closed, as far as it lets itself be."""
        late: set[asyncio.Task[None]] = set()
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=min(max(self._left(), MOMENT), GRACE))
        closing = [asyncio.create_task(a.close()) for a in self._archives if isinstance(a, Closes)]
        if closing:
            await asyncio.wait(closing, timeout=min(max(self._left(), MOMENT), CLOSING))
        for task, adapter in zip(self._tasks, self._archives, strict=True):
            if task in late and isinstance(adapter, Closes):  # only now: two at once would cut each other off
                task.add_done_callback(partial(_close_again, adapter))
        for ended in closing:
            if not ended.cancel():
                ended.result()

    def _left(self) -> float:
        """Seconds until everything has to be over."""
        return self._end + GRACE - asyncio.get_running_loop().time()

    def __aiter__(self) -> Asking:
        return self

    async def __anext__(self) -> Event:
        if not self._queue.empty():  # what has come counts, however late it is looked at
            return self._queue.get_nowait()
        if not self._open:
            raise StopAsyncIteration
        try:
            # not wait_for: in Python 3.11 it swallows a cancellation that comes together with the event
            async with asyncio.timeout_at(self._end + GRACE):
                return await self._queue.get()
        except TimeoutError:
            return self._overdue()

    def _overdue(self) -> Event:
        """An archive that does not even end when it is cancelled is reported without it."""
        if not self._queue.empty():
            return self._queue.get_nowait()
        if not self._open:
            raise StopAsyncIteration
        rank, talk = self._open.popitem()
        self._tasks[rank].cancel()
        talk.give_up(DeadlinePassed("it did not end in time"), self._timeout)
        logged(talk.report)
        return Done(talk.report)

    async def _ask(self, talk: Conversation) -> None:
        talk.begin()
        error: ArchiveError | None = None
        try:
            await self._within(talk)
        except ArchiveError as raised:
            error = raised
        except asyncio.CancelledError:
            talk.admission.released()
            raise
        except Exception as raised:
            log.debug("archive %s: unexpected error", talk.adapter.name, exc_info=True)
            error = ArchiveError(f"unexpected {type(raised).__name__} in its adapter", "internal")
        talk.end(error)
        error = None  # it holds its frames, they hold what was read
        if self._open.pop(talk.rank, None) is not None:
            logged(talk.report)
            await self._queue.put(Done(talk.report))

    async def _within(self, talk: Conversation) -> None:
        """The conversation, in the time that query and archive leave. Raises ArchiveError."""
        seconds = min(self._timeout, talk.admission.limits.seconds or self._timeout)
        try:
            async with asyncio.timeout_at(self._end - self._timeout + seconds):
                async with self._starting:  # one after the other, so that the first request leaves at once
                    await asyncio.sleep(0)
                async with talk.admission.turn():
                    await talk.hold(self._tell)
        except TimeoutError as error:
            raise DeadlinePassed(f"no complete answer within {seconds:g} s") from error

    async def _tell(self, source: Source, page: Page) -> None:
        await self._queue.put(Records(source, page))


_CLOSING: set[asyncio.Task[None]] = set()


def _close_again(adapter: Closes, ended: asyncio.Task[None]) -> None:
    """Close what an archive may have opened after it was closed, for it did not end when it was cancelled."""
    task = ended.get_loop().create_task(adapter.close())
    _CLOSING.add(task)
    task.add_done_callback(_CLOSING.discard)
