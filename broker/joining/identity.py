"""When two records that claim to be the same are not: hard conflicts, and barriers between archives.

A false merge is the worst failure, so a single contradiction stops a fusion whole, and both sides are shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

from broker.matching import Value
from broker.meaning.normal import comparable, normal
from catalog.keywords import Level

Row = tuple[Value, ...]

# what must agree where both sides say it, for records with one UID at this level
HARD: dict[Level, tuple[str, ...]] = {
    Level.PATIENT: ("PatientSex", "PatientBirthDate"),
    Level.STUDY: ("PatientSex", "PatientBirthDate"),
    Level.SERIES: ("Modality", "StudyInstanceUID", "SOPClassUID", "PatientSex", "PatientBirthDate"),
}


Pairs = tuple[tuple[str, int, int], ...]
_SEEN: dict[tuple[Level, int, int], tuple[tuple[str, ...], tuple[str, ...], Pairs]] = {}


def _pairs(level: Level, one: tuple[str, ...], other: tuple[str, ...]) -> Pairs:
    """Where two kinds of rows hold what must agree: keyword and both columns.

    Remembered by the identity of the columns, which all rows of an archive share: to hash them for every pair
    of records would take longer than to compare the records.
    """
    key = (level, id(one), id(other))
    known = _SEEN.get(key)
    if known is None or known[0] is not one or known[1] is not other:
        if len(_SEEN) > 1024:
            _SEEN.clear()
        pairs = tuple((k, one.index(k), other.index(k)) for k in HARD[level] if k in one and k in other)
        known = _SEEN[key] = (one, other, pairs)
    return known[2]


def hard_conflicts(
    level: Level, one: tuple[tuple[str, ...], Row], other: tuple[tuple[str, ...], Row]
) -> list[str]:
    """Keywords in which two records with one UID contradict each other; each is given as columns and row."""
    (here, row), (there, line) = one, other
    return [
        keyword
        for keyword, i, j in _pairs(level, here, there)
        if row[i] != line[j] and contradict(keyword, row[i], line[j])
    ]


def contradict(keyword: str, one: Value, other: Value) -> bool:
    """Whether two values of an attribute cannot be of the same thing. Nothing said contradicts nothing.

    A sex contradicts only as M against F; where one side has several values, one in common is enough.
    """
    here, there = _read(keyword, one), _read(keyword, other)
    if keyword == "PatientSex":
        here, there = here & {"M", "F"}, there & {"M", "F"}
    return bool(here and there and not here & there)


def _read(keyword: str, value: Value) -> frozenset[str]:
    items = [value] if isinstance(value, str) else [v for v in value or () if isinstance(v, str)]
    if keyword == "PatientSex":
        return frozenset(normal(keyword, v).value for v in items if v)
    return frozenset(comparable(keyword, v) for v in items) - {""}


def contradictions(level: Level, records: Sequence[tuple[tuple[str, ...], Row]]) -> list[str]:
    """Keywords in which any two of several records contradict each other, each once."""
    found = [k for one, other in combinations(records, 2) for k in hard_conflicts(level, one, other)]
    return list(dict.fromkeys(found))
