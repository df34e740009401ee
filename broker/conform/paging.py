"""Pages and limits: nothing twice, nothing missing, and no fewer than asked for."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from broker.adapter import Adapter, Ask
from broker.conform.base import Base, came, learned, must, none_of, records_of, through, told
from broker.plan import Wish, plan
from broker.query import Query
from broker.report import Status


class Paging(Base):
    """How the records come."""

    def test_it_gives_its_records_in_pages(self) -> None:
        """More than one page comes, so that what these tests say of paging is said of pages."""
        if not self.paged:
            pytest.skip("paged = False: it gives everything at once")

        async def work(adapter: Adapter) -> None:
            sizes = [
                [
                    len(page.rows)
                    for page in await came(adapter, self.whole_ask(adapter.can, level))
                    if page.rows
                ]
                for level in self.levels(adapter.can)
            ]
            must(
                any(len(s) > 1 for s in sizes), f"one page a level: let archive() make smaller ones ({sizes})"
            )

        self.run(work)

    def test_no_record_comes_twice(self) -> None:
        """Pages follow one another: each record comes once in the answer to a question."""

        async def work(adapter: Adapter) -> list[str]:
            faults = []
            for level in self.levels(adapter.can):
                ask = self.whole_ask(adapter.can, level)
                twice = [k for k, n in Counter(self.keys(level, await came(adapter, ask))).items() if n > 1]
                faults += (
                    [f"{told(ask)}: {len(twice)} come more than once, such as {twice[0]}"] if twice else []
                )
            return faults

        none_of(self.run(work), "records that come again")

    def test_the_same_question_has_the_same_answer(self) -> None:
        """Asked again, after closing too, and twice at once."""

        async def work(adapter: Adapter) -> list[str]:
            faults = []
            for level in self.levels(adapter.can):
                ask = self.whole_ask(adapter.can, level)
                first = sorted(self.keys(level, await came(adapter, ask)))
                both = await asyncio.gather(came(adapter, ask), came(adapter, ask))
                faults += [
                    f"{told(ask)}: {len(again)} records {when}, {len(first)} before"
                    for when, pages in (("together", both[0]), ("together", both[1]))
                    if (again := sorted(self.keys(level, pages))) != first
                ]
            return faults

        none_of(self.run(work), "the same question, another answer")

    def test_a_limit_brings_no_fewer(self) -> None:
        """As many records as the limit says, if there are as many; more may come."""

        async def work(adapter: Adapter) -> list[str]:
            faults = []
            can = await learned(adapter)
            for level in self.levels(can):
                count = len(self.held.keys(level))
                made = plan(Query(level), adapter.name, can, Wish(scan=True))
                for limit in _limits(count) if self.scans else ():
                    ask = Ask(level, (), made.asks[0].fields, limit)
                    found = len(set(self.keys(level, await came(adapter, ask))))
                    if found < min(limit, count):
                        faults.append(f"{told(ask)}: {found} of {count}")
            return faults

        none_of(self.run(work), "fewer than the limit")

    def test_the_brokers_limit_is_exact_and_says_whether_there_is_more(self) -> None:
        """Through the broker: never more, never fewer, and `more` is true."""
        if not (self.whole and self.scans):
            pytest.skip("whole or scans is False: how many records there are is not known")

        async def work(adapter: Adapter) -> list[str]:
            faults = []
            for level in self.levels(adapter.can):
                count = len(self.held.keys(level))
                for limit in _limits(count):
                    pages, report = await through(adapter, Query(level), limit=limit)
                    right = (min(limit, count), limit < count, Status.OK)
                    found = (len(records_of(pages)), report.more, report.status)
                    if found != right:
                        faults.append(
                            f"{level.name} limit {limit}: {found}, should be {right}: {report.line()}"
                        )
            return faults

        none_of(self.run(work), "limits through the broker")


def _limits(count: int) -> list[int]:
    return sorted({1, max(1, count // 2), max(1, count - 1), count, count + 1} - {0})
