"""Applies every condition again to what an archive sent, and counts what it learns from that."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import chain

from broker.adapter import Page
from broker.language.terms import Condition
from broker.matching import Value
from broker.meaning.joint import Test, tests
from broker.meaning.logic import Truth
from broker.meaning.periods import combined
from broker.plan import Plan, loose
from catalog.capability import Can

Row = tuple[Value, ...]


class Checker:
    """Sorts the rows of one archive into kept, unknown and dropped.

    unknown  keyword -> rows of which this condition is unknown (and no other condition is false)
    broken   keyword -> rows that the archive had promised not to send

    Of conditions that are judged together, the first stands for all where rows are unknown.
    """

    def __init__(self, plan: Plan, can: Can, include_unknown: bool = False) -> None:
        self.unknown: Counter[str] = Counter()
        self.broken: Counter[str] = Counter()
        self._include = include_unknown
        self._tests = tests(_seen([s.condition for s in plan.steps], can))
        exact = {s.condition.keyword for s in plan.steps if s.exact and not loose(s, can)}
        # what each test tells about promises: nothing, where not all of it was asked there
        self._promised = [test.keywords if exact.issuperset(test.keywords) else () for test in self._tests]

    def sort(self, page: Page) -> Iterator[tuple[tuple[str, ...], Page]]:
        """The rows to keep, in pages by the keywords that are unknown in them: () first."""
        answers = [_column(page, test) for test in self._tests]
        if all(all(column) for column in answers):
            yield (), page
            return
        judged = list(zip(*answers, strict=True))
        piles = {truths: self._counted(truths, count) for truths, count in Counter(judged).items()}
        kept: dict[tuple[str, ...], list[Row]] = {(): []}
        for row, truths in zip(page.rows, judged, strict=True):
            unknown = piles[truths]
            if unknown is not None:
                kept.setdefault(unknown, []).append(row)
        for unknown, rows in kept.items():
            yield unknown, Page(page.keywords, rows)

    def _counted(self, truths: tuple[Truth, ...], count: int) -> tuple[str, ...] | None:
        """What is unknown in rows with these answers; None if they are dropped."""
        if False in truths:
            told = (names for names, truth in zip(self._promised, truths, strict=True) if truth is False)
            self.broken.update(dict.fromkeys(chain.from_iterable(told), count))
            return None
        unknown = tuple(t.keywords[0] for t, truth in zip(self._tests, truths, strict=True) if truth is None)
        self.unknown.update(dict.fromkeys(unknown, count))
        return unknown if self._include or not unknown else None


def _seen(conditions: list[Condition], can: Can) -> list[Condition]:
    """Those that can be checked. What never comes back was asked there, and is taken at its word.

    So is the time of an interval whose date does not come back: alone it says nothing (PS3.4 C.2.2.2.5.4).
    """
    back = [c for c in conditions if can.gives(c.column)]
    lost = [time for date, time in combined(conditions) if date not in back]
    return [c for c in back if c not in lost]


def _column(page: Page, test: Test) -> list[Truth]:
    """One test on every row."""
    at = [page.keywords.index(k) if k in page.keywords else None for k in test.columns]
    judge = test.judge
    if len(at) == 1:
        i = at[0]
        return [judge(None)] * len(page.rows) if i is None else [judge(row[i]) for row in page.rows]
    return [judge(tuple(None if i is None else row[i] for i in at)) for row in page.rows]
