"""Rows whose keys are made of the names of files: never merged, never overwritten, and not doubled."""

from __future__ import annotations

import functools
import hashlib
import json
import shutil
from pathlib import Path

import pytest
from holdings import Catalog, of
from importing import FILES
from peers.postgres import PASSWORD, Postgres

from catalog.store import store


@functools.cache
def _database(server: Postgres) -> str:
    return server.database("names")


@pytest.fixture(params=["DuckDB", "PostgreSQL"])
def catalog(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Catalog:
    """An empty one, in a file and in a database."""
    made = Catalog(tmp_path, capsys)
    if request.param == "PostgreSQL":
        monkeypatch.setenv("CATALOG_PASSWORD", PASSWORD)
        url = _database(request.getfixturevalue("postgres"))
        kept = store(url, PASSWORD)
        for archive in kept.held():
            kept.remove(archive)
        made.move(url)
    return made


def sidecar(**said: object) -> str:
    """One as dcm2niix writes it with `-ba y`: no patient, no UID."""
    return json.dumps({"Modality": "MR", "ConversionSoftware": "dcm2niix", **said})


OME = (FILES / "ome.ome.xml").read_text()
ITEM = '[{{"element": "DICOM", "qualifier": "Modality", "metadata_id": "1", "value": "{}"}}]'
NDA = (FILES / "nda_submission.csv").read_text()
TWO = {
    "sidecar": ("T1w.json", sidecar(SeriesDescription="2"), sidecar(SeriesDescription="3")),
    "OME": ("image.ome.xml", OME, OME.replace("control set", "other set")),
    "item of MIDAS": ("metadata.json", ITEM.format("CT"), ITEM.format("MR")),
    "NDA, submitted": ("image03.csv", NDA, NDA.replace(",MRI,", ",CT,")),
}


def two(catalog: Catalog, kind: str) -> list[Path]:
    """Two files of one name and different content."""
    name, *texts = TWO[kind]
    return [catalog.write(f"{folder}/{name}", text) for folder, text in zip("ab", texts, strict=True)]


@pytest.mark.parametrize("kind", TWO)
def test_a_file_of_the_same_name_overwrites_nothing(catalog: Catalog, kind: str) -> None:
    first, second = two(catalog, kind)
    assert catalog.take(first, "--archive", "mine")[0] == 0
    before = catalog.state()
    code, out, err = catalog.take(second, "--archive", "mine")
    assert (code, out) == (2, "")
    assert f"{first} gave the same name, with other values" in err
    assert f"--moved-from {first}" in err
    assert catalog.state() == before
    assert catalog.take(first, "--archive", "mine")[:1] == (0,)
    assert catalog.state() == before


@pytest.mark.parametrize("kind", ["sidecar", "OME"])
def test_their_common_folder_tells_them_apart_and_doubles_nothing(catalog: Catalog, kind: str) -> None:
    first, _ = two(catalog, kind)
    catalog.take(first, "--archive", "mine")
    once = len(catalog.search("series"))
    for _ in range(2):
        code, _, err = catalog.take(catalog.folder, "--archive", "mine", "--as", kind.lower())
        assert code == 3, err  # for the federation file lies there too
        assert len(catalog.search("series")) == 2 * once
    assert "as before" in catalog.take(catalog.folder, "--archive", "mine", "--as", kind.lower())[1]


def test_a_collection_tells_them_apart(catalog: Catalog) -> None:
    for file in two(catalog, "sidecar") * 2:
        assert catalog.take(file, "--archive", "mine", "--collection", file.parent.name)[0] == 0
    found = catalog.search("series")
    assert sorted(of(found, "SeriesKey")) == ["a/T1w", "b/T1w"]
    assert sorted(of(found, "SeriesDescription")) == ["2", "3"]


def test_a_file_that_was_moved_is_followed(catalog: Catalog) -> None:
    first, second = two(catalog, "sidecar")
    catalog.take(first, "--archive", "mine")
    code, out, _ = catalog.take(second, "--archive", "mine", "--moved-from", str(first))
    assert (code, out.split(" (")[0]) == (0, "mine: 0 new, 1 changed, 0 as before")
    assert of(catalog.search("series"), "SeriesDescription") == ["3"]
    listed = catalog.run("catalog", "list")[1]
    assert str(second) in listed
    assert str(first) not in listed
    before = catalog.state()
    assert catalog.take(second, "--archive", "mine", "--moved-from", str(first))[0] == 0
    code, _, err = catalog.take(first, "--archive", "mine", "--moved-from", "elsewhere.json")
    assert (code, "nothing of mine was imported from" in err) == (2, True)
    assert catalog.state() == before
    catalog.take(catalog.write("T2w.json", sidecar(SeriesDescription="4")), "--archive", "mine")
    code, _, err = catalog.take(catalog.folder / "T2w.json", "--archive", "mine", "--moved-from", str(second))
    assert (code, "imported from both places" in err) == (2, True)


def test_a_file_that_was_moved_unchanged_is_not_doubled(catalog: Catalog) -> None:
    first, second = two(catalog, "sidecar")
    catalog.take(first, "--archive", "mine")
    shutil.copy(first, second)
    code, out, _ = catalog.take(second, "--archive", "mine")
    assert (code, out.split(" (")[0]) == (0, "mine: 0 new, 0 changed, 1 as before")
    assert catalog.take(second, "--archive", "mine", "--moved-from", str(first))[0] == 0
    assert str(first) not in catalog.run("catalog", "list")[1]


@pytest.mark.parametrize("name", ["", "TODO: name of the dataset"])
def test_data_sets_of_the_same_name_are_not_merged(catalog: Catalog, name: str) -> None:
    for folder, code in (("a", 0), ("b", 3), ("a", 0)):
        place = catalog.folder / folder
        if not place.exists():
            shutil.copytree(FILES / "bids", place)
        about = json.loads((place / "dataset_description.json").read_text()) | {"Name": name}
        (place / "dataset_description.json").write_text(json.dumps(about))
        if folder == "b":
            people = place / "participants.tsv"
            people.write_text(people.read_text().replace("sub-01\t31", "sub-01\t47"))
        found = catalog.take(place, "--archive", "mine")
        assert found[0] == code, found
        assert ("gave the same name" in found[2]) is (folder == "b")
    assert "031Y" in of(catalog.search("series"), "PatientAge")
    assert "047Y" not in of(catalog.search("series"), "PatientAge")


def test_a_table_may_add_to_what_has_a_name_only(catalog: Catalog) -> None:
    first, _ = two(catalog, "sidecar")
    catalog.take(first, "--archive", "mine")
    more = catalog.write("more.csv", "SeriesKey,PatientID,SeriesDescription\nT1w,P1,9\n")
    assert "1 changed" in catalog.take(more, "--archive", "mine")[1]
    assert "1 changed" in catalog.take(first, "--archive", "mine")[1]
    (found,) = catalog.search("series")
    assert (found["PatientID"], found["SeriesDescription"]) == ("P1", "2")


def test_what_replaces_is_all_that_is_said(catalog: Catalog) -> None:
    first = catalog.write("a.csv", "SeriesKey,PatientID,StudyDescription\n1,P1,old\n2,P2,old\n")
    second = catalog.write("b.csv", "SeriesKey,PatientID,Modality\n1,P1,MR\n")
    catalog.take(first, "--archive", "mine")
    code, out, _ = catalog.take(second, "--archive", "mine", "--replace")
    assert (code, out.split(" (")[0]) == (0, "mine: 0 new, 1 changed, 0 as before, 1 removed")
    (found,) = catalog.search("series")
    assert (found.get("StudyDescription"), found["Modality"]) == (None, "MR")
    listed = catalog.run("catalog", "list")[1]
    assert str(second) in listed
    assert str(first) not in listed


def test_rows_that_nothing_names_are_not_doubled_by_an_edit(catalog: Catalog) -> None:
    table = catalog.write(
        "t.csv", "PatientID,Modality,StudyDate\nA,MR,20200101\nB,CT,20200102\nB,CT,20200102\n"
    )
    other = catalog.write("u.csv", "PatientID,Modality,StudyDate\nC,CT,20200103\n")
    catalog.take(table, "--archive", "mine")
    catalog.take(other, "--archive", "mine")
    table.write_text("PatientID,Modality,StudyDate\nA,PT,20200101\nB,CT,20200102\n")
    out = catalog.take(table, "--archive", "mine")[1]
    assert out.split(" (")[0] == "mine: 1 new, 0 changed, 1 as before, 2 removed"
    found = catalog.search("series")
    assert sorted(zip(of(found, "PatientID"), of(found, "Modality"), strict=True)) == [
        ("A", "PT"),
        ("B", "CT"),
        ("C", "CT"),
    ]
    table.write_text("PatientID,Modality,StudyDate,SeriesDescription\nA,PT,20200101,x\nB,CT,20200102,y\n")
    catalog.take(table, "--archive", "mine")
    assert sorted(map(str, of(catalog.search("series"), "SeriesDescription"))) == ["None", "x", "y"]


def test_names_of_archives_that_differ_in_case_are_not_one(catalog: Catalog) -> None:
    first = catalog.write("a.csv", "SeriesKey,PatientID\n1,P1\n2,P1\n")
    second = catalog.write("b.csv", "SeriesKey,PatientID\n1,P9\n")
    catalog.take(first, "--archive", "mine")
    before = catalog.state()
    code, _, err = catalog.take(second, "--archive", "Mine", "--replace")
    assert (code, "the catalog holds mine: say --archive mine" in err) == (2, True)
    assert catalog.state() == before


def test_a_row_is_shown_with_where_it_comes_from(catalog: Catalog) -> None:
    first = catalog.write("a.csv", "SeriesKey,PatientID\n1,P1\n2,P1\n")
    second = catalog.write("b.csv", "SeriesKey,StudyDescription\nx,y\n1,\x1b[31m<b>\n")
    catalog.take(first, "--archive", "mine")
    catalog.take(second, "--archive", "mine")
    code, out, _ = catalog.run("catalog", "show", "mine", "1", "--format", "json")
    (told,) = json.loads(out)
    assert (code, told["level"], told["values"]["PatientID"]) == (0, "SERIES", "P1")
    assert [(origin["place"], origin["line"], origin["kind"]) for origin in told["from"]] == [
        (str(second), 3, "csv"),
        (str(first), 2, "csv"),
    ]
    assert told["from"][0]["sha256"] == hashlib.sha256(second.read_bytes()).hexdigest()
    code, out, _ = catalog.run("catalog", "show", "mine", "P1")
    assert (code, out.count("series\n"), "\x1b" in out) == (0, 2, False)
    assert f"from {first} line 3, read 2" in out
    assert catalog.run("catalog", "show", "mine", "nobody")[0] == 4
    code, _, err = catalog.run("catalog", "show", "nowhere", "1")
    assert (code, "see broker catalog list" in err) == (5, True)


def test_files_of_a_folder_are_named(catalog: Catalog) -> None:
    two(catalog, "sidecar")
    catalog.take(catalog.folder, "--archive", "mine", "--as", "sidecar")
    out = catalog.run("catalog", "show", "mine", "b/T1w")[1]
    assert f"from {catalog.folder}/b/T1w.json, read 2" in out


def test_a_row_says_where_it_stands_now(catalog: Catalog) -> None:
    table = catalog.write("a.csv", "SeriesKey,PatientID\n1,P1\n2,P2\n")
    catalog.take(table, "--archive", "mine")
    table.write_text("SeriesKey,PatientID\n0,P0\n1,P1\n2,P2\n")
    assert "1 new, 0 changed, 2 as before" in catalog.take(table, "--archive", "mine")[1]
    kept = store(_database_of(catalog), PASSWORD)
    db = kept.reader()
    db.execute('SELECT "SeriesKey", _line FROM "rows_mine"')
    assert sorted(db.fetchmany(10)) == [("0", 2), ("1", 3), ("2", 4)]
    db.close()


def _database_of(catalog: Catalog) -> str:
    return catalog._database or str(catalog.place)
