"""One archive asked one query: its plan, its pages as they come, checked and taken, and its report."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import replace

from broker.adapter import Adapter, Learns, Page
from broker.admitting.admission import Admission
from broker.errors import ArchiveError, LeftAlone, TooMuch
from broker.joining.entity import Source
from broker.plan import Plan, Wish, plan
from broker.planning.check import Checker
from broker.planning.take import Taker
from broker.planning.trust import Distrust
from broker.query import Query
from broker.report import Report, Status

Tell = Callable[[Source, Page], Awaitable[None]]
"""What is done with records that satisfy the query."""


class Conversation:
    """What is said with one archive. `rank` is its place in the order of precedence."""

    def __init__(
        self, query: Query, rank: int, adapter: Adapter, wish: Wish, admission: Admission, distrust: Distrust
    ) -> None:
        self.rank = rank
        self.adapter = adapter
        self.admission = admission
        self.report = Report(adapter.name, notes=[*admission.remarks])
        self.query = query
        self.wish = wish
        self.distrust = distrust
        self._start = 0.0
        self._taker: Taker | None = None

    def begin(self) -> None:
        """From now on its seconds are counted."""
        self._start = time.perf_counter()

    @property
    def seconds(self) -> float:
        """Since it began."""
        return time.perf_counter() - self._start

    async def hold(self, tell: Tell) -> None:
        """Plan, ask and read; the report says what came of it, whatever happens. Raises ArchiveError."""
        made = await self._plan()
        await self._follow(made, tell)
        can = self.adapter.can
        if made.refusal or self.report.fetched or can.before is None:
            return
        self.adapter.can = can.before  # nothing came: it may be another server than the one that was probed
        anew = await self._plan()
        if (anew.asks, anew.refusal) != (made.asks, made.refusal):
            await self._follow(anew, tell)

    async def _follow(self, made: Plan, tell: Tell) -> None:
        """Ask as it is planned. Raises ArchiveError."""
        report = self.report
        _planned(report, made)
        if made.refusal:
            report.status, report.reason, report.detail = Status.REFUSED, "condition", made.refusal
            return
        self._taker = Taker(made, self.wish.limit)
        await self._read(made, self._taker, tell)
        full = any(ask.limit and report.fetched >= ask.limit for ask in made.asks)
        if full and not report.more and report.kept < report.fetched:
            # what is not kept took the place of what would be: once more, without a limit
            asks = tuple(replace(ask, limit=None) for ask in made.asks)
            report.fetched = report.bad = 0
            await self._read(replace(made, asks=asks), self._taker, tell)

    def end(self, error: ArchiveError | None) -> None:
        """What came of it, in the report and in what is remembered of the archive."""
        self._taker = None  # it remembers every record
        self.report.via = getattr(self.adapter, "via", "")
        self._ended(error, self.seconds)

    def give_up(self, error: ArchiveError, seconds: float) -> None:
        """The archive is reported without its having ended."""
        self._ended(error, seconds)

    def _ended(self, error: ArchiveError | None, seconds: float) -> None:
        self.report.seconds = seconds
        if error is not None:
            _failed(self.report, error)
        self.admission.note(self.adapter.name, error, self.report.fetched)

    async def _plan(self) -> Plan:
        """The plan, made again with what the archive can teach, where that could make it better."""
        adapter, wish = self.adapter, self.wish
        can = self.distrust.doubted(adapter.name, adapter.can)
        made = plan(self.query, adapter.name, can, wish)
        if not isinstance(adapter, Learns) or plan(self.query, adapter.name, can.hopeful(), wish) == made:
            return made
        learned = self.distrust.doubted(adapter.name, await adapter.learn())
        return plan(self.query, adapter.name, learned, wish)

    async def _read(self, made: Plan, taker: Taker, tell: Tell) -> None:
        """Every page of every question, checked."""
        adapter, report = self.adapter, self.report
        checker = Checker(made, adapter.can.at(made.level), self.wish.include_unknown)
        try:
            for ask in made.asks:
                self.admission.asked(adapter, ask)
                async with aclosing(adapter.find(ask)) as pages:  # type: ignore[type-var]
                    async for page in pages:
                        report.first = report.first or self.seconds
                        await self._take(page, checker, taker, tell)
                        if report.more:
                            return
        finally:
            self._learned(made, checker)

    async def _take(self, page: Page, checker: Checker, taker: Taker, tell: Tell) -> None:
        report, most = self.report, self.admission.limits.records
        report.fetched += len(page.rows)
        if report.fetched > most:
            raise TooMuch(f"more than {most:,} records", "record_limit")
        report.bad += page.bad
        report.notes.extend(note for note in page.notes if note not in report.notes)
        checker.unknown.update(page.unknown)
        for unknown, kept in checker.sort(page):
            cut = taker.take(kept, report)
            if cut.rows:
                await tell(Source(self.adapter.name, self.rank, cut.keywords, time.time(), unknown), cut)

    def _learned(self, made: Plan, checker: Checker) -> None:
        """What the records said of the archive and its promises."""
        name, report = self.adapter.name, self.report
        report.unknown = {k: n for k, n in checker.unknown.items() if n}
        report.untold = [k for k in made.taken_there() if k not in checker.unknown]
        report.broken = dict(checker.broken)
        self.distrust.note(name, {k: n for k, n in report.broken.items() if n >= report.kept})
        self.admission.broke(name, made, report.broken, report.kept)
        _remarks(report)


def _planned(report: Report, made: Plan) -> None:
    report.level = made.level.name
    report.asked, report.checked = made.asked(), made.checked()
    report.refused = [str(s.condition) for s in made.steps if s.where.value == "refused"]


def _failed(report: Report, error: ArchiveError) -> None:
    """What came before an archive failed is kept, and is not all."""
    report.status = Status.PARTIAL if report.fetched or report.kept else Status.FAILED
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
