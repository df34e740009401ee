"""Applies every condition again to what an archive sent, and counts what it learns from that."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from broker.adapter import Page
from broker.matching import Column, Truth, Value, combined_test
from broker.plan import Plan, Step
from broker.weaken import combined
from catalog.capability import Can, Kind


class Checker:
    """Sorts the rows of one archive into kept, unknown and dropped.

    unknown  keyword -> rows of which this condition is unknown (and no other condition is false)
    broken   keyword -> rows that the archive had promised not to send
    """

    def __init__(self, plan: Plan, can: Can, include_unknown: bool = False) -> None:
        self.unknown: Counter[str] = Counter()
        self.broken: Counter[str] = Counter()
        self._include = include_unknown
        self._tests = list(_tests(plan))
        self._promised = {s.condition.keyword for s in plan.steps if s.exact and not _loose(s, can)}
        self._seen = {k for keywords, _ in self._tests for k in keywords if can.gives(k)}

    def sort(self, page: Page) -> Iterator[tuple[tuple[str, ...], Page]]:
        """The rows to keep, in pages by the keywords that are unknown in them: () first."""
        answers = [(keywords, self._column(page, keywords, test)) for keywords, test in self._tests]
        if all(all(column) for _, column in answers):
            yield (), page
            return
        groups: dict[tuple[str, ...], list[tuple[Value, ...]]] = {(): []}
        for row, *truths in zip(page.rows, *(column for _, column in answers), strict=True):
            if all(truths):
                groups[()].append(row)
            else:
                self._judge(row, [(a[0][0], t) for a, t in zip(answers, truths, strict=True)], groups)
        for unknown, rows in groups.items():
            yield unknown, Page(page.keywords, rows)

    def _judge(
        self,
        row: tuple[Value, ...],
        truths: Sequence[tuple[str, Truth]],
        groups: dict[tuple[str, ...], list[tuple[Value, ...]]],
    ) -> None:
        false = [keyword for keyword, truth in truths if truth is False]
        if false:
            self.broken.update(k for k in false if k in self._promised)
            return
        unknown = tuple(keyword for keyword, truth in truths if truth is None)
        self.unknown.update(unknown)
        if self._include:
            groups.setdefault(unknown, []).append(row)

    def _column(
        self, page: Page, keywords: tuple[str, ...], test: Callable[[Any], Truth]
    ) -> list[Truth]:
        """One condition on every row. An attribute that the archive never returns was taken at its word."""
        if not any(k in self._seen for k in keywords):
            return [True] * len(page.rows)
        at = [page.keywords.index(k) if k in page.keywords else None for k in keywords]
        if len(at) == 1:
            i = at[0]
            return [test(None)] * len(page.rows) if i is None else [test(row[i]) for row in page.rows]
        return [test(tuple(None if i is None else row[i] for i in at)) for row in page.rows]


def _tests(plan: Plan) -> Iterator[tuple[tuple[str, ...], Callable[[Any], Truth]]]:
    """A test per condition; a date range and its time range are one."""
    conditions = tuple(step.condition for step in plan.steps if not step.condition.universal)
    pairs = combined(conditions)
    paired = {c.keyword for pair in pairs for c in pair}
    for date, time in pairs:
        yield (date.keyword, time.keyword), combined_test(date, time)
    for c in conditions:
        if c.keyword not in paired:
            yield (c.keyword,), Column(c).__getitem__


def _loose(step: Step, can: Can) -> bool:
    """Whether the archive is known to match in any case, so that too many records break no promise."""
    return Kind.ANY_CASE in can.kinds(step.condition.keyword)
