"""Many small studies as real files: several SOP classes and transfer syntaxes, images of some kilobytes."""

from __future__ import annotations

import random
from pathlib import Path

from pydicom import dcmread
from pydicom.dataset import FileDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from fixtures.dicom import STORAGE, instance

ROOT = "2.25.311752950184620938475610293847561029384"
CLASSES = {"CT": "2", "MR": "4", "PT": "128"}


def study(number: int) -> str:
    """The StudyInstanceUID of one of the studies, the first of which is 1."""
    return f"{ROOT}.{number}"


def write(folder: Path, studies: int = 50, series: int = 2, instances: int = 3, side: int = 64) -> list[Path]:
    """So many studies with so many series of so many square images, the same bytes each time."""
    folder.mkdir(parents=True, exist_ok=True)
    return [
        _written(folder, s, r, i, side)
        for s in range(1, studies + 1)
        for r in range(1, series + 1)
        for i in range(1, instances + 1)
    ]


def _written(folder: Path, s: int, r: int, i: int, side: int) -> Path:
    modality = list(CLASSES)[(s + r) % len(CLASSES)]
    rng = random.Random(s * 10_000 + r * 100 + i)
    about = {
        "PatientID": f"GET-{s:03}", "PatientName": f"Get^Number{s}", "StudyInstanceUID": study(s),
        "StudyDate": f"2021{1 + s % 12:02}{1 + s % 28:02}", "StudyID": str(s),
        "SeriesInstanceUID": f"{study(s)}.{r}", "SeriesNumber": str(r), "Modality": modality,
        "SamplesPerPixel": 1, "PhotometricInterpretation": "MONOCHROME2", "Rows": side, "Columns": side,
        "BitsAllocated": 16, "BitsStored": 16, "HighBit": 15, "PixelRepresentation": 0,
        "PixelData": rng.randbytes(2 * side * side),
    }  # fmt: skip
    made = instance(about, STORAGE + CLASSES[modality], f"{study(s)}.{r}.{i}", i)
    made["PixelData"].VR = "OW"
    made.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if s % 5 == 0 else ExplicitVRLittleEndian
    place = folder / f"{s:03}-{r}-{i}.dcm"
    made.save_as(place, enforce_file_format=True)
    return place


def by_uid(files: list[Path]) -> dict[str, Path]:
    """Files by the SOP Instance UID that they hold."""
    return {str(dcmread(f, stop_before_pixels=True).SOPInstanceUID): f for f in files}


def data_set(place: Path) -> bytes:
    """The data set of a file as it is encoded, without preamble and file meta information (PS3.10 7.1)."""
    found = dcmread(place, stop_before_pixels=True, defer_size=1)
    raw = place.read_bytes()
    # the meta information ends FileMetaInformationGroupLength bytes after that element
    start = 128 + 4 + 12 + int(found.file_meta.FileMetaInformationGroupLength)
    return raw[start:]


def syntax(place: Path) -> UID:
    """The transfer syntax of a file."""
    found: FileDataset = dcmread(place, stop_before_pixels=True)
    return UID(found.file_meta.TransferSyntaxUID)
