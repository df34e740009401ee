"""Dates and times as periods: what lies inside, outside, or across an edge (PS3.4 C.2.2.2.5)."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from broker.language.terms import Condition, Match
from broker.meaning import values
from broker.meaning.logic import Truth
from catalog.capability import Kind

Limits = tuple[int | None, int | None]

_ANY_OFFSET = values.EAST * 60_000_000  # how far a DT without an offset may be from one that has one


def span_test(vr: str, match: Match) -> Callable[[str], Truth]:
    """A date or time condition as a function of a text.

    True where the value lies wholly inside, False where it lies wholly outside; a value that was
    written less exactly than the condition asks, and lies across the edge, is unknown. So is a DT
    without an offset near the edge of a condition that has one, for nobody knows its time zone.
    """
    read, (low, high) = values.SPANS[vr], limits(vr, match)
    zoned = vr == "DT" and values.zoned(match.low or match.high or match.text)

    def one(value: str) -> Truth:
        span = read(value)
        if span is not None and vr == "DT" and values.zoned(value) is not zoned:
            span = span[0] - _ANY_OFFSET, span[1] + _ANY_OFFSET
        return None if span is None else within(span, (low, high))

    return one


def limits(vr: str, match: Match) -> Limits:
    """First and last moment of a date or time condition; None where it is open."""
    read = values.SPANS[vr]
    low, high = (match.low, match.high) if match.kind is Kind.RANGE else (match.text, match.text)
    first, last = read(low) if low else None, read(high) if high else None
    return first[0] if first else None, last[1] if last else None


def within(span: values.Span, limits: Limits) -> Truth:
    """Whether a period lies inside limits: wholly, not at all, or in part (unknown)."""
    low, high = limits
    if (low is None or low <= span[0]) and (high is None or span[1] <= high):
        return True
    if (low is not None and span[1] < low) or (high is not None and span[0] > high):
        return False
    return None


def combined(among: Iterable[Condition]) -> list[tuple[Condition, Condition]]:
    """Pairs of a date range and a time range that are one interval (PS3.4 C.2.2.2.5.4).

    Only where both have the same form (`a-b`, `a-` or `-b`); otherwise each holds for itself.
    """
    by_name = {c.keyword: c for c in among if c.kinds == {Kind.RANGE}}
    dates = [(c, by_name.get(f"{name[:-4]}Time")) for name, c in by_name.items() if c.key.vr == "DA"]
    return [(date, time) for date, time in dates if time is not None and _form(date) == _form(time)]


def _form(c: Condition) -> tuple[bool, bool]:
    return bool(c.matches[0].low), bool(c.matches[0].high)


def interval(date: Condition, time: Condition) -> Callable[[str, str], Truth]:
    """A date range and a time range as ONE interval, from date-time to date-time.

    PS3.18 8.3.4.1.1 says that it shall be performed. A record without a time means its whole day:
    unknown only on the first and the last day.
    """
    days, clock = limits("DA", date.matches[0]), limits("TM", time.matches[0])
    low, high = (
        None if day is None or moment is None else values.moment(day, moment)
        for day, moment in zip(days, clock, strict=True)
    )

    def one(day: str, hour: str) -> Truth:
        span = values.date(day)
        if span is None:
            return None
        first, last = values.time(hour) or (0, values.DAY - 1)
        return within((values.moment(span[0], first), values.moment(span[1], last)), (low, high))

    return one


def spelled(vr: str, end: str, side: int) -> str:
    """The first (`side` 0) or the last moment of a date or time in full, with its offset if it has one."""
    if vr == "DA" or not end:
        return end
    if vr == "TM":
        return _clock(values.time(end), side)
    offset = end[-5:] if values.zoned(end) else ""
    local = end.removesuffix(offset)
    days, clock = values.date(local[:8]), values.time(local[8:]) if local[8:] else (0, values.DAY - 1)
    return f"{days[side]:08d}{_clock(clock, side)}{offset}" if days else ""


def _clock(span: values.Span | None, side: int) -> str:
    seconds, rest = divmod(span[side] if span else 0, 1_000_000)
    whole = f"{seconds // 3600:02d}{seconds // 60 % 60:02d}{seconds % 60:02d}"
    return f"{whole}.{rest:06d}" if rest else whole
