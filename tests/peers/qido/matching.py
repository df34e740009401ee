"""Matching as an honest archive does it: one value, wildcards, a range of dates, UIDs (PS3.4 C.2.2.2)."""

from __future__ import annotations

import re
from collections.abc import Mapping

from peers.qido.dicomjson import values, vr_of

from fixtures.dicom import Value

EMPTY = "\0"
"""The condition that there is no value (PS3.4 C.2.2.2.7)."""


def _wildcard(pattern: str, text: str) -> bool:
    translated = "".join({"*": ".*", "?": "."}.get(letter, re.escape(letter)) for letter in pattern)
    return re.fullmatch(translated, text, re.DOTALL) is not None


def _in_range(wanted: str, text: str) -> bool:
    first, _, last = wanted.partition("-")
    return text.isdigit() and first <= text and (not last or text <= last)


def _name_matches(wanted: str, text: str) -> bool:
    """Any case, against the whole name or one of its component groups; trailing ``^`` mean nothing."""
    wanted = wanted.casefold().rstrip("^")
    return any(_wildcard(wanted, each.casefold().rstrip("^")) for each in [text, *text.split("=")])


def _one_matches(wanted: str, text: str, vr: str) -> bool:
    if vr == "PN":
        return _name_matches(wanted, text)
    if vr == "DA" and "-" in wanted:
        return _in_range(wanted, text)
    if vr == "UI":
        return text in wanted.split(",")
    return _wildcard(wanted, text)


def matches(record: Mapping[str, Value], conditions: Mapping[str, str]) -> bool:
    """Whether the record meets every condition; an absent attribute meets the universal and the empty one."""
    return all(
        not wanted
        or (wanted == EMPTY and not any(values(record.get(key, ""))))
        or any(_one_matches(wanted, text, vr_of(key)) for text in values(record.get(key, [])))
        for key, wanted in conditions.items()
    )
