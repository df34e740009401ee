"""The pages of one QIDO-RS question, from servers that may not mean what they say.

`limit` and `offset` count the matches (PS3.18 8.3.4.4). Servers are known that give no more than so many
records in a page, or in all; that count candidates before they filter, so that a page is short or empty in
the middle; and that find nothing behind an offset. So a page that looks like the last is not believed: what
stands behind it is asked for without a limit, which brings whatever a server of any kind still has.
"""

from __future__ import annotations

import datetime
from collections.abc import AsyncGenerator, Awaitable, Hashable
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Protocol

from broker.adapter import Page
from broker.errors import RefusedByArchive, TooMuch
from broker.matching import Value
from catalog.capability import Proof


class Get(Protocol):
    """One page of a question."""

    def __call__(self, limit: int | None, offset: int, days: str = "", bare: bool = False) -> Awaitable[Page]:
        """`limit` None: without one. `days`: a range of StudyDate to ask too. `bare`: without conditions."""
        ...


BEHIND = "pages_cut_short"  # records stood behind a page that looked like the last one


@dataclass(frozen=True, slots=True)
class Paging:
    """How pages are asked for.

    size   records a page
    pages  pages at most
    exact  a page shorter than asked for is surely the last one
    most   the archive is known to give no more records than so many to a question
    """

    size: int = 1000
    pages: int = 50
    exact: bool = False
    most: int | None = None


@dataclass(slots=True)
class Habits:
    """What was seen of a server's pages.

    tried   questions, by their form, behind whose last page nothing stood
    honest  those whose limit was shown to count matches: their last page is believed
    early   those whose limit counts before the filter: asked without one
    fits    the most records that came in a page;  short: those of a page shorter than asked for, if more came
    whole   the most records in an answer that two halves showed to be whole
    cap     the most records that it gives to any question, where that was found out
    alone   whether series are listed without naming a study
    """

    tried: set[Hashable] = field(default_factory=set)
    honest: set[Hashable] = field(default_factory=set)
    early: set[Hashable] = field(default_factory=set)
    fits: int = 0
    short: int | None = None
    whole: int = 0
    cap: int | None = None
    alone: Proof = Proof.OPEN


@dataclass(slots=True)
class Listing:
    """One question.

    form     what questions have in common that a server treats alike: keywords, kinds, characters
    unique   the column that tells records apart;  days: that of StudyDate, where halves can be asked
    limit    no more records than this are of use
    filters  whether it has conditions
    """

    get: Get
    paging: Paging
    habits: Habits
    form: Hashable
    unique: int
    days: int | None
    limit: int | None
    filters: bool
    _seen: dict[Value, None] = field(default_factory=dict)
    _dates: set[str] = field(default_factory=set)
    _total: int = 0
    _turns: bool = False  # whether records were found behind an offset

    def first(self) -> int | None:
        """The limit of the first request."""
        if self.form in self.habits.early:
            return None
        most = min(self.paging.size, self.habits.short or self.paging.size)
        return min(most, self.limit or most)

    async def pages(self) -> AsyncGenerator[Page, None]:
        """Every record once. Raises ArchiveError; TooMuch `capped` where more exist that it does not give."""
        if self.first() is None:
            page = await self.get(None, 0)
            self._note(page)
            yield replace(page, notes=(*page.notes, BEHIND))
        else:
            async with aclosing(self._in_turn()) as turned:
                async for page in turned:
                    yield page
        if self.limit is None or len(self._seen) < self.limit:
            async with aclosing(self._beyond()) as beyond:
                async for page in beyond:
                    yield page

    async def _in_turn(self) -> AsyncGenerator[Page, None]:
        size = self.first() or self.paging.size
        for _ in range(self.paging.pages):
            start = self._total
            page = await self.get(size, start)
            count = len(page.rows) + page.bad
            if page.rows and not self._fresh(page):
                raise TooMuch("it repeats the same page: offset is ignored", "paging_loop")
            self._turns = self._turns or (start > 0 and bool(page.rows))
            self._note(page)
            if count:
                yield page
            if count > size or (self.limit is not None and len(self._seen) >= self.limit):
                return  # limit is ignored: that was everything; or enough
            if count < size:
                async with aclosing(self._behind(count)) as behind:
                    async for more in behind:
                        yield more
                return
        raise TooMuch(f"more than {self.paging.pages} pages of {size}", "page_limit")

    def _fresh(self, page: Page) -> list[tuple[Value, ...]]:
        return [row for row in page.rows if row[self.unique] not in self._seen]

    def _note(self, page: Page) -> None:
        self._seen.update((row[self.unique], None) for row in page.rows)
        self._total += len(page.rows) + page.bad
        self.habits.fits = max(self.habits.fits, len(page.rows))
        if self.days is not None:
            self._dates.update(day for row in page.rows if isinstance(day := row[self.days], str))

    async def _behind(self, count: int) -> AsyncGenerator[Page, None]:
        """What stands behind a page of `count` records that looks like the last one."""
        if self.paging.exact or not (self._total or self.filters) or await self._believed(count):
            return
        start = self._total if self._turns or count or not self._total else await self._reach()
        found, early = 0, False
        for _ in range(self.paging.pages):
            page = await self.get(None, start)
            fresh = self._fresh(page)
            early = early or len(fresh) < len(page.rows) or len(fresh) > count
            if not fresh:
                self._tried(found, count, early and self.filters)
                return
            found += len(fresh)
            more = Page(page.keywords, fresh, notes=(*page.notes, BEHIND))
            self._note(more)
            yield more
            start = self._total
        raise TooMuch(f"more than {self.paging.pages} pages of {count}", "page_limit")

    def _tried(self, found: int, count: int, early: bool) -> None:
        """Remember what stood behind the page: nothing, what was cut by a filter, or the next short page."""
        if not found:
            self.habits.tried |= {self.form} if self._total else set()
        elif early:
            self.habits.early.add(self.form)
        else:
            self.habits.short = max(count, 1)

    async def _believed(self, count: int) -> bool:
        """Whether the end needs no trial: pages were longer, and limit was shown to count matches."""
        if self.form not in self.habits.tried or (count and count >= self.habits.fits):
            return False
        if self.filters and self.form not in self.habits.honest:
            return self._total > 0 and await self._counts_matches()
        return True

    async def _counts_matches(self) -> bool:
        """The first candidate is no match, and yet the first match comes with a limit of one."""
        candidate, match = await self.get(1, 0, bare=True), await self.get(1, 0)
        first = next(iter(self._seen))
        honest = bool(candidate.rows) and not self._among(candidate) and self._only(match, first)
        self.habits.honest |= {self.form} if honest else set()
        return honest

    async def _reach(self) -> int:
        """Where to ask on from: here, if the last record is found behind its offset, else from the start."""
        page = await self.get(2, self._total - 1)
        return self._total if self._only(page, next(reversed(self._seen))) else 0

    def _only(self, page: Page, key: Value) -> bool:
        return [row[self.unique] for row in page.rows] == [key]

    def _among(self, page: Page) -> bool:
        return any(row[self.unique] in self._seen for row in page.rows)

    async def _beyond(self) -> AsyncGenerator[Page, None]:
        """Whether there is more than the server gives: two halves are asked for, and must hold no more.

        Raises TooMuch `capped`.
        """
        total = len(self._seen)
        if self._suspect(total):
            pages = await self._halves()
            found = [row for page in pages for row in page.rows if row[self.unique] not in self._seen]
            if found:
                self.habits.cap = min(total, self.habits.cap or total)
                yield Page(pages[0].keywords, list({row[self.unique]: row for row in found}.values()))
            else:
                self.habits.whole = max(self.habits.whole, total)
        caps = [cap for cap in (self.habits.cap, self.paging.most) if cap is not None]
        if caps and total >= min(caps):
            raise TooMuch(f"it gives no more than {min(caps)} records to a question: ask for less", "capped")

    def _suspect(self, total: int) -> bool:
        """Whether an answer ends where caps usually are: at a round number, or one beyond (Orthanc)."""
        round_ = total >= 10 and (total % 10 == 0 or (total - 1) % 10 == 0)
        known = self.habits.cap is not None or self.paging.exact or total <= self.habits.whole
        return round_ and not known and self.days is not None and len(self._dates) > 1

    async def _halves(self) -> list[Page]:
        """The question for the earlier and for the later of the dates that came."""
        days = sorted(day for day in map(_day, self._dates) if day is not None)
        if len(days) < 2:
            return []
        last = days[(len(days) - 1) // 2]
        later = last + datetime.timedelta(days=1)
        size = max(self.paging.size, len(self._seen) + 1)
        try:
            return [await self.get(size, 0, days=half) for half in (f"-{last:%Y%m%d}", f"{later:%Y%m%d}-")]
        except RefusedByArchive:  # the range was ours, not the user's: nothing is known then
            return []


def _day(text: str) -> datetime.date | None:
    try:
        return datetime.datetime.strptime(text, "%Y%m%d").date()
    except ValueError:
        return None
