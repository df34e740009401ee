"""The first whole path: IDC, two real Orthancs with overlapping data and a dead address, asked at once."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from asking import ask, report_of, uids, web
from peers.orthanc import Orthanc

from adapters.dicomweb.adapter import QIDO, DicomWeb
from broker.matching import truth as matches
from broker.report import Status
from fixtures.dicom import Holding, Truth

LISTS = replace(QIDO, lists_all=True)


@pytest.fixture
def both(packaged: Orthanc, mended: Orthanc) -> list[DicomWeb]:
    """Archives `a` (as packaged) and `b` (mended)."""
    return [web(packaged.url, "a", LISTS), web(mended.url, "b", LISTS)]


def studies(truth: Truth, archive: str) -> list[Holding]:
    return truth["archives"][archive]


async def test_every_study_and_series_once_with_its_sources(
    both: list[DicomWeb], held: tuple[Path, Truth]
) -> None:
    truth = held[1]
    found = await ask("studies", at=both)
    told = {e.uid: set(e.archives) for e in found}
    expected: dict[str | None, set[str]] = {}
    for archive in ("a", "b"):
        for holding in studies(truth, archive):
            expected.setdefault(str(holding["study"]["StudyInstanceUID"]), set()).add(archive)
    assert told == expected
    assert {uid for uid, archives in told.items() if len(archives) == 2} == set(truth["same"]["studies"])
    series = await ask("series", at=both)
    same = {e.uid for e in series if len(e.archives) == 2}
    assert same == set(truth["same"]["series"])
    assert found.complete
    assert series.complete


CONDITIONS = [
    "PatientName=SMITH^JOHN",
    "PatientName=smith*",
    "PatientName=山田*",
    "PatientName=müller*",
    "PatientName=Иванов*",
    "PatientName=王*",
    "PatientName=Yamada^Tarou",
    "PatientName=HOUSE MD^*",
    "PatientID=000123",
    "PatientSex=M",
    'PatientSex=""',
    "AccessionNumber=B_0*",
    "StudyDescription=*%*",
    "StudyDescription~ct",
    "StudyDate=2010-2015",
    "StudyTime=10",
    "StudyID=1,2,3",
]


@pytest.mark.parametrize("condition", CONDITIONS)
async def test_a_condition_finds_exactly_what_is_there(
    condition: str, both: list[DicomWeb], held: tuple[Path, Truth]
) -> None:
    """As packaged, Debian's Orthanc decodes no query value, and says 200 with nothing."""
    answer = await ask("studies", condition, at=both)
    keyword, _, value = condition.partition("=")
    for archive in ("a", "b"):
        mine = {e.uid for e in answer if archive in e.archives}
        expected = set()
        for holding in studies(held[1], archive):
            given = holding["study"].get(keyword.partition("~")[0])
            if condition.startswith("StudyDescription~"):
                verdict = "ct" in str(given or "").lower()
            else:
                verdict = bool(matches(keyword, value, given))
            if verdict:
                expected.add(holding["study"]["StudyInstanceUID"])
        assert mine == expected, archive
    assert answer.complete


async def test_dates_in_the_old_form_are_found_where_the_archive_is_not_asked_for_dates(
    mended: Orthanc, held: tuple[Path, Truth]
) -> None:
    """Orthanc compares dates as text; PS3.5 6.2 still knows `1997.04.24` (ACR-NEMA)."""
    old = {
        h["study"]["StudyInstanceUID"]
        for h in studies(held[1], "b")
        if "." in h["study"].get("StudyDate", "")
    }
    wary = replace(LISTS, matches=LISTS.without(["StudyDate"]).matches)
    assert uids(await ask("studies", "StudyDate=19970424", at=[web(mended.url, "b", wary)])) == old


async def test_what_is_unknown_is_counted_and_comes_when_asked_for(
    both: list[DicomWeb], held: tuple[Path, Truth]
) -> None:
    nameless = [h for h in studies(held[1], "b") if not h["study"].get("StudyDescription")]
    answer = await ask("studies", "StudyDescription~zzz", at=both[1:])
    assert report_of(answer, "b").unknown == {"StudyDescription": len(nameless)}
    assert len(answer) == 0
    flagged = await ask("studies", "StudyDescription~zzz", at=both[1:], include_unknown=True)
    assert uids(flagged) == {h["study"]["StudyInstanceUID"] for h in nameless}
    assert all(e.unknown == {"b": ("StudyDescription",)} for e in flagged)


async def test_what_two_archives_say_differently_stands_side_by_side(both: list[DicomWeb]) -> None:
    found = await ask("studies", at=both)
    differing = [e.conflicts["StudyDescription"] for e in found if "StudyDescription" in e.conflicts]
    assert differing == [{"a": "CT ABDOMEN", "b": "CT Abdomen/Pelvis"}]
    backwards = await ask("studies", at=both[::-1])
    shown = {e.uid: e.first("StudyDescription") for e in found if "StudyDescription" in e.conflicts}
    turned = {e.uid: e.first("StudyDescription") for e in backwards if "StudyDescription" in e.conflicts}
    assert list(shown.values()) == ["CT ABDOMEN"]
    assert list(turned.values()) == ["CT Abdomen/Pelvis"]


async def test_a_study_condition_on_series_attributes_means_one_and_the_same_series(
    both: list[DicomWeb], held: tuple[Path, Truth]
) -> None:
    answer = await ask("studies", "Modality=CT", "BodyPartExamined=LUNG*", at=both)
    expected = {
        h["study"]["StudyInstanceUID"]
        for archive in ("a", "b")
        for h in studies(held[1], archive)
        if any(
            s.get("Modality") == "CT" and str(s.get("BodyPartExamined", "")).startswith("LUNG")
            for s in h["series"]
        )
    }
    assert uids(answer) == expected
    assert report_of(answer, "a").level == "SERIES"


@pytest.fixture
def file(packaged: Orthanc, mended: Orthanc, tmp_path: Path) -> Path:
    """A federation file: two Orthancs and an address where nobody is."""
    place = tmp_path / "federation.toml"
    urls = {"a": packaged.url, "b": mended.url, "dead": "http://127.0.0.1:9/dicom-web"}
    place.write_text(
        "".join(
            f'[archives.{n}]\nadapter = "dicomweb"\nurl = "{u}"\noptions = {{ lists_all = true }}\n'
            for n, u in urls.items()
        )
    )
    return place


def run(*words: str) -> subprocess.CompletedProcess[str]:
    """The command as a user runs it."""
    command = [sys.executable, "-m", "broker", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_the_living_answer_the_dead_is_named_and_the_code_is_3(file: Path, held: tuple[Path, Truth]) -> None:
    words = [
        "search",
        "studies",
        "Modality=CT",
        "--at",
        "idc,a,b,dead",
        "--config",
        str(file),
        "--limit",
        "50",
    ]
    done = run(*words, "--format", "json")
    assert done.returncode == 3, done.stderr
    answer = json.loads(done.stdout)
    assert answer["complete"] is False
    status = {r["archive"]: (r["status"], r["reason"]) for r in answer["reports"]}
    assert status == {"idc": ("ok", ""), "a": ("ok", ""), "b": ("ok", ""), "dead": ("failed", "unreachable")}
    assert "dead: failed (unreachable)" in done.stderr
    strict = run(*words, "--strict")
    assert (strict.returncode, strict.stdout) == (3, "")
    required = run(*words, "--require", "dead")
    assert (required.returncode, required.stdout) == (3, "")
    living = run(*words, "--require", "a,b,idc", "--format", "ndjson")
    assert living.returncode == 3
    assert living.stdout.count("\n") == len(answer["entities"])


def test_the_study_held_by_both_is_one_entity_with_two_sources(file: Path, held: tuple[Path, Truth]) -> None:
    uid = held[1]["same"]["studies"][0]
    done = run(
        "search",
        "studies",
        f"StudyInstanceUID={uid}",
        "--at",
        "a,b",
        "--config",
        str(file),
        "--format",
        "json",
    )
    assert done.returncode == 0, done.stderr
    (entity,) = json.loads(done.stdout)["entities"]
    assert entity["archives"] == ["a", "b"]
    assert entity["said"]["a"]["StudyInstanceUID"] == uid


def test_nobody_answers(file: Path) -> None:
    done = run("search", "studies", "--at", "dead", "--config", str(file))
    assert done.returncode == 4
    assert Status.FAILED.value in done.stderr
