"""Any table by a mapping of its columns, as `catalog.imports.mapping` reads it.

Dates may be M/D/YYYY or ISO, ages are in years unless the mapping says `in months` (or
DICOM's own). A value that cannot be read so is kept as it is written; a code that the mapping
gives no meaning is none, and left out.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from catalog.imports import text
from catalog.imports.cells import Read, decoder, reader, target
from catalog.imports.rows import Columns, File, Found, Left, Options, Rejected, Row
from catalog.keywords import in_any_case, keyword
from catalog.problems import BadFile, Unrecognized

VERSION = 1
SHOWN = 70  # characters of a code

# keywords that a row is known by, or its study derived from
_NAMING = frozenset({
    "Collection", "PatientID", "IssuerOfPatientID", "StudyInstanceUID", "StudyKey", "StudyDate",
    "ClinicalTrialTimePointID", "SeriesInstanceUID", "SeriesKey", "SeriesDate",
})  # fmt: skip


class _Target(NamedTuple):
    """Where a column is, the keyword that it tells of, and how: KeyError for a code without a meaning."""

    at: int
    keyword: str
    read: Read
    column: str


def fits(beginning: bytes) -> bool:
    """Whether it is a table whose columns are all DICOM keywords."""
    header = text.header_of(beginning)
    return len(header) > 1 and all(_exact(name) for name in header)


def read(files: list[File], options: Options) -> Found:
    """The rows of each table. Raises BadFile without a usable mapping."""
    for file in files:
        table = text.table(file, options, delimiter(file))
        mapping = options.mapping or _own(table.names)
        if mapping is None:
            raise Unrecognized(f"{text.label(file)}: its columns are not DICOM keywords; give --mapping FILE")
        targets = _targets(mapping, table.names, file)
        constants = _constants(mapping)
        whose: dict[str, tuple[str, int]] = {}
        for item in table.lines:
            if isinstance(item, Rejected):
                yield item
                continue
            line, cells = item
            values, left = _said(cells, targets)
            refused = left and _unnamed(left, line, file)
            if refused:
                yield refused
                continue
            values |= constants
            _one_patient(values, whose, line, file)
            yield Row(mapping.level, values, line, file.name, left=tuple(left.values()))


def _said(cells: list[str], targets: list[_Target]) -> tuple[dict[str, str | None], dict[str, Left]]:
    """What a line says by keyword, and what it says in codes that have no meaning."""
    values: dict[str, str | None] = {}
    left = {}
    for at, name, read, column in targets:
        try:
            values[name] = read(cells[at])
        except KeyError:
            left[name] = Left(column, cells[at].strip()[:SHOWN])
    return values, left


def _unnamed(left: dict[str, Left], line: int, file: File) -> Rejected | None:
    """A row of which it is not known what it is a row of: without the value it would be of something else."""
    name = next((name for name in left if name in _NAMING), "")
    return Rejected(line, left[name].reason(), file.name) if name else None


def _constants(mapping: Columns) -> dict[str, str | None]:
    """What is true of every row, read as cells are."""
    return {name: reader(name, "")(value) for name, value in mapping.constants.items()}


def _one_patient(
    values: dict[str, str | None], whose: dict[str, tuple[str, int]], line: int, file: File
) -> None:
    """Raises BadFile where a study has two patients: its column tells of a visit, or of a project."""
    study, patient = values.get("StudyKey"), values.get("PatientID")
    if study is None or patient is None:
        visit = values.get("ClinicalTrialTimePointID")
        if patient and visit and not values.get("StudyInstanceUID"):
            values["StudyKey"] = f"derived: {patient} | {visit} | {values.get('StudyDate') or ''}"
        return
    first, where = whose.setdefault(study, (patient, line))
    if first != patient:
        raise BadFile(
            f"{text.label(file)}: the StudyKey {study!r} is of patient {first!r} in line {where} and of "
            f"{patient!r} in line {line}: map this column to ClinicalTrialTimePointID if it is a visit, "
            "to Collection if it is a project"
        )


def delimiter(file: File) -> str:
    """A tab where the header has more of them than commas."""
    first = text.head(file).split(b"\n", 1)[0]
    return "\t" if first.count(b"\t") > first.count(b",") else ","


def _own(names: Iterable[str]) -> Columns | None:
    """Columns that are keywords already."""
    found = {name: exact for name in names if (exact := _exact(name))}
    if len(found) < len(list(names)):
        return None
    levels = [keyword(name).level for name in found.values()]
    return Columns(found, level=max(levels))


def _exact(name: str) -> str:
    """The keyword that a column is called by, in any case, or ""."""
    return in_any_case(name.strip())


def _targets(mapping: Columns, names: list[str], file: File) -> list[_Target]:
    places = {name.lower(): at for at, name in enumerate(names)}
    missing = [name for name in mapping.columns if name.strip().lower() not in places]
    if missing:
        raise BadFile(f"{text.label(file)}: it has no column {missing[0]!r}; it has {', '.join(names[:20])}")
    found = []
    for name, told in mapping.columns.items():
        codes = mapping.codes.get(name)
        key, unit = target(told)
        read = reader(key, unit) if codes is None else decoder(codes)
        found.append(_Target(places[name.strip().lower()], key, read, name.strip()))
    return found
