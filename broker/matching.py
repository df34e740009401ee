"""Whether a value satisfies a condition: PS3.4 C.2.2.2 in one place.

Every answer is True, False or None. None is *unknown*: the archive gave no value, or one that cannot be
read, and PS3.4 C.2.2.1.2 leaves open what that means. The rules by VR stand in `values`, the query
language in `query`; here the two meet. A condition is compiled once into a function of a value.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from broker import values
from broker.query import Condition, Match, condition
from catalog.capability import Kind

Value = str | tuple[str, ...] | None
"""What an archive said of one attribute: text, several texts, "" for empty, None for nothing at all."""

Truth = bool | None
Test = Callable[[Value], Truth]
One = Callable[[str], Truth]


def truth(keyword: str, query: str, value: str | Sequence[str] | None) -> Truth:
    """Whether a value satisfies a condition, as the query language writes it.

    >>> truth("PatientName", "smith^j*", "SMITH^JOHN")
    True
    >>> truth("StudyDate", "20200615", "") is None
    True

    Raises BadQuery for an impossible condition.
    """
    given = value if value is None or isinstance(value, str) else tuple(value)
    return compiled(condition(f"{keyword}={query}"))(given)


def compiled(asked: Condition) -> Test:
    """The condition as a function of a value; any one of a multi-valued attribute may match."""
    if asked.universal:
        return lambda value: True
    ones = [_one(asked.key.vr, m) for m in asked.matches if m.kind is not Kind.EMPTY]
    wants_empty = len(ones) < len(asked.matches)

    def test(value: Value) -> Truth:
        filled = _items(value)
        if not filled:
            return True if wants_empty else None
        return _any(one(item) for item in filled for one in ones) if ones else False

    return test


def _any(answers: Iterable[Truth]) -> Truth:
    """True if one is, else unknown if one is, else false (PS3.4 C.2.2.2.1: one value suffices)."""
    result: Truth = False
    for answer in answers:
        if answer:
            return True
        if answer is None:
            result = None
    return result


class Column(dict[Value, Truth]):
    """Answers by value, each computed once: `list(map(column.__getitem__, values))` tests a page."""

    LIMIT = 200_000  # distinct values; a column of identifiers must not grow without end

    def __init__(self, asked: Condition) -> None:
        super().__init__()
        self._test = compiled(asked)

    def __missing__(self, value: Value) -> Truth:
        if len(self) >= self.LIMIT:
            self.clear()
        answer = self[value] = self._test(value)
        return answer


def _one(vr: str, match: Match) -> One:
    if match.kind is Kind.CONTAINS:
        return _contains(match.text)
    if vr in values.SPANS:
        return _span(vr, match)
    if vr == "PN":
        return _name(match)
    if match.kind is Kind.WILDCARD:
        return _wildcard(vr, match.text)
    return _single(vr, match.text)


def _contains(text: str) -> One:
    """Ours, not DICOM's: the text anywhere in the value, in any case."""
    wanted = _fold(text)
    return lambda value: wanted in _fold(value)


def _fold(text: str) -> str:
    return text.casefold() if text.isascii() else values.text(values.text(text, "UT").casefold(), "UT")


def _single(vr: str, text: str) -> One:
    """Single value matching, case-sensitive; numbers, UIDs by their value (PS3.4 C.2.2.2.1, CP-2305)."""
    if vr in values.NUMBERS:
        wanted = values.number(text)
        return _readable(values.number, lambda read: read == wanted)
    if vr == "UI":
        return _readable(values.uid, lambda read: read == text.rstrip("\0 "))
    if vr == "AS":
        return _readable(values.age, lambda read: read == text)
    bare = values.text(text, vr)
    return lambda value: values.text(value, vr) == bare


T = TypeVar("T")


def _readable(read: Callable[[str], T | None], test: Callable[[T], bool]) -> One:
    """False and True only for what can be read: nothing is known of the rest."""

    def one(value: str) -> Truth:
        found = read(value)
        return None if found is None else test(found)

    return one


def pattern(text: str) -> re.Pattern[str]:
    """A wildcard value as an expression that matches in linear time (PS3.4 C.2.2.2.4).

    Between two `*` the first place that fits is as good as any later one, hence the atomic groups:
    there is nothing to go back to.
    """
    first, *rest = (_literal(part) for part in re.sub(r"\*+", "*", text).split("*"))
    if not rest:
        return re.compile(rf"{first}\Z", re.DOTALL)
    middle = "".join(f"(?>.*?{part})" for part in rest[:-1] if part)
    return re.compile(rf"{first}{middle}.*{rest[-1]}\Z", re.DOTALL)


def _literal(part: str) -> str:
    return re.escape(part).replace(r"\?", ".")


def _wildcard(vr: str, text: str) -> One:
    fits = pattern(values.text(text, vr)).match
    return lambda value: fits(values.text(value, vr)) is not None


def _name(match: Match) -> One:
    """A person name: in any case, in any of its component groups (PS3.4 C.2.2.2.1, PS3.5 6.2.1.1).

    A condition that has groups itself must hold in each group that it fills.
    """
    wanted = values.name_groups(match.text)
    tests = [_group(text) if text else None for text in wanted]
    if len(tests) == 1 and tests[0] is not None:
        only = tests[0]
        return lambda value: any(only(group) for group in values.name_groups(value))

    def one(value: str) -> Truth:
        groups = values.name_groups(value) + ("",) * len(tests)
        return all(test(group) for test, group in zip(tests, groups, strict=False) if test)

    return one


def _group(text: str) -> Callable[[str], bool]:
    if not re.search(r"[*?]", text):
        return lambda group: group == text
    fits = pattern(text).match
    carets = text.count("^")

    def test(group: str) -> bool:
        # SMITH means SMITH^^^^, so that SMITH^* finds it
        padded = group + "^" * (carets - group.count("^"))
        return bool(group) and (fits(group) is not None or fits(padded) is not None)

    return test


def _span(vr: str, match: Match) -> One:
    """Dates and times as periods (PS3.4 C.2.2.2.5).

    True where the value lies wholly inside, False where it lies wholly outside; a value that was
    written less exactly than the condition asks, and lies across the edge, is unknown.
    """
    read = values.SPANS[vr]
    low, high = limits(vr, match)
    return _inside(read, low, high)


def limits(vr: str, match: Match) -> tuple[int | None, int | None]:
    """First and last moment of a date or time condition; None where it is open."""
    read = values.SPANS[vr]
    low, high = (match.low, match.high) if match.kind is Kind.RANGE else (match.text, match.text)
    first, last = read(low) if low else None, read(high) if high else None
    return first[0] if first else None, last[1] if last else None


def _inside(read: Callable[[str], values.Span | None], low: int | None, high: int | None) -> One:
    def one(value: str) -> Truth:
        span = read(value)
        return None if span is None else within(span, low, high)

    return one


def within(span: values.Span, low: int | None, high: int | None) -> Truth:
    """Whether a period lies inside limits: wholly, not at all, or in part (unknown)."""
    if (low is None or low <= span[0]) and (high is None or span[1] <= high):
        return True
    if (low is not None and span[1] < low) or (high is not None and span[0] > high):
        return False
    return None


def combined_test(date: Condition, time: Condition) -> Callable[[tuple[Value, Value]], Truth]:
    """A date range and a time range as ONE interval from date-time to date-time.

    PS3.4 C.2.2.2.5.4; PS3.18 8.3.4.1.1 says that it shall be performed. A record without a time means
    its whole day: unknown only on the first and the last day.
    """
    (days,), (clock,) = (limits("DA", m) for m in date.matches), (limits("TM", m) for m in time.matches)
    low = None if days[0] is None else values.moment(days[0], clock[0] or 0)
    high = None if days[1] is None else values.moment(days[1], values.DAY - 1 if clock[1] is None else clock[1])

    def one(day: str, hour: str) -> Truth:
        span = values.date(day)
        if span is None:
            return None
        within_day = values.time(hour) or (0, values.DAY - 1)
        whole = values.moment(span[0], within_day[0]), values.moment(span[1], within_day[1])
        return within(whole, low, high)

    def test(pair: tuple[Value, Value]) -> Truth:
        day_values, hour_values = (_items(value) for value in pair)
        hours = hour_values or [""]
        return _any(one(day, hour) for day in day_values for hour in hours) if day_values else None

    return test


def _items(value: Value) -> list[str]:
    """The values that are not empty."""
    return [item for item in ([value] if isinstance(value, str) else value or ()) if item.strip(" \0")]
