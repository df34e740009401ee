"""Conditions that are judged together: a date with its time, and the attributes of one sequence item."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from broker.language.terms import Condition
from broker.matching import Column, Memo, Value, filled
from broker.meaning.logic import Truth, all_of, any_of
from broker.meaning.periods import combined, interval


@dataclass(frozen=True, slots=True)
class Test:
    """What is judged at once.

    keywords  the conditions in it, by keyword
    columns   where records hold the values; `judge` takes the value, or the tuple of them if several
    """

    keywords: tuple[str, ...]
    columns: tuple[str, ...]
    judge: Callable[[Any], Truth]

    def of(self, record: Mapping[str, Value]) -> Truth:
        """The answer for one record."""
        found = tuple(record.get(column) for column in self.columns)
        return self.judge(found[0] if len(found) == 1 else found)


def tests(conditions: Iterable[Condition]) -> list[Test]:
    """The conditions as the fewest tests that mean the same. Universal ones need none."""
    asked = [c for c in conditions if not c.universal]
    by_sequence: dict[str, list[Condition]] = {}
    for c in asked:
        by_sequence.setdefault(c.key.sequence, []).append(c)
    found = _apart(by_sequence.pop("", []))
    for sequence, members in by_sequence.items():
        keywords = tuple(c.keyword for c in members)
        found.append(Test(keywords, (sequence,), Memo(in_one_item(members)).__getitem__))
    return found


def _apart(conditions: list[Condition]) -> list[Test]:
    """A test per condition; a date range and its time range are one."""
    pairs = combined(conditions)
    paired = {c.keyword for pair in pairs for c in pair}
    both = [Test((d.keyword, t.keyword), (d.key.leaf, t.key.leaf), combined_test(d, t)) for d, t in pairs]
    single = [c for c in conditions if c.keyword not in paired]
    return both + [Test((c.keyword,), (c.key.leaf,), Column(c).__getitem__) for c in single]


def combined_test(date: Condition, time: Condition) -> Callable[[tuple[Value, Value]], Truth]:
    """A date range and its time range as a function of both values (PS3.4 C.2.2.2.5.4)."""
    one = interval(date, time)

    def test(pair: tuple[Value, Value]) -> Truth:
        days, hours = filled(pair[0], "DA"), filled(pair[1], "TM") or [""]
        return any_of(one(day, hour) for day in days for hour in hours) if days else None

    return test


def in_one_item(conditions: list[Condition]) -> Callable[[Value], Truth]:
    """Whether one item of a sequence satisfies all of its conditions (PS3.4 C.2.2.2.6 Sequence Matching).

    A sequence without items is judged as an item without attributes: unknown, except for empty values.
    """
    each = _apart(conditions)

    def item(given: Any) -> Truth:
        return None if isinstance(given, str) else all_of(test.of(dict(given)) for test in each)

    def test(value: Value) -> Truth:
        if isinstance(value, str):
            return None if value.strip(" \0") else item(())
        return any_of(item(given) for given in value or ((),))

    return test
