"""Rows made ready for a store: clean values, a key, and a study for every series.

An entity without a DICOM UID is known by its archive's own key (`SeriesKey`, `StudyKey`). Nothing is
invented: where an archive names no study, what stands for one is marked as derived.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from hashlib import blake2b

from catalog.imports.rows import Rejected, Row, Values
from catalog.imports.words import Remembered
from catalog.keywords import Level, UnknownKeyword, keyword

UID = re.compile(r"[0-9]+(\.[0-9]+)*")
LONGEST, LARGEST = 65_536, 524_288  # characters of one value, of one row
DERIVED = "derived: "

# VRs in which a backslash is part of the one value (PS3.5 6.4), and leading spaces are significant (6.2)
KEEPS_BACKSLASH = frozenset({"LT", "ST", "UT", "UR"})
KEEPS_LEADING_SPACE = frozenset({"LT", "ST", "UT"})

Ready = tuple[str, int, int, str, str, dict[str, str]]
"""Key (32 hexadecimal digits), level, line, file, `Row.apart`, and values."""


class Preparing:
    """Makes rows ready, one after the other; knows every keyword that was said."""

    def __init__(self) -> None:
        self.keywords: dict[str, None] = {}
        self._values: dict[str, Remembered] = {}
        self._same: Counter[str] = Counter()

    def ready(self, row: Row) -> Ready | Rejected:
        """A row for the store, or why it cannot be one."""
        try:
            values = self._clean(row.values)
        except (UnknownKeyword, ValueError) as error:
            return Rejected(row.line, str(error), row.file)
        if not values:
            return Rejected(row.line, "it says nothing", row.file)
        if sum(map(len, values.values())) > LARGEST:
            return Rejected(row.line, f"more than {LARGEST:,} characters", row.file)
        for level in (Level.SERIES, Level.STUDY):
            if values.get(level.uid) and not UID.fullmatch(values[level.uid]):
                return Rejected(row.line, f"{level.uid} is no UID: {values[level.uid][:70]!r}", row.file)
        if row.level is Level.PATIENT and not values.get("PatientID"):
            return Rejected(row.line, "a patient without PatientID", row.file)
        key = self._key(row.level, values)
        if row.level >= Level.STUDY:
            self._study(values, key)
        return key, row.level.value, row.line, row.file, self._apart(row, values), values

    def _clean(self, said: Values) -> dict[str, str]:
        found = {}
        for name, value in said.items():
            if value is None:
                continue
            known = self._values.get(name)
            if known is None:
                known = self._values[name] = self._known(name)
            bare = known[value if isinstance(value, str) else "\\".join(value)]
            if bare:
                found[name] = bare
                self.keywords[name] = None
        return found

    @staticmethod
    def _known(name: str) -> Remembered:
        key = keyword(name)
        if key.name != name or key.sequence or key.vr == "SQ":
            raise ValueError(f"{name} cannot be kept: write a keyword of a single attribute")
        return Remembered(lambda text: cleaned(text, key.vr))

    def _key(self, level: Level, values: dict[str, str]) -> str:
        own = _names(level, values)
        if own is None:  # nothing names it: equal rows are told apart by their count
            content = _digest(json.dumps(values, sort_keys=True))
            self._same[content] += 1
            own = ("content", content, str(self._same[content]))
        return _digest("\0".join((level.name, *own)))

    @staticmethod
    def _apart(row: Row, values: dict[str, str]) -> str:
        return "" if row.level.uid in values else row.apart

    def _study(self, values: dict[str, str], key: str) -> None:
        """Every series has a study, by its UID, its archive's key, or derived from whom and when."""
        if values.get("StudyInstanceUID") or values.get("StudyKey"):
            return
        whom, when = values.get("PatientID"), values.get("StudyDate") or values.get("SeriesDate")
        name = " | ".join((values.get("Collection", ""), whom, when)) if whom and when else key
        values["StudyKey"] = DERIVED + name
        self.keywords["StudyKey"] = None


def _digest(text: str) -> str:
    return blake2b(text.encode(), digest_size=16).hexdigest()


def _names(level: Level, values: dict[str, str]) -> tuple[str, ...] | None:
    """What names an entity within its archive."""
    if level is Level.PATIENT:
        return tuple(values.get(k, "") for k in ("Collection", "IssuerOfPatientID", "PatientID"))
    uid, own = level.uid, f"{level.name.capitalize()}Key"
    if uid in values:
        return "uid", values[uid]
    return ("own", values[own]) if own in values else None


def cleaned(text: str, vr: str) -> str:
    """A value in canonical composition and without padding; what no text can hold is made visible.

    Raises ValueError for a value that is too long to be one.
    """
    if len(text) > LONGEST:
        raise ValueError(f"a value of {len(text):,} characters, more than {LONGEST:,}")
    bare = text.rstrip(" \0") if vr in KEEPS_LEADING_SPACE else text.strip(" \0")
    if bare.isascii():
        return bare.replace("\0", "�") if "\0" in bare else bare
    whole = bare.encode("utf-8", "replace").decode("utf-8").replace("\0", "�")
    return unicodedata.normalize("NFC", whole)
