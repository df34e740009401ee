"""All of the Imaging Data Commons through the broker's own merge: what is known to be wrong in it is found.

The figures are those of index v25, counted by SQL over the package's own file in the same run.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import duckdb
import idc_index_data
import pytest
from asking import ask

from adapters.idc.adapter import Idc
from broker.answer import Answer
from broker.matching import Value

Conflicts = dict[str, dict[str, Value]]


@pytest.fixture(scope="module")
def whole() -> Answer:
    """Every study of IDC."""
    return asyncio.run(ask("studies", at=[Idc()], scan=True, timeout=300))


@pytest.fixture(scope="module")
def conflicts(whole: Answer) -> dict[str, Conflicts]:
    """UID -> the conflicts of a study, where there are any."""
    return {str(e.uid): found for e in whole if (found := e.conflicts)}


@pytest.fixture(scope="module")
def index() -> Iterator[duckdb.DuckDBPyConnection]:
    """The package's own file, read without the broker."""
    with duckdb.connect() as db:
        file = Path(str(idc_index_data.IDC_INDEX_PARQUET_FILEPATH))
        db.execute(f"CREATE VIEW series AS FROM read_parquet('{file}')")
        yield db


def disagreeing(index: duckdb.DuckDBPyConnection, column: str) -> set[str]:
    """Studies of which the series have several values."""
    text = f"SELECT StudyInstanceUID FROM series GROUP BY ALL HAVING count(DISTINCT {column}) > 1"
    return {uid for (uid,) in index.execute(text).fetchall()}


def test_the_number_of_studies_is_the_number_of_uids(whole: Answer, index: duckdb.DuckDBPyConnection) -> None:
    (count,) = index.execute("SELECT count(DISTINCT StudyInstanceUID) FROM series").fetchall()[0]
    assert len(whole) == len({e.uid for e in whole}) == whole.total == count == 168_507
    assert whole.exact


@pytest.mark.parametrize(
    ("keyword", "known"),
    [("PatientID", 1), ("StudyDate", 651), ("StudyDescription", 965), ("PatientAge", 383), ("PatientSex", 6)],
)
def test_the_known_conflicts_are_listed_exactly(
    conflicts: dict[str, Conflicts], index: duckdb.DuckDBPyConnection, keyword: str, known: int
) -> None:
    found = {uid for uid, by in conflicts.items() if keyword in by}
    assert found == disagreeing(index, keyword)
    assert len(found) == known


def test_nothing_else_is_called_a_conflict(conflicts: dict[str, Conflicts]) -> None:
    assert {keyword for by in conflicts.values() for keyword in by} == {
        "PatientID",
        "StudyDate",
        "StudyDescription",
        "PatientAge",
        "PatientSex",
    }


def test_one_study_of_two_patients_is_named_with_both(conflicts: dict[str, Conflicts]) -> None:
    told = {uid: by["PatientID"] for uid, by in conflicts.items() if "PatientID" in by}
    uid = "1.2.840.113654.2.55.125969098001031158877420279905106225610"
    assert told == {uid: {"idc": ("108001", "123342")}}


def test_a_patient_id_of_several_collections_is_several_patients(whole: Answer) -> None:
    collections: defaultdict[str, set[str]] = defaultdict(set)
    answer = asyncio.run(ask("patients", at=[Idc()], scan=True, timeout=300))
    patients = answer.patients
    for patient in patients:
        assert len({row[s.keywords.index("Collection")] for s, row in patient.sayings}) == 1
        collections[str(patient.first("PatientID"))].add(str(patient.first("Collection")))
    assert sum(len(names) > 1 for names in collections.values()) == 89
    assert sum(len(names) for names in collections.values()) == len(patients) == 86_451
    # they are exactly what is suggested as perhaps one, and stay apart
    offered = {c.one.first("PatientID") for c in answer.candidates(least=0.5)}
    assert offered == {identifier for identifier, names in collections.items() if len(names) > 1}


async def test_from_its_series_the_one_study_of_a_man_and_a_woman_is_not_fused() -> None:
    """Six studies have several PatientSex; in one of them, series say M and F."""
    uids = ",".join(sorted(await _with_two_sexes()))
    studies = (await ask("series", f"StudyInstanceUID={uids}", at=[Idc()])).studies
    assert len({e.uid for e in studies}) == 6
    assert len(studies) == 7
    assert [set(by["idc"] or ()) for e in studies for by in e.collision.values()] == [{"F", "M"}] * 2


async def _with_two_sexes() -> list[str]:
    found = await ask("studies", "PatientSex=M,F", at=[Idc()], scan=True)
    return [str(e.uid) for e in found if "PatientSex" in e.conflicts]
