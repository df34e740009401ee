"""What a value means, beside what an archive wrote. The raw value is always kept; nothing here is matched on.

A value that cannot be read is flagged and left as it is: `66` is no age (years? months?), `0000` no sex.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from dataclasses import dataclass

from broker.meaning import values
from catalog.keywords import USUAL, UnknownKeyword, keyword

UNREADABLE, CHARSET = "unreadable", "charset"
SHORT = 64  # characters of a value that is remembered


@dataclass(frozen=True, slots=True)
class Normal:
    """A value in DICOM's own form. `flag` is "", `unreadable` (then value is raw) or `charset` (repaired)."""

    value: str
    flag: str = ""


_SEX = {"M": "M", "MALE": "M", "F": "F", "FEMALE": "F", "O": "O", "OTHER": "O"}
_MODALITY = {"MRI": "MR", "PET": "PT", "ULTRASOUND": "US", "MAMMOGRAPHY": "MG", "MAMMO": "MG", "SPECT": "NM"}
# defined terms of PS3.16 annex L in spellings that archives use
_PARTS = {
    "ABDOMEN_PELVIS": "ABDOMENPELVIS",
    "ABDOMEN/PELVIS": "ABDOMENPELVIS",
    "ABDOMEN PELVIS": "ABDOMENPELVIS",
    "CHEST_ABDOMEN": "CHESTABDOMEN",
    "CHEST ABDOMEN": "CHESTABDOMEN",
    "HEAD-NECK": "HEADNECK",
    "HEAD_NECK": "HEADNECK",
    "HEAD NECK": "HEADNECK",
    "HEAD AND NECK": "HEADNECK",
    "WHOLE BODY": "WHOLEBODY",
    "WHOLE_BODY": "WHOLEBODY",
    "LUNGS": "LUNG",
    "KIDNEYS": "KIDNEY",
}
_MAKERS = (
    (re.compile(r"\bSIEMENS\b"), "SIEMENS"),
    (re.compile(r"^GE\b|\bGENERAL ELECTRIC\b"), "GE"),
    (re.compile(r"\bPHILIPS\b"), "PHILIPS"),
    (re.compile(r"\bTOSHIBA\b"), "TOSHIBA"),
    (re.compile(r"\bCANON\b"), "CANON"),
    (re.compile(r"\bHITACHI\b"), "HITACHI"),
    (re.compile(r"\bHOLOGIC\b"), "HOLOGIC"),
    (re.compile(r"\bFUJI"), "FUJIFILM"),
)
_AGE = re.compile(r"0*(\d{1,4})\s*(Y|M|W|D|YEARS?|MONTHS?|WEEKS?|DAYS?)", re.IGNORECASE)
_LARGER = {"D": ("W", 7), "W": ("M", 4.348), "M": ("Y", 12)}


def normal(name: str, raw: str) -> Normal:
    """One value of a keyword in DICOM's own form.

    >>> normal("PatientSex", "male"), normal("StudyDate", "2020.06.22").value, normal("PatientAge", "66").flag
    (Normal(value='M', flag=''), '20200622', 'unreadable')
    """
    return _short(name, raw) if len(raw) <= SHORT else _normal(name, raw)


def _normal(name: str, raw: str) -> Normal:
    if not raw.strip(" \0"):
        return Normal("")
    reader = _BY_KEYWORD.get(name) or _BY_VR.get(_vr(name), _text)
    found = reader(raw)
    return found if isinstance(found, Normal) else Normal(raw, UNREADABLE) if found is None else Normal(found)


_short = functools.lru_cache(maxsize=20_000)(_normal)  # the same few words come again and again


def comparable(name: str, raw: str) -> str:
    """A value as it is compared with another archive's, by its VR alone: `7` = `007`.

    Two spellings of a manufacturer stay two values.
    """
    if not raw.strip(" \0"):
        return ""
    found = _BY_VR.get(_vr(name), _text)(raw)
    return found.value if isinstance(found, Normal) else raw if found is None else found


def _vr(name: str) -> str:
    known = USUAL.get(name)
    if known is not None:
        return known.vr
    try:
        return keyword(name).vr
    except UnknownKeyword:
        return "LO"


def _sex(raw: str) -> str | None:
    return _SEX.get(raw.strip(" \0").upper())


def _age(raw: str) -> str | None:
    found = _AGE.fullmatch(raw.strip(" \0"))
    if found is None:
        return None
    count, unit = int(found[1]), found[2][0].upper()
    while count > 999 and unit in _LARGER:
        unit, width = _LARGER[unit]
        count = int(count / width)
    return f"{count:03d}{unit}" if count <= 999 else None


def _modality(raw: str) -> str:
    code = raw.strip(" \0").upper()
    return _MODALITY.get(code, code)


def _part(raw: str) -> str:
    code = " ".join(raw.strip(" \0").upper().split())
    return _PARTS.get(code, code)


def _maker(raw: str) -> str:
    text = values.text(raw, "LO")
    upper = text.upper()
    return next((name for pattern, name in _MAKERS if pattern.search(upper)), text)


def _date(raw: str) -> str | None:
    span = values.date(raw)
    return f"{span[0]:08d}" if span and span[0] == span[1] else None


def _time(raw: str) -> str | None:
    return raw.strip(" \0").replace(":", "") if values.time(raw) else None


def _moment(raw: str) -> str | None:
    return raw.strip(" \0") if values.datetime(raw) else None


def _number(raw: str) -> str | None:
    read = values.number(raw)
    if read is None:
        return None
    return format(read.normalize(), "f") if read else "0"


def _name(raw: str) -> Normal:
    """Composed characters, no trailing carets or empty groups, each group as it is written (PS3.5 6.2.1)."""
    repaired = _text(raw)
    groups = [g.strip(" \0").rstrip("^ ") for g in repaired.value.split("=")]
    return Normal("=".join(groups).rstrip("="), repaired.flag)


def _text(raw: str) -> Normal:
    """Without padding; escape sequences and UTF-8 that was read as Latin-1 are repaired, and flagged."""
    from broker.meaning.charsets import repaired

    bare = values.text(raw, "LO")
    if bare.isascii() and "\x1b" not in bare:
        return Normal(bare)
    mended = repaired(bare)
    if "\x1b" in mended or "\ufffd" in mended:
        return Normal(raw, UNREADABLE)
    return Normal(values.text(mended, "LO"), CHARSET if mended != bare else "")


Reader = Callable[[str], str | Normal | None]

_BY_KEYWORD: dict[str, Reader] = {
    "PatientSex": _sex,
    "PatientAge": _age,
    "Modality": _modality,
    "ModalitiesInStudy": _modality,
    "BodyPartExamined": _part,
    "Manufacturer": _maker,
}
_BY_VR: dict[str, Reader] = {
    "DA": _date,
    "TM": _time,
    "DT": _moment,
    "AS": _age,
    "PN": _name,
    "UI": values.uid,
    **dict.fromkeys(values.NUMBERS, _number),
}
