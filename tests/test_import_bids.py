"""Data sets of BIDS as they lie on disks: cloned without their data, sloppy, and with what is not BIDS."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from holdings import Catalog, of
from importing import FILES


def data_set(catalog: Catalog) -> Path:
    """A copy of the example."""
    return Path(shutil.copytree(FILES / "bids", catalog.folder / "ds"))


def test_images_that_were_not_fetched_are_known_by_their_names(catalog: Catalog, tmp_path: Path) -> None:
    folder = data_set(catalog)
    anat = folder / "sub-01" / "ses-a" / "anat"
    (anat / "sub-01_ses-a_T2w.nii.gz").symlink_to("../../../.git/annex/objects/aa/gone")
    (tmp_path / "elsewhere.nii.gz").write_bytes(b"x")
    (anat / "sub-01_ses-a_FLAIR.nii.gz").symlink_to(tmp_path / "elsewhere.nii.gz")
    (tmp_path / "secret.json").write_text('{"Manufacturer": "secret"}')
    (anat / "sub-01_ses-a_FLAIR.json").symlink_to(tmp_path / "secret.json")
    (folder / "etc").symlink_to("/etc")
    code, out, err = catalog.take(folder, "--archive", "mine")
    assert (code, out.split(",")[0]) == (3, "mine: 6 new")
    assert sorted(line.split(": ")[1] for line in err.splitlines()) == [
        "etc",
        "sub-01/ses-a/anat/sub-01_ses-a_FLAIR.json",
    ]
    found = catalog.search("series", "SeriesDescription=sub-01_ses-a_T2w")
    assert of(found, "StudyKey") == ["Test faces/sub-01/ses-a"]
    assert catalog.search("series", "Manufacturer=secret") == []
    before = catalog.state()
    assert "0 new, 0 changed, 6 as before" in catalog.take(folder, "--archive", "mine")[1]
    assert catalog.state() == before


def _labels(folder: Path) -> None:
    for file in (folder / "participants.tsv", folder / "sub-01" / "sub-01_sessions.tsv"):
        file.write_text(file.read_text().replace("sub-", "").replace("ses-", ""))


def _windows(folder: Path) -> None:
    for file in folder.rglob("*.tsv"):
        file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes().replace(b"\n", b"\r\n"))


@pytest.mark.parametrize("change", [_labels, _windows])
def test_what_tables_say_is_found_however_they_write_it(
    catalog: Catalog, change: Callable[[Path], None]
) -> None:
    folder = data_set(catalog)
    change(folder)
    assert catalog.take(folder, "--archive", "mine")[0] == 0
    found = catalog.search("series", "PatientAge=031Y", "StudyDate=20190506")
    assert sorted(of(found, "Modality")) == ["MR", "PT"]
    assert len(catalog.search("patients")) == 3


def test_participants_with_commas_are_refused(catalog: Catalog) -> None:
    folder = data_set(catalog)
    people = folder / "participants.tsv"
    people.write_text(people.read_text().replace("\t", ","))
    code, _, err = catalog.take(folder, "--archive", "mine")
    assert (code, "divided by tabs?" in err, catalog.state()) == (2, True, b"")


def test_what_is_not_taken_is_told(catalog: Catalog) -> None:
    folder = data_set(catalog)
    (folder / "sub-01" / "ses-a" / "xyz").mkdir()
    (folder / "sub-01" / "ses-a" / "xyz" / "sub-01_ses-a_thing.nii.gz").write_bytes(b"")
    with (folder / "sub-01" / "sub-01_sessions.tsv").open("a") as sessions:
        sessions.write("ses-b\n")
    code, out, err = catalog.take(folder, "--archive", "mine")
    assert (code, out.split(",")[0]) == (3, "mine: 4 new")
    assert "sub-01_ses-a_thing.nii.gz: 'xyz' is no datatype that is known" in err
    assert "sub-01_sessions.tsv line 3: 1 cells" in err


def test_xcede_without_a_project_is_not_merged(catalog: Catalog) -> None:
    text = (FILES / "xcede_old.xml").read_text()
    first = catalog.write("a/old.xml", text)
    second = catalog.write("b/old.xml", text.replace("20050102", "20060102"))
    assert catalog.take(first)[0] == 0
    code, _, err = catalog.take(second)
    assert (code, "say --collection NAME, for it names no project" in err) == (2, True)
    assert catalog.take(second, "--collection", "other")[0] == 0
    assert sorted(of(catalog.search("series"), "StudyDate")) == ["20050102", "20060102"]


def test_a_doctype_is_named_when_nobody_said_what_it_is(catalog: Catalog) -> None:
    text = (FILES / "ome.ome.xml").read_text().partition("?>\n")[2]
    file = catalog.write("a.xml", f'<?xml version="1.0"?>\n<!DOCTYPE OME SYSTEM "x.dtd">\n{text}')
    code, _, err = catalog.take(file, "--archive", "mine")
    assert (code, "it has a DOCTYPE" in err) == (2, True)


def test_the_nearest_sidecar_wins(catalog: Catalog) -> None:
    folder = data_set(catalog)
    for place, said in (("", "far"), ("sub-02", "near")):
        for name in ("task-rest_bold.json", "task-other_bold.json"):
            text = f'{{"ProtocolName": "{said}", "InstitutionName": "{name}"}}'
            (folder / place / name).write_text(text)
    (folder / "sub-02" / "func" / "sub-02_task-rest_bold.json").write_text('{"StationName": "own"}')
    assert catalog.take(folder, "--archive", "mine")[0] == 0
    (found,) = catalog.search("series", "ProtocolName=near", "StationName=own")
    assert of(catalog.search("series", "InstitutionName=task-rest_bold.json"), "SeriesKey") == [
        found["SeriesKey"]
    ]
