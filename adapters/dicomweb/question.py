"""One QIDO-RS question under way: how it is asked, what came of it, what is known of the server's pages."""

from __future__ import annotations

from collections.abc import Awaitable, Hashable
from dataclasses import dataclass, field
from typing import Protocol

from adapters.shared.halves import LEAST
from broker.adapter import Page
from broker.matching import Value
from broker.query import Condition
from catalog.capability import Proof

Row = tuple[Value, ...]

BEHIND = "pages_cut_short"  # records stood behind a page that looked like the last one


class Get(Protocol):
    """One page of a question."""

    def __call__(
        self, limit: int | None, offset: int, asked: tuple[Condition, ...] | None = None
    ) -> Awaitable[Page]:
        """`limit` None: without one. `asked`: other conditions than those of the question."""
        ...


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

    honest  questions, by their form, whose limit was shown to count matches
    early   those whose limit counts candidates, before the filter
    fits    the most records that came in a page;  short: those of a page shorter than asked for, if more came
    reach   so many records it gives to one question, if it has them
    whole   the most records in an answer that two halves showed to be whole
    cap     the most records that it gives to any question, where that was found out
    held    what was asked through -> how many entities that has
    alone   whether series are listed without naming a study
    """

    honest: set[Hashable] = field(default_factory=set)
    early: set[Hashable] = field(default_factory=set)
    fits: int = 0
    short: int | None = None
    reach: int = 0
    whole: int = 0
    cap: int | None = None
    held: dict[str, int] = field(default_factory=dict)
    alone: Proof = Proof.OPEN


@dataclass(slots=True)
class Question:
    """One question.

    form        what questions have in common that a server treats alike: level, keywords, kinds, characters
    conditions  what is asked
    columns     of rows;  unique: the place of the one that tells records apart
    split       whether it may be asked in halves, by StudyDate
    among       what is asked through: a level, or one study;  told: how many that has, where it was said
    limit       no more records than this are of use
    """

    get: Get
    paging: Paging
    habits: Habits
    form: tuple[Hashable, ...]
    conditions: tuple[Condition, ...]
    columns: tuple[str, ...]
    unique: int
    split: bool
    limit: int | None
    among: str
    told: int | None = None
    seen: dict[Value, None] = field(default_factory=dict)
    dates: dict[Value, str] = field(default_factory=dict)
    total: int = 0
    turns: bool = False  # whether records were found behind an offset

    @property
    def filters(self) -> bool:
        """Whether pages may be cut before the conditions are applied."""
        few = self.told is not None and self.told <= min(self.paging.size, max(self.habits.fits, LEAST))
        return bool(self.conditions) and not few

    @property
    def enough(self) -> bool:
        """Whether no more records are of use."""
        return self.limit is not None and len(self.seen) >= self.limit

    def fresh(self, page: Page) -> list[Row]:
        """The rows that did not come before."""
        return [row for row in page.rows if row[self.unique] not in self.seen]

    def note(self, page: Page) -> None:
        """Remember what came."""
        if self.split:
            at = self.columns.index("StudyDate")
            self.dates |= {
                row[self.unique]: day for row in self.fresh(page) if isinstance(day := row[at], str)
            }
        self.seen.update((row[self.unique], None) for row in page.rows)
        self.total += len(page.rows) + page.bad
        self.habits.fits = max(self.habits.fits, len(page.rows))
        self.habits.reach = max(self.habits.reach, len(self.seen))

    async def bare(self, limit: int, offset: int) -> list[Row]:
        """A page of all that the server has of this level."""
        return (await self.get(limit, offset, ())).rows

    async def ends_with(self, key: Value, offset: int, asked: tuple[Condition, ...] | None = None) -> bool:
        """Whether this record stands at an offset, and nothing behind it."""
        return [row[self.unique] for row in (await self.get(2, offset, asked)).rows] == [key]

    async def offsets(self) -> bool:
        """Whether records are found behind an offset, and none behind the last that came."""
        return self.turns or await self.ends_with(next(reversed(self.seen)), self.total - 1)

    def remark(self, *notes: str) -> Page:
        """A page that only says something."""
        return Page(self.columns, [], notes=notes)
