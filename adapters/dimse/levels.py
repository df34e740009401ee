"""Questions put level by level, as hierarchical archives want them (PS3.4 C.4.1.2.1).

Studies first, then the series of each: a question below the first level names the one parent that it is
about. Where relational queries were agreed on (PS3.4 C.4.1.2.2), or a list of two parents finds what each of
them finds, many parents are named at once.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import defaultdict
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace

from adapters.dimse.pool import Pool
from adapters.dimse.rows import Decoder, identifier
from adapters.shared.ahead import eagerly
from adapters.shared.halves import LEAST
from broker.adapter import Ask, Page
from broker.errors import Malformed, RefusedByArchive, ServerFault, TooMuch
from broker.matching import Value
from broker.query import Condition, Match
from catalog.capability import Kind
from catalog.keywords import Level, keyword

Row = tuple[Value, ...]

LIST = 50  # parents in one question
MANY = 100  # from here on every number may be where an SCP cuts, below it only round ones, and one beyond
FEW = 3  # so many parents are asked for one by one, whatever the archive can


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked at one level: its conditions, and the columns of its rows, unique keys first."""

    level: Level
    conditions: tuple[Condition, ...]
    fields: tuple[str, ...]


@dataclass(slots=True)
class Given:
    """How many records an archive gave to questions of one level.

    most  the most in any answer;  whole: in one that its halves showed to be whole
    cap   the most that it gives to any question, where that was found out
    """

    most: int = 0
    whole: int = 0
    cap: int | None = None

    def cut(self, count: int) -> bool:
        """Whether an answer of so many may have been cut. It is remembered that so many came."""
        more, self.most = self.most > count, max(self.most, count)
        if self.cap is not None:
            return count >= self.cap
        usual = count >= MANY or count % 10 in (0, 1)
        return count >= LEAST and usual and not more and count > self.whole


@dataclass(slots=True)
class Known:
    """What was found out of an archive. None: not yet.

    relational  whether it takes relational queries: as declared, or as agreed on with it
    lists       whether a question may name several parents
    given       level -> what it gave to questions of that level
    """

    relational: bool | None = None
    lists: bool | None = None
    given: defaultdict[Level, Given] = field(default_factory=lambda: defaultdict(Given))


@dataclass(slots=True)
class Talk:
    """One search at one archive: where it is asked, no more than how many records, what became of them."""

    pool: Pool
    charset: str
    most: int
    known: Known
    taken: int = 0
    bad: int = 0
    notes: set[str] = field(default_factory=set)

    async def rows(self, question: Question) -> AsyncGenerator[list[Row], None]:
        """The rows that answer one question; none comes twice. Raises ArchiveError."""
        decoder = Decoder(question.fields)
        asked = identifier(question.level, question.conditions, question.fields, self.charset)
        seen: dict[Row, None] = {}
        async with aclosing(self.pool.find(asked, self.notes)) as batches:
            async for batch in batches:
                fresh = [row for row in self._read(decoder, batch) if row not in seen]
                once = dict.fromkeys(fresh)
                seen |= once
                self._count(len(batch))
                yield list(once)

    def _read(self, decoder: Decoder, batch: Iterable[bytes]) -> list[Row]:
        found = []
        for raw in batch:
            try:
                found.append(decoder.row(raw))
            except Malformed:
                self.bad += 1
        if decoder.mislabelled:
            self.notes.add("charset")
        return found

    def _count(self, records: int) -> None:
        self.taken += records
        if self.taken > self.most:
            raise TooMuch(f"more than {self.most:,} records came", "record_limit")

    def page(self, fields: Sequence[str], rows: list[Row]) -> Page:
        """Rows as a page, with what is to be said about the replies so far."""
        bad, self.bad = self.bad, 0
        return Page(tuple(fields), rows, bad, tuple(sorted(self.notes)))


def questions(ask: Ask, root: str, relational: bool) -> list[Question]:
    """A question as one per level, coarse to fine: each with the conditions and keys of its level.

    In the Study Root model the attributes of patients belong to studies (PS3.4 C.6.2.1). Where relational
    queries are supported, patients need not be asked first.
    """
    by_patient = root == "patient" and (ask.level is Level.PATIENT or not relational)
    first = Level.PATIENT if by_patient else Level.STUDY
    made = []
    for level in [n for n in Level if first <= n <= ask.level]:
        lowest = Level.PATIENT if level is first else level
        conditions = tuple(c for c in ask.conditions if lowest <= c.key.level <= level)
        own = [f for f in ask.fields if keyword(f).tag and lowest <= keyword(f).level <= level]
        above = [] if level is first else [Level(level - 1).uid]
        made.append(Question(level, conditions, tuple(dict.fromkeys([*above, level.uid, *own]))))
    return made


async def pages(
    talk: Talk, asked: Sequence[Question], rows_of: AsyncGenerator[list[Row], None]
) -> AsyncGenerator[Page, None]:
    """The answer to the last question, each row after those above it. Raises ArchiveError.

    `rows_of` are the rows that answer the first one.

    Children are asked for as soon as some parents have come: whoever needs few records leaves early, and
    what parents there were before a question failed have told theirs.
    """
    fields = asked[0].fields
    for question in asked[1:]:
        rows_of = Stage(talk, question).joined(fields, rows_of)
        fields = (*fields, *question.fields[1:])
    async with aclosing(rows_of) as batches:
        async for rows in batches:
            if rows:
                yield talk.page(fields, rows)
    if talk.bad or talk.notes:
        yield talk.page(fields, [])


class Stage:
    """One level below the first: children of parents that are known."""

    def __init__(self, talk: Talk, question: Question) -> None:
        self._talk = talk
        self._question = question
        self._known: dict[str, Row] = {}

    async def joined(
        self, fields: Sequence[str], parents: AsyncGenerator[list[Row], None]
    ) -> AsyncGenerator[list[Row], None]:
        """Rows of children, each after the row of its parent. A child of nobody known is left out."""
        at = fields.index(self._question.fields[0])
        async with eagerly(parents) as some, aclosing(self._children(self._named(some, at))) as batches:
            async for rows in batches:
                known = ((self._known.get(_told(row[0])), row) for row in rows)
                yield [parent + row[1:] for parent, row in known if parent is not None]

    async def _named(
        self, some: Callable[[int], Awaitable[list[Row]]], at: int
    ) -> AsyncGenerator[list[str], None]:
        """The keys of parents, each once: of the first as soon as they come, then enough for a list."""
        rows = await some(1)
        while rows:
            before = len(self._known)
            for row in rows:
                if _told(row[at]):
                    self._known.setdefault(_told(row[at]), row)
                else:
                    self._talk.bad += 1  # nothing can be asked about it
            yield list(itertools.islice(self._known, before, None))
            rows = await some(LIST)

    async def _children(self, parents: AsyncGenerator[list[str], None]) -> AsyncGenerator[list[Row], None]:
        """The children of every parent: of many in one question where that works."""
        listed: list[str] = []
        told: set[str] = set()
        async with aclosing(parents) as coming:
            async for keys in coming:
                together = len(keys) > FEW and await self._takes_lists(keys)
                listed += keys if together else []
                async with aclosing(self._each(keys, LIST if together else 1)) as found:
                    async for rows in found:
                        told.update(_told(row[0]) for row in rows)
                        yield rows
        left = [key for key in listed if key not in told]
        if left and not self._question.conditions:
            # a parent has children: what a list passed over is asked for by itself
            async with aclosing(self._each(left, 1)) as found:
                async for rows in found:
                    yield rows

    async def _takes_lists(self, parents: Sequence[str]) -> bool:
        """Whether a list of parents finds what each of them finds; tried once, without other conditions."""
        if self._question.level is not Level.SERIES:
            return False
        if self._talk.known.relational:
            return True
        if self._talk.known.lists is None:
            bare = replace(self._question, conditions=(), fields=self._question.fields[:2])
            trial = Stage(self._talk, bare)
            alone = await trial._all(parents[:2], 1)
            try:
                self._talk.known.lists = await trial._all(parents[:2], 2) == alone
            except (RefusedByArchive, ServerFault):
                self._talk.known.lists = False
        return self._talk.known.lists

    async def _all(self, parents: Sequence[str], size: int) -> set[Row]:
        async with aclosing(self._each(parents, size)) as batches:
            return {row async for rows in batches for row in rows}

    async def _each(self, parents: Sequence[str], size: int) -> AsyncGenerator[list[Row], None]:
        """The question about groups of so many parents, as many at once as the pool has places."""
        groups = [parents[i : i + size] for i in range(0, len(parents), size)]
        queue: asyncio.Queue[list[Row] | Exception | None] = asyncio.Queue(4 * self._talk.pool.most)
        todo = iter(groups)
        workers = min(self._talk.pool.most, len(groups))
        tasks = [asyncio.create_task(self._work(todo, queue)) for _ in range(workers)]
        try:
            while workers:
                found = await queue.get()
                if isinstance(found, Exception):
                    raise found
                if found is None:
                    workers -= 1
                else:
                    yield found
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _work(
        self, todo: Iterator[Sequence[str]], queue: asyncio.Queue[list[Row] | Exception | None]
    ) -> None:
        try:
            for group in todo:
                await self._told_of(group, queue)
            await queue.put(None)
        except Exception as error:  # noqa: BLE001 - raised again where the rows are awaited
            await queue.put(error)

    async def _told_of(
        self,
        group: Sequence[str],
        queue: asyncio.Queue[list[Row] | Exception | None],
        told: frozenset[Row] = frozenset(),
    ) -> None:
        """The children of a group; where these may be cut, what else its halves tell."""
        came: list[Row] = []
        async with aclosing(self._talk.rows(self._about(group))) as batches:
            async for rows in batches:
                came += rows
                # a record that does not name its parent belongs to the only one asked about
                lone = group[0] if len(group) == 1 else None
                fresh = (row for row in rows if row not in told)
                await queue.put([row if row[0] or not lone else (lone, *row[1:]) for row in fresh])
        if self._talk.known.given[self._question.level].cut(len(came)) and len(group) > 1:
            for half in (group[: len(group) // 2], group[len(group) // 2 :]):
                await self._told_of(half, queue, told.union(came))

    def _about(self, group: Sequence[str]) -> Question:
        """The question, of these parents; a condition on the parents' key was applied to them before."""
        key = keyword(self._question.fields[0])
        about = Condition(key, tuple(Match(Kind.SINGLE, text) for text in group))
        return replace(self._question, conditions=(about, *self._question.conditions))


def _told(value: Value) -> str:
    return value if isinstance(value, str) else ""
