"""An example of every layout that can be imported, and what can be wrong with a file."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydicom.fileset import FileSet

FILES = Path(__file__).parent.parent / "fixtures" / "holdings"
GIGABYTE = 1 << 30


@dataclass(frozen=True)
class Example:
    """A real-shaped file or folder of one kind, and what a search must find in it.

    place    in fixtures/holdings, or a function that makes it in a folder from the DICOM files of archive A
    archive  that the kind comes from; "" where the user says
    rows     that it gives; the conditions `asked` find one of its series, which `says` this
    partial  whether something in it is rejected
    words    that the command needs beside
    """

    kind: str
    place: str | Callable[[Path, Path], Path]
    archive: str
    rows: int
    asked: tuple[str, ...]
    says: Mapping[str, str | None]
    partial: bool = False
    words: tuple[str, ...] = field(default=())

    def make(self, folder: Path, images: Path) -> Path:
        """A copy of it in a folder."""
        if not isinstance(self.place, str):
            return self.place(folder, images)
        source, made = FILES / self.place, folder / self.place
        made.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(source, made) if source.is_dir() else shutil.copy(source, made)
        return made

    def command(self) -> tuple[str, ...]:
        """The words after the file."""
        return (*(() if self.archive else ("--archive", "mine")), *self.words)


def _folder(folder: Path, images: Path) -> Path:
    made = folder / "scans"
    made.mkdir(parents=True)
    for file in sorted(images.glob("0[1-3]-*.dcm")):
        shutil.copy(file, made)
    return made


def _disc(folder: Path, images: Path) -> Path:
    made: Any = FileSet()
    for file in sorted(images.glob("01-0[12]-*.dcm")):
        made.add(file)
    made.write(folder / "disc")
    made._stage["t"].cleanup()  # else pydicom leaves it to the garbage collector
    return Path(shutil.copy(folder / "disc" / "DICOMDIR", folder / "DICOMDIR"))


_SCAN = {
    "PatientID": "000123",
    "PatientName": "SMITH^JOHN",
    "StudyDate": "20100105",
    "BodyPartExamined": "LUNG",
    "NumberOfSeriesRelatedInstances": "3",
}
EXAMPLES = {
    "loni, collection": Example(
        "loni",
        "loni_collection.csv",
        "loni-ida",
        3,
        ("SeriesKey=700001",),
        {
            "PatientID": "777_S_0001",
            "PatientSex": "F",
            "PatientAge": "075Y",
            "StudyDate": "20170621",
            "Modality": "MR",
            "StudyKey": "derived: 777_S_0001 | sc | 20170621",
            "SeriesDescription": "Sagittal MPRAGE",
        },
    ),
    "loni, advanced search": Example(
        "loni",
        "loni_search.csv",
        "loni-ida",
        3,
        ("MagneticFieldStrength=3", "SliceThickness=1.20"),
        {"SeriesKey": "700001", "ManufacturerModelName": "TrioTim", "PatientAge": "075Y"},
    ),
    "idaxs": Example(
        "idaxs",
        "loni.idaxs.xml",
        "loni-ida",
        2,
        ("SeriesDescription~sagittal",),
        {
            "SeriesKey": "700010",
            "Collection": "TESTPROJECT",
            "StudyDate": "20170621",
            "StudyID": "4711",
            "PatientID": "777_S_0004",
            "Manufacturer": "SIEMENS",
            "ManufacturerModelName": "Prisma_fit",
        },
    ),
    "nda, submitted": Example(
        "nda",
        "nda_submission.csv",
        "nda",
        2,
        ("PatientAge=100Y",),
        {
            "PatientID": "NDARTEST0002",
            "StudyDate": "20100105",
            "Modality": "MR",
            "SeriesKey": "NDARTEST0002/two.nii.gz",
            "DataURL": "two.nii.gz",
        },
    ),
    "nda, downloaded": Example(
        "nda",
        "nda_download.txt",
        "nda",
        2,
        ("SeriesDescription~REST",),
        {
            "PatientID": "NDARTEST0003",
            "PatientAge": "009M",
            "Modality": "PT",
            "SeriesKey": "901",
            "PatientSex": "M",
            "Collection": "Test Collection",
            "DataURL": "s3://bucket/four",
        },
    ),
    "xcede 2": Example(
        "xcede",
        "xcede",
        "function-birn",
        2,
        ("Modality=MR", "StudyDate=2006", "RepetitionTime=2000"),
        {
            "PatientID": "0010",
            "PatientSex": "M",
            "PatientAge": "034Y",
            "Collection": "phase2",
            "SeriesNumber": "5",
            "SeriesDescription": "sirp run 1",
            "Manufacturer": "SIEMENS",
            "StudyDescription": "fBIRN test",
            "StudyKey": "phase2/0010/v1/s1",
            "SeriesKey": "phase2/0010/v1/s1/e1/a1",
        },
        partial=True,
    ),
    "xcede, old": Example(
        "xcede",
        "xcede_old.xml",
        "function-birn",
        1,
        ("PatientID=0099",),
        {"Modality": "MR", "SeriesNumber": "2", "StudyDate": "20050102", "PatientSex": "F"},
    ),
    "midas, items": Example(
        "midas",
        "midas_items.json",
        "",
        1,
        ("BodyPartExamined=CHEST",),
        {
            "SeriesKey": "530",
            "PatientID": "GAS-0003",
            "PatientSex": "F",
            "PatientAge": "061Y",
            "Modality": "CT",
            "SeriesDescription": "CHEST W/O 5mm",
        },
        partial=True,
    ),
    "midas, tables": Example(
        "midas",
        "midas_tables.xml",
        "",
        1,
        ("Modality=MR",),
        {"SeriesKey": "7", "Manufacturer": "Philips"},
        partial=True,
    ),
    "bids": Example(
        "bids",
        "bids",
        "",
        4,
        ("SeriesDescription=MPRAGE",),
        {
            "PatientID": "sub-01",
            "PatientSex": "M",
            "PatientAge": "031Y",
            "Modality": "MR",
            "Manufacturer": "Siemens",
            "StudyDate": "20190506",
            "StudyKey": "Test faces/sub-01/ses-a",
            "License": "CC0",
            "SourceDOI": "10.99999/test.1",
        },
    ),
    "sidecars": Example(
        "sidecar",
        "sidecars",
        "",
        2,
        ("SeriesInstanceUID=2.25.1111", "EchoTime=240"),
        {"PatientID": "4MR1", "Modality": "MR", "SeriesKey": None},
    ),
    "sidecar": Example(
        "sidecar",
        "sidecars/named.json",
        "",
        1,
        ("RepetitionTime=4000", "AcquisitionDate=20040826"),
        {"PatientID": "4MR1", "StudyInstanceUID": "2.25.111"},
    ),
    "dicom": Example("dicom", _folder, "", 7, ("BodyPartExamined=LUNG",), _SCAN),
    "dicomdir": Example("dicomdir", _disc, "", 2, ("SeriesNumber=2",), dict(list(_SCAN.items())[:3])),
    "ome": Example(
        "ome",
        "ome.ome.xml",
        "",
        2,
        ("SeriesDescription=swatch",),
        {
            "Manufacturer": "Test Optics",
            "Modality": "GM",
            "StudyDate": "20100223",
            "StudyDescription": "control set",
        },
    ),
    "csv, keywords": Example(
        "csv",
        "keywords.csv",
        "",
        2,
        ("SeriesInstanceUID=2.25.4.1",),
        {"PatientID": "K1", "StudyDate": "20090314", "PatientAge": "011Y"},
    ),
    "csv, mapped": Example(
        "csv",
        "mapped.csv",
        "",
        3,
        ("SeriesKey=img1",),
        {"PatientID": "A1", "StudyDate": "20090314", "PatientAge": "141M", "Collection": "NHANES II"},
        words=("--mapping", str(FILES / "mapped.toml")),
    ),
}


def form(file: Path) -> str:
    """What a file is, for what can be wrong with it."""
    begin = file.read_bytes()[:200]
    if begin[128:132] == b"DICM":
        return "binary"
    return {b"<": "xml", b"{": "json", b"[": "json"}.get(begin.lstrip()[:1], "table")


Damage = Callable[[Path], None]


def _half(file: Path) -> None:
    raw = file.read_bytes()
    file.write_bytes(raw[: len(raw) // 2])


def _latin(file: Path) -> None:
    file.write_bytes(file.read_bytes().replace(b"e", b"\xe9"))


def _utf16(file: Path) -> None:
    file.write_bytes(file.read_text(encoding="utf-8").encode("utf-16"))


def _semicolons(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace("\t" if "\t" in text.split("\n")[0] else ",", ";"), encoding="utf-8")


def _twice(file: Path) -> None:
    file.write_bytes(file.read_bytes() * 2)


def _column_twice(file: Path) -> None:
    made = []
    for line in file.read_text(encoding="utf-8").splitlines():
        mark = "\t" if "\t" in line else ","
        made.append(f"{line}{mark}{line.split(mark)[0]}\n")
    file.write_text("".join(made), encoding="utf-8")


def _empty(file: Path) -> None:
    file.write_bytes(b"")


def _gigabyte(file: Path) -> None:
    """One line of a gigabyte, of which the disk holds next to nothing."""
    with file.open("r+b") as out:
        raw = out.read().rstrip()
        out.truncate(len(raw))
        out.truncate(GIGABYTE)


def _blanks(file: Path) -> None:
    """A long line of blanks: no end, and nothing that a parser stumbles over."""
    file.write_bytes(file.read_bytes().rstrip() + b" " * (80 << 20))


TEXT = frozenset({"xml", "json", "table"})
DAMAGES: dict[str, tuple[Damage, frozenset[str], str]] = {
    "cut in half": (_half, TEXT | {"binary"}, "cut off|no row can be taken"),
    "another encoding": (_latin, TEXT, "not utf-8|UnicodeDecodeError|invalid token|no row can be taken"),
    "UTF-16": (_utf16, frozenset({"json", "table"}), "UTF-16|UnicodeDecodeError|no row can be taken"),
    "another delimiter": (_semicolons, frozenset({"table"}), "divided by ';'"),
    "header twice": (_twice, TEXT, "repeats the header|Extra data|junk after"),
    "column twice": (_column_twice, frozenset({"table"}), "stands twice"),
    "a gigabyte of one line": (_gigabyte, TEXT, "longer than|larger than|damaged at line"),
    "blanks without end": (_blanks, frozenset({"xml"}), "larger than"),
    "empty": (_empty, TEXT | {"binary"}, "empty|no JSON|no row|cut off"),
}


def damaged(place: Path, damage: str) -> bool:
    """Spoil a file, or every file of a folder; False where it does not apply to this form."""
    spoil, forms, _ = DAMAGES[damage]
    files = [place] if place.is_file() else sorted(file for file in place.rglob("*") if file.is_file())
    spoiled = [file for file in files if form(file) in forms]
    for file in spoiled:
        spoil(file)
    return bool(spoiled)
