"""What a class of tests says of its archive, and the few things that every test does."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, aclosing
from typing import Any, TypeVar

import pytest

from broker.adapter import Adapter, Ask, Closes, Learns, Page
from broker.conform.held import Held, Key, Record
from broker.errors import ArchiveError
from broker.plan import Wish
from broker.planning.trust import Distrust
from broker.query import Query
from broker.report import Report
from broker.run import Asking, Done
from catalog.capability import Can
from catalog.keywords import Level

T = TypeVar("T")
Opened = AbstractAsyncContextManager[Adapter]

SHOWN = 8  # faults that one test names


class Base:
    """The archive under test: what it holds, and how to bring it into trouble."""

    records: Mapping[Level, Iterable[Mapping[str, Any]]]
    """Level -> the records that the archive holds, keyword -> value as it holds them."""

    whole: bool = True
    """Whether `records` are everything that it holds. If not, that nothing else comes cannot be tested."""

    scans: bool = True
    """Whether it can be listed whole, without any condition."""

    paged: bool = True
    """Whether it gives its records in several pages. Then `archive` must make pages so small that it does."""

    names: Mapping[Level, tuple[str, ...]] = {}
    """Level -> keywords that tell one record from another, where that is not the UID of the level."""

    asked: frozenset[str] | None = None
    """Keywords on which conditions are made; None: all. For archives that promise very many."""

    secrets: Sequence[str] = ()
    """Texts, as of credentials, that must never be seen."""

    seconds: float = 180.0
    """How long one test may take."""

    def archive(self) -> Opened:
        """The archive, running for as long as the context lasts, and an adapter that speaks to it."""
        raise NotImplementedError("archive() must return an async context manager that gives the adapter")

    def hanging(self) -> Opened | None:
        """The same where the archive takes every question and answers none; None if that cannot be had."""
        return None

    def failing(self) -> Sequence[tuple[type[ArchiveError], Opened]]:
        """Archives in trouble, each with the error that a question to it must end in."""
        return ()

    def received(self) -> Sequence[str] | None:
        """The requests that the archive received, oldest first, as the adapter's `request` writes them."""
        return None

    # what follows is for the tests

    @property
    def held(self) -> Held:
        """The known records, ready to be judged."""
        names = {level: (level.uid,) for level in Level} | dict(self.names)
        return Held(self.records, names)

    def run(self, work: Callable[[Adapter], Awaitable[T]], opened: Opened | None = None) -> T:
        """The result of something done with the adapter, in a loop of its own."""

        async def main() -> T:
            async with asyncio.timeout(self.seconds), opened or self.archive() as adapter:
                try:
                    return await work(adapter)
                finally:
                    await close(adapter)

        return in_own_loop(main())

    def levels(self, can: Can) -> list[Level]:
        """The levels that it answers and of which records are known."""
        found = [level for level in sorted(can.levels) if level in self.held]
        must(found, f"no records are known at its levels {sorted(level.name for level in can.levels)}")
        return found

    def whole_ask(self, can: Can, level: Level) -> Ask:
        """Everything of a level, with all that is known of it."""
        if not self.scans:
            pytest.skip("scans = False: it cannot be listed whole")
        return Ask(level, (), self.fields(can, level))

    def asks(self, keyword: str) -> bool:
        """Whether conditions are made on a keyword."""
        return self.asked is None or keyword in self.asked

    def fields(self, can: Can, level: Level) -> tuple[str, ...]:
        """What may come back at a level, of what is known."""
        known = [*dict(self.names).get(level, ()), level.uid, *self.held.keywords(level)]
        return tuple(k for k in dict.fromkeys(known) if can.at(level).gives(k))

    def keys(self, level: Level, pages: Iterable[Page]) -> list[Key]:
        """The keys of what came, in its order."""
        return [self.held.key(level, record) for record in records_of(pages)]


async def close(adapter: Adapter) -> None:
    """Let the adapter go."""
    if isinstance(adapter, Closes):
        await adapter.close()


async def learned(adapter: Adapter) -> Can:
    """What the archive can, with what was open found out."""
    return await adapter.learn() if isinstance(adapter, Learns) else adapter.can


async def came(adapter: Adapter, ask: Ask) -> list[Page]:
    """The pages of one question. Any error is a fault: the archive is well."""
    try:
        async with aclosing(adapter.find(ask)) as pages:  # type: ignore[type-var]
            return [page async for page in pages]
    except ArchiveError as error:
        raise AssertionError(f"{told(ask)}: it failed: {error} ({error.reason})") from error
    except Exception as error:
        raise AssertionError(f"{told(ask)}: {type(error).__name__} is not an ArchiveError") from error


async def through(adapter: Adapter, query: Query, **wish: Any) -> tuple[list[Page], Report]:
    """What the broker gives of the archive, and its report. Every question is the first one."""
    pages: list[Page] = []
    asking = Asking(query, [adapter], [Wish(scan=True, **wish)], timeout=60.0, distrust=Distrust())
    async with asking as events:
        async for event in events:
            if isinstance(event, Done):
                report = event.report
            else:
                pages.append(event.page)
    return pages, report


def records_of(pages: Iterable[Page]) -> list[Record]:
    """The rows of pages as mappings."""
    return [dict(zip(page.keywords, row, strict=True)) for page in pages for row in page.rows]


def told(ask: Ask) -> str:
    """A question, for people."""
    conditions = " ".join(map(str, ask.conditions)) or "everything"
    return f"{ask.level.name} {conditions}" + (f" limit {ask.limit}" if ask.limit else "")


def must(holds: object, text: str) -> None:
    """Fail the test, saying why."""
    __tracebackhide__ = True
    if not holds:
        raise AssertionError(text)


def none_of(faults: Sequence[str], what: str) -> None:
    """Fail the test if there are faults, naming the first of them."""
    __tracebackhide__ = True
    more = f"\n  and {len(faults) - SHOWN} more" if len(faults) > SHOWN else ""
    must(not faults, f"{what}:\n  " + "\n  ".join(faults[:SHOWN]) + more)


def in_own_loop(work: Awaitable[T]) -> T:
    """Like `asyncio.run`, but a thread that an adapter left blocked does not block the tests too."""
    loop = asyncio.new_event_loop()

    async def main() -> T:
        return await work

    try:
        return loop.run_until_complete(main())
    finally:
        rest = asyncio.all_tasks(loop)
        for task in rest:
            task.cancel()
        if rest:
            loop.run_until_complete(asyncio.wait(rest, timeout=2))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
