"""Values of archives as DICOM writes them. What cannot be read is None, never a guess."""

from __future__ import annotations

import calendar
import re
from collections.abc import Callable

_SLASHED = re.compile(r"(\d{1,2})/(\d{1,2})/(\d{4})(?:[ T].*)?")
_ISO = re.compile(r"(\d{4})-(\d{2})-(\d{2})(?:[ T](.*))?")
_TURNED = re.compile(r"(\d{4})/(\d{1,2})/(\d{1,2})")
_NAMED = re.compile(r"(\d{1,2})[- ]([a-z]{3,9})[- ](\d{4})", re.IGNORECASE)
_MONTHS = ("january february march april may june july august september october november december").split()
_PLAIN = re.compile(r"(\d{4})(\d{2})(\d{2})")
_CLOCK = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2})(\.\d{1,6})?\d*)?")
_AGE = re.compile(r"\d{3}[DWMY]")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?")
NOTHING = frozenset({"", "n/a", "na", "nan", "none", "null", "unknown", "not available", "-"})

_SEX = {"m": "M", "male": "M", "f": "F", "female": "F", "o": "O", "other": "O"}
# what archives of research call the defined terms of PS3.3 C.7.3.1.1.1
_MODALITY = {
    "mri": "MR", "fmri": "MR", "dti": "MR", "smri": "MR", "pet": "PT", "spect": "NM", "ultrasound": "US",
    "mammography": "MG", "microscopy": "GM", "x-ray": "DX", "xray": "DX", "meg": "", "eeg": "EEG",
}  # fmt: skip


class Remembered(dict[str, str | None]):
    """What a function makes of texts, each only once: most columns repeat few values."""

    LIMIT = 50_000

    def __init__(self, read: Callable[[str], str | None]) -> None:
        super().__init__()
        self._read = read

    def __missing__(self, text: str) -> str | None:
        if len(self) >= self.LIMIT:
            self.clear()
        found = self[text] = self._read(text)
        return found


def said(text: str | None) -> str | None:
    """A text without padding; None for the ways of saying nothing."""
    bare = (text or "").strip()
    return None if bare.lower() in NOTHING else bare


def date(text: str | None) -> str | None:
    """M/D/YYYY (as in the United States), YYYY-MM-DD or YYYYMMDD, with or without a time, as YYYYMMDD.

    Also YYYY/M/D and 21-Jun-2017, which can mean one day only.
    """
    bare = (text or "").strip()
    slashed = _SLASHED.fullmatch(bare)
    if slashed:
        return _day(slashed[3], slashed[1], slashed[2])
    named = _NAMED.fullmatch(bare)
    if named:
        word = named[2].lower()
        month = next((n for n, name in enumerate(_MONTHS, 1) if name.startswith(word)), 0)
        return _day(named[3], str(month), named[1])
    found = _ISO.fullmatch(bare) or _PLAIN.fullmatch(bare) or _TURNED.fullmatch(bare)
    return _day(found[1], found[2], found[3]) if found else None


def _day(year: str, month: str, day: str) -> str | None:
    y, m, d = int(year), int(month), int(day)
    fits = y > 0 and 1 <= m <= 12 and 1 <= d <= calendar.monthrange(y, m)[1]
    return f"{y:04d}{m:02d}{d:02d}" if fits else None


def time(text: str | None) -> str | None:
    """HH:MM[:SS[.FFFFFF]], also after a date, as HHMMSS.FFFFFF."""
    bare = (text or "").strip()
    after = _ISO.fullmatch(bare)
    found = _CLOCK.match((after[4] or "") if after else bare)
    if found is None:
        return None
    hour, minute, second = int(found[1]), int(found[2]), int(found[3] or 0)
    if hour > 23 or minute > 59 or second > 60:
        return None
    return f"{hour:02d}{minute:02d}{second:02d}{found[4] or ''}" if found[3] else f"{hour:02d}{minute:02d}"


def number(text: str | None) -> str | None:
    """A decimal number as it stands, or None."""
    bare = (text or "").strip()
    return bare if _NUMBER.fullmatch(bare) else None


def whole(text: str | None) -> int | None:
    """A whole number, also written `123.0`."""
    found = number(text)
    value = float(found) if found else None
    return int(value) if value is not None and value == int(value) else None


def milliseconds(text: str | None) -> str | None:
    """A time in seconds, as DICOM writes it."""
    found = number(text)
    return f"{round(float(found) * 1000, 6):.15g}" if found else None


def tesla(text: str | None) -> str | None:
    """A field strength, also written `3T` or `1.5 Tesla`."""
    return number(re.sub(r" *t(esla)?$", "", (text or "").strip().lower()))


def age_in_years(text: str | None) -> str | None:
    """An age in completed years as DICOM writes it: `75.05` is `075Y`; of less than two years in months."""
    found = number(text)
    years = float(found) if found else -1.0
    if not 0 <= years < 1000:
        return None
    return age_in_months(int(years * 12)) if 0 < years < 2 and years != int(years) else f"{int(years):03d}Y"


def age(text: str | None) -> str | None:
    """An age in years, or as DICOM writes it."""
    bare = (text or "").strip()
    return bare if _AGE.fullmatch(bare) else age_in_years(bare)


def age_in_months(months: int) -> str:
    """An age in months as DICOM writes it, in years where three digits are not enough (PS3.5 6.2)."""
    return f"{months:03d}M" if months < 1000 else f"{months // 12:03d}Y"


def sex(text: str | None) -> str | None:
    """PatientSex, or None."""
    return _SEX.get((text or "").strip().lower())


def modality(text: str | None) -> str | None:
    """A defined term where an archive has its own word for it (`MRI` is `MR`); other words as they are."""
    bare = said(text)
    if bare is None:
        return None
    return _MODALITY.get(bare.lower(), bare.upper()) or None


def or_raw(read: Callable[[str], str | None], text: str | None) -> str | None:
    """A text as it is read or, where it cannot be, as it is written; None where nothing is said."""
    bare = said(text)
    return None if bare is None else read(bare) or bare
