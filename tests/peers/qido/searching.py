"""Which search a request target asks for (PS3.18 10.6)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl

from peers.qido.matching import EMPTY
from pydicom.datadict import keyword_for_tag, tag_for_keyword

ROOT = "/dicom-web"
STUDY_FIELDS = frozenset(
    {
        *("StudyDate", "StudyTime", "AccessionNumber", "ModalitiesInStudy", "ReferringPhysicianName"),
        *("PatientName", "PatientID", "PatientBirthDate", "PatientSex"),
        *("StudyInstanceUID", "StudyID", "NumberOfStudyRelatedSeries", "NumberOfStudyRelatedInstances"),
    }
)
SERIES_FIELDS = frozenset(
    {"Modality", "SeriesDescription", "SeriesInstanceUID", "SeriesNumber", "NumberOfSeriesRelatedInstances"}
)
SERIES_OF_STUDY = re.compile(rf"{ROOT}/studies/([0-9.]+)/series")


def _keyword(name: str) -> str:
    """The keyword for ``0020000D`` or ``StudyInstanceUID``; empty for neither."""
    if re.fullmatch("[0-9A-Fa-f]{8}", name):
        return keyword_for_tag(int(name, 16))
    return name if tag_for_keyword(name) is not None else ""


@dataclass(frozen=True)
class Search:
    """One search as the server understood it; ``study`` is the one that the path names."""

    level: str
    study: str | None
    conditions: Mapping[str, str]
    fields: frozenset[str]
    limit: int | None
    offset: int


def _pairs(query: str, decode: bool) -> list[tuple[str, str]]:
    if decode:
        return parse_qsl(query, keep_blank_values=True)
    return [(name, value) for name, _, value in (part.partition("=") for part in query.split("&")) if name]


def _fields(level: str, study: str | None, asked: set[str]) -> frozenset[str]:
    """What a reply contains (PS3.18 10.6.3.3): each level's own, and what was asked for."""
    usual = STUDY_FIELDS if level == "STUDY" else SERIES_FIELDS | {"StudyInstanceUID"}
    above = STUDY_FIELDS if study is None else frozenset[str]()
    return usual | above | {_keyword(name) for name in asked} | ({"all"} & asked)


def read_search(target: str, decode: bool = True, empties: bool = True) -> Search | None:
    """The search that a request target asks for; ``None`` when nothing is served there."""
    path, _, query = target.partition("?")
    inside = SERIES_OF_STUDY.fullmatch(path)
    if not inside and path not in (f"{ROOT}/studies", f"{ROOT}/series"):
        return None
    level, study = "STUDY" if path.endswith("/studies") else "SERIES", inside[1] if inside else None
    pairs = _pairs(query, decode)
    conditions = {_keyword(name): value for name, value in pairs if _keyword(name)}
    if empties and ("emptyvaluematching", "true") in pairs:
        conditions = {k: EMPTY if v == '""' else v for k, v in conditions.items()}
    asked = {name for key, value in pairs if key == "includefield" for name in value.split(",")}
    paging = {name: int(value) for name, value in pairs if name in ("limit", "offset")}
    fields = _fields(level, study, asked | conditions.keys())
    return Search(level, study, conditions, fields, paging.get("limit"), paging.get("offset", 0))
