"""`broker show`: every archive's word side by side; and where the copies are."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
from asking import ask

import broker
from adapters.rows import Rows
from broker.errors import BadQuery
from broker.joining.locations import locations
from catalog.keywords import Level

FILE = """
[archives.one]
adapter = "rows"
options.level = "SERIES"
[[archives.one.options.records]]
StudyInstanceUID = "1.2"
SeriesInstanceUID = "1.2.3"
Modality = "CT"
Manufacturer = "Siemens"

[archives.two]
adapter = "rows"
options.level = "SERIES"
[[archives.two.options.records]]
StudyInstanceUID = "1.2"
SeriesInstanceUID = "1.2.3"
Modality = "{}"
Manufacturer = "SIEMENS"
NumberOfSeriesRelatedInstances = "12"
"""


def show(folder: Path, modality: str, *words: str, text: str = FILE) -> subprocess.CompletedProcess[str]:
    """`broker show` over two archives that know one series."""
    file = folder / "f.toml"
    file.write_text(text.format(modality))
    command = [
        sys.executable,
        "-m",
        "broker",
        "show",
        "1.2.3",
        "--at",
        "one,two",
        "--config",
        str(file),
        *words,
    ]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_words_side_by_side_with_conflicts_marked(tmp_path: Path) -> None:
    done = show(tmp_path, "CT")
    assert done.returncode == 0, done.stderr
    marked = {line.split()[1] for line in done.stdout.splitlines() if line.startswith(" ≠")}
    assert marked == {"Manufacturer"}
    assert "copy at two: 12 images" in done.stdout
    (entity,) = json.loads(show(tmp_path, "CT", "--json").stdout)["entities"]
    assert entity["conflicts"] == {"Manufacturer": {"one": "Siemens", "two": "SIEMENS"}}


def test_a_collision_is_shown_from_both_sides(tmp_path: Path) -> None:
    done = show(tmp_path, "MR")
    assert done.stdout.count("not fused") == 2
    assert "‼ Modality: one says CT, two says MR" in done.stdout
    sides = json.loads(show(tmp_path, "MR", "--json").stdout)["entities"]
    assert [s["collision"] for s in sides] == [{"Modality": {"one": "CT", "two": "MR"}}] * 2
    assert [s["values"]["Modality"] for s in sides] == ["CT", "MR"]


def test_no_such_thing_and_no_uid(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "broker", "show"]
    none = subprocess.run(
        [*command, "1.2.999", "--at", "idc"], capture_output=True, text=True, timeout=60, check=False
    )
    assert (none.returncode, "no study and no series" in none.stderr) == (0, True)
    bad = subprocess.run([*command, "LIDC"], capture_output=True, text=True, timeout=60, check=False)
    assert bad.returncode == 2


async def test_the_preferred_copy_follows_a_stated_rule() -> None:
    def copy(name: str, **said: str) -> Rows:
        return Rows(name, [{"SeriesInstanceUID": "1.2.3", **said}], Level.SERIES)

    archives = [
        copy("first", License="CC BY-NC 4.0", NumberOfSeriesRelatedInstances="10"),
        copy("most", NumberOfSeriesRelatedInstances="12", DataURL="s3://x"),
        copy("open", License="CC BY 4.0", SizeInMB="3.5"),
    ]
    (series,) = await ask("series", at=archives)
    told = {rule: [c.archive for c in locations(series, rule)] for rule in ("order", "instances", "license")}
    assert told == {
        "order": ["first", "most", "open"],
        "instances": ["most", "first", "open"],
        "license": ["open", "first", "most"],
    }
    assert (locations(series)[1].url, locations(series)[2].megabytes) == ("s3://x", 3.5)
    with pytest.raises(BadQuery, match="distance"):
        locations(series, "nearest")
    with pytest.raises(BadQuery, match="prefer"):
        locations(series, "best")
    with pytest.raises(BadQuery, match="write one of order, instances, license, nearest"):
        await ask("series", at=archives, prefer="best")
    (by_license,) = await ask("series", at=archives, prefer="license")
    assert [c.archive for c in locations(by_license)] == ["open", "first", "most"]


def test_the_nearest_copy_is_the_one_declared_so(tmp_path: Path) -> None:
    """The rule stands in the federation file, and an option of the command changes it."""
    near = FILE.replace("[archives.two]", "[archives.two]\ndistance = 1").replace(
        "[archives.one]", "[archives.one]\ndistance = 20.5"
    )

    def order(*words: str) -> list[str]:
        (entity,) = json.loads(show(tmp_path, "CT", "--json", *words, text=near).stdout)["entities"]
        return [copy["archive"] for copy in entity["locations"]]

    assert order() == ["one", "two"]
    near += '\n[copies]\nprefer = "nearest"\n'
    assert order() == ["two", "one"]
    assert order("--prefer", "order") == ["one", "two"]
    assert (
        "no archive has a distance" in show(tmp_path, "CT", text=FILE + '[copies]\nprefer = "nearest"').stderr
    )


def test_manifests_take_the_copy_that_the_federation_prefers(tmp_path: Path) -> None:
    file = tmp_path / "federation.toml"
    file.write_text(FILE.format("CT") + '\n[copies]\nprefer = "instances"\n')

    def taken(*words: str) -> str:
        command = [sys.executable, "-m", "broker", "manifest", "Modality=CT", "--at", "one,two", "--config"]
        command += [str(file), *words]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        (row,) = csv.DictReader(io.StringIO(done.stdout))
        return row["archive"]

    assert (taken(), taken("--prefer", "order")) == ("two", "one")
    answer = broker.search("series", "Modality=CT", at=["one", "two"], config_file=file)
    assert [copy.archive for _, copy in broker.manifest(answer, config_file=file).taken] == ["two"]


async def test_two_states_of_one_series_are_two_copies_with_their_own_ids() -> None:
    """Identity (the UID) and version are apart: a revision is shown, not hidden."""
    both = [
        {"SeriesInstanceUID": "1.2.3", "SeriesKey": "S_7", "Version": v, "SizeInMB": "2"} for v in ("1", "2")
    ]
    (series,) = await ask("series", at=[Rows("a", both, Level.SERIES)])
    assert [(c.own_id, c.version, c.megabytes) for c in locations(series)] == [
        ("S_7", "1", 2.0),
        ("S_7", "2", 2.0),
    ]
    assert series.conflicts == {"Version": {"a": ("1", "2")}}


async def test_without_a_uid_it_is_known_by_its_archives_own_id() -> None:
    rows = [{"StudyInstanceUID": "", "StudyKey": key, "PatientID": "7"} for key in ("E1", "E2", "E1", "")]
    found = await ask("studies", at=[Rows("a", rows), Rows("b", rows[:1])])
    assert [(e.uid, e.archives, [c.own_id for c in locations(e)]) for e in found] == [
        (None, ("a",), ["E1"]),
        (None, ("a",), ["E2"]),
        (None, ("a",), [""]),
        (None, ("b",), ["E1"]),
    ]


def test_why_the_words_are_of_one_thing_is_said(tmp_path: Path) -> None:
    assert "one by SeriesInstanceUID (T0" in show(tmp_path, "CT").stdout
    told = json.loads(show(tmp_path, "CT", "--json").stdout)
    (series,) = [e for e in told["entities"] if e["level"] == "SERIES"]
    (link,) = series["links"]
    assert (link["tier"], link["archives"], link["by"]) == ("T0", ["one", "two"], "SeriesInstanceUID")


PATIENTS = """
[archives.one]
adapter = "rows"
options.level = "PATIENT"
options.records = [{{ PatientID = "P1", Collection = "c", PatientSex = "F" }}, {{ PatientID = "P2" }}]
[archives.two]
adapter = "rows"
options.level = "PATIENT"
options.records = [{{ PatientID = "P1", Collection = "c", PatientSex = "{}" }}, {{ PatientID = "P3" }}]
[links]
domains = [["one", "two"]]
"""


@pytest.mark.parametrize(("sex", "count", "tiers"), [("F", 3, ["T1c"]), ("M", 4, [])])
def test_patients_are_linked_on_the_command_line_too(
    sex: str, count: int, tiers: list[str], tmp_path: Path
) -> None:
    file = tmp_path / "f.toml"
    file.write_text(PATIENTS.format(sex))
    words = [sys.executable, "-m", "broker", "search", "patients", "--at", "one,two", "--config", str(file)]
    done = subprocess.run(
        [*words, "--scan", "--format", "json"], capture_output=True, text=True, timeout=60, check=True
    )
    told = json.loads(done.stdout)
    assert (len(told["entities"]), told["total"]) == (count, count)
    assert [link["tier"] for e in told["entities"] for link in e["links"]] == tiers
    assert sum(bool(e["collision"]) for e in told["entities"]) == (0 if tiers else 2)
