"""The DICOMweb adapter against QIDO servers: a good one, and its lying, slow and broken twins."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from asking import ask, report_of, uids, web
from peers.qido import QidoServer

from adapters.dicomweb.adapter import QIDO, DicomWeb, Paging
from adapters.shared.http import Http
from broker.errors import BadConfig
from broker.report import Status
from broker.setup.credentials import Secret
from broker.setup.network import Network
from catalog.capability import Proof
from fixtures.dicom import truth

HELD = truth()["archives"]["b"]
STUDIES = {h["study"]["StudyInstanceUID"] for h in HELD}
SERIES = {s["SeriesInstanceUID"] for h in HELD for s in h["series"]}
LISTS = replace(QIDO, lists_all=True)


async def test_everything_at_both_levels() -> None:
    async with QidoServer(HELD) as server:
        assert uids(await ask("studies", at=[web(server.url)])) == STUDIES
        assert uids(await ask("series", at=[web(server.url)])) == SERIES


@pytest.mark.parametrize("size", [1, 3, 7, len(STUDIES), 1000])
async def test_pages_of_any_size_give_the_same(size: int) -> None:
    async with QidoServer(HELD) as server:
        answer = await ask("studies", at=[web(server.url, paging=Paging(size=size))])
    assert uids(answer) == STUDIES
    assert answer.complete


async def test_a_limit_stops_early_and_says_so() -> None:
    async with QidoServer(HELD) as server:
        answer = await ask("studies", at=[web(server.url, paging=Paging(size=2))], limit=3)
    assert len(answer) == 3
    assert answer.more
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    "condition",
    ["PatientID=000123", "StudyDate=2010-", "PatientName=smith^j*", "StudyDescription~ct", "Modality=CT"],
)
@pytest.mark.parametrize(
    "lie", [{}, {"ignores_filters": True}, {"no_decode": True}, {"limit_before_filter": True}]
)
async def test_a_condition_means_the_same_whatever_the_server_does(
    condition: str, lie: dict[str, Any]
) -> None:
    async with QidoServer(HELD) as good, QidoServer(HELD, **lie) as liar:
        expected = await ask("studies", condition, at=[web(good.url, can=LISTS)])
        answer = await ask("studies", condition, at=[web(liar.url, can=LISTS, paging=Paging(size=4))])
    assert expected.entities
    assert uids(answer) == uids(expected)
    assert answer.complete


async def test_a_filter_that_is_ignored_is_a_broken_promise_and_not_trusted_again() -> None:
    async with QidoServer(HELD, ignores_filters=True) as server:
        first = await ask("studies", "PatientID=000123", at=[web(server.url, name="liar-1", can=LISTS)])
        again = await ask("studies", "PatientID=000123", at=[web(server.url, name="liar-1", can=LISTS)])
    told = report_of(first, "liar-1")
    assert (told.status, told.reason) == (Status.OK, "filter_not_applied")
    assert told.broken == {"PatientID": told.fetched - told.kept}
    assert report_of(again, "liar-1").checked == ["PatientID=000123"]
    assert uids(again) == uids(first)


@pytest.mark.parametrize("limit", [1, 2, 3])
async def test_what_an_archive_should_not_have_sent_takes_no_place_within_a_limit(limit: int) -> None:
    async with QidoServer(HELD, ignores_filters=True) as liar, QidoServer(HELD) as good:
        told = [
            await ask("studies", "StudyDate=2010-", at=[web(s.url, n, LISTS)], limit=limit)
            for s, n in ((liar, "liar"), (good, "good"))
        ]
    assert [e.uid for e in told[0]] == [e.uid for e in told[1]]
    assert len(told[0]) == limit
    assert told[0].more


async def test_a_server_that_repeats_its_page_is_found_out() -> None:
    async with QidoServer(HELD, ignores_offset=True) as server:
        answer = await ask("studies", at=[web(server.url, paging=Paging(size=4))])
    told = report_of(answer, "web")
    assert (told.status, told.reason, told.kept) == (Status.PARTIAL, "paging_loop", 4)
    assert len(server.requests) == 2


async def test_a_server_that_ignores_limit_has_said_everything_at_once() -> None:
    async with QidoServer(HELD, ignores_paging=True) as server:
        answer = await ask("studies", at=[web(server.url, paging=Paging(size=4))])
    assert uids(answer) == STUDIES
    assert answer.complete
    assert len(server.requests) == 5  # with what shows that nothing is cut


async def test_endless_pages_end() -> None:
    async with QidoServer(HELD, endless=True) as server:
        answer = await ask("studies", at=[web(server.url, paging=Paging(size=5, pages=3))])
    told = report_of(answer, "web")
    assert (told.status, told.reason, told.kept) == (Status.PARTIAL, "page_limit", 15)


BROKEN: list[tuple[Mapping[str, Any], str, int]] = [
    ({"status": 401}, "auth", 1),
    ({"status": 403}, "forbidden", 1),
    ({"status": 404}, "not_found", 1),
    ({"status": 413}, "too_broad", 1),
    ({"status": 418}, "http_418", 1),
    ({"status": 429, "headers": {"Retry-After": "120"}}, "rate_limited", 1),
    ({"status": 500, "body": "Traceback ..."}, "upstream_5xx", 2),
    ({"status": 503, "headers": {"Retry-After": "5"}}, "rate_limited", 1),
    ({"html": True}, "not_json", 1),
    ({"empty_body": True}, "bad_json", 1),
    ({"object_body": True}, "bad_shape", 1),
    ({"truncated": True}, "bad_json", 1),
    ({"redirect": "/app/template/Login.vm"}, "auth", 1),
    ({"redirect": "http://127.0.0.2/dicom-web/studies"}, "redirect_refused", 1),
    ({"gzip_bomb": True}, "too_large", 1),
]


@pytest.mark.parametrize(("fault", "reason", "attempts"), BROKEN, ids=[str(b[0])[:40] for b in BROKEN])
async def test_what_is_broken_has_a_reason_and_harms_no_other(
    fault: Mapping[str, Any], reason: str, attempts: int
) -> None:
    async with QidoServer(HELD, **fault) as broken, QidoServer(HELD) as good:
        answer = await ask("studies", at=[web(broken.url, "broken", bytes=8_000_000), web(good.url, "good")])
    told = report_of(answer, "broken")
    assert (told.status, told.reason) == (Status.FAILED, reason)
    assert len(broken.requests) <= attempts
    assert uids(answer) == STUDIES
    assert report_of(answer, "good").ok


async def test_one_failure_and_then_an_answer_is_an_answer() -> None:
    async with QidoServer(HELD, status=503, times=1) as server:
        answer = await ask("studies", at=[web(server.url)])
    assert answer.complete
    assert uids(answer) == STUDIES


async def test_one_unreadable_record_costs_one_record() -> None:
    async with QidoServer(HELD, bad_record=True) as server:
        answer = await ask("studies", at=[web(server.url)])
    told = report_of(answer, "web")
    assert (told.status, told.reason, told.bad) == (Status.PARTIAL, "bad_records=1", 1)
    assert len(answer) == len(STUDIES) - 1


async def test_latin_1_that_claims_to_be_utf_8_is_read_and_flagged() -> None:
    async with QidoServer(HELD, latin1=True) as server:
        answer = await ask("studies", at=[web(server.url)])
    told = report_of(answer, "web")
    assert (told.status, told.reason) == (Status.PARTIAL, "charset")
    assert uids(answer) == STUDIES


async def test_a_hanging_archive_is_named_at_the_deadline_and_harms_no_other() -> None:
    async with QidoServer(HELD, hang=True) as hanging, QidoServer(HELD) as good:
        start = time.monotonic()
        answer = await ask("studies", at=[web(hanging.url, "hanging"), web(good.url, "good")], timeout=0.5)
        assert time.monotonic() - start < 0.5 + 0.25 + 0.5  # half a second for a busy machine
    told = report_of(answer, "hanging")
    assert (told.status, told.reason) == (Status.FAILED, "timeout")
    assert uids(answer) == STUDIES


async def test_nobody_at_the_address() -> None:
    answer = await ask("studies", at=[web("http://127.0.0.1:9/dicom-web")])
    assert report_of(answer, "web").reason == "unreachable"
    assert not answer.answered


async def test_leaving_the_stream_ends_every_request() -> None:
    from broker.api import Session
    from broker.query import Query

    async with QidoServer(HELD, delay=30) as slow:
        archives = [web(slow.url, f"slow{i}") for i in range(4)]
        async with Session(Query("studies"), at=archives).asking(60):
            while slow.answering < 4:
                await asyncio.sleep(0.01)
        deadline = time.monotonic() + 1
        while slow.answering and time.monotonic() < deadline:
            await asyncio.sleep(0.01)
        assert slow.answering == 0


async def test_credentials_reach_their_archive_and_nobody_sees_them() -> None:
    async with QidoServer(HELD, needs={"X-API-Key": "s3cret"}) as server:
        login = {"X-API-Key": Secret("s3cret")}
        answer = await ask("studies", at=[DicomWeb("web", Http(server.url, login))])
        refused = await ask("studies", at=[web(server.url)])
    assert uids(answer) == STUDIES
    assert report_of(refused, "web").reason == "auth"
    assert "s3cret" not in repr((login, Http(server.url, login), answer.reports))


async def test_learning_tells_a_server_that_does_not_decode() -> None:
    async with QidoServer(HELD, no_decode=True) as deaf, QidoServer(HELD) as good:
        for server, proof in ((deaf, Proof.NO), (good, Proof.YES)):
            archive = web(server.url)
            assert (await archive.learn()).any_text is proof
            assert (await archive.learn()).any_case_pn is Proof.YES
            await archive.close()


async def test_the_request_shown_is_the_request_sent() -> None:
    from broker.api import Session
    from broker.query import Query

    async with QidoServer(HELD) as server:
        archive = web(server.url)
        shown = Session(Query("studies", "StudyDate=2010-"), at=[archive]).explain()[0].requests[0]
        await ask("studies", "StudyDate=2010-", at=[archive])
    assert shown.endswith(server.requests[0])


async def test_any_dicom_attribute_can_be_asked_for_and_what_is_ours_is_refused_by_name() -> None:
    async with QidoServer(HELD) as server:
        shown = web(server.url, can=LISTS)
        answer = await ask("series", "EchoTime=1", at=[shown])
        assert answer.complete
        assert report_of(answer, "web").unknown == {"EchoTime": len(SERIES)}
        refused = await ask("series", "License=CC BY*", at=[shown])
    assert report_of(refused, "web").status is Status.REFUSED
    assert "License" in report_of(refused, "web").detail


async def test_nothing_stays_open_behind_a_stream_or_an_answer() -> None:
    """An unclosed aiohttp session would warn, and warnings are errors here."""
    import gc

    import broker

    async with QidoServer(HELD) as server:
        archive = web(server.url)
        for _ in range(2):  # an adapter can be asked again
            async with broker.asking("studies", at=[archive]) as events:
                await anext(events)
            assert isinstance(archive._http, Http)
            assert archive._http._session is None
            assert len(await ask("studies", at=[archive])) == len(STUDIES)
            assert archive._http._session is None
        gc.collect()


def test_certificates_that_are_not_there_are_said_before_anything_is_asked() -> None:
    with pytest.raises(BadConfig, match="no file of certificates"):
        Http("https://127.0.0.1/", network=Network(ca_file="/no/such.pem"))
