"""What the columns of an answer are: type, unit, where DICOM defines them. `docs/columns.md` is made from it.

Text is what the archive said. The typed tables (Parquet, Arrow, pandas, polars) hold numbers and dates as
such: a value that is several, partial or not readable as its type is null there, and the column `untyped`
names it.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from broker.matching import Value
from broker.meaning import values
from catalog.keywords import OURS, USUAL, Level, keyword

ARCHIVES, UNTYPED = "archives", "untyped"
TEXT, INTEGER, NUMBER, DATE = "text", "integer", "number", "date"
Cell = str | int | float | datetime.date | None

SHOWN: dict[Level, tuple[str, ...]] = {
    Level.PATIENT: (
        "Collection", "PatientID", "PatientName", "PatientSex", "NumberOfPatientRelatedStudies", "archives",
    ),
    Level.STUDY: (
        "Collection", "PatientID", "StudyDate", "ModalitiesInStudy", "StudyDescription",
        "NumberOfStudyRelatedSeries", "StudyInstanceUID", "archives",
    ),
    Level.SERIES: (
        "Collection", "PatientID", "StudyDate", "Modality", "BodyPartExamined", "SeriesDescription",
        "NumberOfSeriesRelatedInstances", "License", "StudyInstanceUID", "SeriesInstanceUID", "archives",
    ),
}  # fmt: skip
"""The columns that a table for people shows, by level."""

_UNITS = {
    "PatientSize": "m",
    "PatientWeight": "kg",
    "SliceThickness": "mm",
    "MagneticFieldStrength": "T",
    "SizeInMB": "MB (10**6 bytes)",
    "PatientAge": "nnnD, nnnW, nnnM or nnnY",
    "StudyTime": "HHMMSS.ffffff",
    "SeriesTime": "HHMMSS.ffffff",
    "PatientBirthTime": "HHMMSS.ffffff",
}
_BEYOND = 2**63
_ABOUT = {
    ARCHIVES: "the archives that know the entity, in the order of precedence, a backslash between",
    UNTYPED: "keywords of this row whose text is not one value of the column's type, a backslash between",
}


@dataclass(frozen=True, slots=True)
class Column:
    """One column. `source` is the DICOM tag and VR (PS3.6), or "ours" with what it means."""

    name: str
    type: str
    unit: str
    source: str
    level: str


def column(name: str) -> Column:
    """What a column is: an attribute by its keyword, `archives` or `untyped`."""
    if name in _ABOUT:
        return Column(name, TEXT, "", f"ours: {_ABOUT[name]}", "")
    found = keyword(name)
    unit = _UNITS.get(
        name, "count" if name.startswith("NumberOf") else "YYYYMMDD" if found.vr == "DA" else ""
    )
    tag = found.tag.replace(".", ") > (")
    tags = ") > (".join(f"{part[:4]},{part[4:]}" for part in tag.split(") > (")) if tag else ""
    source = f"({tags}) {found.vr}" if tags else f"ours: {OURS[name]}"
    return Column(name, _type(found.vr), unit, source, found.level.name)


def _type(vr: str) -> str:
    if vr in values.INTEGERS:
        return INTEGER
    if vr in values.NUMBERS:
        return NUMBER
    return DATE if vr == "DA" else TEXT


def typed(kind: str, value: Value) -> Cell:
    """One value as its type; None where it is not exactly one."""
    if not isinstance(value, str) or not value.strip(" \0"):
        return None
    if kind == DATE:
        span = values.date(value)
        return _day(span[0]) if span is not None and span[0] == span[1] else None
    if kind == INTEGER:
        whole = values.integer(value)
        return int(whole) if whole is not None and -_BEYOND <= whole < _BEYOND else None
    number = values.number(value)
    read = float(number) if number is not None else None
    return read if read is not None and abs(read) != float("inf") else None


def _day(ordinal: int) -> datetime.date:
    return datetime.date(ordinal // 10000, ordinal // 100 % 100, ordinal % 100)


def known() -> Sequence[Column]:
    """Every usual column, by level; then the two of ours."""
    names = sorted(USUAL, key=lambda k: (USUAL[k].level, k not in OURS, USUAL[k].tag))
    return [column(n) for n in (*names, ARCHIVES, UNTYPED)]


def markdown(columns: Iterable[Column]) -> str:
    """The columns as a table of a document."""
    rows = [f"| `{c.name}` | {c.type} | {c.unit} | {c.source} | {c.level.lower()} |" for c in columns]
    return "\n".join(
        ["| column | type | unit or form | DICOM source | level |", "|---|---|---|---|---|", *rows]
    )
