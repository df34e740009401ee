"""The generated DICOM files say what their truth says, and every run makes the same."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest
from pydicom import config, dcmread
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from fixtures.dicom import STUDIES, Holding, Record, Truth, Value, write

COMMITTED = Path(__file__).parent.parent / "fixtures" / "truth.json"
COMPUTED = {
    *("ModalitiesInStudy", "NumberOfStudyRelatedSeries", "NumberOfStudyRelatedInstances"),
    "NumberOfSeriesRelatedInstances",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the generated files."""
    folder = tmp_path_factory.mktemp("dicom")
    write(folder)
    return folder


@pytest.fixture(scope="module")
def told() -> Truth:
    """The truth as committed."""
    return cast(Truth, json.loads(COMMITTED.read_text(encoding="utf-8")))


def keywords(told: Truth, level: str) -> set[str]:
    """Every keyword that the truth has at that level and a file can have."""
    holdings = [held for archive in told["archives"].values() for held in archive]
    records = [held["study"] for held in holdings]
    if level == "SERIES":
        records = [row for held in holdings for row in held["series"]]
    return {keyword for record in records for keyword in record} - COMPUTED


def as_text(value: object) -> Value:
    """A value read by pydicom, in the form of the truth."""
    if isinstance(value, MultiValue):
        return [str(each) for each in value]
    return "" if value is None else str(value)


def read(folder: Path) -> Iterator[Dataset]:
    """The files of one archive."""
    # One study has a date in the form of ACR-NEMA, on purpose.
    with config.disable_value_validation():
        for file in sorted(folder.glob("*.dcm")):
            yield dcmread(file)


def record(dataset: Dataset, wanted: set[str]) -> Record:
    """The attributes of a file among those wanted."""
    return {keyword: as_text(dataset[keyword].value) for keyword in wanted if keyword in dataset}


def without_computed(record: Record) -> Record:
    """What files can say of the record."""
    return {keyword: value for keyword, value in record.items() if keyword not in COMPUTED}


@pytest.mark.parametrize("archive", ["a", "b"])
def test_files_say_what_the_truth_says(folder: Path, told: Truth, archive: str) -> None:
    expected = {
        str(row["SeriesInstanceUID"]): (without_computed(held["study"]), without_computed(row))
        for held in told["archives"][archive]
        for row in held["series"]
    }
    at_study, at_series = keywords(told, "STUDY"), keywords(told, "SERIES")
    seen = set()
    for dataset in read(folder / archive):
        seen.add(uid := str(dataset.SeriesInstanceUID))
        assert (record(dataset, at_study), record(dataset, at_series)) == expected[uid]
    assert seen == expected.keys()


def count(held: Holding, datasets: list[Dataset]) -> None:
    """Check the counts and modalities of one study against its files."""
    mine = [each for each in datasets if held["study"]["StudyInstanceUID"] == each.StudyInstanceUID]
    modalities = sorted({str(each.Modality) for each in mine if "Modality" in each})
    said = held["study"]["ModalitiesInStudy"]
    assert (said if isinstance(said, list) else [said]) == modalities
    assert held["study"]["NumberOfStudyRelatedInstances"] == str(len(mine))
    assert held["study"]["NumberOfStudyRelatedSeries"] == str(len({each.SeriesInstanceUID for each in mine}))
    for row in held["series"]:
        inside = [each for each in mine if each.SeriesInstanceUID == row["SeriesInstanceUID"]]
        assert row["NumberOfSeriesRelatedInstances"] == str(len(inside))


@pytest.mark.parametrize("archive", ["a", "b"])
def test_computed_values_follow_from_the_files(folder: Path, told: Truth, archive: str) -> None:
    datasets = list(read(folder / archive))
    for held in told["archives"][archive]:
        count(held, datasets)


def test_shared_uids_are_those_in_both_folders(folder: Path, told: Truth) -> None:
    held = {archive: list(read(folder / archive)) for archive in ("a", "b")}
    for level, uids in (("Study", told["same"]["studies"]), ("Series", told["same"]["series"])):
        in_a, in_b = ({str(each[f"{level}InstanceUID"].value) for each in held[at]} for at in ("a", "b"))
        assert set(uids) == in_a & in_b
        assert len(uids) == len(set(uids))


def test_identical_studies_are_identical_files(folder: Path) -> None:
    same = [file.name for file in sorted((folder / "a").glob("0[123]-*.dcm"))]
    assert same == [file.name for file in sorted((folder / "b").glob("0[123]-*.dcm"))]
    assert all((folder / "a" / name).read_bytes() == (folder / "b" / name).read_bytes() for name in same)


def test_character_sets_of_the_files_are_those_intended(folder: Path) -> None:
    intended = {str(study.number): study.charset for study in STUDIES}
    for archive in ("a", "b"):
        for dataset in read(folder / archive):
            said = as_text(dataset.get("SpecificCharacterSet"))
            assert (
                tuple(said if isinstance(said, list) else filter(None, [said])) == intended[dataset.StudyID]
            )


def test_committed_truth_is_what_the_generator_makes(folder: Path) -> None:
    assert (folder / "truth.json").read_bytes() == COMMITTED.read_bytes()


def test_every_run_writes_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    write(tmp_path)
    first, second = (
        {f.relative_to(at): f.read_bytes() for f in at.rglob("*.*")} for at in (folder, tmp_path)
    )
    assert first == second
