"""Files imported into the catalog: DICOM headers beside a plain pydicom loop, DICOMDIR, and long tables."""

from __future__ import annotations

import csv
import os
import resource
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from pydicom import dcmread
from pydicom.dataset import Dataset, FileDataset
from pydicom.fileset import FileSet
from pydicom.filewriter import dcmwrite
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from benchmarks.measure import Figure, Numbers, in_turn
from benchmarks.tables import Aim, Result, Table
from catalog.importing import Wanted, import_into
from catalog.imports.dicom_header import KEYWORDS
from catalog.imports.mapping import mapping
from catalog.imports.rows import Options
from catalog.store import store
from fixtures.dicom import STORAGE, instance

ABOUT = (
    "A folder of 10,000 small DICOM files (series of 50; explicit, implicit, big endian and deflated) "
    "imported as series, beside plain loops over `pydicom.dcmread`; a DICOMDIR; tables of 1,000,000 rows."
)
FILES, LISTED, ROWS = 10_000, 2_000, 1_000_000
FEW = 20  # as many times less in a quick run
SYNTAXES = (
    *(ExplicitVRLittleEndian,) * 6,
    *(ImplicitVRLittleEndian,) * 2,
    ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
)
MAPPING = 'level = "series"\n[columns]\n' + "".join(
    f'"{column}" = "{keyword}"\n'
    for column, keyword in {
        "Image Data ID": "SeriesKey",
        "Subject": "PatientID",
        "Sex": "PatientSex",
        "Age": "PatientAge",
        "Visit": "ClinicalTrialTimePointID",
        "Modality": "Modality",
        "Description": "SeriesDescription",
        "Acq Date": "StudyDate",
    }.items()
)
LONI = (
    *("Image Data ID", "Subject", "Group", "Sex", "Age", "Visit", "Modality", "Description", "Type"),
    *("Acq Date", "Format", "Downloaded"),
)
NDA = (
    *(
        "collection_id",
        "image03_id",
        "subjectkey",
        "src_subject_id",
        "interview_date",
        "interview_age",
        "sex",
    ),
    *("image_file", "image_description", "scan_type", "image_modality", "scanner_manufacturer_pd"),
    *("magnetic_field_strength", "mri_repetition_time_pd", "collection_title"),
)


def run(*, quick: bool) -> Result:
    """Headers, directory, tables."""
    result = Result("imports", ABOUT)
    less = FEW if quick else 1
    with tempfile.TemporaryDirectory(prefix="broker-imports-") as name, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom's, of what is odd and can be read
        folder = Path(name)
        _headers(result, _images(folder / "images", FILES // less), rounds=2 if quick else 3)
        _directory(result, folder, LISTED // less)
        _tables(result, folder, ROWS // less)
    return result


def _image(number: int) -> FileDataset:
    series, codes = number // 50, [Dataset(), Dataset()]
    for code in codes:
        code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "1", "DCM", "something"
    said = {
        "PatientID": f"P{series // 8}",
        "PatientName": f"DOE^J{series // 8}",
        "StudyID": "1",
        "StudyInstanceUID": f"2.25.1.{series // 4}",
        "SeriesInstanceUID": f"2.25.2.{series}",
        "StudyDate": "20100101",
        "StudyTime": "101010",
        "AccessionNumber": "1",
        "SeriesDescription": f"series {series}",
        "Modality": "CT",
        "SeriesNumber": str(series % 4 + 1),
        "BodyPartExamined": "LUNG",
        "Manufacturer": "ACME",
        "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"],
        "ImagePositionPatient": ["0", "0", str(number)],
        "AcquisitionTime": f"{number % 60:06}",
        "SliceThickness": "1.5",
        "KVP": "120",
        "ProcedureCodeSequence": codes,
        "RequestAttributesSequence": codes,
        "PixelData": b"\0" * 2048,
    }
    made = instance(said, f"{STORAGE}2", f"2.25.3.{number}", number)
    private = made.private_block(0x0029, "ACME", create=True)
    for element in range(20):
        private.add_new(element, "LO", f"private {element}")
    return made


def _images(folder: Path, count: int) -> Path:
    for number in range(count):
        made, syntax = _image(number), SYNTAXES[number % len(SYNTAXES)]
        place = folder / f"{number // 200:03}" / f"{number // 50:04}" / f"{number:06}.dcm"
        place.parent.mkdir(parents=True, exist_ok=True)
        _write(made, place, syntax)
    return folder


def _write(made: FileDataset, place: Path, syntax: UID) -> None:
    made.file_meta.TransferSyntaxUID = syntax
    made.file_meta.FileMetaInformationGroupLength = 0
    implicit, little = syntax == ImplicitVRLittleEndian, syntax != ExplicitVRBigEndian
    made["PixelData"].VR = "OW"
    dcmwrite(place, made, implicit_vr=implicit, little_endian=little, force_encoding=True)


def _headers(result: Result, folder: Path, rounds: int) -> None:
    count = sum(1 for _ in folder.rglob("*.dcm"))
    ways = {
        "broker": _costing(partial(_imported, folder)),
        "pydicom, our attributes": _costing(partial(_loop, folder, KEYWORDS)),
        "pydicom, only opened": _costing(partial(_loop, folder, ())),
    }
    runs = in_turn(ways, rounds)
    rows: list[list[str | Figure]] = []
    for name in ways:
        each = runs.compare(name, name, lambda one, _: count / one["seconds"])
        cores = runs.compare(name, name, lambda one, _: one["cpu"] / one["seconds"])
        rows.append([name, runs.figure(name), each, cores, runs.ratio(name, "broker")])
    columns = ("way", "s", "files/s", "cores used", "x broker")
    note = (
        f"{count:,} files. The broker's time is that of the whole import into an empty catalog. The first "
        f"loop reads the {len(KEYWORDS)} attributes that the import keeps, the second none. Largest process: "
        f"{_largest():.0f} MB."
    )
    result.tables.append(Table("DICOM headers", columns, rows, note))
    gain = runs.ratio("pydicom, our attributes", "broker").median
    cpu = runs.ratio("pydicom, our attributes", "broker", "cpu").median
    result.aims.append(Aim("a plain pydicom loop that reads our attributes / broker", gain, 3.0, least=True))
    result.notes.append(f"Time of processors, of that loop / of the broker: {cpu:.1f}.")


def _costing(work: Callable[[], object]) -> Callable[[], Numbers]:
    """A way that takes time, and time of processors: its own and that of the processes it begins."""

    def way() -> Numbers:
        start, before = time.perf_counter(), _processors()
        work()
        return {"seconds": time.perf_counter() - start, "cpu": _processors() - before}

    return way


def _processors() -> float:
    told = os.times()
    return told.user + told.system + told.children_user + told.children_system


def _largest() -> float:
    unit = 1 << 20 if sys.platform == "darwin" else 1 << 10
    who = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return max(resource.getrusage(one).ru_maxrss for one in who) / unit


def _imported(place: Path, kind: str = "", options: Options | None = None) -> int:
    """Import into an empty catalog; rows."""
    with tempfile.TemporaryDirectory(prefix="broker-imports-") as kept:
        wanted = Wanted(place, "bench", kind)
        _, outcome = import_into(store(Path(kept) / "catalog.duckdb"), wanted, options or Options())
    if outcome.refused:
        raise RuntimeError(f"{outcome.refused} were rejected: {outcome.rejected[0].text()}")
    return outcome.added


def _loop(folder: Path, keywords: tuple[str, ...]) -> None:
    for place in folder.rglob("*.dcm"):
        data = dcmread(place, stop_before_pixels=True)
        for keyword in keywords:
            str(data.get(keyword, ""))


def _directory(result: Result, folder: Path, count: int) -> None:
    made = FileSet()
    for number in range(count):
        image = _image(number)
        image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        made.add(image)
    made.write(folder / "disc")
    place = folder / "disc" / "DICOMDIR"
    runs = in_turn(
        {"broker": _costing(partial(_imported, place)), "pydicom": _costing(lambda: _fileset(place))}, 3
    )
    rows: list[list[str | Figure]] = [
        [name, runs.figure(name), runs.ratio(name, "broker")] for name in ("broker", "pydicom")
    ]
    note = f"{count:,} images. pydicom: `FileSet`, and the series of each instance."
    result.tables.append(Table("DICOMDIR", ("way", "s", "x broker"), rows, note))


def _fileset(place: Path) -> int:
    return len({instance.SeriesInstanceUID for instance in FileSet(place)})


def _tables(result: Result, folder: Path, count: int) -> None:
    told = folder / "mapping.toml"
    told.write_text(MAPPING)
    tables = {
        "loni": (LONI, _loni, ",", Options()),
        "nda, downloaded": (NDA, _nda, "\t", Options()),
        "csv, mapped": (LONI, _loni, ",", Options(mapping=mapping(told))),
    }
    rows = []
    for name, (header, row, mark, options) in tables.items():
        place = folder / f"{name.split(',')[0]}.csv"
        _table(place, header, (row(number) for number in range(count)), mark)
        start = time.perf_counter()
        added = _imported(place, name.split(",")[0], options)
        seconds = time.perf_counter() - start
        rows.append([name, f"{added:,}", f"{seconds:.1f}", f"{added / seconds:,.0f}"])
    note = f"Into an empty DuckDB catalog, one run each. Largest process: {_largest():.0f} MB."
    result.tables.append(Table("Tables", ("kind", "rows", "s", "rows/s"), rows, note))


def _table(place: Path, header: tuple[str, ...], rows: Iterator[tuple[str, ...]], mark: str) -> None:
    with place.open("w", newline="", encoding="utf-8") as out:
        lines = csv.writer(out, delimiter=mark, quoting=csv.QUOTE_ALL, lineterminator="\n")
        lines.writerow(header)
        if mark == "\t":
            lines.writerow([f"what {name} is" for name in header])
        lines.writerows(rows)


def _loni(number: int) -> tuple[str, ...]:
    scan = number // 8
    return (
        *(f"I{number + 1}", f"{scan % 900:03}_S_{scan:06}", "CN", "MF"[scan % 2], str(55 + scan % 40)),
        *(f"m{scan % 12}", "MRI", f"scan {number % 40}", "Original", f"{scan % 12 + 1}/{scan % 28 + 1}/2017"),
        *("DCM", ""),
    )


def _nda(number: int) -> tuple[str, ...]:
    who = number // 6
    return (
        *("17", str(number), f"NDAR{who:08}", f"T{who}", f"{who % 12 + 1:02}/{who % 28 + 1:02}/2011"),
        *(
            str(who % 900),
            "MF"[who % 2],
            f"s3://bucket/{number}.nii.gz",
            "T1",
            "MR structural",
            "MRI",
            "Siemens",
        ),
        *("3T", "2.3", "A collection"),
    )
