"""A mapping file, which says what the columns of a table are (TOML):

level = "series"
[columns]
"Subject" = "PatientID"
"Age (months)" = "PatientAge in months"
"Gender" = "PatientSex"
[values."Gender"]
"1" = "M"
"2" = "F"
"9" = ""
[constants]
Collection = "NHANES II"
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from catalog.imports.cells import strictly, target
from catalog.imports.rows import Columns
from catalog.keywords import Level
from catalog.problems import BadFile

_PARTS = {"level", "columns", "values", "constants"}
Codes = dict[str, dict[str, str | None]]


def mapping(place: Path) -> Columns:
    """A mapping file. Raises BadFile that names what is wrong in it."""
    told = _read(place)
    columns, level = _texts(told, "columns", place), told.get("level", "series")
    constants = _texts(told, "constants", place)
    if set(told) - _PARTS or not isinstance(level, str) or level.upper() not in Level.__members__:
        raise BadFile(
            f"{place}: write level (patient, study or series), [columns], [values] and [constants], "
            "nothing else"
        )
    if not columns:
        raise BadFile(f"{place}: [columns] must name columns and their keywords")
    _meant([*columns.values(), *constants], place)
    return Columns(columns, constants, Level[level.upper()], _codes(told.get("values", {}), columns, place))


def _read(place: Path) -> dict[str, Any]:
    """What is written in it."""
    try:
        return tomllib.loads(place.read_text(encoding="utf-8"))
    except RecursionError as error:
        raise BadFile(f"{place}: it is no mapping: nested too deeply") from error
    except OSError as error:
        raise BadFile(f"{place}: the mapping cannot be read: {error.strerror}") from error
    except ValueError as error:  # not only TOML's own: numbers may have too many digits
        raise BadFile(f"{place}: it is no mapping: {error}") from error


def _texts(told: dict[str, Any], part: str, place: Path) -> dict[str, str]:
    """The entries of a table, of which each is a single value."""
    table = told.get(part, {})
    if not isinstance(table, dict):
        raise BadFile(f"{place}: [{part}] must be a table")
    wrong = next((name for name, value in table.items() if isinstance(value, dict | list)), None)
    if wrong is not None:
        raise BadFile(f'{place}: [{part}] "{wrong}": write one value, in quotes')
    return {name: str(value) for name, value in table.items()}


def _meant(targets: list[str], place: Path) -> None:
    """Raises BadFile for what is no keyword, and for two things that are said to be one."""
    seen: set[str] = set()
    for told in targets:
        if told == "KEYWORD":
            raise BadFile(f"{place}: write a DICOM keyword in the place of KEYWORD, or remove the line")
        try:
            name, _ = target(told)
        except BadFile as error:
            raise BadFile(f"{place}: {error}") from error
        if name in seen:
            raise BadFile(f"{place}: {name} stands in it twice: a row has one value of it")
        seen.add(name)


def _codes(told: Any, columns: Mapping[str, str], place: Path) -> Codes:
    """What the codes of columns mean, by the names that [columns] has. Raises BadFile."""
    if not isinstance(told, dict):
        raise BadFile(f'{place}: write what codes mean under [values."COLUMN"]')
    known = {name.strip().lower(): name for name in columns}
    found: Codes = {}
    for column, meanings in told.items():
        where = f'{place}: [values."{column}"]'
        name = known.get(column.strip().lower())
        if name is None:
            raise BadFile(f"{where}: [columns] has no such column; it has {', '.join(list(columns)[:20])}")
        if name in found:
            raise BadFile(f"{where}: [values] has this column twice")
        if not isinstance(meanings, dict) or not meanings:
            raise BadFile(f'{where}: write what each code means, as in "1" = "M"')
        if len({code.strip() for code in meanings}) < len(meanings):
            raise BadFile(f"{where}: a code stands in it twice, with spaces around it")
        found[name] = {
            code.strip(): _meaning(code, text, columns[name], where) for code, text in meanings.items()
        }
    return found


def _meaning(code: str, text: Any, told: str, where: str) -> str | None:
    """The value that a code means."""
    where = f'{where} "{code}"'
    if not isinstance(text, str):
        raise BadFile(f'{where}: write what it means as a text, in quotes, or "" if it says nothing')
    if text == "MEANING":
        raise BadFile(f'{where}: write what it means in the place of MEANING, or "" if it says nothing')
    try:
        return strictly(text, *target(told))
    except ValueError as error:
        raise BadFile(f"{where}: {text!r} {error}") from error
