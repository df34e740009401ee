"""An NBIA archive that is not well, is too large, or is left before it has answered."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any

import pytest
from asking import ask, report_of, uids
from asking_nbia import ROWS, SERIES, STUDIES, V1, nbia, paths, told
from conforming import beside_a_good_one, cancelled, gone
from peers.loopback import LOGIN_PAGE, Fault
from peers.nbia import NbiaServer
from peers.nbia_rows import from_idc

from adapters.nbia.adapter import Nbia
from broker.api import Session
from broker.query import Query
from broker.report import Status
from catalog.archives import Archive
from fixtures.dicom import truth

JSON = "application/json"


async def test_a_version_that_refuses_is_not_passed_by() -> None:
    """A bad token must not become the answer of a guest."""
    async with NbiaServer(rows=ROWS, faults={"v4": Fault(401, "Unauthorized")}) as server:
        refused = await told(server, "studies")
    assert (refused.status, refused.reason) == (Status.FAILED, "auth")
    assert not any("/v1/" in target for target in server.requests)


async def test_a_token_is_sent_to_its_own_origin_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NBIA_TOKEN", "s3cret")
    auth = {"kind": "bearer", "token": "env:NBIA_TOKEN"}
    async with (
        NbiaServer(rows=ROWS, token="s3cret", private=True) as server,
        NbiaServer(rows=ROWS, token="other", versions=V1) as open_one,
    ):
        mine = Nbia.configured(Archive("nbia", "nbia", url=server.url, auth=auth))
        assert uids(await ask("studies", at=[mine])) == STUDIES
        options = {"v1_url": open_one.url}
        lost = Nbia.configured(Archive("nbia", "nbia", url="http://127.0.0.1:9", auth=auth, options=options))
        assert uids(await ask("studies", at=[lost])) == STUDIES  # it would refuse this token
        assert (await told(server, "studies")).reason == "auth"


BROKEN: list[tuple[Mapping[str, Any], str, Status]] = [
    ({"faults": {"": Fault(400, "Invalid query parameter: 'x'.")}}, "http_400", Status.FAILED),
    ({"faults": {"": Fault(401, "Unauthorized")}}, "auth", Status.FAILED),
    ({"faults": {"": Fault(422, "Invalid parameters")}}, "http_422", Status.FAILED),
    ({"faults": {"": Fault(500)}}, "upstream_5xx", Status.FAILED),
    ({"faults": {"": Fault(200, LOGIN_PAGE, "text/html")}}, "not_json", Status.FAILED),
    ({"faults": {"": Fault(200, '{"error":"denied"}', JSON)}}, "bad_shape", Status.FAILED),
    ({"faults": {"": Fault(200, "[" * 100_000, JSON)}}, "bad_json", Status.FAILED),
    ({"empty": True}, "bad_json", Status.FAILED),
    ({"truncated": True}, "bad_json", Status.FAILED),
    ({"faults": {"PatientStudy?Collection=Thorax": Fault(500)}}, "upstream_5xx", Status.PARTIAL),
    ({"faults": {"PatientStudy?Collection=Thorax": Fault(400)}}, "http_400", Status.PARTIAL),
    (
        {"faults": {"PatientStudy?Collection=Thorax": Fault(200, "no", "text/html")}},
        "not_json",
        Status.PARTIAL,
    ),
]


@pytest.mark.parametrize(
    ("fault", "reason", "status"), BROKEN, ids=[b[1] + str(i) for i, b in enumerate(BROKEN)]
)
async def test_what_is_broken_has_a_reason_and_harms_no_other(
    fault: Mapping[str, Any], reason: str, status: Status
) -> None:
    async with NbiaServer(rows=ROWS, **fault) as broken:
        told = await beside_a_good_one(nbia(broken), truth()["archives"]["a"], "studies")
    assert (told.status, told.reason) == (status, reason)
    assert "Unauthorized" not in told.detail


async def test_one_unreadable_record_costs_one_record() -> None:
    body = '[{"StudyInstanceUID":"1.2.3","Collection":"Thorax-CT"},{"StudyDate":"01-01-2000"},7]'
    async with NbiaServer(rows=ROWS, faults={"Thorax": Fault(200, body, JSON)}) as server:
        told_ = await told(server, "studies", "Collection=Thorax-CT")
    assert (told_.status, told_.bad, told_.kept) == (Status.PARTIAL, 2, 1)


async def test_latin_1_is_read_and_flagged() -> None:
    fault = Fault(
        200,
        '[{"StudyInstanceUID":"1.2.3","Collection":"Thorax-CT","StudyDescription":"Schädel"}]',
        JSON,
        "latin-1",
    )
    async with NbiaServer(rows=ROWS, faults={"Thorax": fault}) as server:
        answer = await ask("studies", "Collection=Thorax-CT", at=[nbia(server)])
    assert report_of(answer, "nbia").reason == "charset"
    assert answer.entities[0].first("StudyDescription") == "Schädel"


async def test_wrong_dates_are_unknown_not_guessed() -> None:
    async with NbiaServer(rows=ROWS, wrong_dates=True) as server:
        found = await told(server, "studies", "Collection=*", "StudyDate=2010-2012", scan=True)
    assert found.kept == 0
    assert found.unknown["StudyDate"] == found.fetched


async def test_a_collection_too_large_for_one_reply_is_asked_patient_by_patient() -> None:
    async with NbiaServer(rows=ROWS) as server:
        archive = Nbia.configured(Archive("nbia", "nbia", url=server.url, limits={"bytes": 4000}))
        answer = await ask("series", at=[archive])
    assert uids(answer) == SERIES
    assert answer.complete
    assert any("getSeries?Collection=Thorax-CT&PatientID=" in path for path in paths(server))


async def test_a_patient_too_large_for_one_reply_is_too_large() -> None:
    async with NbiaServer(rows=ROWS) as server:
        archive = Nbia.configured(Archive("nbia", "nbia", url=server.url, limits={"bytes": 400}))
        answer = await ask("series", "PatientID=000123", at=[archive])
    assert report_of(answer, "nbia").reason == "too_large"


async def test_an_archive_that_insists_on_collections_is_given_them() -> None:
    async with NbiaServer(rows=ROWS, asks_for_collection=True) as server:
        answer = await ask("studies", "PatientID=000123", at=[nbia(server)])
        assert len(answer) == 2
        assert paths(server)[-1].startswith("getPatientStudy?PatientID=000123&Collection=Thorax-CT")


async def test_no_more_requests_at_once_than_the_limit_says() -> None:
    rows = from_idc(["LIDC-IDRI", "NSCLC-Radiomics", "RIDER Lung CT", "LCTSC", "4D-Lung", "QIN-BREAST"])
    async with NbiaServer(rows=rows, delay=0.01) as server:
        limits = {"connections": 2}
        archive = Nbia.configured(Archive("nbia", "nbia", url=server.url, limits=limits))
        answer = await ask("series", at=[archive], timeout=30)
        assert server.most == 2
        assert len(answer) == len(rows)
        await ask("studies", at=[nbia(server)], timeout=30)
        assert server.most == 4


async def test_two_hundred_cancelled_searches_leave_nothing() -> None:
    async with NbiaServer(rows=ROWS, delay=30) as server:
        await cancelled(server, lambda: nbia(server))


async def test_leaving_while_it_answers_ends_every_request() -> None:
    async with NbiaServer(rows=ROWS, hang=True) as server:
        async with Session(Query("series"), at=[nbia(server)]).asking(60):
            while not server.answering:
                await asyncio.sleep(0.01)
            start = time.monotonic()
        assert time.monotonic() - start < 1
        await gone(server)


async def test_a_listed_collection_that_is_empty_is_remarked_upon() -> None:
    fault = Fault(200, "", JSON)
    async with NbiaServer(rows=ROWS, faults={"PatientStudy?Collection=Thorax": fault}) as server:
        assert (await told(server, "studies", scan=True)).notes == ["listed_collection_is_empty"]


async def test_patients_that_cannot_be_asked_for_make_the_answer_partial() -> None:
    """A collection is too large for one reply, and one of its patients has no identifier."""
    rows = [*ROWS, *({**row, "PatientID": ""} for row in ROWS[:1])]
    async with NbiaServer(rows=rows) as server:
        archive = nbia(server)
        whole = await ask("series", at=[archive], scan=True)
        assert whole.reports[0].bad == 0
        limits = {"bytes": max(map(len, await _bodies(server))) - 1}
        small = Nbia.configured(Archive("nbia", "nbia", url=server.url, limits=limits))
        report = report_of(await ask("series", at=[small], scan=True), "nbia")
    assert (report.status, report.bad > 0) == (Status.PARTIAL, True)


async def _bodies(server: NbiaServer) -> list[bytes]:
    """The replies to what it was asked for of series."""
    import aiohttp

    asked = [target for target in server.requests if "getSeries?" in target]
    async with aiohttp.ClientSession() as session:
        return [await (await session.get(server.origin + target)).read() for target in asked]
