"""The Imaging Data Commons on the real index: what SQL finds is what `truth` accepts."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import duckdb
import idc_index_data
import pytest
from asking import ask, report_of

import broker
from adapters.idc import sorted_copy
from adapters.idc.adapter import Idc
from broker.matching import compiled
from broker.query import condition

PARQUET = Path(str(idc_index_data.IDC_INDEX_PARQUET_FILEPATH))


@pytest.fixture(scope="module")
def table() -> Iterator[duckdb.DuckDBPyConnection]:
    """The index as the wheel has it, with DICOM's names, no copy."""
    with duckdb.connect() as db:
        db.execute(f"CREATE VIEW series AS {sorted_copy.selection(PARQUET)}")
        yield db


@pytest.fixture(scope="module")
def copied() -> None:
    """The sorted copy is there, however long that takes."""
    end = time.monotonic() + 300
    while sorted_copy.ensure(lambda: PARQUET, Idc()._version, threading.Event()) is None:
        assert time.monotonic() < end
        time.sleep(0.2)


CONDITIONS = [
    "Modality=MG",
    "Modality=XA,NM",
    "BodyPartExamined=LUNG*",
    "BodyPartExamined=*NEC?",
    "BodyPartExamined=LUNG*,*BREAST",
    'BodyPartExamined=""',
    'BodyPartExamined="",CHEST',
    "SeriesDescription~flair",
    "SeriesDescription=*%*",
    "SeriesDescription=*_1*",
    "SeriesDescription=?",
    "StudyDescription=*a*e*i*o*u*",
    "StudyDate=2022-",
    "StudyDate=-19991231",
    "StudyDate=20000101",
    "StudyDate=19990101-19991231,2005",
    "SeriesNumber=7",
    "SeriesNumber=007",
    "PatientAge=066Y",
    "PatientSex=O",
    "License=CC BY-NC 3.*",
    "Collection=lidc_idri,rider_pilot",
    "NumberOfSeriesRelatedInstances=133",
    "PatientID=LIDC-IDRI-000?",
]


@pytest.mark.parametrize("text", CONDITIONS)
async def test_sql_finds_exactly_what_truth_accepts(text: str, table: duckdb.DuckDBPyConnection) -> None:
    asked = condition(text)
    test = compiled(asked)
    values = table.execute(f'SELECT "{asked.keyword}", count(*) FROM series GROUP BY 1').fetchall()
    expected = sum(count for value, count in values if test(value))
    unknown = sum(count for value, count in values if test(value) is None)
    answer = await ask("series", text, at=[Idc()], timeout=60)
    told = report_of(answer, "idc")
    assert told.kept == expected > 0
    assert told.broken == {}
    assert answer.complete
    assert told.unknown.get(asked.keyword, 0) == unknown


async def test_studies_have_all_the_values_of_their_series(table: duckdb.DuckDBPyConnection) -> None:
    differing = table.execute(
        'SELECT "StudyInstanceUID", list_sort(list(DISTINCT "StudyDate")) FROM series '
        'GROUP BY 1 HAVING count(DISTINCT "StudyDate") > 1 ORDER BY 1 LIMIT 3'
    ).fetchall()
    for uid, dates in differing:
        answer = await ask("studies", f"StudyInstanceUID={uid}", at=[Idc()])
        (study,) = answer
        assert study.first("StudyDate") == tuple(dates)
        one = await ask("studies", f"StudyInstanceUID={uid}", f"StudyDate={dates[-1]}", at=[Idc()])
        assert [e.uid for e in one] == [uid]


async def test_conditions_on_series_hold_in_one_series(table: duckdb.DuckDBPyConnection) -> None:
    answer = await ask("studies", "Modality=SEG", "BodyPartExamined=LUNG", "Collection=nsclc_*", at=[Idc()])
    expected = table.execute(
        'SELECT DISTINCT "StudyInstanceUID" FROM series WHERE "Modality" = \'SEG\' '
        "AND \"BodyPartExamined\" = 'LUNG' AND \"Collection\" LIKE 'nsclc!_%' ESCAPE '!'"
    ).fetchall()
    assert {e.uid for e in answer} == {uid for (uid,) in expected}
    counts = table.execute(
        'SELECT "StudyInstanceUID", count(*)::VARCHAR FROM series WHERE "StudyInstanceUID" IN '
        "(SELECT unnest(?)) GROUP BY 1",
        [[uid for (uid,) in expected]],
    ).fetchall()
    assert {e.uid: e.first("NumberOfStudyRelatedSeries") for e in answer} == dict(counts)


async def test_a_patient_id_in_two_collections_is_two_patients(table: duckdb.DuckDBPyConnection) -> None:
    (patient,) = table.execute(
        'SELECT "PatientID" FROM series GROUP BY 1 HAVING count(DISTINCT "Collection") = 2 ORDER BY 1 LIMIT 1'
    ).fetchall()[0]
    answer = await ask("patients", f"PatientID={patient}", at=[Idc()])
    assert len(answer) == 2
    assert len({e.first("Collection") for e in answer}) == 2


@pytest.mark.usefixtures("copied")
@pytest.mark.parametrize("level", ["patients", "studies", "series"])
async def test_the_copy_and_the_package_give_the_same(level: str) -> None:
    words = ["Modality=PT", "StudyDate=2015-"]
    copy, package = Idc("copy"), Idc("package", copy=False)
    answers = [await ask(level, *words, at=[a], timeout=60) for a in (copy, package)]
    told = [[e.said[a] for e in found] for found, a in zip(answers, ("copy", "package"), strict=True)]
    if level == "series":  # which the wheel has in no useful order
        told = [sorted(said, key=lambda s: str(s["SeriesInstanceUID"])) for said in told]
    assert told[0] == told[1]
    assert "sorted copy" in report_of(answers[0], "copy").via
    assert "parquet" in report_of(answers[1], "package").via


async def test_without_a_place_for_a_copy_the_package_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(blocked))
    answer = await ask("series", "PatientID=LIDC-IDRI-0001", at=[Idc()])
    assert len(answer) == 10
    assert "parquet" in answer.reports[0].via


async def test_a_broken_copy_is_not_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(sorted_copy, "ensure", lambda *_: _garbage(tmp_path))
    answer = await ask("series", "PatientID=LIDC-IDRI-0001", at=[Idc()])
    assert len(answer) == 10
    assert not (tmp_path / "x.duckdb").exists(), "the next search makes another"


def _garbage(folder: Path) -> Path:
    place = folder / "x.duckdb"
    place.write_bytes(b"no database" * 1000)
    return place


async def test_two_processes_do_not_make_the_copy_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    made: list[int] = []

    def slow(parquet: Path, target: Path, lock: Path, stop: threading.Event) -> bool:
        made.append(1)
        time.sleep(0.3)
        target.write_text("copy")
        lock.unlink()
        return True

    monkeypatch.setattr(sorted_copy, "_run", slow)
    first, second = await asyncio.gather(
        *(asyncio.to_thread(sorted_copy.ensure, lambda: PARQUET, "0", threading.Event()) for _ in range(2))
    )
    assert len(made) == 1
    assert [first, second].count(None) == 1
    assert sorted_copy.ensure(lambda: PARQUET, "0", threading.Event()) is not None


@pytest.mark.parametrize("first", [False, True])
async def test_leaving_a_search_ends_its_thread_at_once(
    first: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also while the copy is being made: then nothing half-made is left."""
    import broker

    if first:
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    else:
        await ask("series", "PatientID=LIDC-IDRI-0001", at=[Idc()])
    before = threading.active_count()
    for _ in range(20):
        async with broker.asking("studies", "SeriesDescription~a", at=[Idc()]):
            await asyncio.sleep(0.02)
    deadline = time.monotonic() + 5
    while threading.active_count() > before and time.monotonic() < deadline:
        await asyncio.sleep(0.01)
    assert threading.active_count() <= before
    assert not [*tmp_path.rglob("*.part*"), *tmp_path.rglob("*.lock")]


@pytest.mark.parametrize("level", ["series", "studies", "patients"])
async def test_what_is_left_out_for_want_of_a_value_is_counted_and_can_be_had(level: str) -> None:
    words = ["Collection=nsclc_radiomics", "Modality=CT", "BodyPartExamined=LUNG", "PatientSex=F"]
    plain = await ask(level, *words, at=[Idc()])
    more = await ask(level, *words, at=[Idc()], include_unknown=True)
    told, flagged = report_of(plain, "idc"), [e for e in more if e.unknown]
    assert told.untold == []
    counts = {k: sum(k in e.unknown["idc"] for e in flagged) for k in told.unknown}
    assert told.unknown == counts
    assert {e.key for e in more if not e.unknown} == {e.key for e in plain}
    assert len(more) == len(plain) + len(flagged)


@pytest.mark.parametrize("text", ['PatientSex=""', 'PatientSex="",O', "PatientSex=F"])
async def test_a_patient_without_a_value_has_none_in_any_series(text: str) -> None:
    answer = await ask("patients", text, "Modality=SM", at=[Idc()], timeout=60)
    report = report_of(answer, "idc")
    assert report.kept == report.fetched > 0
    assert report.broken == {}


async def test_a_copy_that_takes_too_long_is_not_waited_for_and_is_there_later(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(sorted_copy, "WAIT", 0.0)
    answer = await broker.search_async("series", "Collection=rider_pilot", at=["idc"], limit=2)
    assert answer.complete
    assert answer.reports[0].via.startswith("parquet")
    async with asyncio.timeout(90):
        while any(late.poll() is None for late in sorted_copy._LATE):
            await asyncio.sleep(0.1)
    later = await broker.search_async("series", "Collection=rider_pilot", at=["idc"], limit=2)
    assert later.reports[0].via.startswith("sorted copy")
    assert not [*tmp_path.rglob("*.part"), *tmp_path.rglob("*.lock")]


def test_copies_of_other_versions_go_after_a_week(tmp_path: Path) -> None:
    old, recent, mine = (tmp_path / f"idc-{n}.duckdb" for n in ("old", "recent", "mine"))
    for place in (old, recent, mine):
        place.write_text("")
    for place in (old, mine):
        os.utime(place, (0, 0))
    sorted_copy._forget_others(mine)
    assert sorted(tmp_path.iterdir()) == [mine, recent]
