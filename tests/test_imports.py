"""From a file to an answer: import, search, import again; and what a damaged file leaves: nothing."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from holdings import Catalog, of
from importing import FILES
from peers.postgres import PASSWORD, Postgres

from catalog.imports.kinds import KINDS

TABLE = """Subject,Scan date,Age (months),Sex,Modality,Image,Notes
A1,3/14/2009,141,F,MRI,img1,x
A1,12/1/2010,162,F,PET,img2,y
B2,2011-05-06,40,male,CT,img3,z
"""
MAPPING = """
[columns]
"Subject" = "PatientID"
"Scan date" = "StudyDate"
"Age (months)" = "PatientAge in months"
"Sex" = "PatientSex"
"Modality" = "Modality"
"Image" = "SeriesKey"
[constants]
Collection = "table"
"""


def test_a_table_by_its_mapping(catalog: Catalog) -> None:
    table, mapping = catalog.write("t.csv", TABLE), catalog.write("t.toml", MAPPING)
    words = ("--archive", "nhanes", "--mapping", str(mapping))
    assert catalog.take(table, *words)[:2] == (0, f"nhanes: 3 new, 0 changed, 0 as before (csv: {table})\n")
    found = catalog.search("series", "Modality=MR,PT", "StudyDate=2009-2010")
    assert of(found, "PatientAge") == ["141M", "162M"]
    assert of(found, "StudyDate") == ["20090314", "20101201"]
    assert of(found, "SeriesKey") == ["img1", "img2"]
    assert of(catalog.search("patients", "PatientSex=M"), "PatientID") == ["B2"]
    assert len(catalog.search("studies", "Modality=PT")) == 1
    before = catalog.state()
    assert "0 new, 0 changed, 3 as before" in catalog.take(table, *words)[1]
    assert catalog.state() == before


def test_each_archive_answers_for_itself(catalog: Catalog) -> None:
    table, mapping = catalog.write("t.csv", TABLE), catalog.write("t.toml", MAPPING)
    for name in ("loni", "nda"):
        catalog.take(table, "--archive", name, "--mapping", str(mapping))
    code, out, _ = catalog.run("search", "series", "Modality=MR", "--format", "json")
    assert code == 0
    assert [r["archive"] for r in json.loads(out)["reports"]] == ["loni", "nda"]
    assert len(catalog.search("series", "Modality=MR")) == 2
    code, out, _ = catalog.run("catalog", "list")
    assert code == 0
    assert "loni: 3 series rows" in out
    assert catalog.run("catalog", "remove", "loni")[1] == "loni: 3 rows forgotten\n"
    assert len(catalog.search("series", "Modality=MR")) == 1
    assert catalog.run("catalog", "remove", "loni")[0] == 5


def test_columns_that_nobody_knows_get_a_proposal(catalog: Catalog) -> None:
    table = catalog.write("t.csv", TABLE)
    code, out, err = catalog.take(table, "--archive", "nhanes")
    assert code == 2
    assert "a proposal is printed" in err
    assert f"broker catalog import {table} --archive nhanes --mapping mapping.toml" in out
    mapping = catalog.write("proposed.toml", out)
    assert '"Age (months)" = "PatientAge in months"' in out
    assert '# "Notes" = "KEYWORD"' in out
    assert catalog.take(table, "--archive", "nhanes", "--mapping", str(mapping))[0] == 0
    assert of(catalog.search("series", "PatientID=B2"), "PatientSex") == ["M"]


def test_a_table_of_dicom_keywords_needs_no_mapping(catalog: Catalog) -> None:
    table = catalog.write("t.csv", "PatientID,Modality,SeriesInstanceUID\n1,CT,1.2.3\n2,MR,1.2.4\n")
    assert catalog.take(table)[0] == 2
    assert catalog.take(table, "--archive", "mine")[0] == 0
    assert of(catalog.search("series", "SeriesInstanceUID=1.2.4"), "PatientID") == ["2"]


def test_the_name_of_an_archive_that_has_an_interface_is_refused(catalog: Catalog) -> None:
    table = catalog.write("t.csv", "PatientID,Modality\n1,CT\n")
    code, _, err = catalog.take(table, "--archive", "idc")
    assert (code, "adapter 'idc'" in err) == (2, True)
    assert catalog.take(table, "--archive", "a/b")[0] == 2
    with catalog.config.open("a") as config:
        config.write('[archives.nda]\nadapter = "dicomweb"\nurl = "http://127.0.0.1:9/"\n')
    code, _, err = catalog.take(FILES / "nda_download.txt")
    assert (code, "nda is an archive with the adapter 'dicomweb'" in err) == (2, True)


def test_rejected_rows_are_listed(catalog: Catalog) -> None:
    table = catalog.write("t.csv", "PatientID,Modality\n1,CT\n2\n3,MR,x\n4,PT\n")
    listed = catalog.folder / "rejected.csv"
    code, out, err = catalog.take(table, "--archive", "mine", "--rejected", str(listed))
    assert (code, "2 new" in out) == (3, True)
    assert "line 3: 1 cells where the header has 2" in err
    assert listed.read_text().splitlines()[1:] == [
        ",3,1 cells where the header has 2",
        ",4,3 cells where the header has 2",
    ]


MANY = "PatientID,Modality,StudyDescription\n" + "".join(f'{n},CT,"chest {n}"\n' for n in range(2000))
DAMAGED: dict[str, tuple[str | bytes, str]] = {
    "cut in half": (MANY[: len(MANY) // 2 + 4], "cut off"),
    "wrong encoding": (MANY.replace('chest 7"', 'Schädel"').encode("latin-1"), "not utf-8"),
    "UTF-16": (MANY.encode("utf-16"), "UTF-16"),
    "wrong delimiter": (MANY.replace(",", ";"), "divided by ';': say --delimiter ';'"),
    "header twice": (MANY + MANY, "repeats the header"),
    "column twice": (MANY.replace("StudyDescription", "Modality", 1), "stands twice"),
    "empty": ("", "it is empty"),
    "only a header": (MANY.split("\n")[0] + "\n", "no row"),
    "binary": (bytes(range(256)) * 400, "known by its content"),
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_a_damaged_table_leaves_the_catalog_as_it_was(catalog: Catalog, damage: str) -> None:
    catalog.take(catalog.write("good.csv", "PatientID,Modality\n1,CT\n"), "--archive", "mine")
    before = catalog.state()
    text, why = DAMAGED[damage]
    for words in ((), ("--as", "csv")):
        code, _, err = catalog.take(catalog.write("bad.csv", text), "--archive", "mine", *words)
        assert code == 2
        assert err.count("\n") == 1
        assert catalog.state() == before
        assert why in err or words


def test_a_gigabyte_of_one_line_is_refused_at_once(catalog: Catalog, tmp_path: Path) -> None:
    long = tmp_path / "long.csv"
    with long.open("wb") as out:
        out.write(b"PatientID,Modality\n1,")
        out.truncate(1 << 30)
    code, _, err = catalog.take(long, "--archive", "mine")
    assert (code, "longer than" in err) == (2, True)


def test_a_folder_of_nothing_and_no_folder(catalog: Catalog, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "no file in it" in catalog.take(tmp_path / "empty")[2]
    assert "no such file" in catalog.take(tmp_path / "nothing")[2]


def test_a_catalog_that_cannot_be_read_is_a_failed_archive(catalog: Catalog) -> None:
    catalog.take(catalog.write("good.csv", "PatientID,Modality\n1,CT\n"), "--archive", "mine")
    catalog.place.write_bytes(b"no database" * 1000)
    code, _, err = catalog.run("search", "series", "Modality=CT")
    assert (code, "cannot be read" in err) == (4, True)
    assert catalog.run("catalog", "list")[0] == 5


def test_the_catalog_may_be_a_database(
    catalog: Catalog, postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CATALOG_PASSWORD", PASSWORD)
    kept = f'[catalog]\nurl = "{postgres.database("imports")}"\npassword = "env:CATALOG_PASSWORD"\n'
    catalog.config.write_text(kept + "[archives.idc]\nasked = false\n")
    table, mapping = catalog.write("t.csv", TABLE), catalog.write("t.toml", MAPPING)
    words = ("--archive", "nhanes", "--mapping", str(mapping))
    assert catalog.take(table, *words)[:2] == (0, f"nhanes: 3 new, 0 changed, 0 as before (csv: {table})\n")
    assert of(catalog.search("series", "Modality=MR,PT", "StudyDate=2009-2010"), "SeriesKey") == [
        "img1",
        "img2",
    ]
    assert of(catalog.search("patients", "PatientSex=M"), "PatientID") == ["B2"]
    assert "0 new, 0 changed, 3 as before" in catalog.take(table, *words)[1]
    assert "nhanes: 3 series rows" in catalog.run("catalog", "list")[1]
    assert catalog.run("catalog", "remove", "nhanes")[1] == "nhanes: 3 rows forgotten\n"
    catalog.config.write_text(
        '[catalog]\nurl = "postgresql://x@127.0.0.1:9/none"\n[archives.idc]\nasked = false\n'
    )
    code, _, err = catalog.run("search", "series", "Modality=MR")
    assert (code, "the catalog none at 127.0.0.1 cannot be used" in err) == (4, True)
    catalog.config.write_text('[catalog]\nurl = "postgresql://x:secret@127.0.0.1/none"\n')
    code, _, err = catalog.run("catalog", "list")
    assert (code, "secret" in err) == (5, False)


def test_a_dry_run_says_what_would_be_and_changes_nothing(
    catalog: Catalog, postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    table, mapping = catalog.write("t.csv", TABLE), catalog.write("t.toml", MAPPING)
    words = ("--archive", "nhanes", "--mapping", str(mapping))
    monkeypatch.setenv("CATALOG_PASSWORD", PASSWORD)
    for url in ("", postgres.database("dry")):
        if url:
            catalog.move(url)
        before = catalog.state()
        code, out, _ = catalog.take(table, *words, "--dry-run")
        assert (code, out.split(",")[0]) == (0, "nhanes: 3 new")
        assert "nothing was changed" in out
        assert catalog.state() == before
        assert "nothing was imported yet" in catalog.run("catalog", "list")[1]
        catalog.take(table, *words)
        before = catalog.state()
        table.write_text(TABLE.replace("PET", "CT"))
        assert "0 new, 1 changed, 2 as before" in catalog.take(table, *words, "--dry-run")[1]
        assert catalog.state() == before
        table.write_text(TABLE)


PACKED: dict[str, Callable[[Path, Path], object]] = {
    "t.zip": lambda place, file: shutil.make_archive(str(place / "t"), "zip", file.parent, file.name),
    "t.tar": lambda place, file: shutil.make_archive(str(place / "t"), "tar", file.parent, file.name),
    "t.tar.gz": lambda place, file: shutil.make_archive(str(place / "t"), "gztar", file.parent, file.name),
    "t.csv.gz": lambda place, file: (place / "t.csv.gz").write_bytes(gzip.compress(file.read_bytes())),
}


@pytest.mark.parametrize("name", PACKED)
def test_what_is_packed_is_named_and_not_unpacked(catalog: Catalog, tmp_path: Path, name: str) -> None:
    PACKED[name](tmp_path, catalog.write("in/t.csv", TABLE))
    for words in ((), ("--as", "loni"), ("--as", "dicom", "--archive", "disk")):
        code, out, err = catalog.take(tmp_path / name, *words)
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert "unpack it" in err


WRONG = [
    ("loni_collection.csv", "nda", "loni"),
    ("loni_collection.csv", "sidecar", "loni"),
    ("loni_collection.csv", "dicom", "loni"),
    ("loni_collection.csv", "dicomdir", "loni"),
    ("loni_collection.csv", "bids", "loni"),
    ("nda_download.txt", "loni", "nda"),
    ("loni.idaxs.xml", "ome", "idaxs"),
    ("ome.ome.xml", "xcede", "ome"),
    ("midas_items.json", "sidecar", "midas"),
]


@pytest.mark.parametrize(("name", "kind", "right"), WRONG)
def test_a_file_of_another_kind_says_of_which(catalog: Catalog, name: str, kind: str, right: str) -> None:
    code, out, err = catalog.take(FILES / name, "--as", kind, "--archive", "mine")
    assert (code, out) == (2, "")
    assert f"by its content it is {KINDS[right].about}: --as {right}" in err
    assert catalog.state() == b""


def test_a_folder_of_several_kinds_says_how_many_of_each(catalog: Catalog, tmp_path: Path) -> None:
    folder, listed = tmp_path / "mixed", tmp_path / "rejected.csv"
    folder.mkdir()
    for name in ("loni_collection.csv", "nda_download.txt", "ome.ome.xml"):
        shutil.copy(FILES / name, folder)
    code, _, err = catalog.take(folder, "--archive", "mine")
    assert (code, "several kinds: loni (1), nda (1), ome (1)" in err) == (2, True)
    code, out, _ = catalog.take(folder, "--as", "nda", "--archive", "mine", "--rejected", str(listed))
    assert (code, "2 new" in out) == (3, True)
    assert listed.read_text().splitlines()[1:] == [
        "loni_collection.csv,0,not of kind nda",
        "ome.ome.xml,0,not of kind nda",
    ]
