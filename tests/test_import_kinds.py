"""Every kind of file that archives hand out: recognized, its rows found with right values, and damaged."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from holdings import Catalog, of

from catalog.imports import words

FILES = Path(__file__).parent.parent / "fixtures" / "holdings"


@pytest.fixture
def catalog(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Catalog:
    """An empty one."""
    return Catalog(tmp_path, capsys)


Case = tuple[str, str, int, list[str], dict[str, Any]]
# file, archive, rows, conditions of one series, and what it says
CASES: dict[str, Case] = {
    "loni": (
        "loni_collection.csv",
        "loni-ida",
        3,
        ["SeriesKey=700001"],
        {
            "PatientID": "777_S_0001",
            "PatientSex": "F",
            "PatientAge": "075Y",
            "StudyDate": "20170621",
            "Modality": "MR",
            "StudyKey": "derived: 777_S_0001 | sc | 20170621",
            "SeriesDescription": "Sagittal MPRAGE",
            "PatientComments": None,
        },
    ),
    "loni search": (
        "loni_search.csv",
        "loni-ida",
        3,
        ["MagneticFieldStrength=3", "SliceThickness=1.20"],
        {"SeriesKey": "700001", "ManufacturerModelName": "TrioTim", "PatientAge": "075Y"},
    ),
    "idaxs": (
        "loni.idaxs.xml",
        "loni-ida",
        2,
        ["SeriesDescription~sagittal"],
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
    "nda, submitted": (
        "nda_submission.csv",
        "nda",
        2,
        ["PatientAge=100Y"],
        {"PatientID": "NDARTEST0002", "StudyDate": "20100105", "Modality": "MR", "SeriesKey": "two.nii.gz"},
    ),
    "nda, downloaded": (
        "nda_download.txt",
        "nda",
        2,
        ["SeriesDescription~REST"],
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
    "xcede, old": (
        "xcede_old.xml",
        "function-birn",
        1,
        ["PatientID=0099"],
        {"Modality": "MR", "SeriesNumber": "2", "StudyDate": "20050102", "PatientSex": "F"},
    ),
    "midas": (
        "midas_items.json",
        "",
        1,
        ["BodyPartExamined=CHEST"],
        {
            "SeriesKey": "530",
            "PatientID": "GAS-0003",
            "PatientSex": "F",
            "PatientAge": "061Y",
            "Modality": "CT",
            "SeriesDescription": "CHEST W/O 5mm",
        },
    ),
    "midas tables": (
        "midas_tables.xml",
        "",
        1,
        ["Modality=MR"],
        {"SeriesKey": "7", "Manufacturer": "Philips"},
    ),
    "sidecars": (
        "sidecars",
        "",
        2,
        ["SeriesInstanceUID=2.25.1111"],
        {"PatientID": "4MR1", "Modality": "MR", "SeriesKey": None, "StudyInstanceUID": "2.25.111"},
    ),
    "ome": (
        "ome.ome.xml",
        "",
        2,
        ["SeriesDescription=swatch"],
        {
            "Manufacturer": "Test Optics",
            "Modality": "GM",
            "StudyDate": "20100223",
            "StudyDescription": "control set",
        },
    ),
    "bids": (
        "bids",
        "",
        4,
        ["SeriesDescription=MPRAGE"],
        {
            "PatientID": "sub-01",
            "PatientSex": "M",
            "PatientAge": "031Y",
            "Modality": "MR",
            "Manufacturer": "Siemens",
            "StudyDate": "20190506",
            "StudyKey": "sub-01/ses-a",
            "License": "CC0",
            "SourceDOI": "10.99999/test.1",
        },
    ),
}
PARTIAL = {"midas", "midas tables"}  # an item without metadata is rejected


@pytest.mark.parametrize("case", CASES)
def test_a_file_is_recognized_found_and_not_doubled(catalog: Catalog, case: str) -> None:
    name, archive, rows, conditions, expected = CASES[case]
    words_ = ("--archive", archive or "mine")[: 0 if archive else 2]
    code, out, err = catalog.take(FILES / name, *words_)
    assert code == (3 if case in PARTIAL else 0), err
    assert out.startswith(f"{archive or 'mine'}: {rows} new, 0 changed, 0 as before")
    (found,) = catalog.search("series", *conditions)
    assert {k: found.get(k) for k in expected if k != "PatientComments"} == {
        k: v for k, v in expected.items() if k != "PatientComments"
    }
    before = catalog.state()
    assert f"0 new, 0 changed, {rows} as before" in catalog.take(FILES / name, *words_)[1]
    assert catalog.state() == before


TEXTS = [case for case, (name, *_) in CASES.items() if (FILES / name).is_file()]


@pytest.mark.parametrize("case", TEXTS)
@pytest.mark.parametrize("damage", ["half", "encoding", "one line"])
def test_a_damaged_file_leaves_the_catalog_as_it_was(catalog: Catalog, case: str, damage: str) -> None:
    name, archive, *_ = CASES[case]
    catalog.take(FILES / "loni_collection.csv", "--archive", archive or "mine")
    before = catalog.state()
    whole = (FILES / name).read_bytes()
    spoiled = {
        "half": whole[: len(whole) // 2],
        "encoding": whole.replace(b"e", b"\xe9"),
        "one line": whole.rstrip() + b" " * (33 << 20),
    }[damage]
    kind = next(k for k in ("loni.idaxs", "loni", "nda", "xcede", "midas", "ome") if name.startswith(k))
    kind = {"loni.idaxs": "idaxs"}.get(kind, kind)
    bad = catalog.write(f"bad/{name}", spoiled)
    code, out, err = catalog.take(bad, "--archive", archive or "mine", "--as", kind)
    if damage == "one line" and name.endswith(".xml"):
        assert code in (0, 3)  # blanks after the root are no harm, and are not kept
        return
    assert (code, out) == (2, "")
    assert err.startswith("broker: ")
    assert err.count("\n") == 1
    assert catalog.state() == before


def test_two_tables_of_the_same_images_are_one_set_of_images(catalog: Catalog) -> None:
    catalog.take(FILES / "loni_search.csv")
    code, out, _ = catalog.take(FILES / "loni_collection.csv")
    assert (code, out.split(" (")[0]) == (0, "loni-ida: 1 new, 2 changed, 0 as before")
    (found,) = catalog.search("series", "SeriesKey=700002", "PatientWeight=63.5", "StudyDate=20180702")
    assert found["StudyKey"] == "derived: 777_S_0001 | m12 | 20180702"
    studies = catalog.search("studies", "PatientID=777_S_0001")
    assert sorted(of(studies, "StudyDate")) == ["20170621", "20180702"]
    assert len(catalog.search("patients")) == 3


def test_xcede_in_several_files_is_read_at_once(catalog: Catalog) -> None:
    code, out, err = catalog.take(FILES / "xcede")
    assert (code, out.split(" (")[0]) == (3, "function-birn: 2 new, 0 changed, 0 as before")
    assert "acquisition without an ID" in err
    (found,) = catalog.search("series", "Modality=MR", "StudyDate=2006", "RepetitionTime=2000")
    expected = {
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
    }
    assert {k: found.get(k) for k in expected} == expected
    assert sorted(of(catalog.search("patients"), "PatientID")) == ["0010", "0011"]
    assert of(catalog.search("patients", "PatientSex=F"), "PatientID") == ["0011"]


def test_bids_participants_without_images_are_patients_only(catalog: Catalog) -> None:
    catalog.take(FILES / "bids", "--archive", "faces")
    assert len(catalog.search("series")) == 3
    people = catalog.search("patients")
    assert sorted(of(people, "PatientID")) == ["sub-01", "sub-02", "sub-03"]
    (found,) = catalog.search("series", "PatientID=sub-02")
    assert (found["Modality"], found["PatientAge"], found["PatientSex"]) == ("MR", "025Y", "F")
    assert of(catalog.search("series", "EchoTime=2.98"), "SeriesDescription") == ["MPRAGE"]
    assert of(catalog.search("series", "BodyPartExamined=Brain"), "Modality") == ["PT"]


def test_a_sidecar_that_is_no_json_is_rejected_by_itself(catalog: Catalog) -> None:
    folder = catalog.folder / "bids"
    shutil.copytree(FILES / "bids", folder)
    (folder / "sub-02/func/sub-02_task-rest_bold.json").write_text('{"TaskName": ')
    code, _, err = catalog.take(folder, "--archive", "faces")
    assert (code, "sub-02_task-rest_bold.json: no JSON" in err) == (3, True)


HOSTILE = {
    "entities": '<?xml version="1.0"?><!DOCTYPE OME [<!ENTITY a "b"><!ENTITY c "&a;&a;">]><OME>&c;</OME>',
    "external": '<?xml version="1.0"?><!DOCTYPE OME SYSTEM "file:///etc/passwd"><OME/>',
    "deep": "<OME>" + "<a>" * 500 + "</a>" * 500 + "</OME>",
}


@pytest.mark.parametrize("attack", HOSTILE)
def test_hostile_xml_is_refused(catalog: Catalog, attack: str) -> None:
    bad = catalog.write("bad.ome.xml", HOSTILE[attack])
    code, _, err = catalog.take(bad, "--archive", "osa", "--as", "ome")
    assert code == 2
    assert "DOCTYPE" in err or "levels" in err


# --- values


@pytest.mark.parametrize(
    ("read", "text", "value"),
    [
        (words.date, "6/21/2017", "20170621"),
        (words.date, "2/29/2017", None),
        (words.date, "13/1/2017", None),
        (words.date, "2017-06-21T10:00:00", "20170621"),
        (words.date, "21.6.2017", None),
        (words.date, "0/0/0000", None),
        (words.time, "2017-06-21T10:20:30.123456789", "102030.123456"),
        (words.time, "25:00", None),
        (words.age_in_years, "75.05", "075Y"),
        (words.age_in_years, "1.5", "018M"),
        (words.age_in_years, "-1", None),
        (words.age_in_years, "0", "000Y"),
        (words.age_in_years, "x", None),
        (words.age_in_years, "1e300", None),
        (words.sex, "Female", "F"),
        (words.sex, "X", None),
        (words.modality, "mri", "MR"),
        (words.modality, "n/a", None),
        (words.modality, "CT", "CT"),
        (words.whole, "123.0", 123),
        (words.whole, "1.5", None),
        (words.said, " N/A ", None),
    ],
)
def test_words_of_archives(read: Any, text: str, value: Any) -> None:
    assert read(text) == value


def test_ages_in_months() -> None:
    assert [words.age_in_months(m) for m in (0, 18, 999, 1200)] == ["000M", "018M", "999M", "100Y"]


def test_every_kind_is_documented() -> None:
    from catalog.imports.kinds import KINDS

    page = (FILES.parent.parent / "docs" / "catalog.md").read_text()
    assert [name for name in KINDS if f"| `{name}` |" not in page] == []
    assert json.loads((FILES / "midas_items.json").read_text())["stat"] == "ok"
