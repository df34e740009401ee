"""Collections: counts as exactly as they were said, what a condition means of them, and nothing invented."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import duckdb
import idc_index_data
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.idc.adapter import Idc
from broker.adapter import Collects
from broker.cli import main
from broker.errors import BadQuery
from broker.knowing.judging import COUNTS, judge, mentions, wheres
from catalog.collection import Collection, Count
from catalog.condition import BadCondition, Where
from catalog.evidence import Source
from catalog.reading import shipped_collections

SOURCE = Source("page", "A page")
INDEX = Path(str(idc_index_data.IDC_INDEX_PARQUET_FILEPATH))


def collection(**more: object) -> Collection:
    """A record."""
    return Collection("x", "c", "C", SOURCE, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("said", "condition", "holds"),
    [
        (253, "patients=253", True),
        (253, "patients=252", False),
        (253, "patients!=252,253", False),
        (253, "patients!=252", True),
        (253, "patients>252", True),
        (253, "patients>=253", True),
        (253, "patients<253", False),
        (253, "patients<=253", True),
        (">800", "patients>100", True),
        (">800", "patients>800", True),
        (">800", "patients>801", None),
        (">800", "patients<=800", False),
        (">800", "patients=825", None),
        (">800", "patients=800", False),
        ("<300", "patients<300", True),
        ("<300", "patients<200", None),
        ("~5000", "patients>4000", True),
        ("~5000", "patients>4600", None),
        ("~5000", "patients=5000", None),
        ("~5000", "patients=10", False),
        ("~2.5", "patients<3", True),
        (None, "patients>0", None),
    ],
)
def test_a_count_decides_only_as_much_as_was_said(said: object, condition: str, holds: bool | None) -> None:
    counts = {} if said is None else {"patients": Count.read(said)}  # type: ignore[arg-type]
    (where,) = wheres([condition])
    assert judge(collection(counts=counts), where) is holds


@given(st.integers(0, 2000), st.sampled_from(["", ">", "<", "~"]), st.integers(0, 2000), st.integers(0, 2000))
def test_no_count_that_is_possible_contradicts_the_answer(
    said: int, sign: str, wanted: int, real: int
) -> None:
    count = Count.read(f"{sign}{said}")
    possible = count.low <= real and (count.high is None or real <= count.high)
    for op, truth in (
        ("=", real == wanted),
        (">", real > wanted),
        ("<", real < wanted),
        (">=", real >= wanted),
    ):
        answer = Where("patients", op, (str(wanted),)).of_count(count)
        if possible:
            assert answer is None or answer is truth, (count, op, wanted, real)


@pytest.mark.parametrize("text", ["", "many", "5 000", "-3", "~~3", "nan", "1e9", "> 3x"])
def test_what_is_not_a_count_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a count"):
        Count.read(text)


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ("modality=ct", True),
        ("modality=CT,MR", True),
        ("modality=MR", False),
        ("modality!=MR", True),
        ("body_part~lun", True),
        ("condition~cancer", None),
        ("species=Human", None),
        ("derived=no", True),
    ],
)
def test_words_are_compared_in_any_case_and_silence_is_unknown(condition: str, holds: bool | None) -> None:
    (where,) = wheres([condition])
    assert judge(collection(modalities=("CT", "PT"), body_parts=("Lung",)), where) is holds


@pytest.mark.parametrize(
    "text", ["patients", "patients>many", "patients~3", "modality>3", "colour=red", "=3", "a=,"]
)
def test_a_condition_that_means_nothing_is_refused(text: str) -> None:
    with pytest.raises(BadQuery, match="--where"):
        wheres([text])
    with pytest.raises(BadCondition):
        Where.read("nothing")


def test_every_record_that_ships_is_dated_cited_and_unique() -> None:
    records = shipped_collections()
    assert len({c.key for c in records}) == len(records)
    assert all(c.source.title and (c.as_of or not c.source.as_of) for c in records)
    survey = [c for c in records if c.source.id == "survey-v44"]
    assert len(survey) == 20
    assert all(c.quote for c in survey)
    miriad = next(c for c in records if c.key == "nirl/miriad")
    assert miriad.same_as == ()
    assert "UCL" in miriad.note


async def test_the_idc_tells_of_its_collections_what_its_index_holds() -> None:
    idc = Idc()
    assert isinstance(idc, Collects)
    found = {c.id: c for c in await idc.collections()}
    with duckdb.connect() as db:
        wanted = db.execute(
            "SELECT collection_id, count(DISTINCT PatientID), count(*), sum(instanceCount) "
            f"FROM '{INDEX}' GROUP BY 1"
        ).fetchall()
    assert len(wanted) >= 179
    for ident, patients, series, instances in wanted:
        counts = found[ident].counts
        assert [counts[n].exact for n in ("patients", "series", "instances")] == [patients, series, instances]
        assert found[ident].licenses
        assert found[ident].dois
        assert found[ident].as_of
    assert len([c for c in found.values() if c.derived]) >= 26
    refs = {
        ref.partition("/")[2] for c in shipped_collections() for ref in c.same_as if ref.startswith("idc/")
    }
    assert refs <= set(found)


def run(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> tuple[str, str]:
    """The command in this process."""
    assert main(["collections", *words]) == code
    got = capsys.readouterr()
    return got.out, got.err


def test_lung_ct_of_many_patients(capsys: pytest.CaptureFixture[str]) -> None:
    out, err = run(capsys, "lung", "--where", "modality=CT", "--where", "patients>100", "--format", "json")
    found = {c["collection"]: c for c in json.loads(out)["collections"]}
    assert found["idc/lidc_idri"]["patients"] == 1010
    assert found["idc/lidc_idri"]["holdings"] == [{"at": "idc", "where": "Collection=lidc_idri"}]
    assert all("CT" in c["modalities"] and c["patients"] > 100 for c in found.values())
    assert "nbia-cip/lidc-idri" not in found, "the survey does not say its modality"
    assert "a condition is not known, left out" in err
    more, _ = run(capsys, "lung", "--where", "modality=CT", "--include-unknown", "--format", "json")
    unknown = [c for c in json.loads(more)["collections"] if c["unknown"]]
    assert "nbia-cip/lidc-idri" in {c["collection"] for c in unknown}


def test_the_query_that_is_given_lists_the_series(capsys: pytest.CaptureFixture[str]) -> None:
    out, _ = run(capsys, "--at", "nbia-cip", "--format", "json")
    listed = {c["collection"]: c.get("holdings") for c in json.loads(out)["collections"]}
    assert {"at": "idc", "where": "Collection=lidc_idri"} in (listed["nbia-cip/lidc-idri"] or [])
    assert {"at": "tcia", "where": "Collection=LIDC-IDRI"} in (listed["nbia-cip/lidc-idri"] or [])
    assert (
        main(["search", "series", "Collection=lidc_idri", "--at", "idc", "--limit", "3", "--format", "csv"])
        == 0
    )
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert {r["Collection"] for r in rows} == {"lidc_idri"}


def test_where_an_archives_lists_were_imported_its_records_lead_there(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    table, mapping = tmp_path / "images.csv", tmp_path / "m.toml"
    table.write_text("uid,who,kind\n1.2.3,NDAR_1,MR\n")
    mapping.write_text('[columns]\nuid = "SeriesInstanceUID"\nwho = "PatientID"\nkind = "Modality"\n')
    words = ["import", str(table), "--archive", "nbia-niams", "--mapping", str(mapping)]
    assert main(["catalog", *words]) == 0
    capsys.readouterr()
    out, _ = run(capsys, "--at", "nbia-niams", "--format", "json")
    (record,) = json.loads(out)["collections"]
    assert record["holdings"] == [{"at": "nbia-niams", "where": ""}]
    assert record["patients"] == "~5000", (
        "the record stays what it was: one imported patient does not change it"
    )
    assert main(["archives", "--format", "json"]) == 0
    (told,) = [a for a in json.loads(capsys.readouterr().out) if a["name"] == "nbia-niams"]
    assert (told["adapter"], told["route"]["how"]) == ("local", "catalog")


def test_records_are_never_patients(capsys: pytest.CaptureFixture[str]) -> None:
    """An archive that only has records cannot be searched for patients; nothing stands in for them."""
    assert main(["search", "patients", "--at", "nirl"]) == 5
    assert "unknown archive 'nirl'" in capsys.readouterr().err
    _, err = run(capsys, "--at", "nirl")
    assert err.strip() == "2 collections"


def test_formats_agree(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--where", "archive!=idc", "--where", "archive!=tcia"]
    rows = list(csv.DictReader(io.StringIO(run(capsys, *words, "--format", "csv")[0])))
    plain = json.loads(run(capsys, *words, "--format", "json")[0])["collections"]
    assert [r["collection"] for r in rows] == [c["collection"] for c in plain]
    assert {r["collection"]: r["patients"] for r in rows}["nbia-niams/osteoarthritis"] == "~5000"
    table = run(capsys, *words)[0]
    assert "~5,000" in table
    assert run(capsys, *words, "--format", "markdown")[0].count("\n") == len(rows) + 2


FAILING = """
[archives.dead]
adapter = "idc"
asked = true
"""


def test_an_archive_that_fails_is_named_and_the_records_stand(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "f.toml"
    file.write_text(FAILING)
    monkeypatch.setattr(
        "adapters.idc.collections._RESULTS", "SELECT no_such_column FROM read_parquet($about), $index"
    )
    out, err = run(capsys, "elude", "--config", str(file), "--format", "json", code=3)
    assert [c["collection"] for c in json.loads(out)["collections"]] == ["nirl/elude"]
    assert "dead: failed: upstream_5xx" in err
    assert "INCOMPLETE" in err


def test_an_archive_that_cannot_tell_is_named_and_fails_only_where_it_was_asked_for(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "f.toml"
    file.write_text('[archives.mine]\nadapter = "rows"\nasked = true\noptions = { records = [] }\n')
    _, err = run(capsys, "elude", "--config", str(file))
    assert "mine: cannot tell of collections" in err
    _, err = run(capsys, "--at", "mine", "--config", str(file), code=3)
    assert "mine: failed: its adapter cannot tell of collections" in err


def test_wrong_names_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert "unknown archive 'nowhere'" in run(capsys, "--at", "nowhere", code=5)[1]
    assert "timeout 0" in run(capsys, "--timeout", "0", code=2)[1]
    assert set(COUNTS) <= set(run(capsys, "--where", "x=1", code=2)[1].replace(",", " ").split())


def test_words_are_looked_for_in_what_is_said_of_the_data_set_and_not_in_notes_on_the_record() -> None:
    c = collection(about="Brains", note="Not UCL's MIRIAD; its subjects could not be counted.")
    assert mentions(c, ["BRAIN"])
    assert not mentions(c, ["subjects"])
    miriad = next(c for c in shipped_collections() if c.key == "nirl/miriad")
    assert not mentions(miriad, ["alzheimer"]), "its note says that it is another MIRIAD"


def test_where_nobody_answers_the_exit_code_says_so(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "f.toml"
    file.write_text('[archives.gone]\nadapter = "xnat"\nurl = "http://127.0.0.1:1"\n')
    _, err = run(capsys, "--at", "gone", "--config", str(file), code=4)
    assert "gone: failed: unreachable" in err
    _, err = run(capsys, "--at", "gone,nirl", "--config", str(file), code=3)
    assert "INCOMPLETE" in err
