"""The values of a condition, from the text of the query language into kinds of matching."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NoReturn

from broker.errors import BadQuery
from broker.language import hints
from broker.language.terms import Match
from broker.meaning import values
from catalog.capability import Kind
from catalog.keywords import Keyword

EMPTY = '""'

_QUOTED = r' *"(?:[^"]|"")*+" *'
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_CONTROL_IN_TEXT = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\x7f]")  # not TAB, LF, FF and CR (PS3.5 6.1.3)
_GROUPS = 3  # component groups of a person name (PS3.5 6.2.1.1)


def split(value: str, vr: str) -> list[str]:
    """The values of a text, at commas outside double quotes; `""` inside quotes is a quote.

    At backslashes too, where a value cannot hold one: so DICOM writes several (PS3.5 6.4).
    """
    marks = "," if vr in values.KEEPS_BACKSLASH else r",\\"
    one = re.compile(rf"(?P<quoted>{_QUOTED})(?=[{marks}]|\Z)|[^{marks}]*")
    found, at = [], 0
    while at <= len(value):
        part = one.match(value, at)
        assert part is not None  # noqa: S101 - the second alternative matches anything, even nothing
        found.append(_unquoted(part[0]) if part["quoted"] else part[0])
        at = part.end() + 1
    return found


def _unquoted(text: str) -> str:
    bare = text.strip(" ")
    return bare if bare == EMPTY else bare[1:-1].replace('""', '"')


def matches(key: Keyword, sign: str, given: list[str]) -> tuple[Match, ...]:
    """The values of a condition, each once and in one order, for any-of has none; () is universal.

    Raises BadQuery for whatever the attribute cannot be asked.
    """
    for value in given:
        _writable(key, value)
    if sign == "=" and len(given) == 1 and not values.text(given[0], key.vr).strip("*"):
        return ()
    parts = [v for v in given if v.strip(" ")] if key.vr == "UI" else given
    read = {contains(key, v) if sign == "~" else _match(key, v) for v in parts} or _nothing(key)
    return tuple(sorted(read, key=lambda m: (m.kind.value, m.text, m.low, m.high)))


def _nothing(key: Keyword) -> NoReturn:
    raise BadQuery(f"{key.name}: an empty value or a lone * among several; leave it out")


def _writable(key: Keyword, value: str) -> None:
    """Refuse what no value can hold: half characters, control characters, separators (PS3.5 6.1.3, 6.4)."""
    if not value.isprintable():
        bare = values.text(value, key.vr)
        control = _CONTROL_IN_TEXT if key.vr in values.KEEPS_LEADING_SPACE else _CONTROL
        if control.search(bare):
            raise BadQuery(f"{key.name}: a control character in the value, which VR {key.vr} cannot hold")
        if any("\ud800" <= c <= "\udfff" for c in bare):
            raise BadQuery(f"{key.name}: the value is not valid Unicode")
    if "\\" in value and key.vr not in values.KEEPS_BACKSLASH:
        raise BadQuery(f"{key.name}: a backslash separates values in VR {key.vr} and cannot be part of one")


def _match(key: Keyword, value: str) -> Match:
    bare = values.text(value, key.vr)
    if bare == EMPTY:
        return Match(Kind.EMPTY)
    if not bare.strip("*"):
        _nothing(key)
    if key.vr in values.DATES:
        return _moment(key, bare)
    if key.vr == "PN":
        _named(key, bare)
    if re.search(r"[*?]", bare):
        return _wildcard(key, bare)
    return Match(Kind.SINGLE, _single(key, bare))


def contains(key: Keyword, value: str) -> Match:
    """A match for text anywhere in the value, in any case. Raises BadQuery for VRs without text."""
    if key.vr not in values.WILD:
        raise BadQuery(f"{key.name}~{value}: contains works on text, {key.name} has VR {key.vr}")
    if not value.strip() or value == EMPTY:
        raise BadQuery(f"{key.name}~: nothing to look for")
    return Match(Kind.CONTAINS, value)


def _wildcard(key: Keyword, value: str) -> Match:
    if key.vr not in values.WILD:
        raise BadQuery(f"{key.name}={value}: no wildcards in VR {key.vr} (PS3.4 C.2.2.2.4)")
    return Match(Kind.WILDCARD, re.sub(r"\*{2,}", "*", value))


def _named(key: Keyword, value: str) -> None:
    groups = values.name_groups(value)
    if len(groups) > _GROUPS:
        raise BadQuery(f"{key.name}={value}: a person name has at most three groups (PS3.5 6.2.1.1)")
    if not any(groups):
        raise BadQuery(f"{key.name}={value}: there is no name in it")


_READERS = {
    "UI": (values.uid, "in digits and dots, at most 64"),
    "AS": (values.age, "such as 066Y or 003M"),
    "AT": (values.tag, "as a tag, such as 00080060"),
    **dict.fromkeys(values.NUMBERS, (values.number, "as a number")),
    **dict.fromkeys(values.INTEGERS, (values.integer, "as a whole number")),
}


def _single(key: Keyword, value: str) -> str:
    reader, form = _READERS.get(key.vr, (None, ""))
    if reader is not None and reader(value) is None:
        ranged = key.vr in values.NUMBERS and "-" in value[1:]
        extra = "; ranges of numbers are not part of DICOM matching" if ranged else ""
        raise BadQuery(f"{key.name}={value}: not a value of VR {key.vr}, which is written {form}{extra}")
    return values.tag(value) or value if key.vr == "AT" else value


_FORMS = {"DA": "YYYYMMDD", "TM": "HHMMSS", "DT": "YYYYMMDDHHMMSS"}


def _moment(key: Keyword, value: str) -> Match:
    """A date or time, a period, or a range of them (PS3.4 C.2.2.2.5)."""
    read = values.SPANS[key.vr]
    single = "-" not in value or (key.vr == "DT" and not _YEARS.fullmatch(value))
    alone = read(value) if single else None
    if alone is not None and (key.vr != "DA" or alone[0] == alone[1]):
        return Match(Kind.SINGLE, _plain(key.vr, value, 0))
    ends = (value, value) if alone is not None else _ends(key.vr, value)
    if ends is None:
        form = _FORMS[key.vr]
        forms = f"{form}, {form}-{form}, {form}- or -{form}"
        meant = hints.dated(key.name, value) if key.vr == "DA" else ""
        raise BadQuery(f"{key.name}={value}: not a {key.vr} value; write {forms}{meant}")
    _ordered(key, value, *ends)
    low, high = (_plain(key.vr, end, side) for side, end in enumerate(ends))
    return Match(Kind.RANGE, low=low, high=high)


_YEARS = re.compile(r"\d{4}-\d{4}")  # as DT this could be a year and its offset: a range, then


def _ends(vr: str, value: str) -> tuple[str, str] | None:
    """The two ends of a range, or None. In a DT, `-` may also begin the offset of an end."""
    read = values.SPANS[vr]
    dashes = (dash.start() for dash in re.finditer("-", value))
    found = [(value[:at].strip(" "), value[at + 1 :].strip(" ")) for at in dashes]
    good = [ends for ends in found if any(ends) and all(not end or read(end) for end in ends)]
    return next((ends for ends in good if vr == "DT" or "-" not in "".join(ends)), None)


def _ordered(key: Keyword, value: str, low: str, high: str) -> None:
    """Refuse a range that goes backwards, or whose ends cannot be compared."""
    if not (low and high):
        return
    read = values.SPANS[key.vr]
    first, last = read(low), read(high)
    if first and last and first[0] > last[1]:
        raise BadQuery(f"{key.name}={value}: the range is reversed")
    if key.vr == "DT" and values.zoned(low) is not values.zoned(high):
        raise BadQuery(f"{key.name}={value}: give both ends an offset from UTC, or neither")


def _plain(vr: str, end: str, side: int) -> str:
    """An end of a range without the marks of old forms; a shortened date as its first or last day."""
    if vr == "TM":
        return end.replace(":", "")
    span = values.date(end) if vr == "DA" and end else None
    return f"{span[side]:08d}" if span else end


def listed(value: object) -> list[str]:
    """Values given in Python: a text, a number, or several of them. Raises BadQuery for anything else."""
    several = value if isinstance(value, Iterable) and not isinstance(value, str | bytes) else [value]
    found = list(several)
    if not all(isinstance(v, str | int | float) and not isinstance(v, bool) for v in found):
        raise BadQuery(f"not a value: {value!r}; write text, a number, or a list of them")
    return [str(v) for v in found]
