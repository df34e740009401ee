"""The JSON that dcm2niix writes beside each image.

Its times are in seconds, DICOM's in milliseconds. With `-ba y` (its default) there are no UIDs and no
patient: then the file's name is the key.
"""

from __future__ import annotations

import math
import re
from pathlib import PurePosixPath
from typing import Any

from catalog.imports import json_file, words
from catalog.imports.rows import BY_FOLDER, File, Found, Options, Rejected, Row
from catalog.imports.text import label
from catalog.keywords import Level
from catalog.problems import BadFile

VERSION = 1
SAME = (
    "Modality Manufacturer InstitutionName StationName PatientPosition SoftwareVersions StudyDescription "
    "SeriesDescription ProtocolName StudyInstanceUID SeriesInstanceUID StudyID PatientID PatientName "
    "PatientSex BodyPartExamined MRAcquisitionType AccessionNumber ConvolutionKernel PatientBirthDate"
).split()
NUMBERS = {
    "SeriesNumber": 1.0, "MagneticFieldStrength": 1.0, "SliceThickness": 1.0, "FlipAngle": 1.0,
    "PatientWeight": 1.0,
    "EchoTime": 1000.0, "RepetitionTime": 1000.0, "InversionTime": 1000.0,
}  # fmt: skip


def fits(beginning: bytes) -> bool:
    """Whether dcm2niix says that it wrote it."""
    start = beginning.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"{"
    return start and re.search(rb'"ConversionSoftware"\s*:\s*"dcm2niix', beginning) is not None


def read(files: list[File], options: Options) -> Found:
    """A row for each file."""
    del options
    for file in files:
        said = json_file.load(file)
        if not isinstance(said, dict):
            raise BadFile(f"{label(file)}: not the JSON of one image")
        stem = re.sub(r"\.json$", "", file.name or PurePosixPath(file.path).name)
        values = described(said)
        if not values:
            yield Rejected(0, "it says nothing of the image", file.name)
            continue
        own = {} if "SeriesInstanceUID" in values else {"SeriesKey": stem}
        yield Row(Level.SERIES, {**own, **values}, 0, file.name, BY_FOLDER if own else "")


def described(said: dict[str, Any]) -> dict[str, str | tuple[str, ...] | None]:
    """What a sidecar says in DICOM's words."""
    found: dict[str, str | tuple[str, ...] | None] = {name: _text(said.get(name)) for name in SAME}
    found |= {name: json_file.number(said.get(name), times) for name, times in NUMBERS.items()}
    found["Modality"] = words.modality(_text(said.get("Modality")))
    found["PatientSex"] = words.or_raw(words.sex, _text(said.get("PatientSex")))
    found["ManufacturerModelName"] = _text(said.get("ManufacturersModelName"))
    found["BodyPartExamined"] = _text(said.get("BodyPartExamined")) or _text(said.get("BodyPart"))
    age = _text(said.get("PatientAge"))
    found["PatientAge"] = None if age == "0" else words.or_raw(words.age, age)  # 0 stands for none
    moment = _text(said.get("AcquisitionDateTime"))
    found["AcquisitionDate"] = words.date(moment)
    found["AcquisitionTime"] = words.time(moment or _text(said.get("AcquisitionTime")))
    kinds = said.get("ImageType")
    if isinstance(kinds, list) and all(isinstance(k, str) for k in kinds):
        found["ImageType"] = tuple(kinds)
    birth = found["PatientBirthDate"]
    found["PatientBirthDate"] = words.or_raw(words.date, birth if isinstance(birth, str) else None)
    return {name: value for name, value in found.items() if value}


def _text(value: Any) -> str | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, float):
        return f"{value:.12g}" if math.isfinite(value) else None
    return words.said(value) if isinstance(value, str) else None
