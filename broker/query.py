"""The query language: a level, and conditions by DICOM keyword, read into kinds of matching.

    Modality=CT                   single value
    Modality=CT,MR                any of several values (ours; a comma inside quotes is a comma)
    StudyInstanceUID=1.2.3\\1.2.4  list of UIDs as DICOM writes it (PS3.4 C.2.2.2.2)
    BodyPartExamined=LUNG*        wildcards * and ? (PS3.4 C.2.2.2.4)
    StudyDate=2010-20151231       range, inclusive, either end open (PS3.4 C.2.2.2.5)
    SeriesDescription~flair       contains, any case (ours)
    StudyDescription='""'         empty value (PS3.4 C.2.2.2.6)
    PatientName=*                 universal: matches everything (PS3.4 C.2.2.2.3)
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from broker import values
from broker.errors import BadQuery
from catalog.capability import Kind
from catalog.keywords import Keyword, Level, UnknownKeyword, keyword


@dataclass(frozen=True, slots=True)
class Match:
    """One value of a condition: the kind of matching and its text (`low` and `high` for a range)."""

    kind: Kind
    text: str = ""
    low: str = ""
    high: str = ""

    def __str__(self) -> str:
        """The value as DICOM writes it."""
        if self.kind is Kind.RANGE:
            return f"{self.low}-{self.high}"
        return '""' if self.kind is Kind.EMPTY else self.text


@dataclass(frozen=True, slots=True)
class Condition:
    """A keyword and the values of which at least one must match. No values: universal matching."""

    key: Keyword
    matches: tuple[Match, ...]

    @property
    def keyword(self) -> str:
        """The DICOM keyword."""
        return self.key.name

    @property
    def kinds(self) -> frozenset[Kind]:
        """The kinds of matching that an archive needs to apply this condition."""
        found = {m.kind for m in self.matches}
        return frozenset(found | {Kind.ANY_OF} if len(self.matches) > 1 else found)

    @property
    def universal(self) -> bool:
        """Whether it matches everything, absent values too (PS3.4 C.2.2.2.3)."""
        return not self.matches

    def __str__(self) -> str:
        """The condition as the query language writes it."""
        if self.universal:
            return f"{self.keyword}=*"
        sign = "~" if self.matches[0].kind is Kind.CONTAINS else "="
        return f"{self.keyword}{sign}{','.join(_quoted(str(m)) for m in self.matches)}"


def _quoted(value: str) -> str:
    return f'"{value}"' if "," in value else value


class Query:
    """A question: entities of a level that satisfy every condition.

    >>> Query("series", Modality="CT", BodyPartExamined="LUNG*", StudyDate="2010-")
    Query('SERIES', 'BodyPartExamined=LUNG*', 'Modality=CT', 'StudyDate=20100101-')
    >>> Query("STUDY", "StudyDescription~chest", Modality=["CT", "MR"]).conditions[1].keyword
    'StudyDescription'

    Conditions are texts of the query language, or keyword arguments with a text or a list of values.
    They are kept in the order of their keywords, so that equal questions are equal queries.
    Raises BadQuery for anything that cannot be meant.
    """

    __slots__ = ("conditions", "level")

    def __init__(self, level: str | Level, *texts: str, **named: str | Iterable[str]) -> None:
        self.level = read_level(level)
        found = [condition(t) for t in texts]
        found += [_condition(name, "=", value) for name, value in named.items()]
        self.conditions = tuple(sorted(found, key=lambda c: c.keyword))
        _once_each(self.conditions)

    def __repr__(self) -> str:
        return f"Query({', '.join([repr(self.level.name), *(repr(str(c)) for c in self.conditions)])})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Query):
            return NotImplemented
        return (self.level, self.conditions) == (other.level, other.conditions)

    def __hash__(self) -> int:
        return hash((self.level, self.conditions))


def read_level(text: str | Level) -> Level:
    """A level by its name, in any case, singular or plural. Raises BadQuery."""
    if isinstance(text, Level):
        return text
    word = {"PATIENTS": "PATIENT", "STUDIES": "STUDY"}.get(text.upper(), text.upper())
    if word in Level.__members__:
        return Level[word]
    if word.rstrip("S") in ("INSTANCE", "IMAGE"):
        raise BadQuery(f"level {text!r} is not searched yet: ask for patients, studies or series")
    raise BadQuery(f"unknown level {text!r}: write patients, studies or series")


def condition(text: str) -> Condition:
    """Read `KEYWORD=VALUE` or `KEYWORD~TEXT`. Raises BadQuery."""
    found = re.match(r"\s*([^=~\s]+)\s*([=~])", text)
    if not found:
        raise BadQuery(f"not a condition: {text!r}; write KEYWORD=VALUE or KEYWORD~TEXT, as in Modality=CT")
    return _condition(found[1], found[2], text[found.end() :])


def _condition(name: str, sign: str, value: str | Iterable[str]) -> Condition:
    try:
        key = keyword(name)
    except UnknownKeyword as error:
        raise BadQuery(str(error)) from error
    if key.vr in values.NOT_MATCHABLE or key.vr == "SQ":
        raise BadQuery(f"{key.name} has VR {key.vr}, which cannot be searched")
    given = _split(value, key.vr) if isinstance(value, str) else [str(v) for v in value]
    return Condition(key, _matches(key, sign, given))


def _matches(key: Keyword, sign: str, given: list[str]) -> tuple[Match, ...]:
    """Without repeats and in one order, for any-of has none."""
    alone = len(given) == 1
    if alone and given[0] in ("", "*") and sign == "=":
        return ()
    parts = [v for v in given if v] if key.vr == "UI" else given
    read = [contains(key, v) if sign == "~" else _match(key, v, alone) for v in parts]
    if any(m is None for m in read) or not read:
        raise BadQuery(f"{key.name}: an empty value or a lone * among several; leave it out")
    return tuple(dict.fromkeys(m for m in read if m is not None))


def _split(value: str, vr: str) -> list[str]:
    """Split at commas outside double quotes; at backslashes too, where a value cannot hold one."""
    if value.strip() == '""':
        return ['""']
    marks = r",\\" if vr not in ("LT", "ST", "UT", "UR") else ","
    parts = re.findall(rf'((?:"[^"]*"|[^{marks}"]|")*)(?:[{marks}]|$)', value)[:-1] or [""]
    if value and re.search(rf"[{marks}]$", value) and not value.endswith('"'):
        parts.append("")
    return [p[1:-1] if len(p) > 2 and p[0] == p[-1] == '"' else p for p in parts]


def _match(key: Keyword, value: str, alone: bool) -> Match | None:
    bare = values.text(value, key.vr)
    if bare == '""':
        return Match(Kind.EMPTY)
    if bare in ("", "*"):
        return None
    if key.vr in values.DATES:
        return _moment(key, bare)
    if re.search(r"[*?]", bare):
        return _wildcard(key, bare)
    return Match(Kind.SINGLE, _single(key, bare))


def contains(key: Keyword, value: str) -> Match:
    """A match for text anywhere in the value, in any case. Raises BadQuery for VRs without text."""
    if key.vr not in values.WILD:
        raise BadQuery(f"{key.name}~{value}: contains works on text, {key.name} has VR {key.vr}")
    if not value.strip():
        raise BadQuery(f"{key.name}~: nothing to look for")
    return Match(Kind.CONTAINS, value)


def _wildcard(key: Keyword, value: str) -> Match:
    if key.vr not in values.WILD:
        raise BadQuery(f"{key.name}={value}: no wildcards in VR {key.vr} (PS3.4 C.2.2.2.4)")
    short = re.sub(r"\*{2,}", "*", value)
    return Match(Kind.WILDCARD, short)


_READERS = {"UI": (values.uid, "digits and dots, at most 64"), "AS": (values.age, "such as 066Y or 003M")}


def _single(key: Keyword, value: str) -> str:
    reader, form = _READERS.get(key.vr, (None, ""))
    if key.vr in values.NUMBERS and values.number(value) is None:
        extra = "; ranges of numbers are not part of DICOM matching" if "-" in value[1:] else ""
        raise BadQuery(f"{key.name}={value}: not a number (VR {key.vr}){extra}")
    if reader is not None and reader(value) is None:
        raise BadQuery(f"{key.name}={value}: not a value of VR {key.vr}, which is written {form}")
    return value


_FORMS = {"DA": "YYYYMMDD", "TM": "HHMMSS", "DT": "YYYYMMDDHHMMSS"}


def _moment(key: Keyword, value: str) -> Match:
    """A date or time, a period, or a range of them (PS3.4 C.2.2.2.5)."""
    read = values.SPANS[key.vr]
    found = _range(key.vr, value)
    if found is None:
        if read(value) is None or (key.vr == "DA" and "-" in value):
            raise BadQuery(_impossible(key, value))
        if key.vr == "DA" and len(value) < 8:
            found = (value, value)
        else:
            return Match(Kind.SINGLE, value)
    low, high = found
    spans = [read(end) if end else None for end in found]
    if not (low or high) or any(end and span is None for end, span in zip(found, spans, strict=True)):
        raise BadQuery(_impossible(key, value))
    if spans[0] and spans[1] and spans[0][0] > spans[1][1]:
        raise BadQuery(f"{key.name}={value}: the range is reversed")
    return Match(Kind.RANGE, low=_full(key.vr, low, 0), high=_full(key.vr, high, 1))


def _impossible(key: Keyword, value: str) -> str:
    form = _FORMS[key.vr]
    return f"{key.name}={value}: not a {key.vr} value; write {form}, {form}-{form}, {form}- or -{form}"


def _range(vr: str, value: str) -> tuple[str, str] | None:
    """The two ends of a range, or None. In a DT a `-HHMM` at the end of a value is its offset."""
    if vr == "DT":
        one = r"\d{4,14}(?:\.\d{1,6})?(?:\+\d{4}|-\d{4}(?=-|$))?"
        if values.datetime(value) is not None and not re.fullmatch(r"\d{4}-\d{4}", value):
            return None
        found = re.fullmatch(rf"({one})?-({one})?", value) or re.fullmatch(r"(\d{4})-(\d{4})", value)
        return (found[1] or "", found[2] or "") if found else None
    low, dash, high = value.partition("-")
    return (low, high) if dash and "-" not in high else None


def _full(vr: str, end: str, side: int) -> str:
    """A shortened date as its first or last day; everything else as written."""
    if vr != "DA" or not end:
        return end
    span = values.date(end)
    return f"{span[side]:08d}" if span else end


def _once_each(conditions: tuple[Condition, ...]) -> None:
    seen: set[str] = set()
    for c in conditions:
        if c.keyword in seen:
            raise BadQuery(f"{c.keyword} is given twice; write several values as {c.keyword}=A,B")
        seen.add(c.keyword)
