"""The fan-out: every archive asked at once, under one deadline, each on its own.

`Asking` is an async context manager over an async iterator of events. Leaving it, at any moment, cancels
every request that is still under way. (An async generator could not do that: PEP 789.)
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from functools import partial
from types import TracebackType

from broker.adapter import Adapter, Closes, Learns, Page
from broker.admitting.admission import Admission, logged
from broker.errors import ArchiveError, DeadlinePassed, LeftAlone, TooMuch
from broker.joining.entity import Source
from broker.joining.project import grouped
from broker.matching import Value
from broker.plan import Plan, Wish, plan
from broker.planning.check import Checker, Row
from broker.planning.trust import Distrust
from broker.query import Query
from broker.report import Report, Status
from catalog.keywords import Level

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
        self._archives = list(zip(archives, wishes, strict=True))
        self._admissions = list(admissions) or [Admission()] * len(self._archives)
        self._timeout = timeout
        self._distrust = distrust or Distrust()
        self._queue: asyncio.Queue[Event] = asyncio.Queue(WAITING)
        self._tasks: list[asyncio.Task[None]] = []
        self._starting = asyncio.Lock()
        self._open: dict[int, Report] = {}
        self._takers: dict[int, Taker] = {}
        self._end = 0.0

    async def __aenter__(self) -> Asking:
        self._end = asyncio.get_running_loop().time() + self._timeout
        for rank, (adapter, wish) in enumerate(self._archives):
            self._open[rank] = Report(adapter.name, notes=[*self._admissions[rank].remarks])
            self._tasks.append(asyncio.create_task(self._ask(rank, adapter, wish)))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._tasks:
            task.cancel()
        # whoever leaves may be cancelled once more; everything is closed nevertheless
        await asyncio.shield(asyncio.create_task(self._closed()))

    async def _closed(self) -> None:
        """No archive is asked any more, and what each holds open is closed, as far as it lets itself be."""
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=min(max(self._left(), MOMENT), GRACE))
            for task, (adapter, _) in zip(self._tasks, self._archives, strict=True):
                if task in late and isinstance(adapter, Closes):
                    task.add_done_callback(partial(_close_again, adapter))
        closing = [asyncio.create_task(a.close()) for a, _ in self._archives if isinstance(a, Closes)]
        if closing:
            await asyncio.wait(closing, timeout=min(max(self._left(), MOMENT), CLOSING))
        for task in closing:
            if not task.cancel():
                task.result()

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
        rank, report = self._open.popitem()
        self._tasks[rank].cancel()
        error = DeadlinePassed("it did not end in time")
        _failed(report, error)
        report.seconds = self._timeout
        self._admissions[rank].note(report.archive, error, report.fetched)
        logged(report)
        return Done(report)

    async def _ask(self, rank: int, adapter: Adapter, wish: Wish) -> None:
        report = self._open[rank]
        start = time.perf_counter()
        error: ArchiveError | None = None
        try:
            await self._within(rank, adapter, wish, report, start)
        except ArchiveError as raised:
            error = raised
        except asyncio.CancelledError:
            self._admissions[rank].released()
            raise
        except Exception as raised:
            log.debug("archive %s: unexpected error", adapter.name, exc_info=True)
            error = ArchiveError(f"unexpected {type(raised).__name__} in its adapter", "internal")
        self._takers.pop(rank, None)  # it remembers every record
        report.seconds = time.perf_counter() - start
        report.via = getattr(adapter, "via", "")
        if error is not None:
            _failed(report, error)
        self._admissions[rank].note(adapter.name, error, report.fetched)
        error = None  # it holds its frames, they hold what was read
        if self._open.pop(rank, None) is not None:
            await self._done(report)

    async def _done(self, report: Report) -> None:
        logged(report)
        await self._queue.put(Done(report))

    async def _within(self, rank: int, adapter: Adapter, wish: Wish, report: Report, start: float) -> None:
        """The conversation, in the time that query and archive leave. Raises ArchiveError."""
        admission = self._admissions[rank]
        seconds = min(self._timeout, admission.limits.seconds or self._timeout)
        try:
            async with asyncio.timeout_at(self._end - self._timeout + seconds):
                async with self._starting:  # one after the other, so that the first request leaves at once
                    await asyncio.sleep(0)
                async with admission.turn():
                    await self._conversation(rank, adapter, wish, report, start)
        except TimeoutError as error:
            raise DeadlinePassed(f"no complete answer within {seconds:g} s") from error

    async def _conversation(
        self, rank: int, adapter: Adapter, wish: Wish, report: Report, start: float
    ) -> None:
        made = await self._plan(adapter, wish)
        await self._follow(rank, adapter, (made, wish), report, start)
        if made.refusal or report.fetched or adapter.can.before is None:
            return
        adapter.can = (
            adapter.can.before
        )  # nothing came: it may be another server than the one that was probed
        anew = await self._plan(adapter, wish)
        if (anew.asks, anew.refusal) != (made.asks, made.refusal):
            await self._follow(rank, adapter, (anew, wish), report, start)

    async def _follow(
        self, rank: int, adapter: Adapter, planned: tuple[Plan, Wish], report: Report, start: float
    ) -> None:
        """Ask as it is planned. Raises ArchiveError."""
        made, wish = planned
        _planned(report, made)
        if made.refusal:
            report.status, report.reason, report.detail = Status.REFUSED, "condition", made.refusal
            return
        self._takers[rank] = Taker(made, wish.limit)
        await self._read((rank, adapter), made, wish, report, start)
        full = any(ask.limit and report.fetched >= ask.limit for ask in made.asks)
        if full and not report.more and report.kept < report.fetched:
            # what is not kept took the place of what would be: once more, without a limit
            asks = tuple(replace(ask, limit=None) for ask in made.asks)
            report.fetched = 0
            await self._read((rank, adapter), replace(made, asks=asks), wish, report, start)

    async def _read(
        self, who: tuple[int, Adapter], made: Plan, wish: Wish, report: Report, start: float
    ) -> None:
        """Every page of every question, checked; the report says what came of it, whatever happens."""
        rank, adapter = who
        checker = Checker(made, adapter.can.at(made.level), wish.include_unknown)
        try:
            for ask in made.asks:
                self._admissions[rank].asked(adapter, ask)
                async with aclosing(adapter.find(ask)) as pages:  # type: ignore[type-var]
                    async for page in pages:
                        report.first = report.first or time.perf_counter() - start
                        await self._take((rank, adapter.name), page, checker, report)
                        if report.more:
                            return
        finally:
            report.unknown = {k: n for k, n in checker.unknown.items() if n}
            report.untold = [k for k in made.taken_there() if k not in checker.unknown]
            report.broken = dict(checker.broken)
            self._distrust.note(adapter.name, {k: n for k, n in report.broken.items() if n >= report.kept})
            self._admissions[rank].broke(adapter.name, made, report.broken, report.kept)
            _remarks(report)

    async def _plan(self, adapter: Adapter, wish: Wish) -> Plan:
        """The plan, made again with what the archive can teach, where that could make it better."""
        can = self._distrust.doubted(adapter.name, adapter.can)
        made = plan(self.query, adapter.name, can, wish)
        if not isinstance(adapter, Learns) or plan(self.query, adapter.name, can.hopeful(), wish) == made:
            return made
        learned = self._distrust.doubted(adapter.name, await adapter.learn())
        return plan(self.query, adapter.name, learned, wish)

    async def _take(self, who: tuple[int, str], page: Page, checker: Checker, report: Report) -> None:
        rank, archive = who
        report.fetched += len(page.rows)
        most = self._admissions[rank].limits.records
        if report.fetched > most:
            raise TooMuch(f"more than {most:,} records", "record_limit")
        report.bad += page.bad
        report.notes.extend(note for note in page.notes if note not in report.notes)
        checker.unknown.update(page.unknown)
        for unknown, kept in checker.sort(page):
            cut = self._takers[rank].take(kept, report)
            if cut.rows:
                source = Source(archive, rank, cut.keywords, time.time(), unknown)
                await self._queue.put(Records(source, cut))


class Taker:
    """Brings records to the level of the query, and takes no more of them than the limit.

    A record that comes again, in the same page or a later one, counts once. Its row is passed on where it may
    say something else than before.
    """

    def __init__(self, made: Plan, limit: int | None) -> None:
        self._plan = made
        self._limit = limit
        self._seen: set[Value | Row] = set()
        self._once: dict[Row, None] | None = {} if made.groups else None

    def take(self, page: Page, report: Report) -> Page:
        """The part of a page that the limit leaves room for; says when there was more."""
        page = grouped(page, self._plan)
        if self._once is not None:
            rows = [row for row in page.rows if row not in self._once]
            self._once.update(dict.fromkeys(rows))
            page = replace(page, rows=rows)
        keys = self._keys(page)
        fresh = set(keys)
        room = len(keys) if self._limit is None else self._limit - report.kept
        if len(fresh) < len(keys) or len(fresh) > room or not self._seen.isdisjoint(fresh):
            page, fresh = self._sifted(page, keys, room, report)
        self._seen |= fresh
        report.kept += len(fresh)
        return page

    def _keys(self, page: Page) -> list[Value | Row]:
        """What each record is known by: its UID; the whole row where that is missing or not enough."""
        uid = self._plan.query.level.uid
        if self._plan.query.level is Level.PATIENT or uid not in page.keywords:
            return list(page.rows)
        at = page.keywords.index(uid)
        return [row[at] or row for row in page.rows]

    def _sifted(
        self, page: Page, keys: list[Value | Row], room: int, report: Report
    ) -> tuple[Page, set[Value | Row]]:
        """A page with records that came before or for which there is no room; and what is new in it."""
        fresh: set[Value | Row] = set()
        rows = []
        for row, key in zip(page.rows, keys, strict=True):
            if key in self._seen or key in fresh:
                rows += [row] if key is not row else []
            elif len(fresh) < room:
                fresh.add(key)
                rows.append(row)
            else:
                report.more = True
        return replace(page, rows=rows), fresh


_CLOSING: set[asyncio.Task[None]] = set()


def _close_again(adapter: Closes, ended: asyncio.Task[None]) -> None:
    """Close what an archive may have opened after it was closed, for it did not end when it was cancelled."""
    task = ended.get_loop().create_task(adapter.close())
    _CLOSING.add(task)
    task.add_done_callback(_CLOSING.discard)


def _planned(report: Report, made: Plan) -> None:
    report.level = made.level.name
    report.asked, report.checked = made.asked(), made.checked()
    report.refused = [str(s.condition) for s in made.steps if s.where.value == "refused"]


def _failed(report: Report, error: ArchiveError) -> None:
    """What came before an archive failed is kept, and is not all."""
    report.status = Status.PARTIAL if report.fetched else Status.FAILED
    if isinstance(error, LeftAlone):
        report.status = Status.SKIPPED
    report.reason, report.detail = error.reason, str(error)


def _remarks(report: Report) -> None:
    """Unreadable records make an answer partial; broken promises do not, for they were repaired here."""
    if report.bad or "charset" in report.notes:
        report.status = Status.PARTIAL
        report.reason = f"bad_records={report.bad}" if report.bad else "charset"
    elif report.broken:
        report.reason = "filter_not_applied"
