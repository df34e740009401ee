"""The tables of LONI's Image Data Archive: collection exports and advanced searches.

One row is one image, taken as a series. Columns depend on what was ticked, so they are read by name. A study
is not named: it is derived from subject, visit and date.
"""

from __future__ import annotations

import re

from catalog.imports import text, words
from catalog.imports.named import Columns
from catalog.imports.rows import File, Found, Options, Rejected, Row
from catalog.keywords import Level

VERSION = 1
NAMES = {
    "image": ("image data id", "image id", "imageid", "imageuid"),
    "subject": ("subject id", "subject"),
    "group": ("research group", "group"),
    "date": ("acq date", "study date"),
    "project": ("project", "project phase"),
    **{n: (n,) for n in ("sex", "age", "weight", "visit", "modality", "description", "type")},
    "protocol": ("imaging protocol",),
}
TERMS = {
    "manufacturer": "Manufacturer", "mfg model": "ManufacturerModelName", "te": "EchoTime",
    "tr": "RepetitionTime",
    "field strength": "MagneticFieldStrength", "slice thickness": "SliceThickness", "ti": "InversionTime",
    "flip angle": "FlipAngle", "coil": "ReceiveCoilName", "acquisition type": "MRAcquisitionType",
    "pulse sequence": "PulseSequenceName",
}  # fmt: skip
_KINDS = {
    "original": "ORIGINAL",
    "processed": "DERIVED",
    "pre-processed": "DERIVED",
    "post-processed": "DERIVED",
}
_IMAGE = re.compile(r"[IiDdSs]?(\d+)(?:\.0+)?")


def fits(beginning: bytes) -> bool:
    """Whether a table has IDA's columns: a subject, a description, and an image, group or type."""
    header = set(text.header_of(beginning))
    return bool(
        header & {"subject", "subject id"}
        and "description" in header
        and header & {*NAMES["image"], *NAMES["group"], "type"}
    )


def read(files: list[File], options: Options) -> Found:
    """A row for each image."""
    for file in files:
        table = text.table(file, options)
        columns = Columns(table.names, NAMES)
        for item in table.lines:
            if isinstance(item, Rejected):
                yield item
            else:
                yield _row(columns, item[1], item[0], file.name)


def _row(columns: Columns, cells: list[str], line: int, file: str) -> Row | Rejected:
    said = columns.of(cells)
    subject, image = said.get("subject"), image_id(said.get("image"))
    if subject is None:
        return Rejected(line, "no subject", file)
    if columns.has("image") and image is None:
        return Rejected(line, f"the Image ID {said.get('image') or ''!r} is no number", file)
    date = words.or_raw(words.date, said.get("date"))
    values = {
        "Collection": said.get("project"),
        "PatientID": subject,
        "PatientSex": words.or_raw(words.sex, said.get("sex")),
        "PatientAge": words.or_raw(words.age_in_years, said.get("age")),
        "PatientWeight": said.get("weight"),
        "PatientComments": commented(said.get("group")),
        "StudyKey": study_key(subject, said.get("visit"), date),
        "StudyDate": date,
        "SeriesKey": image,
        "SeriesDate": date,
        "Modality": words.modality(said.get("modality")),
        "SeriesDescription": said.get("description"),
        "ImageType": _KINDS.get((said.get("type") or "").lower()),
        "ClinicalTrialTimePointID": said.get("visit"),
    }
    pairs = (part.partition("=") for part in (said.get("protocol") or "").split(";"))
    return Row(Level.SERIES, values | terms({name: value for name, _, value in pairs}), line, file)


def image_id(given: str | None) -> str | None:
    """An Image ID as digits: `I123`, `123` and `123.0` are one."""
    found = _IMAGE.fullmatch((given or "").strip())
    return found[1] if found else None


def study_key(subject: str, visit: str | None, date: str | None) -> str | None:
    """What stands for a study, marked as derived; None where neither visit nor date is said."""
    return f"derived: {subject} | {visit or ''} | {date or ''}" if visit or date else None


def commented(group: str | None) -> str | None:
    """The research group, for which DICOM has no attribute."""
    return f"Research Group: {group}" if group else None


def terms(told: dict[str, str | None]) -> dict[str, str | None]:
    """Terms of an imaging protocol that DICOM has attributes for."""
    return {TERMS[key]: words.said(v) for k, v in told.items() if (key := k.strip().lower()) in TERMS}
