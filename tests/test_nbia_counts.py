"""What an NBIA archive counts by itself is what it lists, or "at most"; what it may not mean is listed."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import pytest
from asking import report_of
from asking_nbia import ROWS, V1, nbia, paths
from peers.loopback import Fault
from peers.nbia import NbiaServer

from broker.answering.counts import Count
from broker.api import Session
from broker.counting import Counter
from broker.query import Query


async def counted(
    server: NbiaServer, level: str, *conditions: str, by: Iterable[str] = (), **how: Any
) -> Any:
    """The counts of a question at the archive."""
    return await Counter(Session(Query(level, *conditions), at=[nbia(server)]), by, **how).counted(30)


PATIENTS = len({(r["Collection"], r["PatientID"]) for r in ROWS})

THERE: list[tuple[str, list[str], list[str]]] = [
    ("patients", [], ["collection", "modality"]),
    ("patients", ["Collection=Thorax-CT,Other_Cases"], ["modality", "collection"]),
    ("patients", ["Collection=*a*"], []),
    ("patients", ["Collection=nowhere"], ["modality"]),
    ("patients", ["Modality=CT"], []),
    ("patients", ["Modality=CT"], ["collection", "modality"]),
    ("patients", ["Modality=MR", "Collection=Brain*"], ["modality"]),
    ("patients", ["Modality=XX"], ["modality"]),
    ("series", [], []),
    ("series", [], ["collection", "sex", "year", "StudyDescription"]),
    ("series", ["Collection=Brain*"], ["PatientID"]),
    ("series", [f"StudyInstanceUID={ROWS[0]['StudyInstanceUID']}"], ["sex"]),
]
HERE: list[tuple[str, list[str], list[str]]] = [
    ("patients", ["Modality=CT,MR"], []),
    ("patients", ["PatientID=VN-88"], []),
    ("patients", [], ["bodypart"]),
    ("patients", [], ["sex"]),
    ("patients", ["PatientSex=F", "Collection=Thorax-CT"], []),
    ("studies", [], []),
    ("series", [], ["modality"]),
    ("series", ["Modality=CT"], []),
    ("series", ["StudyDate=2018-", "Collection=*a*"], []),
]


@pytest.mark.parametrize(("level", "conditions", "by"), [*THERE, *HERE], ids=str)
async def test_it_counts_what_it_lists(level: str, conditions: list[str], by: list[str]) -> None:
    async with NbiaServer(rows=ROWS) as server:
        there = await counted(server, level, *conditions, by=by)
        asked = len(server.requests)
        here = await counted(server, level, *conditions, by=by, check=True)
    assert bool(there.there) == ((level, conditions, by) in THERE)
    assert not here.there
    assert here.total.exact
    assert (there.total.high, there.total.exact) == (
        here.total.high,
        level != "patients" or not there.there or not here.total.high,
    )
    for name in by:
        assert {g.value: g.count.high for g in there.facets[name]} == {
            g.value: g.count.high for g in here.facets[name]
        }
    assert report_of(here, "nbia").reason == ""
    if there.there:
        assert "counted there" in report_of(there, "nbia").notes
        assert asked < len(server.requests) - asked


async def test_patients_are_counted_in_one_request() -> None:
    async with NbiaServer(rows=ROWS) as server:
        await counted(server, "patients")
        await counted(server, "patients", "Modality=CT", by=["modality"])
        asked = [p for p in paths(server) if "getCollectionValues?" not in p]
    assert asked == ["getCollectionValuesAndCounts", "getModalityValuesAndCounts"]


async def test_a_patient_of_two_sites_is_at_most() -> None:
    rows = [{**row, "Site": str(n % 2)} for n, row in enumerate(ROWS)]
    async with NbiaServer(rows=rows) as server:
        rough = await counted(server, "patients")
        exact = await counted(server, "patients", exact=True)
        checked = await counted(server, "patients", check=True)
    assert rough.total.high > PATIENTS > rough.total.low
    assert rough.total.kind == "at most"
    assert exact.total == checked.total == Count(PATIENTS, PATIENTS)
    assert report_of(checked, "nbia").reason == ""


async def test_counts_that_lie_are_found_by_check_and_by_contradiction() -> None:
    async with NbiaServer(rows=ROWS, overcounts=-1) as server:
        believed = await counted(server, "patients")
        checked = await counted(server, "patients", check=True)
    assert believed.total.high is not None
    assert believed.total.high < PATIENTS
    assert report_of(believed, "nbia").notes == ["counted there"]
    report = report_of(checked, "nbia")
    assert (report.reason, checked.total) == ("count_differs", Count(PATIENTS, PATIENTS))
    assert f"it counts {believed.total.high}, {PATIENTS} were listed" in report.notes
    names = dict.fromkeys(row["Collection"] for row in ROWS)
    told = json.dumps([{"Collection": name, "Count": 1, "Authorized": 1} for name in names])
    few = {"getCollectionValuesAndCounts": Fault(200, told, "application/json")}
    async with NbiaServer(rows=ROWS, faults=few) as server:
        doubted = await counted(server, "patients", by=["modality"])
    report = report_of(doubted, "nbia")
    assert (report.reason, doubted.total, doubted.there) == ("count_differs", Count(PATIENTS, PATIENTS), ())
    assert "more entities with one Modality than there are, and is not used" in report.notes[-1]


BODIES = {
    "not authorised": '[{"Collection":"Thorax-CT","Count":5,"Authorized":0}]',
    "no number": '[{"Collection":"Thorax-CT","Count":"many","Authorized":1}]',
    "a collection is missing": '[{"Collection":"Thorax-CT","Count":5,"Authorized":1}]',
    "nothing": "",
    "negative": '[{"Collection":"Thorax-CT","Count":-5,"Authorized":1}]',
}


@pytest.mark.parametrize("what", BODIES)
async def test_what_is_not_told_is_listed(what: str) -> None:
    fault = Fault(200, BODIES[what], "application/json")
    async with NbiaServer(rows=ROWS, faults={"ValuesAndCounts": fault}) as server:
        found = await counted(server, "patients")
    assert found.total.exact
    assert found.there == ()


@pytest.mark.parametrize(
    "fault", [{"versions": V1}, {"faults": {"ValuesAndCounts": Fault(status=404)}}], ids=["v1", "404"]
)
async def test_a_server_without_counts_is_listed(fault: dict[str, Any]) -> None:
    async with NbiaServer(rows=ROWS, **fault) as server:
        found = await counted(server, "patients", "Modality=CT")
    assert found.total.exact
    assert found.there == ()


async def test_studies_that_come_twice_or_do_not_say_are_listed() -> None:
    study = '[{"StudyInstanceUID":"1.2","Collection":"Thorax-CT","SeriesCount":2}]'
    async with NbiaServer(
        rows=ROWS, faults={"getPatientStudy": Fault(200, study, "application/json")}
    ) as server:
        found = await counted(server, "series")  # the same study for each collection
    assert found.there == ()
    assert found.total == Count(len(ROWS), len(ROWS))


async def test_an_archive_that_fails_to_count_is_named() -> None:
    async with NbiaServer(rows=ROWS, faults={"ValuesAndCounts": Fault(status=503)}) as server:
        found = await counted(server, "patients")
    assert report_of(found, "nbia").reason == "upstream_5xx"
    assert found.total.kind == "at least"
