"""T4: suggestions with reasons; they find what is similar, and never change what is merged."""

from __future__ import annotations

import ast
import json
import random
import subprocess
import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import pytest
import resemblance
from asking import ask

from adapters.rows import Rows
from broker.answering.candidates import candidates
from broker.answering.export import entity as plain
from broker.errors import BadQuery, MissingExtra
from broker.joining.entity import Entity
from broker.joining.resemblance import Candidate, expected
from broker.joining.rules import NO_RULES, Rules
from catalog.keywords import Level

ROOT = Path(__file__).parent.parent
ANNA = {"PatientName": "Müller^Anna", "PatientBirthDate": "19500101", "PatientSex": "F"}
AGAIN = {"PatientName": "MULLER^ANNA^^", "PatientBirthDate": "1950.01.01", "PatientSex": "female"}
JOHN = {"PatientName": "Smith^John", "PatientBirthDate": "19600203", "PatientSex": "M"}


def patients(name: str, *records: dict[str, str]) -> Rows:
    """An archive of patients with identifiers of its own."""
    return Rows(name, [{"PatientID": f"{name}-{n}", **r} for n, r in enumerate(records)], Level.PATIENT)


def pairs(found: Sequence[Candidate]) -> list[tuple[str, str]]:
    """Who is suggested to be one."""
    return [(str(c.one.first("PatientID")), str(c.other.first("PatientID"))) for c in found]


def test_in_a_world_with_known_truth_it_finds_many_and_is_seldom_wrong() -> None:
    half, usual, *_, sure = resemblance.main(1_500)
    assert usual.true > 300
    assert half.recall > 0.75
    assert usual.precision > 0.97
    assert (sure.precision, sure.recall > 0.2) == (1.0, True)


def test_the_measure_would_notice() -> None:
    """Whoever takes equal names for one person is wrong here, and is counted as wrong."""
    rows = resemblance.world(1_500, random.Random(1))
    by_name: dict[object, list[Entity]] = {}
    for e in resemblance.merged(rows):
        by_name.setdefault(e.first("PatientName"), []).append(e)
    naive = [Candidate(a, b, 1.0, 0.0, ()) for group in by_name.values() for a, b in pairwise(group)]
    assert resemblance.quality(naive, rows, 0.9).precision < 0.7


async def test_a_candidate_has_a_score_and_reasons() -> None:
    answer = await ask(
        "patients", at=[patients("a", ANNA, JOHN), patients("b", JOHN | {"PatientSex": ""}, AGAIN)]
    )
    john, anna = sorted(answer.candidates(), key=lambda c: c.weight)
    assert pairs([anna, john]) == [("a-0", "b-1"), ("a-1", "b-0")]
    assert 0.9 < john.score < anna.score < 1
    assert [(r.attribute, r.agreement) for r in anna.reasons] == [
        ("family name", "equal"),
        ("given name", "equal"),
        ("birth date", "equal"),
        ("sex", "equal"),
        ("PatientID", "different"),
    ]
    assert (anna.reasons[0].one, anna.reasons[0].other) == ("muller", "muller")
    assert "sex" not in {r.attribute for r in john.reasons}
    prior = expected(4)
    for c in (anna, john):
        odds = prior / (1 - prior) * 2 ** sum(r.weight for r in c.reasons)
        assert c.score == pytest.approx(odds / (1 + odds))


async def test_no_candidate_ever_changes_a_merge() -> None:
    """However sure: the answer is the same before and after, and the two stay two."""
    answer = await ask("patients", at=[patients("a", ANNA), patients("b", ANNA)])
    before = [plain(e) for e in (*answer.entities, *answer.patients)]
    (certain,) = answer.candidates(least=0.999)
    assert certain.score > 0.999
    assert [plain(e) for e in (*answer.entities, *answer.patients)] == before
    assert (len(answer.patients), answer.patients[0].archives, answer.patients[0].links) == (2, ("a",), ())


def test_in_a_whole_world_no_candidate_changes_a_merge() -> None:
    rows = resemblance.world(300, random.Random(3))
    entities = resemblance.merged(rows)
    before = [plain(e) for e in entities]
    assert candidates(entities, NO_RULES, 0.01)
    assert [plain(e) for e in entities] == before == [plain(e) for e in resemblance.merged(rows)]


@pytest.mark.parametrize("module", ["broker/merge.py", "broker/joining/link.py", "broker/joining/entity.py"])
def test_nothing_that_merges_knows_of_candidates(module: str) -> None:
    tree = ast.parse((ROOT / module).read_text(encoding="utf-8"))
    known = {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert not [name for name in known if "resemblance" in name or "candidates" in name]


async def test_across_the_barrier_nothing_is_even_suggested() -> None:
    answer = await ask("patients", at=[patients("a", ANNA), patients("b", AGAIN)])
    barrier = {"a": True, "b": False}
    assert candidates(answer.patients, NO_RULES)
    assert not candidates(answer.patients, Rules(identified=barrier))
    assert candidates(answer.patients, Rules(identified=barrier, bridges=frozenset({frozenset(barrier)})))


async def test_what_de_identification_made_equal_weighs_nothing() -> None:
    blank = {"PatientName": "Anonymized^Patient", "PatientBirthDate": "19000101", "PatientSex": "O"}
    answer = await ask("patients", at=[patients("a", *[blank] * 60), patients("b", *[blank] * 39)])
    assert not answer.candidates(least=0.5)


async def test_a_short_identifier_is_no_evidence_and_a_long_one_is() -> None:
    def one(name: str, identifier: str) -> Rows:
        return Rows(name, [{"PatientID": identifier, "PatientSex": "F"}], Level.PATIENT)

    assert not (await ask("patients", at=[one("a", "7"), one("b", "7")])).candidates(least=0.5)
    assert (await ask("patients", at=[one("a", "ABC-123-99"), one("b", "ABC-123-99")])).candidates(least=0.5)


async def test_studies_of_one_answer() -> None:
    about = {"PatientName": "Muller^Anna", "StudyDate": "20200615", "StudyDescription": "CT CHEST"}
    other = {**about, "StudyDate": "20110203", "PatientName": "Smith^John"}
    at = [
        Rows("a", [{"StudyInstanceUID": "1.1", **about}, {"StudyInstanceUID": "1.2", **other}]),
        Rows("b", [{"StudyInstanceUID": "2.1", **about}]),
    ]
    (found,) = (await ask("studies", at=at)).candidates()
    assert {found.one.uid, found.other.uid} == {"1.1", "2.1"}
    assert [r.attribute for r in found.reasons][-2:] == ["study date", "description"]


async def test_what_cannot_be_asked_is_said() -> None:
    answer = await ask("patients", at=[patients("a", ANNA)])
    assert answer.candidates() == []
    for words, match in ((("studies",), "only has what is coarser"), (("patients", 0.0), "least 0")):
        with pytest.raises(BadQuery, match=match):
            answer.candidates(*words)
    series = await ask(
        "series", at=[Rows("a", [{"SeriesInstanceUID": "1.1"}, {"SeriesInstanceUID": "1.2"}], Level.SERIES)]
    )
    with pytest.raises(BadQuery, match="known by its UID"):
        series.candidates("series")


async def test_without_splink_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = await ask("patients", at=[patients("a", ANNA), patients("b", AGAIN)])
    monkeypatch.setitem(sys.modules, "splink", None)
    with pytest.raises(
        MissingExtra, match=r"splink is not installed: pip install 'imaging-broker\[candidates\]'"
    ):
        answer.candidates()


FILE = """
[archives.one]
adapter = "rows"
options.level = "PATIENT"
options.records = [{ PatientID = "A1", PatientName = "Muller^Anna", PatientBirthDate = "19500101" }]

[archives.two]
adapter = "rows"
options.level = "PATIENT"
options.records = [{ PatientID = "B9", PatientName = "MULLER^ANNA^^", PatientBirthDate = "19500101" }]
"""
COMMAND = ["candidates", "PatientName=muller*", "--at", "one,two"]


def run(folder: Path, *words: str, before: str = "") -> subprocess.CompletedProcess[str]:
    """`broker candidates` over two archives that know one woman."""
    (folder / "f.toml").write_text(FILE)
    code = f"import sys\n{before}\nfrom broker.cli import main\nsys.exit(main())"
    command = [sys.executable, "-c", code, *COMMAND, "--config", str(folder / "f.toml"), *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_the_command_tells_pairs_and_reasons(tmp_path: Path) -> None:
    done = run(tmp_path, "--include-unknown")
    assert done.returncode == 0, done.stderr
    assert "one: A1  ~  two: B9" in done.stdout
    assert "birth date equal: 19500101" in done.stdout
    assert "none of them is merged" in done.stderr
    (told,) = json.loads(run(tmp_path, "--format", "json").stdout)["candidates"]
    assert (told["one"]["archives"], told["other"]["archives"]) == (["one"], ["two"])
    assert told["reasons"][0]["attribute"] == "family name"


def test_the_command_names_the_missing_extra_before_it_asks(tmp_path: Path) -> None:
    done = run(tmp_path, before="sys.modules['splink'] = None")
    assert (done.returncode, done.stdout) == (5, "")
    assert "imaging-broker[candidates]" in done.stderr
