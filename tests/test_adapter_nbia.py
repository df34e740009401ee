"""The NBIA adapter against our NBIA server, in both versions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from asking import ask, report_of, uids
from asking_nbia import HELD, ROWS, SERIES, STUDIES, V1, V4, bounded, key, nbia, paths, told
from conforming import OnLoopback
from peers.nbia import NbiaServer
from peers.nbia_rows import from_idc

from adapters.nbia.adapter import Nbia
from broker.api import Session
from broker.errors import BadConfig
from broker.query import Query
from broker.report import Status
from catalog.archives import Archive
from catalog.keywords import Level

VERSIONS = pytest.mark.parametrize("versions", [V1, V4], ids=["v1", "v4"])


class TestConformsInV4(OnLoopback):
    """The suite of the adapter contract."""

    records = HELD
    names = {Level.PATIENT: ("Collection", "PatientID")}  # noqa: RUF012
    versions = V4

    def serve(self, **manners: Any) -> NbiaServer:
        return NbiaServer(rows=ROWS, versions=self.versions, **manners)

    def adapter(self, server: NbiaServer) -> Nbia:
        return nbia(server)


class TestConformsInV1(TestConformsInV4):
    """The same, where there is only v1."""

    versions = V1

    def failing(self) -> Any:
        """The first fault is that of v4."""
        return ()


@VERSIONS
async def test_everything_at_every_level(versions: frozenset[str]) -> None:
    async with NbiaServer(rows=ROWS, versions=versions) as server:
        assert uids(await ask("series", at=[nbia(server)])) == SERIES
        assert uids(await ask("studies", at=[nbia(server)])) == STUDIES
        patients = await ask("patients", at=[nbia(server)])
    assert len(patients) == len(HELD[Level.PATIENT])
    assert patients.complete
    assert all(map(bounded, server.requests))


@VERSIONS
@pytest.mark.parametrize("level", list(Level))
async def test_every_value_is_the_archives_as_dicom_writes_it(versions: frozenset[str], level: Level) -> None:
    """Whichever of its endpoints said it, in whichever of its forms."""
    async with NbiaServer(rows=ROWS, versions=versions) as server:
        answer = await ask(level.name, at=[nbia(server)], fields=["SOPClassUID"])
    by_key = {key(level, dict(e.said["nbia"])): dict(e.said["nbia"]) for e in answer}
    for record in HELD[level]:
        found = by_key[key(level, record)]
        assert {name: found.get(name) for name in record} == record


QUESTIONS = [
    ("series", "Modality=CT"),
    ("series", "Modality=CT,MR", "Collection=Thorax*"),
    ("series", "Collection~brain"),
    ("series", "PatientID=000123"),
    ("series", "PatientID=j-7,J-7,0042", "BodyPartExamined=BRAIN"),
    ("series", f"StudyInstanceUID={ROWS[0]['StudyInstanceUID']}", "Modality=SR"),
    ("series", f"SeriesInstanceUID={ROWS[0]['SeriesInstanceUID']},{ROWS[9]['SeriesInstanceUID']}"),
    ("series", f"SeriesInstanceUID={ROWS[0]['SeriesInstanceUID']}", "StudyInstanceUID=1.2.3"),
    ("series", "StudyDate=2010-2012", "Modality=CT"),
    ("series", "License=CC BY 3.0", "Collection=*o*", "SizeInMB=1.581066"),
    ("series", "PatientName=smith^j*", "Collection=Thorax-CT"),
    ("studies", "StudyDate=20120301", "Collection=*"),
    ("studies", "PatientID=000123"),
    ("studies", "Modality=PT"),
    ("patients", "PatientID=000123"),
    ("patients", "PatientSex=F", "Collection=*[!]*,Thorax-CT"),
    ("patients", "Modality=MR", "BodyPartExamined=KNEE"),
    ("series", "PatientID=%41"),
    ("series", "Collection=nowhere"),
]


@VERSIONS
@pytest.mark.parametrize("question", QUESTIONS, ids=" ".join)
async def test_a_question_finds_what_is_held_and_nothing_else(
    versions: frozenset[str], question: Sequence[str]
) -> None:
    level, *asked = question
    async with NbiaServer(rows=ROWS, versions=versions) as server:
        answer = await ask(level, *asked, at=[nbia(server)], scan=True)
    expected = _held(level, asked)
    assert {key(answer.query.level, dict(e.said["nbia"])) for e in answer} == expected
    assert answer.complete
    assert all(map(bounded, server.requests))
    assert not report_of(answer, "nbia").broken


def _held(level: str, asked: Sequence[str]) -> set[tuple[Any, ...]]:
    from broker.meaning.joint import tests

    query = Query(level, *asked)
    rows = [row for row in HELD[Level.SERIES] if all(t.of(row) for t in tests(query.conditions))]
    return {key(query.level, row) for row in rows}


async def test_only_matching_collections_are_asked() -> None:
    async with NbiaServer(rows=ROWS) as server:
        await ask("studies", "Collection=Th*", at=[nbia(server)])
        assert paths(server) == ["getCollectionValues?format=json", "getPatientStudy?Collection=Thorax-CT"]
        await ask("patients", "PatientID=0042", at=[nbia(server)])
        assert "getPatient?PatientId=0042" in paths(server)


async def test_what_is_sent_is_what_the_plan_says() -> None:
    async with NbiaServer(rows=ROWS) as server:
        archive = nbia(server)
        shown = Session(Query("series", "Modality=CT"), at=[archive]).explain()[0].requests[0]
        await ask("series", "Modality=CT", at=[archive])
    assert shown == server.origin + server.requests[0]


async def test_a_question_that_would_list_everything_is_refused_with_help() -> None:
    async with NbiaServer(rows=ROWS) as server:
        refused = await told(server, "series", "BodyPartExamined=CHEST")
        assert refused.status is Status.REFUSED
        assert "Collection" in refused.detail
        assert not server.requests


async def test_v1_answers_where_v4_is_not_served_and_it_is_said() -> None:
    async with NbiaServer(rows=ROWS, versions=V1) as old, NbiaServer(rows=ROWS, versions=V4) as new:
        assert (await told(old, "studies")).via == "NBIA REST v1"
        assert (await told(new, "studies")).via == "NBIA REST v4"
        elsewhere = await told(NbiaServer(port=9), "studies", v1_url=old.url + "/v1/")
        assert (elsewhere.status, elsewhere.via) == (Status.OK, "NBIA REST v1")


async def test_licences_come_in_batches_where_series_do_not_say_them() -> None:
    rows = from_idc(["LIDC-IDRI"])
    async with NbiaServer(rows=rows, says_licences=False) as server:
        answer = await ask("series", "Collection=LIDC*", at=[nbia(server)])
    assert len(answer) == len(rows) > 1000
    assert {e.first("License") for e in answer} == {"CC BY 3.0"}
    assert {e.first("SizeInMB") for e in answer if e.uid == rows[0]["SeriesInstanceUID"]} == {"16.35762"}
    batches = [form["list"].split(",") for form in server.forms if form]
    assert max(map(len, batches)) == 500
    assert len(batches) == -(-len(rows) // 500)


async def test_v1_looks_up_a_few_series_and_says_where_it_does_not() -> None:
    async with NbiaServer(rows=ROWS, versions=V1) as server:
        answer = await ask("series", "Collection=Brain*", at=[nbia(server, max_lookups=3)])
        assert {e.first("License") for e in answer} == {None}
        assert "not looked up" in str(report_of(answer, "nbia").notes)
        answer = await ask("series", "Collection=Brain*", at=[nbia(server, max_lookups=4)])
    assert {e.first("License") for e in answer} == {"CC BY-NC 4.0"}


def test_the_shipped_archive_is_ready() -> None:
    from broker.config import federation
    from broker.registry import adapter_for

    tcia = adapter_for(federation().archives["tcia"])
    (shown,) = Session(Query("series", "Collection=LIDC*"), at=[tcia]).explain()[0].requests
    assert shown == (
        "https://nbia.cancerimagingarchive.net/nbia-api/services/v4/getCollectionValues?format=json"
    )


async def test_it_says_what_it_is() -> None:
    async with NbiaServer(rows=ROWS, versions=V1) as server:
        archive = nbia(server)
        assert await archive.check() == "NBIA REST v1, 3 collections"
        await archive.close()


@pytest.mark.parametrize("options", [{"max_lookups": 0}, {"max_lookups": True}, {"nothing": 1}])
def test_options_that_mean_nothing_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(BadConfig, match=next(iter(options))):
        Nbia.configured(Archive("nbia", "nbia", url="https://nbia.example.org", options=options))
