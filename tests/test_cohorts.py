"""Saved queries: plain files, a hash that depends on what was said alone, and honest differences."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb
import pandas
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import broker
from adapters.rows import Rows
from broker.adapter import Page
from broker.answering.export import entity
from broker.cohorts.record import Record, Run, differences, mark, records
from broker.cohorts.store import Folder
from broker.errors import BadConfig, BadQuery
from broker.joining.entity import Source
from broker.matching import Value
from broker.merge import Merge
from broker.report import Report, Status
from catalog.keywords import Level

A1: list[dict[str, Any]] = [
    {"SeriesInstanceUID": "1.1", "StudyInstanceUID": "1", "Modality": "CT", "License": "CC BY 3.0"},
    {"SeriesInstanceUID": "1.2", "StudyInstanceUID": "1", "Modality": "CT", "License": "CC BY 3.0"},
    {"SeriesInstanceUID": "1.3", "StudyInstanceUID": "1", "Modality": "CT", "License": ["x", "y"]},
]
A2: list[dict[str, Any]] = [
    {**A1[0], "License": "CC BY 4.0"},
    A1[2],
    {"SeriesInstanceUID": "1.4", "StudyInstanceUID": "2", "Modality": "CT", "License": ""},
    {"SeriesInstanceUID": "1.5", "StudyInstanceUID": "2", "Modality": "MR", "License": ""},
]
B = [{"SeriesInstanceUID": "1.1", "Modality": "CT"}]


def federation(folder: Path, archives: Mapping[str, Sequence[Mapping[str, Any]] | str]) -> Path:
    """A federation file: records, or a URL where nobody listens."""
    lines = []
    for name, held in archives.items():
        if isinstance(held, str):
            lines.append(f'[archives.{name}]\nadapter = "dicomweb"\nurl = "{held}"\nlimits = {{}}')
            continue
        lines.append(f'[archives.{name}]\nadapter = "rows"\n[archives.{name}.options]\nlevel = "series"')
        for record in held:
            lines.append(f"[[archives.{name}.options.records]]")
            lines += [f"{k} = {json.dumps(v)}" for k, v in record.items()]
    place = folder / "f.toml"
    place.write_text("\n".join(lines), encoding="utf-8")
    return place


def kept(folder: Path, **archives: Sequence[Mapping[str, Any]]) -> broker.Cohort:
    """A cohort of every CT series of some archives."""
    file = federation(folder, archives)
    return broker.Cohort.save(
        "ct", "series", "Modality=CT", at=list(archives), folder=folder / "kept", config_file=file
    )


def test_what_the_archives_changed_is_what_is_told(tmp_path: Path) -> None:
    cohort = kept(tmp_path, a=A1, b=B)
    federation(tmp_path, {"a": A2, "b": B})
    cohort.rerun()
    a, b = cohort.diff()
    assert (a.archive, list(a.appeared), list(a.vanished), a.same) == ("a", ["1.4"], ["1.2"], 1)
    assert [(c.key, c.values) for c in a.changed] == [("1.1", {"License": (("CC BY 3.0",), ("CC BY 4.0",))})]
    assert (b.any, b.same, b.unknown) == (False, 1, {})


def test_an_archive_that_does_not_answer_is_unknown_and_has_lost_nothing(tmp_path: Path) -> None:
    cohort = kept(tmp_path, a=A1, b=B)
    federation(tmp_path, {"a": "http://127.0.0.1:9/", "b": B})
    about = cohort.rerun()
    assert about["complete"] is False
    a, b = cohort.diff()
    assert (a.appeared, a.vanished, a.changed) == ([], (), [])
    assert "did not answer completely" in a.unknown["vanished"]
    assert b.unknown == {}
    federation(tmp_path, {"a": A2, "b": B})
    cohort.rerun()
    a, b = cohort.diff()
    assert (a.appeared, a.vanished) == ((), [])
    assert "did not answer completely" in a.unknown["appeared"]
    a, b = cohort.diff(since=cohort.runs[0])
    assert (list(a.appeared), list(a.vanished)) == (["1.4"], ["1.2"])


def report(archive: str, **told: Any) -> Report:
    """A report, complete unless told otherwise."""
    return Report(archive, **told)


def test_a_limit_leaves_open_what_vanished() -> None:
    one = [Record("a", "1.1", {"Modality": "CT"})]
    part = Run("2", one, {"a": report("a", more=True)})
    (found,) = differences(Run("1", [*one, Record("a", "1.2", {})], {"a": report("a")}), part)
    assert found.unknown == {"vanished": "now, only as many as the limit were taken"}
    found, _ = differences(Run("1", one, {"a": report("a")}), Run("2", [], {"b": report("b")}))
    assert found.unknown == {"vanished": "now, it was not asked"}
    (found,) = differences(
        Run("1", one, {"a": report("a", status=Status.PARTIAL)}), Run("2", one, {"a": report("a")})
    )
    assert set(found.unknown) == {"appeared"}


def test_attributes_that_one_run_returned_are_named_and_not_taken_for_changes() -> None:
    old = Run("1", [Record("a", "1.1", {"Modality": "CT"})], {"a": report("a")})
    new = Run("2", [Record("a", "1.1", {"Modality": "CT", "License": "CC0"})], {"a": report("a")})
    (found,) = differences(old, new)
    assert (found.any, found.columns) == (False, ["License"])


def test_what_is_kept_is_the_answer_again(tmp_path: Path) -> None:
    steps = [{"ScheduledProcedureStepID": "A1"}, {"ScheduledProcedureStepID": "B2"}]
    held: list[dict[str, Any]] = [
        {**A1[0], "SeriesDescription": "", "RequestAttributesSequence": steps},
        A1[2],
        {"Modality": "CT", "License": "no UID"},
        {"Modality": "CT", "License": "no UID"},
    ]
    mine = [Rows("a", held, Level.SERIES), Rows("b", B, Level.SERIES)]
    asked = broker.search("series", "Modality=CT", at=mine)
    folder = Folder.of("x", tmp_path)
    folder.save({"query": {"level": "SERIES", "conditions": []}})
    found = records(asked.entities)
    folder.add("1", {}, found)
    loaded = folder.records("1")
    assert loaded == [Record(r.archive, r.key, r.said, r.retrieved, r.unknown) for r in found]
    assert mark(loaded) == mark(found)
    assert len(found) == 4  # an equal record that comes again counts once


def test_a_cohort_is_an_answer_again(tmp_path: Path) -> None:
    cohort = kept(tmp_path, a=A1, b=B)
    again = broker.Cohort.open("ct", tmp_path / "kept", tmp_path / "f.toml").answer()
    asked = broker.search("series", "Modality=CT", at=["a", "b"], config_file=tmp_path / "f.toml")

    def told(answer: broker.Answer) -> list[dict[str, Any]]:
        plain = [entity(e) for e in answer]
        return [{k: v for k, v in e.items() if k not in ("locations", "records")} for e in plain]

    assert told(again) == told(asked)
    assert [r.archive for r in again.reports] == ["a", "b"]
    assert again.complete
    assert again.query == cohort.query


def test_others_can_read_the_files(tmp_path: Path) -> None:
    kept(tmp_path, a=A1, b=B)
    (file,) = (tmp_path / "kept" / "ct" / "runs").glob("*.parquet")
    frame = pandas.read_parquet(file)
    assert list(frame["entity"]) == ["1.1", "1.1", "1.2", "1.3"]
    assert list(frame["archive"]) == ["a", "b", "a", "a"]
    with duckdb.connect() as db:
        assert db.execute(f"SELECT count(*) FROM '{file}' WHERE Modality = 'CT'").fetchall() == [(4,)]
    about = json.loads(file.with_suffix(".json").read_text())
    assert about["lists"] == ["License"]
    assert about["versions"]["imaging-broker"]
    assert [a["name"] for a in about["archives"]] == ["a", "b"]
    assert oct(file.stat().st_mode & 0o777) == "0o600"


TEXTS = st.text(alphabet="aé\\=\x00 😀", max_size=3)
SAID = st.dictionaries(st.sampled_from(["Modality", "License", "SeriesDescription"]), TEXTS | st.none())
HELD = st.lists(st.tuples(st.sampled_from(["a", "b"]), st.sampled_from(["1.1", "1.2", ""]), SAID), max_size=8)


@settings(deadline=None)
@given(HELD, st.randoms(use_true_random=False))
def test_the_hash_does_not_depend_on_order_pages_or_keywords_that_say_nothing(
    held: list[tuple[str, str, dict[str, str | None]]], chance: Any
) -> None:
    def hashed(order: Sequence[tuple[str, str, dict[str, str | None]]], padded: bool) -> str:
        merge = Merge(Level.SERIES)
        for archive, uid, said in order:
            row: dict[str, Value] = {"SeriesInstanceUID": uid, **said}
            if padded:
                row = {**dict.fromkeys(["License", "PatientID"]), **row}
            source = Source(archive, 0 if archive == "a" else 1, tuple(row), chance.random())
            merge.add(Page(tuple(row), [tuple(row.values())]), source)
        return mark(records(merge.result()))

    shuffled = list(held)
    chance.shuffle(shuffled)
    assert hashed(held, padded=False) == hashed(shuffled, padded=True)


def test_the_hash_is_of_what_was_said_and_by_whom() -> None:
    one = mark([Record("a", "1.1", {"SeriesInstanceUID": "1.1", "License": "CC0"})])
    text = b'["a",{"License":["CC0"],"SeriesInstanceUID":["1.1"]}]'  # as docs/cohorts.md says
    assert one == hashlib.sha256(hashlib.sha256(text).hexdigest().encode() + b"\n").hexdigest()
    others = [
        [Record("b", "1.1", {"SeriesInstanceUID": "1.1", "License": "CC0"})],
        [Record("a", "1.1", {"SeriesInstanceUID": "1.1", "License": ""})],
        [Record("a", "1.1", {"SeriesInstanceUID": "1.1"})],
        [],
    ]
    assert len({one, *map(mark, others)}) == 5


def test_a_name_is_a_name(tmp_path: Path) -> None:
    for name in ("../x", "", ".hidden", "a/b", "x" * 65):
        with pytest.raises(BadConfig, match="no name for a cohort"):
            Folder.of(name, tmp_path)
    cohort = kept(tmp_path, a=A1)
    with pytest.raises(BadConfig, match="there is a cohort 'ct' already"):
        kept(tmp_path, a=A1)
    with pytest.raises(BadConfig, match=r"no cohort 'other' .* there are: ct"):
        broker.Cohort.open("other", tmp_path / "kept")
    with pytest.raises(BadQuery, match="broker rerun ct"):
        cohort.diff()
    with pytest.raises(BadConfig, match=r"no run \.\./\.\./x"):
        cohort.run("../../x")
    (tmp_path / "kept" / "ct" / "cohort.json").write_text("[]")
    with pytest.raises(BadConfig, match="not of the format"):
        broker.Cohort.open("ct", tmp_path / "kept")


def run(*words: str, **env: str) -> subprocess.CompletedProcess[str]:
    """The command as a user runs it."""
    return subprocess.run(
        [sys.executable, "-m", "broker", *words],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, **env},
    )


def test_the_commands(tmp_path: Path) -> None:
    file = federation(tmp_path, {"a": A1, "b": B})
    own = ["--config", str(file), "--folder", str(tmp_path / "kept")]
    first = run("save", "ct", "series", "Modality=CT", "--at", "b,a", *own, PYTHONHASHSEED="1")
    assert first.returncode == 0, first.stderr
    assert "ct: 3 SERIES entities" in first.stdout
    again = run("rerun", "ct", *own, PYTHONHASHSEED="2")
    assert again.stdout.splitlines()[1] == first.stdout.splitlines()[1]
    assert run("diff", "ct", "--folder", own[-1]).stdout.count("0 appeared, 0 vanished, 0 changed") == 2
    federation(tmp_path, {"a": A2, "b": "http://127.0.0.1:9/"})
    assert run("rerun", "ct", *own).returncode == 3
    done = run("diff", "ct", "--folder", own[-1])
    assert done.returncode == 3
    assert "a: 1 appeared, 1 vanished, 1 changed, 1 as before" in done.stdout
    assert "b: 0 appeared, unknown vanished" in done.stdout
    assert "  ~ 1.1 License: CC BY 3.0 -> CC BY 4.0" in done.stdout
    assert "b adapter: was rows, is dicomweb\nb url: was (nothing), is http://127.0.0.1:9/\n" in done.stdout
    told = json.loads(run("diff", "ct", "--folder", own[-1], "--format", "json").stdout)
    assert told["circumstances"]["b adapter"] == ["rows", "dicomweb"]
    assert {d["archive"]: d["appeared"] for d in told["archives"]} == {"a": ["1.4"], "b": []}
    assert "ct: series Modality=CT (3 runs" in run("cohorts", "--folder", own[-1]).stdout
    assert run("save", "ct", "series", *own).returncode == 5
    assert run("diff", "ct", "--since", "1999", "--folder", own[-1]).returncode == 2
