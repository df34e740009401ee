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
from catalog.keywords import USUAL, Level, UnknownKeyword, keyword
from catalog.problems import BadFile

VERSION = 1
_IN = re.compile(r"(\S+)(?: in (months|years))?")
_AGE = re.compile(r"\d{3}[DWMY]")

# what tables of research call things, without spaces and marks, in lower case
ALIASES = {
    "PatientID": "subject subjectid subjectidentifier patient patientid participantid subjectkey id",
    "PatientSex": "sex gender",
    "PatientAge": "age ageyears ageatscan ageatfirstscanyears",
    "PatientWeight": "weight weightkg",
    "StudyDate": "date studydate scandate acqdate acquisitiondate visitdate examdate",
    "SeriesDate": "seriesdate",
    "StudyKey": "session sessionid visit visitid study studyid exam examid timepoint",
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
            raise BadFile(f"{text.label(file)}: its columns are not DICOM keywords; give --mapping FILE")
        targets = _targets(mapping, table.names, file)
        for item in table.lines:
            if isinstance(item, Rejected):
                yield item
                continue
            line, cells = item
            values = {name: turned(cells[at]) for at, name, turned in targets}
            yield Row(mapping.level, {**mapping.constants, **values}, line, file.name)


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
    folded = {k.lower(): k for k in USUAL}
    return folded.get(name.strip().lower(), "")


def _targets(
    mapping: Columns, names: list[str], file: File
) -> list[tuple[int, str, Callable[[str], str | None]]]:
    places = {name.lower(): at for at, name in enumerate(names)}
    missing = [name for name in mapping.columns if name.lower() not in places]
    if missing:
        raise BadFile(f"{text.label(file)}: it has no column {missing[0]!r}; it has {', '.join(names[:20])}")
    found = []
    for name, target in mapping.columns.items():
        key, unit = _target(target)
        found.append((places[name.lower()], key, _reader(key, unit)))
    return found


def _target(target: str) -> tuple[str, str]:
    found = _IN.fullmatch(target)
    if found is None:
        raise BadFile(f"mapping: {target!r}: write a DICOM keyword, or `PatientAge in months`")
    try:
        return keyword(found[1]).name, found[2] or ""
    except UnknownKeyword as error:
        raise BadFile(f"mapping: {error}") from error


def _reader(name: str, unit: str) -> Callable[[str], str | None]:
    """How a cell becomes a value; what cannot be read stays as it is."""
    read: Callable[[str], str | None] = words.said
    if name == "PatientSex":
        read = words.sex
    elif name == "Modality":
        read = words.modality
    elif keyword(name).vr == "AS":
        read = _months if unit == "months" else _years
    elif keyword(name).vr in ("DA", "TM"):
        read = words.date if keyword(name).vr == "DA" else words.time
    return words.Remembered(lambda cell: words.or_raw(read, cell)).__getitem__


def _years(cell: str) -> str | None:
    return cell.strip() if _AGE.fullmatch(cell.strip()) else words.age_in_years(cell)


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
    for target in [*columns.values(), *constants]:
        _target(str(target))
    return Columns(
        {str(k): str(v) for k, v in columns.items()}, {k: str(v) for k, v in constants.items()}, Level[level]
    )


def proposed(names: Iterable[str]) -> str:
    """A mapping to begin with: what is surely known, what is like something, and what is not known."""
    known, open_, taken = [], [], set()
    for name in names:
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
    months = "month" in bare and "age" in bare
    exact = _exact(re.sub(r"[\s_-]", "", name)) or _BY_ALIAS.get(bare, "")
    if months:
        return "PatientAge in months"
    if exact:
        return exact
    near = difflib.get_close_matches(bare, _BY_ALIAS, 1, 0.85)
    return _BY_ALIAS[near[0]] if near else ""


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c.isprintable() else " " for c in escaped) + '"'
