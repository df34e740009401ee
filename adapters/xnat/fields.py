"""Which columns of XNAT hold which DICOM attribute, how they read in DICOM, and what can be filtered by.

The columns are those into which XNAT's importer puts the attributes of a DICOM session and its scans
(`session_type` is StudyDescription, `UID` the instance UIDs).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from adapters.xnat.table import Table
from broker.matching import Value
from broker.query import Condition, Match
from catalog.capability import Can, Kind, Proof
from catalog.keywords import Level

SESSION = "xnat:imageSessionData"
SCAN = "xnat:imageScanData"
SHARED = f"{SESSION}/sharing/share/project"
SCAN_ID = f"{SCAN}/ID"
OWN = ("ID", "project", "UID", "subject_ID")  # without these a session cannot be placed

Read = Callable[[str], Value]


def text(value: str) -> Value:
    """A text; XNAT writes what it does not have as an empty one."""
    return value or None


def date(value: str) -> Value:
    """`2010-01-05` as DICOM writes it; what is no date stays as it is."""
    found = re.fullmatch(r"(\d{4})-(\d\d)-(\d\d)(?: .*)?", value, re.ASCII)
    return "".join(found.groups()) if found else text(value)


def time(value: str) -> Value:
    """`10:15:30` as DICOM writes it."""
    found = re.fullmatch(r"(\d\d):(\d\d):(\d\d(?:\.\d{1,6})?)", value, re.ASCII)
    return "".join(found.groups()) if found else text(value)


def sex(value: str) -> Value:
    """XNAT's gender as PatientSex: M, F, O; nothing for `unknown`."""
    return _SEX.get(value.strip().lower(), text(value))


def number(value: str) -> Value:
    """A scan's ID where it is a SeriesNumber: `2`, not `2-MR1` or `T1w`."""
    return value if value.isdecimal() else None


_SEX: Mapping[str, str | None] = {
    **dict.fromkeys(("m", "male"), "M"), **dict.fromkeys(("f", "female"), "F"),
    **dict.fromkeys(("o", "other"), "O"), "unknown": None, "": None,
}  # fmt: skip

OF_SESSION: Mapping[str, tuple[str, Read]] = {
    "StudyKey": ("ID", text),
    "StudyInstanceUID": ("UID", text),
    "StudyDate": ("date", date),
    "StudyTime": ("time", time),
    "AccessionNumber": ("dcmAccessionNumber", text),
    "StudyDescription": ("session_type", text),
    "StudyID": (f"{SESSION}/study_id", text),
    "PatientName": ("dcmPatientName", text),
    "PatientBirthDate": (f"{SESSION}/dcmPatientBirthDate", date),
}
OF_SUBJECT: Mapping[str, tuple[str, Read]] = {
    "PatientSex": ("gender", sex),
    "PatientBirthDate": ("dob", date),
}
OF_SCAN: Mapping[str, tuple[str, Read]] = {
    "SeriesInstanceUID": (f"{SCAN}/UID", text),
    "SeriesNumber": (SCAN_ID, number),
    "Modality": (f"{SCAN}/modality", text),
    "SeriesDescription": (f"{SCAN}/series_description", text),
    "BodyPartExamined": (f"{SCAN}/bodyPartExamined", text),
    "ProtocolName": (f"{SCAN}/protocolName", text),
    "SeriesDate": (f"{SCAN}/start_date", date),
    "SeriesTime": (f"{SCAN}/startTime", time),
    "Manufacturer": (f"{SCAN}/scanner/manufacturer", text),
    "ManufacturerModelName": (f"{SCAN}/scanner/model", text),
}
MADE = ("Collection", "PatientID", "OtherPatientIDs")

_TEXT = frozenset({Kind.SINGLE, Kind.ANY_OF, Kind.WILDCARD, Kind.CONTAINS})
_EXACT = frozenset({Kind.SINGLE, Kind.ANY_OF})
_STUDY: Mapping[str, frozenset[Kind]] = {
    "Collection": _TEXT,
    "StudyInstanceUID": _EXACT,
    "StudyDate": frozenset({Kind.SINGLE, Kind.RANGE}),
    "AccessionNumber": _EXACT,
    "StudyKey": _EXACT,
}
FILTERS = {
    "StudyKey": "ID",
    "StudyInstanceUID": "UID",
    "AccessionNumber": "dcmAccessionNumber",
    "SeriesInstanceUID": f"{SCAN}/UID",
}

XNAT = Can(
    levels=frozenset({Level.STUDY, Level.SERIES}),
    matches=_STUDY,
    by_level={Level.STUDY: _STUDY, Level.SERIES: {**_STUDY, "SeriesInstanceUID": _EXACT}},
    returns=frozenset({*OF_SESSION, *OF_SUBJECT, *OF_SCAN, *MADE, "SeriesKey", "DataURL"}),
    lists_all=True,
    any_text=Proof.NO,  # `%` and `,` mean something in a filter, and nothing says that they do not
    any_case_pn=Proof.NO,
    cite="XNAT REST, filters of QueryOrganizerResource",
)


def filters(conditions: Iterable[Condition]) -> dict[str, str]:
    """Conditions as parameters of a listing; that on Collection is none, for it chooses projects."""
    named = [(c, FILTERS.get(c.keyword)) for c in conditions]
    found = {name: ",".join(m.text for m in c.matches) for c, name in named if name}
    days = [m for c, _ in named if c.keyword == "StudyDate" for m in c.matches]
    return found | ({"date": ",".join(_days(m) for m in days)} if days else {})


def _days(m: Match) -> str:
    """A date or range as XNAT reads it: the first `-` divides, so ISO dates and open ends are impossible."""
    low, high = (m.text, m.text) if m.kind is Kind.SINGLE else (m.low or "18000101", m.high or "29991231")
    return "-".join(f"{day[4:6]}/{day[6:8]}/{day[:4]}" for day in (low, high))


@dataclass(frozen=True, slots=True)
class Wanted:
    """The fields of a question that an XNAT has, and the columns that they need of three listings."""

    of_session: tuple[str, ...]
    of_scan: tuple[str, ...]
    own: tuple[str, ...]
    session: tuple[str, ...]
    subject: tuple[str, ...]
    scan: tuple[str, ...]

    @property
    def fields(self) -> tuple[str, ...]:
        """The keywords of the records, in their order."""
        return (*self.of_session, *self.of_scan, *self.own)

    @classmethod
    def of(cls, wanted: Sequence[str], level: Level) -> Wanted:
        """For the fields that are wanted back; what names an entity of the level always is."""
        fields = _once(level.uid, "StudyKey", *wanted)
        of_session = [f for f in fields if f in OF_SESSION or f in OF_SUBJECT or f in MADE]
        of_scan = [f for f in fields if f in OF_SCAN]
        session = [OF_SESSION[f][0] for f in fields if f in OF_SESSION]
        if {"PatientID", "OtherPatientIDs"} & set(fields):
            session += ["subject_label", "dcmPatientId"]
        if "Collection" in fields:
            session += [SHARED]
        subject = [OF_SUBJECT[f][0] for f in fields if f in OF_SUBJECT]
        scan = [OF_SCAN[f][0] for f in of_scan]
        return cls(
            tuple(of_session),
            tuple(of_scan),
            ("SeriesKey", "DataURL") if level is Level.SERIES else ("DataURL",),
            _once(*OWN, *session),
            _once("ID", *subject) if subject else (),
            _once("ID", SCAN_ID, *scan),
        )


def _once(*names: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))


def column(found: Table, name: str) -> list[str]:
    """The values of a column, empty ones where it did not come back."""
    key = found.key(name)
    return [""] * len(found.rows) if key is None else [row.get(key, "") for row in found.rows]


def lacking(found: Table, columns: Sequence[str]) -> list[str]:
    """Notes on columns that this XNAT does not have."""
    return [f"no_column={c.rpartition('/')[2]}" for c in columns if found.rows and found.key(c) is None]
