"""Records in the DICOM JSON model (PS3.18 F.2)."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

from pydicom.datadict import dictionary_VR, tag_for_keyword

from fixtures.dicom import Value

vr_of = functools.cache(dictionary_VR)


def values(value: Value) -> list[str]:
    """The values of an attribute, also where it has only one."""
    return value if isinstance(value, list) else [value]


def _name_to_json(value: str) -> dict[str, str]:
    groups = zip(("Alphabetic", "Ideographic", "Phonetic"), value.split("="), strict=False)
    return {label: group for label, group in groups if group}


def _value_to_json(value: str, vr: str) -> object:
    if vr == "PN":
        return _name_to_json(value)
    return int(value) if vr == "IS" else float(value) if vr == "DS" else value


def to_json(record: Mapping[str, Value]) -> dict[str, Any]:
    """The record in the DICOM JSON model; an empty value becomes an element without ``Value``."""
    numbered = sorted((tag_for_keyword(keyword) or 0, keyword) for keyword in record)
    return {f"{tag:08X}": _element(record[keyword], vr_of(keyword)) for tag, keyword in numbered}


def _element(value: Value, vr: str) -> dict[str, Any]:
    if value in ("", []):
        return {"vr": vr}
    return {"vr": vr, "Value": [_value_to_json(each, vr) for each in values(value)]}
