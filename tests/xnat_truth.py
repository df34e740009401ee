"""What an XNAT of the tests holds, in DICOM's words, made from its model and not through the adapter."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from peers.xnat.model import Scan, Session, Site

from catalog.keywords import Level

Record = dict[str, Any]
NAMES = {Level.STUDY: ("StudyKey",), Level.SERIES: ("SeriesKey",)}
"""What tells records apart: two sessions may have one UID, or none."""
_SEX = {"male": "M", "M": "M", "female": "F", "F": "F", "other": "O"}


def records(site: Site, user: str | None = None) -> Mapping[Level, list[Record]]:
    """The studies and series that a user, or a guest, may see."""
    known = {p.id for p in site.readable(user)}
    studies = [(of_session(s, known), s.scans) for s in site.visible(user)]
    series = [study | of_scan(each, study["StudyKey"]) for study, scans in studies for each in scans]
    return {Level.STUDY: [study for study, _ in studies], Level.SERIES: series}


def of_session(s: Session, known: set[str]) -> Record:
    """A session as a study; what is empty is not there, nor are projects that may not be known."""
    projects = tuple(p for p in (s.project, *sorted(s.shared)) if p in known)
    label = s.subject.label
    patient = (label, s.patient_id) if s.patient_id not in ("", label) else label
    return _filled(
        StudyKey=s.id,
        StudyInstanceUID=s.uid,
        StudyDate=re.sub("-", "", s.date),
        StudyTime=re.sub(":", "", s.time),
        AccessionNumber=s.accession,
        StudyDescription=s.session_type,
        StudyID=s.study_id,
        PatientName=s.patient_name,
        PatientID=patient,
        PatientBirthDate=re.sub("-", "", s.birth_date or s.subject.dob),
        PatientSex=_SEX.get(s.subject.gender, ""),
        Collection=projects if len(projects) > 1 else projects[0],
    )


def of_scan(s: Scan, session: str) -> Record:
    """A scan of a session as a series."""
    return _filled(
        SeriesKey=f"{session}/{s.id}",
        SeriesInstanceUID=s.uid,
        SeriesNumber=s.id if s.id.isdigit() else "",
        Modality=s.modality,
        SeriesDescription=s.series_description,
        BodyPartExamined=s.body_part,
    )


def _filled(**said: Any) -> Record:
    return {keyword: value for keyword, value in said.items() if value}
