"""Every kind of file that archives hand out: recognized, its rows found with right values, and damaged."""

from __future__ import annotations

import functools
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from holdings import Catalog, of
from importing import DAMAGES, EXAMPLES, FILES, damaged
from peers.postgres import PASSWORD, Postgres

from catalog.imports import words
from catalog.imports.kinds import KINDS
from catalog.store import store
from fixtures.dicom import Truth


@pytest.fixture(scope="session")
def images(held: tuple[Path, Truth]) -> Path:
    """The DICOM files of archive A."""
    return held[0] / "a"


def test_every_kind_has_an_example() -> None:
    assert {example.kind for example in EXAMPLES.values()} == set(KINDS)


@pytest.fixture(params=["DuckDB", "PostgreSQL"])
def either(request: pytest.FixtureRequest, catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> Catalog:
    """An empty catalog in a file, and in a database."""
    if request.param == "PostgreSQL":
        monkeypatch.setenv("CATALOG_PASSWORD", PASSWORD)
        catalog.move(_emptied(request.getfixturevalue("postgres")))
    return catalog


@functools.cache
def _database(server: Postgres) -> str:
    return server.database("kinds")


def _emptied(server: Postgres) -> str:
    kept = store(_database(server), PASSWORD)
    for archive in kept.held():
        kept.remove(archive)
    return _database(server)


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_file_is_recognized_found_and_not_doubled(
    either: Catalog, tmp_path: Path, images: Path, name: str
) -> None:
    example = EXAMPLES[name]
    place = example.make(tmp_path / "in", images)
    archive = example.archive or "mine"
    code, out, err = either.take(place, *example.command())
    assert code == (3 if example.partial else 0), err
    assert out.split(" (")[0] == f"{archive}: {example.rows} new, 0 changed, 0 as before"
    (found,) = either.search("series", *example.asked)
    assert {keyword: found.get(keyword) for keyword in example.says} == example.says
    before = either.state()
    code, out, _ = either.take(place, *example.command())
    assert f" 0 new, 0 changed, {example.rows} as before" in out
    assert either.state() == before


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", EXAMPLES)
def test_a_damaged_file_leaves_the_catalog_as_it_was(
    catalog: Catalog, tmp_path: Path, images: Path, name: str, damage: str
) -> None:
    example = EXAMPLES[name]
    place = example.make(tmp_path / "in", images)
    if not damaged(place, damage):
        return  # this form cannot be damaged so
    archive = ("--archive", example.archive or "mine")
    catalog.take(FILES / "loni_collection.csv", *archive)
    before = catalog.state()
    ways = [(("--as", example.kind), DAMAGES[damage][2]), ((), ".")]
    for words_, why in ways[: 1 if "gigabyte" in damage else 2]:
        code, out, err = catalog.take(place, *archive, *words_, *example.words)
        assert (code, out, err.count("\n")) == (2, "", 1), err
        assert err.startswith("broker: ")
        assert re.search(why, err), err
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


def test_a_sidecar_says_ages_as_dicom_does_and_no_number_is_infinite(catalog: Catalog) -> None:
    text = '{"ConversionSoftware": "dcm2niix", "PatientAge": "034Y", "EchoTime": NaN, "FlipAngle": Infinity}'
    assert catalog.take(catalog.write("a.json", text), "--archive", "mine")[0] == 0
    (found,) = catalog.search("series", "PatientAge=034Y")
    (about,) = store(catalog.place).held().values()
    assert (found["SeriesKey"], set(about.columns)) == ("a", {"SeriesKey", "PatientAge", "StudyKey"})


def test_numbers_in_sidecars_keep_their_digits(catalog: Catalog) -> None:
    said = {"ConversionSoftware": "dcm2niix", "PatientID": 12345678, "StudyID": int("9" * 400)}
    text = json.dumps({**said, "SeriesNumber": int("9" * 400), "RepetitionTime": 2.3456789})
    assert catalog.take(catalog.write("a.json", text), "--archive", "mine")[0] == 0
    (found,) = catalog.search("series", "PatientID=12345678", "RepetitionTime=2345.6789")
    assert found["StudyID"] == "9" * 400


def test_files_that_are_empty_are_called_so(catalog: Catalog) -> None:
    empty = catalog.write("in/a.dcm", b"")
    assert "it is empty" in catalog.take(empty, "--archive", "mine")[2]
    catalog.write("in/b.dcm", b"")
    assert "they are all empty" in catalog.take(empty.parent, "--archive", "mine")[2]


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


def test_data_sets_of_bids_are_kept_apart(catalog: Catalog) -> None:
    for name in ("Test faces", "Other faces"):
        folder = catalog.folder / name
        shutil.copytree(FILES / "bids", folder)
        about = folder / "dataset_description.json"
        about.write_text(about.read_text().replace("Test faces", name))
        assert " 4 new" in catalog.take(folder, "--archive", "openneuro")[1]
    assert len(catalog.search("series")) == 6
    assert len(catalog.search("studies", "PatientID=sub-01")) == 2


def test_times_and_fields_of_nda_are_those_of_dicom(catalog: Catalog) -> None:
    table = (FILES / "nda_download.txt").read_text().splitlines()
    more = (
        ("mri_repetition_time_pd", "mri_echo_time_pd"),
        ("Repetition Time (seconds)", "Echo Time (seconds)"),
    )
    ends = [*more, ("2.3", "0.00298"), ("n/a", "")]
    text = "".join(f'{line}\t"{tr}"\t"{te}"\n' for line, (tr, te) in zip(table, ends, strict=True))
    catalog.take(catalog.write("image03.txt", text))
    found = catalog.search(
        "series", "RepetitionTime=2300", "EchoTime=2.98", "MagneticFieldStrength=3", "Modality=MR"
    )
    assert of(found, "SeriesKey") == ["900"]


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
        (words.date, "2017/6/21", "20170621"),
        (words.date, "21-JUN-2017", "20170621"),
        (words.date, "1 June 2017", "20170601"),
        (words.date, "31-Feb-2017", None),
        (words.date, "21-Foo-2017", None),
        (words.date, "1 Junk 2017", None),
        (words.date, "6/21/17", None),
        (words.time, "2017-06-21T10:20:30.123456789", "102030.123456"),
        (words.time, "25:00", None),
        (words.age_in_years, "75.05", "075Y"),
        (words.age_in_years, "1.5", "018M"),
        (words.age_in_years, "-1", None),
        (words.age_in_years, "0", "000Y"),
        (words.age_in_years, "x", None),
        (words.age, "034Y", "034Y"),
        (words.age, "34", "034Y"),
        (words.age, "34Y", None),
        (words.age_in_years, "1e300", None),
        (words.sex, "Female", "F"),
        (words.sex, "X", None),
        (words.modality, "mri", "MR"),
        (words.modality, "n/a", None),
        (words.modality, "CT", "CT"),
        (words.modality, "X-Ray", "DX"),
        (words.tesla, "3T", "3"),
        (words.tesla, "1.5 Tesla", "1.5"),
        (words.tesla, "high", None),
        (words.milliseconds, "0.00298", "2.98"),
        (words.milliseconds, "2", "2000"),
        (words.milliseconds, "long", None),
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
    page = (FILES.parent.parent / "docs" / "catalog.md").read_text()
    assert [name for name in KINDS if f"| `{name}` |" not in page] == []


MR, CT = '"Modality": "MR"', '"Modality": "CT"'
SIDECAR = '{"ConversionSoftware": "dcm2niix", "SeriesInstanceUID": "1.2.3", %s, %s}'
ITEM = (
    '[{"item_id": "7", "metadata": [{"element": "DICOM", "qualifier": "Modality", "value": "CT", %s, %s}]}]'
)
REPEATED = {
    "a sidecar": (SIDECAR, MR, CT),
    "a sidecar, further in": (SIDECAR, '"x": {"a": 1}', '"x": {"a": 1, "a": 2}'),
    "an item of MIDAS": (ITEM, '"value": "CT"', '"value": "MR"'),
}


@pytest.mark.parametrize("form", REPEATED)
def test_json_that_says_two_things_of_one_key_is_refused(catalog: Catalog, form: str) -> None:
    text, one, other = REPEATED[form]
    code, out, err = catalog.take(catalog.write("x.json", text % (one, other)), "--archive", "mine")
    assert (code, out, err.count("\n"), catalog.state()) == (2, "", 1, b"")
    key = "a" if "further" in form else one.split('"')[1]
    assert f"x.json: the key {key!r} stands twice in one object, with other values" in err
    code, _, err = catalog.take(catalog.write("x.json", text % (one, one)), "--archive", "mine")
    assert code == 0, err
    assert (
        len(catalog.search("series", "Modality=MR,CT" if "MIDAS" in form else "SeriesInstanceUID=1.2.3")) == 1
    )


def test_json_of_bids_that_says_two_things_of_one_key_is_rejected_by_itself(catalog: Catalog) -> None:
    folder = shutil.copytree(FILES / "bids", catalog.folder / "ds")
    (folder / "task-rest_bold.json").write_text(f"{{{MR}, {CT}}}")
    code, _, err = catalog.take(folder, "--archive", "mine")
    told = "the key 'Modality' stands twice in one object, with other values"
    assert (code, err) == (3, f"rejected: task-rest_bold.json: {told}\n")


NEEDED = {
    "participants.json": '{"age": {"Units": "months"}, "age": {"Units": "years"}}',
    "dataset_description.json": '{"Name": "a", "Name": "b"}',
}


@pytest.mark.parametrize("name", NEEDED)
def test_what_all_of_bids_is_read_by_is_refused_where_it_is_damaged(catalog: Catalog, name: str) -> None:
    folder = shutil.copytree(FILES / "bids", catalog.folder / "ds")
    for text, why in ((NEEDED[name], "stands twice"), ("[1]", "no description"), ('{"age": ', "no JSON")):
        (folder / name).write_text(text)
        code, out, err = catalog.take(folder, "--archive", "mine")
        assert (code, out, err.count("\n"), catalog.state()) == (2, "", 1, b"")
        assert f"{name}: " in err
        assert why in err
