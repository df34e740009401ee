"""Applies every condition again to what an archive sent, and counts what it learns from that."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from broker.adapter import Page
from broker.joint import Test, tests
from broker.logic import Truth
from broker.matching import Value
from broker.periods import combined
from broker.plan import Plan, loose
from broker.terms import Condition
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
        self._promised = {s.condition.keyword for s in plan.steps if s.exact and not loose(s, can)}
        self._tests = tests(_seen([s.condition for s in plan.steps], can))

    def sort(self, page: Page) -> Iterator[tuple[tuple[str, ...], Page]]:
        """The rows to keep, in pages by the keywords that are unknown in them: () first."""
        answers = [_column(page, test) for test in self._tests]
        if all(all(column) for column in answers):
            yield (), page
            return
        groups: dict[tuple[str, ...], list[Row]] = {(): []}
        for row, *truths in zip(page.rows, *answers, strict=True):
            if all(truths):
                groups[()].append(row)
            else:
                self._judge(row, truths, groups)
        for unknown, rows in groups.items():
            yield unknown, Page(page.keywords, rows)

    def _judge(self, row: Row, truths: Sequence[Truth], groups: dict[tuple[str, ...], list[Row]]) -> None:
        judged = list(zip(self._tests, truths, strict=True))
        false = [test.keywords for test, truth in judged if truth is False]
        if false:
            broken = [keywords for keywords in false if self._promised.issuperset(keywords)]
            self.broken.update(k for keywords in broken for k in keywords)
            return
        unknown = tuple(test.keywords[0] for test, truth in judged if truth is None)
        self.unknown.update(unknown)
        if self._include:
            groups.setdefault(unknown, []).append(row)


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
