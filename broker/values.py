"""How the text of a DICOM value is read for comparing, by VR (PS3.5 6.2).

Each reader returns None when the text cannot be read: then nothing is known about the value, and
nothing is guessed. Readers are also used for queries, where unreadable means impossible.
"""

from __future__ import annotations

import calendar
import re
import unicodedata
from decimal import Decimal, InvalidOperation

WILD = frozenset({"AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"})
DATES = frozenset({"DA", "TM", "DT"})
NUMBERS = frozenset({"IS", "DS", "FL", "FD", "SL", "SS", "SV", "UL", "US", "UV"})
NOT_MATCHABLE = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UN", "OB or OW", "US or SS"})
KEEPS_LEADING_SPACE = frozenset({"LT", "ST", "UT"})

DAY = 86_400_000_000  # microseconds

_DATE = re.compile(r"(\d{4})(?:([.-]?)(\d{2})(?:\2(\d{2}))?)?")
_TIME = re.compile(r"(\d{2})(?::?(\d{2})(?::?(\d{2})(?:\.(\d{1,6}))?)?)?")
_DT = re.compile(r"(\d{4,14})(?:\.(\d{1,6}))?([+-]\d{4})?")
_AGE = re.compile(r"(\d{3})([DWMY])")
_UID = re.compile(r"[0-9]+(?:\.[0-9]+)*")
UID_LENGTH = 64

Span = tuple[int, int]


def text(value: str, vr: str) -> str:
    """A value without its padding; canonical composition where it is not ASCII (PS3.5 6.2)."""
    bare = value.rstrip(" \0") if vr in KEEPS_LEADING_SPACE else value.strip(" \0")
    return bare if bare.isascii() else unicodedata.normalize("NFC", bare)


def uid(value: str) -> str | None:
    """A UID without padding, or None if it is none (PS3.5 9.1)."""
    bare = value.rstrip("\0 ").lstrip(" ")
    return bare if len(bare) <= UID_LENGTH and _UID.fullmatch(bare) else None


def name_groups(value: str) -> tuple[str, ...]:
    """The component groups of a person name, folded for comparing (PS3.5 6.2.1)."""
    folded = unicodedata.normalize("NFC", unicodedata.normalize("NFC", value).casefold())
    return tuple(group.strip(" \0").rstrip("^ ") for group in folded.split("="))


def number(value: str) -> Decimal | None:
    """An IS, DS or binary number by its value (`7` = `007` = `+7`)."""
    try:
        read = Decimal(value.strip(" \0"))
    except InvalidOperation:
        return None
    return read if read.is_finite() and "_" not in value else None


def age(value: str) -> str | None:
    """An age string nnnD, nnnW, nnnM or nnnY."""
    bare = value.strip(" \0")
    return bare if _AGE.fullmatch(bare) else None


def date(value: str) -> Span | None:
    """First and last day of a date or of a part of one, as ordinals like 20200615.

    `YYYYMMDD`, the old `YYYY.MM.DD`, ISO's `YYYY-MM-DD`, and `YYYY` or `YYYYMM` for the period.
    """
    found = _DATE.fullmatch(value.strip(" \0"))
    if found is None:
        return None
    year, month, day = int(found[1]), found[3], found[4]
    if month is not None and not 1 <= int(month) <= 12:
        return None
    first_month, last_month = (int(month), int(month)) if month else (1, 12)
    if year < 1:
        return None
    last_day = calendar.monthrange(year, last_month)[1]
    if day is not None and not 1 <= int(day) <= last_day:
        return None
    first, last = (int(day), int(day)) if day else (1, last_day)
    return year * 10000 + first_month * 100 + first, year * 10000 + last_month * 100 + last


def time(value: str) -> Span | None:
    """First and last microsecond of the day that a time means (`10` = 10:00:00 to 10:59:59.999999)."""
    found = _TIME.fullmatch(value.strip(" \0"))
    if found is None:
        return None
    hour, minute, second, fraction = found.groups()
    if int(hour) > 23 or int(minute or 0) > 59 or int(second or 0) > 60:
        return None
    start = (int(hour) * 3600 + int(minute or 0) * 60 + min(int(second or 0), 59)) * 1_000_000
    if fraction:
        return start + int(fraction.ljust(6, "0")), start + int(fraction.ljust(6, "9"))
    width = 1_000_000 if second else 60_000_000 if minute else 3_600_000_000
    return start, start + width - 1


def datetime(value: str) -> Span | None:
    """First and last microsecond, counted from 1 January of year 1, that a DT means.

    An offset is applied, so that two DTs with offsets compare as instants; a DT without one is taken
    as it stands (PS3.5 6.2, PS3.4 C.2.2.2.5).
    """
    found = _DT.fullmatch(value.strip(" \0"))
    if found is None:
        return None
    digits, fraction, offset = found.groups()
    if len(digits) % 2 or (fraction and len(digits) < 14):
        return None
    days = date(digits[:8])
    clock = time(digits[8:] + (f".{fraction}" if fraction else "")) if len(digits) > 8 else (0, DAY - 1)
    shift = _offset(offset)
    if days is None or clock is None or shift is None:
        return None
    return moment(days[0], clock[0]) - shift, moment(days[1], clock[1]) - shift


def _offset(value: str | None) -> int | None:
    if value is None:
        return 0
    hours, minutes = int(value[1:3]), int(value[3:])
    if hours > 14 or minutes > 59:
        return None
    return (1 if value[0] == "+" else -1) * (hours * 60 + minutes) * 60_000_000


def moment(day: int, microsecond: int) -> int:
    """One number for a day (20200615) and a microsecond of it, increasing with time."""
    from datetime import date as calendar_date

    return calendar_date(day // 10000, day // 100 % 100, day % 100).toordinal() * DAY + microsecond


SPANS = {"DA": date, "TM": time, "DT": datetime}
