"""Replies of NBIA as DICOM attributes.

The same attribute has several names in one archive (`PatientId`, `PatientID`, `Subject ID`) and its dates two
forms: `2000-01-01 00:00:00.0` in v1, `01-31-2000` in v4 and in series metadata. Null values are left out.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from broker.adapter import as_value
from broker.matching import Value

Said = dict[str, Value]
"""One record: DICOM keyword -> value."""

# NBIA's names in lower case without blanks -> keyword; "" for what helps to read another
_NAMES = {
    "collection": "Collection",
    "patientid": "PatientID",
    "subjectid": "PatientID",
    "patientname": "PatientName",
    "patientbirthdate": "PatientBirthDate",
    "patientsex": "PatientSex",
    "patientage": "PatientAge",
    "ethnicgroup": "EthnicGroup",
    "speciesdescription": "PatientSpeciesDescription",
    "studyinstanceuid": "StudyInstanceUID",
    "studyuid": "StudyInstanceUID",
    "studyid": "StudyID",
    "studydate": "StudyDate",
    "studydescription": "StudyDescription",
    "studydesc": "StudyDescription",
    "admittingdiagnosesdescription": "AdmittingDiagnosesDescription",
    "admittingdiagnosisdescription": "AdmittingDiagnosesDescription",
    "seriescount": "NumberOfStudyRelatedSeries",
    "seriesinstanceuid": "SeriesInstanceUID",
    "seriesuid": "SeriesInstanceUID",
    "modality": "Modality",
    "protocolname": "ProtocolName",
    "seriesdate": "SeriesDate",
    "seriesdescription": "SeriesDescription",
    "seriesnumber": "SeriesNumber",
    "bodypartexamined": "BodyPartExamined",
    "manufacturer": "Manufacturer",
    "manufacturermodelname": "ManufacturerModelName",
    "softwareversions": "SoftwareVersions",
    "sopclassuid": "SOPClassUID",
    "imagecount": "NumberOfSeriesRelatedInstances",
    "numberofimages": "NumberOfSeriesRelatedInstances",
    "filesize": "SizeInMB",
    "licensename": "License",
    "licenseuri": "LicenseURI",
    "licenseurl": "LicenseURI",
    "datadescriptionuri": "SourceDOI",
    "collectionuri": "SourceDOI",
}

RETURNS = frozenset(_NAMES.values()) - {"LicenseURI"} | {"DataURL"}
"""Keywords that NBIA's replies hold, all endpoints together; `DataURL` is the address of its download."""

OF_STUDIES = frozenset(
    "PatientName PatientBirthDate PatientSex PatientAge EthnicGroup StudyID StudyDate StudyDescription "
    "AdmittingDiagnosesDescription".split()
)
"""What getPatientStudy knows of a series beside getSeries."""

OF_PATIENTS = frozenset({"PatientName", "PatientBirthDate", "PatientSex", "EthnicGroup"})
"""What getPatientStudy knows of a patient beside getPatient."""

OF_METADATA = frozenset({"License", "SizeInMB", "SourceDOI", "NumberOfSeriesRelatedInstances", "SOPClassUID"})
"""What getSeriesMetadata knows of a series beside getSeries."""


@functools.lru_cache(maxsize=512)
def _name(key: str) -> str | None:
    return _NAMES.get(re.sub(r"[\s_]", "", key).lower())


def said(record: Mapping[str, Any]) -> Said:
    """A record of any endpoint as DICOM attributes; the first of several names of one attribute counts."""
    found: Said = {}
    for key, given in record.items():
        name = _name(key)
        if name is not None and given is not None and name not in found:
            reader = _READERS.get(name)
            found[name] = reader(str(given)) if reader else as_value(given)
    uri = found.pop("LicenseURI", None)
    if isinstance(uri, str):
        found["License"] = _short(uri) or found.get("License") or uri
    return found


_YEAR_FIRST = re.compile(r"(\d{4})-(\d\d)-(\d\d)(?: .*)?", re.ASCII)
_MONTH_FIRST = re.compile(r"(\d\d)-(\d\d)-(\d{4})", re.ASCII)


@functools.lru_cache(maxsize=4096)
def date(text: str) -> str:
    """A date as DICOM writes it; what has neither of NBIA's forms stays as it is."""
    if found := _YEAR_FIRST.fullmatch(text.strip()):
        return found[1] + found[2] + found[3]
    if found := _MONTH_FIRST.fullmatch(text.strip()):
        return found[3] + found[1] + found[2]
    return text


_CC = re.compile(r"https?://creativecommons\.org/(licenses|publicdomain)/([a-z-]+)/(\d\.\d)", re.IGNORECASE)


def _short(uri: str) -> str:
    """The short form of a Creative Commons licence, as other archives write it: `CC BY 3.0`."""
    found = _CC.match(uri)
    if not found:
        return ""
    kind = found[2].upper()
    return "CC0" if kind == "ZERO" else f"CC {kind} {found[3]}"


def doi(text: str) -> str:
    """A DOI without the address that resolves it."""
    return re.sub(r"^(https?://(dx\.)?doi\.org/|doi:)", "", text.strip(), flags=re.IGNORECASE)


def _megabytes(text: str) -> str:
    """Bytes in megabytes; what is no number stays as it is."""
    return f"{int(text) / 1e6:.6f}".rstrip("0").rstrip(".") if text.isdecimal() else text


_READERS: dict[str, Callable[[str], str]] = {
    **dict.fromkeys(("StudyDate", "SeriesDate", "PatientBirthDate"), date),
    "SizeInMB": _megabytes,
    "SourceDOI": doi,
}


def missing(rows: Sequence[Said], wanted: Iterable[str], among: frozenset[str]) -> bool:
    """Whether something that is wanted, of these attributes, is in no row."""
    return any(all(name not in row for row in rows) for name in among.intersection(wanted))


def filled_in(rows: Iterable[Said], by: Sequence[str], more: Iterable[Said], among: frozenset[str]) -> None:
    """Give each row what it does not say of these attributes, from the record with which it shares `by`."""
    known: dict[tuple[Value, ...], Said] = {}
    for record in more:
        known.setdefault(tuple(map(record.get, by)), record)
    for row in rows:
        record = known.get(tuple(map(row.get, by)), {})
        for name in among & record.keys():
            row.setdefault(name, record[name])
