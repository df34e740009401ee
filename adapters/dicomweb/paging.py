"""The pages of one QIDO-RS question, from servers that may not mean what they say.

Servers are known that give no more than so many records in a page, or in all (`caps`); that count candidates
before they filter, so that a page is short or empty in the middle (`ends`); and that find nothing behind an
offset. An end is believed where the server has shown that it is one.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, replace

from adapters.dicomweb import caps, ends
from adapters.dicomweb.question import BEHIND, Question
from adapters.shared.halves import DOUBT, LEAST
from broker.adapter import Page
from broker.errors import TooMuch


@dataclass(slots=True)
class Listing(Question):
    """One question, with all its pages."""

    def first(self) -> int:
        """The limit of the first request."""
        most = min(self.paging.size, self.habits.short or self.paging.size)
        return min(most, self.limit or most)

    async def pages(self) -> AsyncGenerator[Page, None]:
        """Every record once. Raises ArchiveError; TooMuch `capped` where more exist that it does not give."""
        walked = self.form in self.habits.early
        async with aclosing(self._walked() if walked else self._in_turn()) as pages:
            async for page in pages:
                yield page
        if self.enough:
            return
        for page in [] if walked else await caps.beyond(self):
            yield page
        caps.judge(self)

    async def _in_turn(self) -> AsyncGenerator[Page, None]:
        size = self.first()
        for _ in range(self.paging.pages):
            start = self.total
            page = await self.get(size, start)
            count = len(page.rows) + page.bad
            if page.rows and not self.fresh(page):
                raise TooMuch("it repeats the same page: offset is ignored", "paging_loop")
            self.turns = self.turns or (start > 0 and bool(page.rows))
            self.note(page)
            if count:
                yield page
            if count > size or self.enough:
                return  # limit is ignored: that was everything; or enough
            if count < size:
                async with aclosing(self._behind(count)) as behind:
                    async for more in behind:
                        yield more
                return
        raise TooMuch(f"more than {self.paging.pages} pages of {size}", "page_limit")

    async def _behind(self, count: int) -> AsyncGenerator[Page, None]:
        """What stands behind a page of `count` records that looks like the last one."""
        if self.paging.exact:
            return
        counted = not self.filters or await ends.counts_matches(self)
        before = len(self.seen)
        async with aclosing(self._longer(count) if counted else self._walked()) as pages:
            async for page in pages:
                yield page
        if not counted and len(self.seen) > before:
            self.habits.early.add(self.form)

    async def _longer(self, count: int) -> AsyncGenerator[Page, None]:
        """Where limits count matches: what stands behind a page that is as long as the server makes them."""
        if not self.total or (count and count < self.habits.fits) or (not count and await self.offsets()):
            return
        start = self.total if count else 0
        for _ in range(self.paging.pages):
            page = await self.get(None, start)
            fresh = self.fresh(page)
            if not fresh:
                return
            if count:
                self.habits.short = count
            self.note(page)
            yield Page(page.keywords, fresh, notes=(*page.notes, BEHIND))
            start = self.total
        raise TooMuch(f"more than {self.paging.pages} pages of {count}", "page_limit")

    async def _walked(self) -> AsyncGenerator[Page, None]:
        """Where limits may count candidates: what comes without one, and so many candidates at a time."""
        page = await self.get(None, 0)
        if self.fresh(page):
            yield self._rest(page)
        held = await ends.held(self, self.paging.size * self.paging.pages)
        size = await self._window(held)
        if held > size * self.paging.pages or (held >= LEAST and held % 10 in (0, 1)):
            yield self.remark(DOUBT)  # too many to go through, or perhaps cut
        for start in range(0, held if held <= size * self.paging.pages else 0, size):
            page = await self.get(size, start)
            if self.fresh(page) or page.bad:
                yield self._rest(page)
            if self.enough:
                return

    async def _window(self, held: int) -> int:
        """So many candidates as are surely looked at for one page."""
        size = max(min(self.paging.size, held), 1)
        if self.habits.fits < size:
            self.habits.fits = max(self.habits.fits, len(await self.bare(size, 0)))
        return max(min(size, self.habits.fits), 1)

    def _rest(self, page: Page) -> Page:
        """What is new on a page that stood behind the end, or that was looked for otherwise."""
        fresh = self.fresh(page)
        self.note(page)
        return replace(page, rows=fresh, notes=(*page.notes, BEHIND) if fresh else page.notes)
