"""How XNAT reads the value of a filter: faithfully to its ways, of which some are traps.

A comma separates alternatives. In text, `*` and `%` make it a SQL LIKE, in which `_` is any one letter. Dates
and numbers are split at their first `-`, whatever stands there: `2020-01-01` is the range 2020 to `01-01`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, datetime

from peers.xnat.fields import Column

Test = Callable[[str], bool]


class SqlError(Exception):
    """The database refuses what was made of a filter."""


def criterion(column: Column, value: str) -> Test:
    """The test that a filter makes of a value. Raises SqlError."""
    reader = {"string": _text, "date": _date, "number": _number}[column.type]
    tests = [reader(part) for part in value.split(",")]
    return lambda held: any(test(held) for test in tests)


def _text(wanted: str) -> Test:
    if "*" in wanted or "%" in wanted:
        pattern = re.compile(
            "".join({"*": ".*", "%": ".*", "_": "."}.get(c, re.escape(c)) for c in wanted), re.DOTALL
        )
        return lambda held: pattern.fullmatch(held) is not None
    return lambda held: held == wanted


def _date(wanted: str) -> Test:
    low, dash, high = wanted.partition("-")
    first = _day(low)
    last = _day(high) if dash else first
    return lambda held: bool(held) and first <= date.fromisoformat(held) <= last


def _day(text: str) -> date:
    for form in ("%m/%d/%Y", "%Y%m%d"):
        try:
            return datetime.strptime(text.strip(), form).date()
        except ValueError:
            continue
    raise SqlError(f"invalid input syntax for type date: {text!r}")


def _number(wanted: str) -> Test:
    low, dash, high = wanted.partition("-")
    try:
        first = float(low)
        last = float(high) if dash else first
    except ValueError as error:
        raise SqlError(f"invalid input syntax for type double precision: {wanted!r}") from error
    return lambda held: bool(held) and first <= float(held) <= last
