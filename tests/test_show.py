"""`broker show`: every archive's word side by side; and where the copies are."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from asking import ask

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


def show(folder: Path, modality: str, *words: str) -> subprocess.CompletedProcess[str]:
    """`broker show` over two archives that know one series."""
    file = folder / "f.toml"
    file.write_text(FILE.format(modality))
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
    with pytest.raises(BadQuery, match="prefer"):
        locations(series, "nearest")
