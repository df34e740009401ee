"""A question in two halves by StudyDate: where they hold more than the whole, the archive cut it.

Orthanc's LimitFindResults, and others like it, give no more than so many records to a question.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from dataclasses import replace

from broker.matching import Value, compiled
from broker.query import Condition, Match
from catalog.capability import Kind
from catalog.keywords import keyword

DOUBT = "end_not_shown"  # nothing more came, and whether there is more could not be found out
LEAST = 10  # an archive that gives fewer records than this to any question is not looked for


def splits(conditions: Iterable[Condition], kinds: frozenset[Kind]) -> bool:
    """Whether a question can be asked in halves, where so much of StudyDate is matched."""
    own = {c.keyword: c.kinds for c in conditions}
    free = own.get("StudyDate") in (None, frozenset({Kind.RANGE})) and "StudyTime" not in own
    return free and Kind.RANGE in kinds


def middle(dates: Iterable[str]) -> datetime.date | None:
    """The last day of the earlier half; None where there are no two days."""
    days = sorted(day for day in map(_day, dates) if day is not None)
    if len(set(days)) < 2:
        return None
    found = days[(len(days) - 1) // 2]
    return found if found < days[-1] else max(day for day in days if day < found)


def sides(conditions: Iterable[Condition], last: datetime.date) -> list[tuple[Condition, ...]]:
    """The conditions up to a day, and after it."""
    given = tuple(conditions)
    others = tuple(c for c in given if c.keyword != "StudyDate")
    own = next((c.matches[0] for c in given if c.keyword == "StudyDate"), Match(Kind.RANGE))
    after = last + datetime.timedelta(days=1)
    ranges = (replace(own, high=f"{last:%Y%m%d}"), replace(own, low=f"{after:%Y%m%d}"))
    return [(*others, Condition(keyword("StudyDate"), (each,))) for each in ranges]


def kept_to(dates: Iterable[Value], conditions: Iterable[Condition]) -> bool:
    """Whether a half was applied: no date that came is outside it."""
    tests = [compiled(c) for c in conditions if c.keyword == "StudyDate"]
    return not any(test(date) is False for date in dates for test in tests)


def _day(text: str) -> datetime.date | None:
    try:
        return datetime.datetime.strptime(text, "%Y%m%d").date()
    except ValueError:
        return None
