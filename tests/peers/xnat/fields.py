"""XML paths and their shortcuts: what a column or a filter of a listing means, and of which type it is.

A path is `<element>/<field>`; replies name it in lower case. A shortcut is a short name of a path.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from peers.xnat.model import Scan, Session, Subject

SESSIONS = {
    "mr": "MR", "pet": "PET", "ct": "CT", "us": "US", "dx": "DX", "cr": "CR", "mg": "MG",
    "petmr": "PET MR", "otherDicom": "Other DICOM",
}  # fmt: skip
SCANS = ("mr", "pet", "ct", "us", "dx", "cr", "mg", "sc", "seg", "sr", "otherDicom")
SESSION_TYPES = tuple(f"xnat:{name}SessionData" for name in SESSIONS)
SCAN_TYPES = tuple(f"xnat:{name}ScanData" for name in SCANS)
GENERIC = ("xnat:experimentData", "xnat:subjectAssessorData", "xnat:imageSessionData")
OF_SCANS = frozenset(name.lower() for name in (*SCAN_TYPES, "xnat:imageScanData"))
OF_SESSIONS = frozenset(name.lower() for name in (*SESSION_TYPES, *GENERIC))

_DEMOGRAPHICS = "xnat:subjectData/demographics[@xsi:type=xnat:demographicData]/"
EXPERIMENT = {
    **{name: f"xnat:experimentData/{name}" for name in ("ID", "project", "date", "time", "label", "note")},
    **{
        name: f"xnat:imageSessionData/{name}"
        for name in (
            *("scanner", "operator", "dcmAccessionNumber", "dcmPatientId", "dcmPatientName"),
            *("session_type", "modality", "UID"),
        )
    },
    "fieldStrength": "xnat:mrSessionData/fieldStrength",
    "visit_id": "xnat:experimentData/visit_id",
    "subject_ID": "xnat:subjectData/ID",
    "subject_label": "xnat:subjectData/label",
    "subject_project": "xnat:subjectData/project",
    "insert_date": "xnat:experimentData/meta/insert_date",
    "insert_user": "xnat:experimentData/meta/insert_user/login",
    "xsiType": "xnat:experimentData/extension_item/element_name",
}
SUBJECT = {
    **{name: f"xnat:subjectData/{name}" for name in ("ID", "project", "label", "group", "src")},
    **{
        name: _DEMOGRAPHICS + name
        for name in ("dob", "yob", "age", "gender", "handedness", "weight", "height")
    },
    "insert_date": "xnat:subjectData/meta/insert_date",
    "insert_user": "xnat:subjectData/meta/insert_user/login",
}
SCAN = {
    **{
        name: f"xnat:imageScanData/{name}"
        for name in ("ID", "type", "UID", "note", "quality", "series_description", "modality", "frames")
    },
    "xsiType": "xnat:imageScanData/extension_item/element_name",
    "xnat_imagescandata_id": "xnat:imageScanData/xnat_imagescandata_id",
}
DATES = frozenset({"date", "dcmpatientbirthdate", "start_date", "dob"})
NUMBERS = frozenset({"frames", "age", "yob", "xnat_imagescandata_id"})


@dataclass(frozen=True, slots=True)
class Column:
    """A column or filter: `key` is its name in a reply; `kind` is session, subject or scan."""

    key: str
    kind: str
    element: str
    field: str

    @property
    def type(self) -> str:
        """The type by which a filter is read."""
        name = self.field.rpartition("/")[2]
        return "date" if name in DATES else "number" if name in NUMBERS else "string"


@cache
def column(name: str, root: str = "experiment") -> Column | None:
    """What a name means in a listing; None for what XNAT silently drops."""
    shortcuts = {"experiment": EXPERIMENT, "subject": SUBJECT, "scan": SCAN}[root]
    path = shortcuts.get(name, name).lower()
    if "/" not in path:
        return None
    key = next((short for short, long in shortcuts.items() if long.lower() == path), path)
    element, _, rest = path.partition("/")
    kind = "scan" if element in OF_SCANS else "subject" if element == "xnat:subjectdata" else "session"
    rest = rest.replace("demographics[@xsi:type=xnat:demographicdata]/", "")
    known = {"session": _SESSION, "subject": _SUBJECT, "scan": _SCAN}[kind]
    known_element = kind == "subject" or element in OF_SCANS | OF_SESSIONS
    return Column(key, kind, element, rest) if rest in known and known_element else None


def of_session(s: Session) -> Mapping[str, str]:
    """Field -> value."""
    return {
        "id": s.id, "project": s.project, "label": s.label, "date": s.date, "time": s.time, "note": s.note,
        "visit_id": "", "uid": s.uid, "modality": s.modality, "session_type": s.session_type, "operator": "",
        "dcmaccessionnumber": s.accession, "dcmpatientid": s.patient_id, "dcmpatientname": s.patient_name,
        "dcmpatientbirthdate": s.birth_date, "study_id": s.study_id, "scanner": s.station,
        "scanner/manufacturer": s.manufacturer, "scanner/model": "", "subject_id": s.subject.id,
        "fieldstrength": "", "acquisition_site": "", "meta/insert_date": s.inserted,
        "meta/insert_user/login": "admin", "extension_item/element_name": s.xsi,
        "sharing/share/project": "",
    }  # fmt: skip


def of_subject(s: Subject) -> Mapping[str, str]:
    """Field -> value."""
    empty = dict.fromkeys(("yob", "age", "handedness", "weight", "height", "group", "src"), "")
    return empty | {
        "id": s.id, "project": s.project, "label": s.label, "gender": s.gender, "dob": s.dob,
        "meta/insert_date": "2023-09-27 17:31:21.352", "meta/insert_user/login": "admin",
    }  # fmt: skip


def of_scan(s: Scan) -> Mapping[str, str]:
    """Field -> value."""
    return {
        "id": s.id, "uid": s.uid, "type": s.type, "series_description": s.series_description,
        "modality": s.modality, "frames": s.frames, "bodypartexamined": s.body_part, "note": s.note,
        "quality": "usable", "start_date": s.start_date, "starttime": s.start_time, "condition": "",
        "protocolname": "", "scanner/manufacturer": s.manufacturer, "scanner/model": s.model, "scanner": "",
        "extension_item/element_name": s.xsi, "xnat_imagescandata_id": str(s.number),
    }  # fmt: skip


_NOBODY = Subject("", "", "")
_SESSION = frozenset(of_session(Session("", "", "", _NOBODY)))
_SUBJECT = frozenset(of_subject(_NOBODY))
_SCAN = frozenset(of_scan(Scan("", 0)))
