"""How a cell of a table becomes a value of a DICOM keyword; what cannot be read stays as it is."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from catalog.imports import words
from catalog.keywords import UnknownKeyword, keyword
from catalog.prepared import KEEPS_BACKSLASH
from catalog.problems import BadFile

Read = Callable[[str], str | None]

_IN = re.compile(r"(\S+)(?: in (months|years))?")
_ENDED = re.compile(r"(\d+)\.0*")
_WANTED = {"PatientSex": ': write M, F or O, or "" for a code that says nothing'}
_REAL = ("FL", "FD")
_WHOLE = ("US", "SS", "UL", "SL", "UV", "SV")


def target(told: str) -> tuple[str, str]:
    """Keyword and unit of what a column is said to be. Raises BadFile."""
    found = _IN.fullmatch(told)
    if found is None:
        raise BadFile(f"{told!r}: write a DICOM keyword, or `PatientAge in months`")
    try:
        return keyword(found[1]).name, found[2] or ""
    except UnknownKeyword as error:
        raise BadFile(str(error)) from error


def reader(name: str, unit: str) -> Read:
    """How a cell becomes a value; what cannot be read stays as it is."""
    read = _reading(name, unit)
    return words.Remembered(lambda cell: words.or_raw(read, cell)).__getitem__


def decoder(codes: Mapping[str, str | None]) -> Read:
    """What a code means: None where it says nothing. Raises KeyError for one that has no meaning."""

    def meaning(cell: str) -> str | None:
        bare = cell.strip()
        if bare in codes:
            return codes[bare]
        return None if words.said(bare) is None else codes[code(bare)]

    return words.Remembered(meaning).__getitem__


def code(cell: str) -> str:
    """A code without the point that programs add which keep numbers: `1.0` is `1`."""
    ended = _ENDED.fullmatch(cell)
    return ended[1] if ended else cell


def strictly(told: str, name: str, unit: str) -> str | None:
    """A value as cells are read; None if it says nothing. Raises ValueError for none of the keyword's."""
    if words.said(told) is None:
        return None
    vr, read = keyword(name).vr, _reading(name, unit)(told)
    parts = [read] if read is None or vr in KEEPS_BACKSLASH else read.split("\\")
    if not all(part is not None and _fits(part, vr) for part in parts):
        raise ValueError(f"is no value of {name}{_WANTED.get(name) or f' (VR {vr})'}")
    return read


def _fits(value: str, vr: str) -> bool:
    """Whether a VR can hold a value."""
    from pydicom import config
    from pydicom.valuerep import validate_value

    held: object = value
    if vr in _REAL:
        number = words.number(value)
        held = float(number) if number else None
    elif vr in _WHOLE:
        held = words.whole(value)
    try:
        validate_value(vr, held, config.RAISE)
    except ValueError:
        return False
    return held is not None


def _reading(name: str, unit: str) -> Read:
    """How a text is read; None for what cannot be."""
    if name == "PatientSex":
        return words.sex
    if name == "Modality":
        return words.modality
    vr = keyword(name).vr
    if vr == "AS":
        return _months if unit == "months" else words.age
    return {"DA": words.date, "TM": words.time}.get(vr, words.said)


def _months(cell: str) -> str | None:
    months = words.whole(cell)
    return None if months is None or months < 0 else words.age_in_months(months)
