"""Any table by a mapping of its columns, with a proposal where there is none.

The mapping is TOML:

    level = "series"
    [columns]
    "Subject" = "PatientID"
    "Age (months)" = "PatientAge in months"
    [constants]
    Collection = "NHANES II"

Dates may be M/D/YYYY or ISO, ages are in years unless the mapping says `in months` (or
DICOM's own). A value that cannot be read so is kept as it is written.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Callable, Iterable
from pathlib import Path

from catalog.imports import text, words
from catalog.imports.rows import Columns, File, Found, Options, Rejected, Row
from catalog.keywords import USUAL, Level, UnknownKeyword, in_any_case, keyword
from catalog.problems import BadFile, Unrecognized

VERSION = 1
_IN = re.compile(r"(\S+)(?: in (months|years))?")

# what tables of research call things, without spaces and marks, in lower case
ALIASES = {
    "PatientID": "subject subjectid subjectidentifier patient patientid participantid subjectkey id",
    "PatientSex": "sex gender",
    "PatientAge": "age ageyears ageatscan ageatfirstscanyears",
    "PatientWeight": "weight weightkg",
    "StudyDate": "date studydate scandate acqdate acquisitiondate visitdate examdate interviewdate",
    "SeriesDate": "seriesdate",
    "StudyKey": "session sessionid exam examid",
    "ClinicalTrialTimePointID": "visit visitid visitcode viscode timepoint",
    "SeriesKey": "image imageid imagedataid scan scanid series seriesid file filename imagefile",
    "SeriesDescription": "description seriesdescription scantype sequence protocol imagedescription",
    "StudyDescription": "studydescription visitname studyname",
    "Modality": "modality imagemodality imagingmodality",
    "BodyPartExamined": "bodypart bodypartexamined anatomy region",
    "Manufacturer": "manufacturer vendor scannermanufacturer make",
    "ManufacturerModelName": "model scannermodel mfgmodel scannertype",
    "MagneticFieldStrength": "fieldstrength magneticfieldstrength field",
    "Collection": "collection project dataset projectname projectid collectionid",
    "NumberOfSeriesRelatedInstances": "images slices instances numberofimages imagecount",
    "InstitutionName": "site institution center centre",
    "DataURL": "url link dataurl",
    "License": "license licence",
}
_BY_ALIAS = {alias: name for name, told in ALIASES.items() for alias in told.split()}


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
            values = {**constants, **{name: turned(cells[at]) for at, name, turned in targets}}
            _one_patient(values, whose, line, file)
            yield Row(mapping.level, values, line, file.name)


def _constants(mapping: Columns) -> dict[str, str | None]:
    """What is true of every row, read as cells are."""
    return {name: _reader(name, "")(value) for name, value in mapping.constants.items()}


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


def _targets(
    mapping: Columns, names: list[str], file: File
) -> list[tuple[int, str, Callable[[str], str | None]]]:
    places = {name.lower(): at for at, name in enumerate(names)}
    missing = [name for name in mapping.columns if name.strip().lower() not in places]
    if missing:
        raise BadFile(f"{text.label(file)}: it has no column {missing[0]!r}; it has {', '.join(names[:20])}")
    found = []
    for name, target in mapping.columns.items():
        key, unit = _target(target)
        found.append((places[name.strip().lower()], key, _reader(key, unit)))
    return found


def _target(target: str) -> tuple[str, str]:
    found = _IN.fullmatch(target)
    if found is None:
        raise BadFile(f"{target!r}: write a DICOM keyword, or `PatientAge in months`")
    try:
        return keyword(found[1]).name, found[2] or ""
    except UnknownKeyword as error:
        raise BadFile(str(error)) from error


def _reader(name: str, unit: str) -> Callable[[str], str | None]:
    """How a cell becomes a value; what cannot be read stays as it is."""
    read: Callable[[str], str | None] = words.said
    if name == "PatientSex":
        read = words.sex
    elif name == "Modality":
        read = words.modality
    elif keyword(name).vr == "AS":
        read = _months if unit == "months" else words.age
    elif keyword(name).vr in ("DA", "TM"):
        read = words.date if keyword(name).vr == "DA" else words.time
    return words.Remembered(lambda cell: words.or_raw(read, cell)).__getitem__


def _months(cell: str) -> str | None:
    months = words.whole(cell)
    return None if months is None or months < 0 else words.age_in_months(months)


def mapping(place: Path) -> Columns:
    """A mapping file. Raises BadFile that names what is wrong in it."""
    try:
        told = tomllib.loads(place.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadFile(f"{place}: it is no mapping: {error}") from error
    unknown = set(told) - {"level", "columns", "constants"}
    columns, constants = told.get("columns"), told.get("constants", {})
    level = str(told.get("level", "series")).upper()
    if unknown or level not in Level.__members__:
        raise BadFile(
            f"{place}: write level (patient, study or series), [columns] and [constants], nothing else"
        )
    if not isinstance(columns, dict) or not columns or not isinstance(constants, dict):
        raise BadFile(f"{place}: [columns] must name columns and their keywords")
    _meant([*map(str, columns.values()), *constants], place)
    return Columns(
        {str(k): str(v) for k, v in columns.items()}, {k: str(v) for k, v in constants.items()}, Level[level]
    )


def _meant(targets: list[str], place: Path) -> None:
    """Raises BadFile for what is no keyword, and for two things that are said to be one."""
    seen: set[str] = set()
    for target in targets:
        if target == "KEYWORD":
            raise BadFile(f"{place}: write a DICOM keyword in the place of KEYWORD, or remove the line")
        try:
            name, _ = _target(target)
        except BadFile as error:
            raise BadFile(f"{place}: {error}") from error
        if name in seen:
            raise BadFile(f"{place}: {name} stands in it twice: a row has one value of it")
        seen.add(name)


def proposed(names: Iterable[str]) -> str:
    """A mapping to begin with: what is surely known, what is like something, and what is not known."""
    known, open_, taken = [], [], set()
    for name in filter(None, names):
        guess = guessed(name)
        line = f"{_quoted(name)} = {_quoted(guess)}"
        if guess and guess.split(" ")[0] not in taken:
            taken.add(guess.split(" ")[0])
            known.append(line)
        else:
            open_.append(f"# {_quoted(name)} = {_quoted('KEYWORD')}")
    return "\n".join(['level = "series"  # or patient, or study', "[columns]", *known, *open_, ""])


def guessed(name: str) -> str:
    """The keyword that a column is most likely, or ""."""
    bare = re.sub(r"[^a-z0-9]", "", name.lower())
    months = ("month" in bare and "age" in bare) or bare == "interviewage"  # of NDA
    exact = _exact(bare)
    exact = exact if exact in USUAL else _BY_ALIAS.get(bare, exact)
    if months:
        return "PatientAge in months"
    if exact:
        return exact
    near = difflib.get_close_matches(bare, _BY_ALIAS, 1, 0.85)
    return _BY_ALIAS[near[0]] if near else ""


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c.isprintable() else " " for c in escaped) + '"'
