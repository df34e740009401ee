"""The query language: a level, and conditions by DICOM keyword, read into kinds of matching.

Modality=CT                   single value
Modality=CT,MR                any of several values (ours; a comma inside quotes is a comma)
StudyInstanceUID=1.2.3\\1.2.4  list of UIDs as DICOM writes it (PS3.4 C.2.2.2.2)
BodyPartExamined=LUNG*        wildcards * and ? (PS3.4 C.2.2.2.4)
StudyDate=2010-20151231       range, inclusive, either end open (PS3.4 C.2.2.2.5)
SeriesDescription~flair       contains, any case (ours)
StudyDescription='""'         empty value (PS3.4 C.2.2.2.7)
PatientName=*                 universal: matches everything (PS3.4 C.2.2.2.3)
RequestAttributesSequence.ScheduledProcedureStepID=A1
                              in an item of a sequence; several such in the same item (PS3.4 C.2.2.2.6)
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from broker.errors import BadQuery
from broker.language import reading
from broker.language.terms import Condition, Match
from broker.meaning import values
from catalog.keywords import Level, UnknownKeyword, keyword
from catalog.nearest import near

__all__ = ["Condition", "Match", "Query", "Scalar", "condition", "read_level"]

Scalar = str | int | float
"""A value as Python code may give it."""


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

    def __init__(self, level: str | Level, *texts: str, **named: Scalar | Iterable[Scalar]) -> None:
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


_LEVELS = ("patients", "studies", "series")
_KEYWORD = "; a condition is KEYWORD=VALUE, as in Modality=CT"


def read_level(text: str | Level) -> Level:
    """A level by its name, in any case, singular or plural. Raises BadQuery."""
    if isinstance(text, Level):
        return text
    word = {"PATIENTS": "PATIENT", "STUDIES": "STUDY"}.get(text.upper(), text.upper())
    if word in Level.__members__:
        return Level[word]
    if word.removesuffix("S") in ("INSTANCE", "IMAGE"):
        raise BadQuery(f"level {text!r} is not searched yet: ask for patients, studies or series")
    raise BadQuery(
        f"unknown level {text!r}: write patients, studies or series{near(text, _LEVELS) or _KEYWORD}"
    )


def condition(text: str) -> Condition:
    """Read `KEYWORD=VALUE` or `KEYWORD~TEXT`. Raises BadQuery."""
    found = re.match(r"\s*([^=~\s]+)\s*([=~])", text)
    if not found:
        raise BadQuery(f"not a condition: {text!r}; write KEYWORD=VALUE or KEYWORD~TEXT, as in Modality=CT")
    if found[1][-1] in "!<>:":
        raise BadQuery(f"{text!r}: {found[1][-1]}{found[2]} is no sign of the query language; {_SIGNS}")
    return _condition(found[1], found[2], text[found.end() :])


_SIGNS = "a condition has = or ~, a range of dates is StudyDate=2010-2012, and nothing can be excluded"


def _condition(name: str, sign: str, value: Scalar | Iterable[Scalar]) -> Condition:
    try:
        key = keyword(name)
    except UnknownKeyword as error:
        raise BadQuery(str(error)) from error
    if key.vr == "SQ":
        raise BadQuery(f"{key.name} is a sequence: ask for an attribute in it, {key.name}.KEYWORD=VALUE")
    if key.vr not in values.MATCHABLE:
        raise BadQuery(f"{key.name} has VR {key.vr}, which cannot be searched")
    given = reading.split(value, key.vr) if isinstance(value, str) else reading.listed(value)
    return Condition(key, reading.matches(key, sign, given))


def _once_each(conditions: tuple[Condition, ...]) -> None:
    seen: set[str] = set()
    for c in conditions:
        if c.keyword in seen:
            raise BadQuery(f"{c.keyword} is given twice; write several values as {c.keyword}=A,B")
        seen.add(c.keyword)
