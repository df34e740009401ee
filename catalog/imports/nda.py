"""Lists of images of the NIMH Data Archive (structure image03): as submitted, and as downloaded.

A submission begins with `image,3`; a download is tab-separated, with descriptions in its second line. Ages
are in months; the patient is the GUID.
"""

from __future__ import annotations

from catalog.imports import text, words
from catalog.imports.named import Columns
from catalog.imports.rows import File, Found, Options, Rejected, Row
from catalog.keywords import Level

VERSION = 2
SAME = {
    "collection_title": "Collection", "subjectkey": "PatientID", "src_subject_id": "OtherPatientIDs",
    "image_description": "SeriesDescription", "scan_type": "ProtocolName", "image_file": "DataURL",
    "scanner_manufacturer_pd": "Manufacturer", "scanner_type_pd": "ManufacturerModelName",
    "scanner_software_versions_pd": "SoftwareVersions", "image_slice_thickness": "SliceThickness",
    "flip_angle": "FlipAngle", "patient_position": "PatientPosition",
    "photomet_interpret": "PhotometricInterpretation", "visit": "ClinicalTrialTimePointID",
}  # fmt: skip
READ = {
    "interview_date": ("StudyDate", words.date),
    "sex": ("PatientSex", words.sex),
    "magnetic_field_strength": ("MagneticFieldStrength", words.tesla),
    "mri_repetition_time_pd": ("RepetitionTime", words.milliseconds),  # both are in seconds
    "mri_echo_time_pd": ("EchoTime", words.milliseconds),
}
_APART = "import the list that NDA gives, which has an image03_id, or say another --archive"
NAMES = {
    **{name: (name,) for name in (*SAME, *READ)},
    **{n: (n,) for n in ("image03_id", "interview_age", "image_modality", "collection_id")},
    "sex": ("sex", "gender"),
}


def fits(beginning: bytes) -> bool:
    """Whether it is a list of images with GUIDs, in either layout."""
    wanted = {"subjectkey", "image_file"}
    submitted = text.header_of(beginning)[:2] in (["image", "3"], ["image", "03"])
    if submitted:
        return wanted <= set(text.header_of(beginning, line=1))
    return any(wanted <= set(text.header_of(beginning, mark)) for mark in ("\t", ","))


def read(files: list[File], options: Options) -> Found:
    """A row for each image."""
    for file in files:
        beginning = text.head(file)
        given = text.divider(options.delimiter)
        submitted = text.header_of(beginning, given or ",")[:1] == ["image"]
        mark = "\t" if beginning.split(b"\n", 1)[0].count(b"\t") else ","
        table = text.table(file, options, mark, skip=int(submitted))
        columns = Columns(table.names, NAMES)
        for item in table.lines:
            if isinstance(item, Rejected):
                yield item
                continue
            line, cells = item
            said = columns.of(cells)
            if " " not in (said.get("subjectkey") or ""):  # else the line of descriptions
                yield _row(said, line, file.name)


def _row(said: dict[str, str | None], line: int, file: str) -> Row | Rejected:
    if not said.get("subjectkey"):
        return Rejected(line, "no subjectkey", file)
    months = words.whole(said.get("interview_age"))
    values = {
        **{target: said.get(name) for name, target in SAME.items()},
        **{target: words.or_raw(read, said.get(name)) for name, (target, read) in READ.items()},
        "PatientAge": said.get("interview_age") if months is None else words.age_in_months(months),
        "Modality": words.modality(said.get("image_modality")),
        "SeriesKey": said.get("image03_id") or _own_key(said),
    }
    values["Collection"] = values["Collection"] or said.get("collection_id")
    return Row(Level.SERIES, values, line, file, "" if said.get("image03_id") else _APART)


def _own_key(said: dict[str, str | None]) -> str | None:
    """What names an image before NDA has numbered it: several patients may have a `T1.nii.gz`."""
    return f"{said['subjectkey']}/{said['image_file']}" if said.get("image_file") else None
