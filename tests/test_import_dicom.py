"""DICOM folders and DICOMDIR: headers as pydicom reads them, by all cores, and what is damaged or hostile."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from holdings import Catalog, of
from hypothesis import given, settings
from hypothesis import strategies as st
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

from catalog.imports import dicom, dicom_header
from catalog.imports.dicom_header import KEYWORDS, header, texts
from catalog.imports.files import listed
from catalog.imports.rows import Options
from catalog.problems import BadFile
from fixtures.dicom import STORAGE, Truth, instance

SYNTAXES = {
    "explicit": ExplicitVRLittleEndian,
    "implicit": ImplicitVRLittleEndian,
    "big endian": ExplicitVRBigEndian,
    "deflated": DeflatedExplicitVRLittleEndian,
}


def image(number: int = 1, **said: object) -> FileDataset:
    """An image with private attributes, sequences of both lengths, and pixels."""
    code = Dataset()
    code.CodeValue, code.CodeMeaning = "1", "something"
    about = {
        "PatientID": "P1",
        "PatientName": "DOE^JANE",
        "StudyInstanceUID": "2.25.1",
        "SeriesInstanceUID": "2.25.2",
        "Modality": "CT",
        "ImageType": ["ORIGINAL", "PRIMARY"],
        "SliceThickness": "1.50",
        "BodyPartExamined": "LUNG",
        "ProcedureCodeSequence": [code, code],
        "RequestAttributesSequence": [code],
        "PixelData": b"\0" * 64,
    }
    made = instance({**about, **said}, f"{STORAGE}2", f"2.25.3.{number}", number)
    made["ProcedureCodeSequence"].is_undefined_length = True
    made.private_block(0x0009, "ACME", create=True).add_new(1, "UN", b"x" * 30)
    made["PixelData"].VR = "OB"
    return made


def written(place: Path, made: FileDataset, syntax: UID = ExplicitVRLittleEndian) -> Path:
    """The file of an image."""
    made.file_meta.TransferSyntaxUID = syntax
    made.file_meta.FileMetaInformationGroupLength = 0
    little = syntax != ExplicitVRBigEndian
    implicit = syntax == ImplicitVRLittleEndian
    dcmwrite(place, made, implicit_vr=implicit, little_endian=little, force_encoding=True)
    return place


def by_pydicom(place: Path) -> dict[str, tuple[str, ...]]:
    """What a header says, read the long way."""
    data = dcmread(place, stop_before_pixels=True)
    found = {name: values for name in (*KEYWORDS, "SOPInstanceUID") if (values := texts(data, name))}
    return found | {"TransferSyntaxUID": (str(data.file_meta.TransferSyntaxUID),)}


def test_headers_are_as_pydicom_reads_them(held: tuple[Path, Truth]) -> None:
    files = sorted(held[0].rglob("*.dcm"))
    assert len(files) > 100
    for file in files:
        assert header(str(file)) == by_pydicom(file)


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("size", [64, 200_000])
def test_every_way_of_writing_is_read(tmp_path: Path, syntax: str, size: int) -> None:
    made = image(StudyDescription="x" * 60, PixelData=b"\0" * size)
    made.private_block(0x0011, "ACME", create=True).add_new(1, "UN", b"y" * (100 if size == 64 else 100_000))
    place = written(tmp_path / "image.dcm", made, SYNTAXES[syntax])
    said = header(str(place))
    assert said == by_pydicom(place)
    assert isinstance(said, dict)
    assert said["SliceThickness"] == ("1.50",)


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("pixels", [True, False])
def test_a_file_cut_anywhere_never_says_anything_else(tmp_path: Path, syntax: str, pixels: bool) -> None:
    made = image()
    if not pixels:
        del made.PixelData
    whole = written(tmp_path / "image.dcm", made, SYNTAXES[syntax])
    raw, said = whole.read_bytes(), header(str(whole))
    assert isinstance(said, dict)
    cut = tmp_path / "cut.dcm"
    for end in range(len(raw) - 1):
        cut.write_bytes(raw[:end])
        told = header(str(cut))
        if isinstance(told, dict) and told.get("SeriesInstanceUID"):  # cut between two elements
            assert told.items() <= said.items(), end


def test_a_file_cut_within_its_pixels_is_rejected(tmp_path: Path) -> None:
    whole = written(tmp_path / "image.dcm", image())
    whole.write_bytes(whole.read_bytes()[:-10])
    assert header(str(whole)) == dicom_header.CUT


@pytest.mark.parametrize("without", ["prefix", "file meta"])
def test_data_sets_of_old_devices_are_read(tmp_path: Path, without: str) -> None:
    place = written(tmp_path / "image.dcm", image())
    expected = by_pydicom(place)
    raw = place.read_bytes()
    place.write_bytes(raw[132:] if without == "prefix" else raw[raw.index(b"\x08\x00\x08\x00CS") :])
    if without == "file meta":
        del expected["TransferSyntaxUID"]
    assert header(str(place)) == expected


def test_what_inflates_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dicom_header, "INFLATED", 1 << 20)
    place = written(tmp_path / "image.dcm", image(), DeflatedExplicitVRLittleEndian)
    raw = place.read_bytes()
    begin = 144 + int.from_bytes(raw[140:144], "little")
    deflating = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    bomb = b"\x09\x00\x01\x10UN\0\0\xff\xff\xff\x7f" + bytes(8 << 20)
    place.write_bytes(raw[:begin] + deflating.compress(bomb) + deflating.flush())
    assert "inflated bytes" in str(header(str(place)))


@settings(deadline=None)
@given(st.binary(max_size=400))
def test_any_bytes_are_a_header_or_a_reason(tmp_path_factory: pytest.TempPathFactory, raw: bytes) -> None:
    place = tmp_path_factory.getbasetemp() / "any.dcm"
    for beginning in (b"", bytes(128) + b"DICM", bytes(128) + b"DICM\2\0\x10\0UI\x12\x001.2.840.10008.1.2\0"):
        place.write_bytes(beginning + raw)
        assert isinstance(header(str(place)), dict | str)


def test_a_folder_of_dicom_files_is_its_series(catalog: Catalog, held: tuple[Path, Truth]) -> None:
    folder, truth = held
    code, out, err = catalog.take(folder / "a", "--archive", "disk")
    series = [row for study in truth["archives"]["a"] for row in study["series"]]
    assert (code, out.split(" (")[0]) == (0, f"disk: {len(series)} new, 0 changed, 0 as before"), err
    found = {values["SeriesInstanceUID"]: values for values in catalog.search("series")}
    for row in series:
        said = found[row["SeriesInstanceUID"]]
        for keyword in ("Modality", "SeriesNumber", "BodyPartExamined", "NumberOfSeriesRelatedInstances"):
            assert (said.get(keyword) or "") == (row.get(keyword) or ""), keyword
    studies = {values["StudyInstanceUID"]: values for values in catalog.search("studies")}
    for study in truth["archives"]["a"]:
        said, told = studies[study["study"]["StudyInstanceUID"]], study["study"]
        for keyword in ("PatientName", "PatientID", "StudyDescription", "ModalitiesInStudy"):
            assert (said.get(keyword) or "") == (told.get(keyword) or ""), keyword
    assert "0 new, 0 changed" in catalog.take(folder / "a", "--archive", "disk")[1]


def _beside(folder: Path, away: Path) -> Iterator[tuple[str, str]]:
    """Everything that may lie beside an image: name, and why it is not taken ("" if it is)."""
    first = written(folder / "one.dcm", image(1))
    yield "one.dcm", ""
    os.link(first, folder / "two links.dcm")
    yield "two links.dcm", "the same SOPInstanceUID as one.dcm"
    written(Path(os.fsdecode(bytes(folder) + b"/caf\xe9.dcm")), image(2))
    yield "caf\\xe9.dcm", ""
    (folder / "新しい").mkdir()
    written(folder / "新しい" / "ü.dcm", image(3))
    yield "新しい/ü.dcm", ""
    written(folder / "other study.dcm", image(4, StudyInstanceUID="2.25.9"))
    yield "other study.dcm", "its series is of another study in caf\\xe9.dcm"
    written(folder / "nameless.dcm", image(5, SeriesInstanceUID=""))
    yield "nameless.dcm", "no SeriesInstanceUID"
    deep = folder / "/".join("d" * 66)
    deep.mkdir(parents=True)
    yield "/".join("d" * 65), "more than 64 folders deep"
    (folder / "cut.dcm").write_bytes(first.read_bytes()[:-9])
    yield "cut.dcm", dicom_header.CUT
    (folder / "read me.txt").write_text("no image")
    yield "read me.txt", "not a DICOM file"
    (folder / "empty").touch()
    yield "empty", "not a DICOM file"
    (folder / "outside.dcm").symlink_to(written(away / "x.dcm", image(6)))
    yield "outside.dcm", "a link that leaves the folder: it is not followed"
    (folder / "away").symlink_to(away)
    yield "away", "a link that leaves the folder: it is not followed"
    (folder / "round").symlink_to(".")
    yield "round", "a link to a folder: it is not followed"
    (folder / "nowhere").symlink_to(away / "nothing")
    yield "nowhere", "a link to nothing"
    os.mkfifo(folder / "pipe")
    yield "pipe", "neither a file nor a folder"


def test_what_is_no_image_is_rejected_by_name(catalog: Catalog, tmp_path: Path) -> None:
    folder, away = tmp_path / "disk", tmp_path / "away"
    folder.mkdir()
    away.mkdir()
    expected = dict(_beside(folder, away))
    rejected = tmp_path / "rejected.csv"
    code, out, _ = catalog.take(folder, "--archive", "disk", "--rejected", str(rejected))
    assert (code, out.split(",")[0]) == (3, "disk: 1 new")
    assert of(catalog.search("series"), "NumberOfSeriesRelatedInstances") == ["3"]
    told = {line.split(",")[0]: line.split(",")[2] for line in rejected.read_text().splitlines()[1:]}
    assert told == {name: why for name, why in expected.items() if why}


def _many(folder: Path, count: int = dicom.ALONE + 200) -> Path:
    """So many images of one series that several processes read them."""
    folder.mkdir()
    raw = written(folder / "1.dcm", image(10_000_001)).read_bytes()
    for number in range(2, count + 1):
        uid = f"2.25.3.{10_000_000 + number}".encode()
        (folder / f"{number}.dcm").write_bytes(raw.replace(b"2.25.3.10000001", uid))
    return folder


def test_many_files_are_read_by_all_cores(catalog: Catalog, tmp_path: Path) -> None:
    folder = _many(tmp_path / "disk")
    code, out, _ = catalog.take(folder, "--archive", "disk")
    assert (code, out.split(",")[0]) == (0, "disk: 1 new")
    assert of(catalog.search("series"), "NumberOfSeriesRelatedInstances") == [str(dicom.ALONE + 200)]
    alone = dicom.ALONE + 100
    seen: list[tuple[int, int]] = []
    files, _ = listed(folder)
    list(dicom.read(files[:alone], Options(progress=lambda done, total: seen.append((done, total)))))
    assert seen[-1] == (alone, alone)
    assert len(seen) > 3


def test_a_reading_process_that_is_killed_is_a_clear_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files, _ = listed(_many(tmp_path / "disk"))
    monkeypatch.setattr(dicom, "_begun", partial(os._exit, 3))
    with pytest.raises(BadFile, match="not enough memory"):
        list(dicom.read(files, Options()))


KILLED = """
import sys, time
from pathlib import Path
from catalog.imports import dicom
from catalog.imports.files import listed
from catalog.imports.rows import Options
if __name__ == "__main__":
    files, _ = listed(Path(sys.argv[1]))
    def slow(done, total):
        print("reading", flush=True)
        time.sleep(60)
    list(dicom.read(files, Options(progress=slow)))
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_reading_processes_end_with_the_one_that_began_them(tmp_path: Path, how: signal.Signals) -> None:
    folder, script = _many(tmp_path / "disk"), tmp_path / "reading.py"
    script.write_text(KILLED)
    with subprocess.Popen(
        [sys.executable, str(script), str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)},
    ) as child:
        assert child.stdout
        assert child.stdout.readline() == b"reading\n"
        assert len(_group(child.pid)) > 1
        child.send_signal(how)
        said = child.communicate(timeout=30)[1]
    end = time.monotonic() + 30
    while _group(child.pid) and time.monotonic() < end:
        time.sleep(0.05)
    assert _group(child.pid) == []
    assert said.count(b"Traceback") <= 1


def _group(leader: int) -> list[int]:
    """The living processes of a session."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == leader and fields[0] != "Z":
            found.append(int(stat.parent.name))
    return found


Spoil = Callable[[bytes], bytes]
SPOILED: dict[str, Spoil] = {
    "cut in half": lambda raw: raw[: len(raw) // 2],
    "without its end": lambda raw: raw[:-900],
    "only its beginning": lambda raw: raw[:400],
}


@pytest.fixture(scope="module")
def disc(held: tuple[Path, Truth], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a DICOMDIR and the nine files of two patients that it lists."""
    made: Any = FileSet()
    for file in sorted((held[0] / "a").glob("0[12]-0[12]-*.dcm")):
        made.add(file)
    folder = tmp_path_factory.mktemp("disc") / "disc"
    made.write(folder)
    made._stage["t"].cleanup()  # else pydicom leaves it to the garbage collector
    return folder


def test_a_dicomdir_lists_series_without_opening_files(catalog: Catalog, disc: Path, tmp_path: Path) -> None:
    alone = tmp_path / "DICOMDIR"
    shutil.copy(disc / "DICOMDIR", alone)
    code, _, err = catalog.take(alone, "--archive", "disc")
    assert code == 0, err
    found = catalog.search("series")
    assert sum(int(values["NumberOfSeriesRelatedInstances"]) for values in found) == 9
    assert all(values["PatientID"] and values["Modality"] for values in found)
    catalog.take(disc, "--archive", "disk")
    whole = {v["SeriesInstanceUID"]: v for v in catalog.search("series", "--at", "disk")}
    assert {v["SeriesInstanceUID"] for v in found} == set(whole)
    before = catalog.state()
    assert " 0 new, 0 changed" in catalog.take(alone, "--archive", "disc")[1]
    assert catalog.state() == before


def _by_level(place: Path) -> None:
    """The records of a DICOMDIR, all patients first, then all studies, as some devices write them."""
    data = dcmread(place)
    old = list(data.DirectoryRecordSequence)
    begins = [int(record.seq_item_tell) for record in old]
    sizes = dict(zip(begins, [b - a for a, b in pairwise([*begins, place.stat().st_size])], strict=True))
    levels = ("PATIENT", "STUDY", "SERIES")
    new = sorted(old, key=lambda r: (*levels, r.DirectoryRecordType).index(r.DirectoryRecordType))
    moved, at = {0: 0}, begins[0]
    for record in new:
        moved[int(record.seq_item_tell)] = at
        at += sizes[int(record.seq_item_tell)]
    links = ("OffsetOfTheNextDirectoryRecord", "OffsetOfReferencedLowerLevelDirectoryEntity")
    roots = ("First", "Last")
    for owner, names in [
        *((record, links) for record in old),
        (data, tuple(f"OffsetOfThe{one}DirectoryRecordOfTheRootDirectoryEntity" for one in roots)),
    ]:
        for name in names:
            setattr(owner, name, moved[int(getattr(owner, name))])
    data.DirectoryRecordSequence = new
    data.save_as(place)


def test_records_of_a_dicomdir_belong_to_what_leads_to_them(
    catalog: Catalog, disc: Path, tmp_path: Path
) -> None:
    place = Path(shutil.copy(disc / "DICOMDIR", tmp_path))
    catalog.take(place, "--archive", "disc")
    before = {v["SeriesInstanceUID"]: v for v in catalog.search("series")}
    assert len({values["PatientID"] for values in before.values()}) > 1
    whole = place.read_bytes()
    _by_level(place)
    assert place.read_bytes() != whole
    code, out, err = catalog.take(place, "--archive", "disc")
    assert (code, f" 0 new, 0 changed, {len(before)} as before" in out) == (0, True), err
    data = dcmread(place)
    data.DirectoryRecordSequence[0].OffsetOfTheNextDirectoryRecord = 0
    data.save_as(place)
    code, _, err = catalog.take(place, "--archive", "disc")
    assert (code, "nothing leads to" in err) == (2, True)


@pytest.mark.parametrize("damage", SPOILED)
def test_a_damaged_dicomdir_leaves_the_catalog_as_it_was(
    catalog: Catalog, disc: Path, tmp_path: Path, damage: str
) -> None:
    alone = tmp_path / "DICOMDIR"
    shutil.copy(disc / "DICOMDIR", alone)
    catalog.take(alone, "--archive", "disc")
    before = catalog.state()
    alone.write_bytes(SPOILED[damage](alone.read_bytes()))
    code, out, err = catalog.take(alone, "--archive", "disc")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "cut off" in err
    assert catalog.state() == before
