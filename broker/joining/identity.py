"""When two records that claim to be the same are not: hard conflicts, and barriers between archives.

A false merge is the worst failure, so a single contradiction stops a fusion whole, and both sides are shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

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


def _read(keyword: str, value: Value) -> frozenset[str]:
    items = [value] if isinstance(value, str) else [v for v in value or () if isinstance(v, str)]
    if keyword == "PatientSex":
        return frozenset(normal(keyword, v).value for v in items if v) & {"M", "F"}
    return frozenset(comparable(keyword, v) for v in items) - {""}


def contradictions(level: Level, records: Sequence[tuple[tuple[str, ...], Row]]) -> list[str]:
    """Keywords in which records, each given as its columns and its row, contradict each other.

    Those that say something must have a value in common; a sex contradicts only as M against F. The cost is
    linear in the records, however often an archive repeats itself.
    """
    told: dict[str, set[Value]] = {keyword: set() for keyword in HARD[level]}
    for columns, row in records:
        for keyword, values in told.items():
            if keyword in columns:
                values.add(row[columns.index(keyword)])
    return [keyword for keyword, values in told.items() if len(values) > 1 and _apart(keyword, values)]


def _apart(keyword: str, told: Iterable[Value]) -> bool:
    said = [items for value in told if (items := _read(keyword, value))]
    return bool(said) and not frozenset.intersection(*said)
