"""Pages of servers that cap, cut and lose: everything comes, or the answer says that it does not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from asking import ask, report_of, uids, web
from peers.qido import QidoServer, synthetic

from adapters.dicomweb.adapter import QIDO, DicomWeb, Paging
from adapters.dicomweb.question import Habits
from adapters.shared.http import Http
from broker.adapter import Ask
from broker.conform.held import Held
from broker.query import Query, condition
from broker.report import Status
from catalog.archives import Archive
from catalog.keywords import Level
from fixtures.dicom import truth

HELD = truth()["archives"]["b"]
STUDIES = [h["study"] for h in HELD]
SERIES = [{**h["study"], **row} for h in HELD for row in h["series"]]
TRUTH = Held({Level.STUDY: STUDIES, Level.SERIES: SERIES}, {level: (level.uid,) for level in Level})
CAN = replace(QIDO.without(["StudyDate"]), lists_all=True)

LIES: list[dict[str, Any]] = [
    {},
    {"page_cap": 3},
    {"limit_before_filter": True},
    {"lost_offset": True},
    {"ignores_paging": True},
    {"alone": 404},
    {"alone": 400, "page_cap": 4},
    {"one_instance": True},
    {"ignores_filters": True, "page_cap": 2},
    {"limit_before_filter": True, "page_cap": 3},
    {"limit_before_filter": True, "page_cap": 10, "alone": 404},
    {"limit_before_filter": True, "lost_offset": True},
]
QUESTIONS = [
    ("study", []),
    ("study", ["PatientName=*S*"]),
    ("study", ["ModalitiesInStudy=CT"]),
    ("study", ["Modality=PT", "BodyPartExamined=LUNG*"]),
    ("study", ["PatientID=NOBODY"]),
    ("series", []),
    ("series", ["Modality=CT"]),
    ("series", ["Modality=SR,SEG", "PatientSex=M"]),
    ("series", ["PatientName=L*"]),
]


def right(level: str, conditions: list[str]) -> set[str]:
    """What is true."""
    judged = TRUTH.judged(Query(level, *conditions)) or {}
    return {key for (key,), true in judged.items() if true}


@pytest.mark.parametrize("size", [1, 2, 4, 7, 1000])
@pytest.mark.parametrize("lie", LIES, ids=[",".join(lie) or "honest" for lie in LIES])
async def test_what_is_complete_is_whole(lie: dict[str, Any], size: int) -> None:
    async with QidoServer(HELD, **lie) as server:
        archive = web(server.url, can=CAN, paging=Paging(size=size, pages=200))
        for _ in range(3):  # what was learned from a question must not harm the next
            for level, conditions in QUESTIONS:
                answer = await ask(level, *conditions, at=[archive])
                told = report_of(answer, "web")
                assert uids(answer) <= right(level, conditions)
                if told.reason != "paging_loop":
                    assert answer.complete, told.line()
                    assert uids(answer) == right(level, conditions), (level, conditions)


@pytest.mark.parametrize("limit", [1, 3, 5, 40])
@pytest.mark.parametrize("lie", LIES, ids=[",".join(lie) or "honest" for lie in LIES])
async def test_limits_hold(lie: dict[str, Any], limit: int) -> None:
    async with QidoServer(HELD, **lie) as server:
        archive = web(server.url, can=CAN, paging=Paging(size=4, pages=200))
        for level, conditions in QUESTIONS:
            answer = await ask(level, *conditions, at=[archive], limit=limit)
            whole = right(level, conditions)
            assert (len(answer), answer.more) == (min(limit, len(whole)), len(whole) > limit)
            assert uids(answer) <= whole


async def test_records_behind_an_empty_page_come_and_are_remarked_upon() -> None:
    async with QidoServer(HELD, limit_before_filter=True) as server:
        archive = web(server.url, can=CAN, paging=Paging(size=4))
        for requests in (20, 3 + -(-len(STUDIES) // 4)):  # once found out, all candidates are walked through
            server.requests.clear()
            answer = await ask("study", "PatientID=0023", at=[archive])
            assert uids(answer) == right("study", ["PatientID=0023"]) != set()
            assert report_of(answer, "web").notes == ["pages_cut_short"]
            assert len(server.requests) <= requests


async def test_a_shorter_page_size_is_kept_to() -> None:
    async with QidoServer(HELD, page_cap=5) as server:
        archive = web(server.url, can=CAN)
        first = await ask("study", at=[archive])
        server.requests.clear()
        again = await ask("study", at=[archive])
    assert uids(first) == uids(again) == {s["StudyInstanceUID"] for s in STUDIES}
    assert report_of(first, "web").notes == ["pages_cut_short", "end_not_shown"]
    assert report_of(again, "web").notes == ["end_not_shown"]  # not to be asked in halves, here
    assert all("limit=5" in target for target in server.requests[:-1])


async def test_what_an_honest_server_has_shown_saves_requests() -> None:
    async with QidoServer(HELD) as server:
        archive = web(server.url, can=CAN)
        await ask("study", at=[archive])
        counts = []
        for _ in range(4):
            server.requests.clear()
            await ask("study", "PatientID=0023", at=[archive])
            counts.append(len(server.requests))
    assert counts == [3, 1, 1, 1]


async def test_pages_known_to_be_exact_are_not_tried() -> None:
    async with QidoServer(HELD) as server:
        await ask("study", "PatientID=0023", at=[web(server.url, paging=Paging(exact=True))])
    assert len(server.requests) == 1


CAPPED = synthetic(1, 60)


@pytest.mark.parametrize("cap", [10, 21, 37, 50])
async def test_a_silent_cap_is_found_out_and_reported(cap: int) -> None:
    """As Orthanc's LimitFindResults does: so many records, and nothing behind them."""
    async with QidoServer(CAPPED, cap=cap) as server:
        archive = web(server.url, can=replace(QIDO, lists_all=True))
        first = await ask("study", at=[archive])
        told = report_of(first, "web")
        assert (told.status, told.reason) == (Status.PARTIAL, "capped")
        assert cap < told.kept <= 2 * cap  # the halves brought more
        server.requests.clear()
        again = report_of(await ask("series", at=[archive]), "web")
        assert (again.status, again.reason) == (Status.PARTIAL, "capped")
        small = await ask("study", f"PatientID={CAPPED[0]['study']['PatientID']}", at=[archive])
        assert small.complete


async def test_a_round_number_alone_is_no_cap_and_is_tried_once() -> None:
    async with QidoServer(synthetic(1, 40)) as server:
        archive = web(server.url, can=replace(QIDO, lists_all=True))
        counts = []
        for _ in range(2):
            server.requests.clear()
            assert (await ask("study", at=[archive])).complete
            counts.append(sum("StudyDate=" in target for target in server.requests))
    assert counts == [2, 0]


async def test_a_cap_that_is_known_is_reported() -> None:
    async with QidoServer(HELD) as server:
        answer = await ask("study", at=[web(server.url, can=CAN, paging=Paging(most=len(STUDIES)))])
        assert report_of(answer, "web").reason == "capped"
        assert (await ask("study", "PatientID=0023", at=[web(server.url, paging=Paging(most=99))])).complete


async def test_pages_that_do_not_end_do_not_go_on_behind_the_last() -> None:
    numbers = iter(range(10**6))

    class Endless(Http):
        async def get(self, target: str, accept: str) -> bytes | None:
            n = 3 if "limit" not in target else 2
            rows = [f'{{"0020000D":{{"vr":"UI","Value":["1.{next(numbers)}"]}}}}' for _ in range(n)]
            return f"[{','.join(rows)}]".encode()

    archive = DicomWeb("endless", Endless("http://127.0.0.1/"), CAN, Paging(size=5, pages=4))
    told = report_of(await ask("study", at=[archive]), "endless")
    assert (told.status, told.reason) == (Status.PARTIAL, "page_limit")


# series where a study must be named


async def test_series_by_study_ask_each_condition_at_its_level() -> None:
    async with QidoServer(HELD, alone=404) as server:
        archive = web(server.url, can=CAN)
        conditions = ["Modality=PT", "PatientSex=F", "PatientName=L*"]
        answer = await ask("series", *conditions, at=[archive])
        assert uids(answer) == right("series", conditions) != set()
        listed = [t for t in server.requests if t.startswith("/dicom-web/studies?")]
        inside = [t for t in server.requests if "/series?" in t and "/studies/" in t]
        assert any("ModalitiesInStudy=PT" in t and "PatientName=" in t for t in listed)
        assert not any("Modality=PT" in t for t in listed)
        assert inside
        assert all("Modality=PT" in t and "PatientName=" not in t for t in inside)
        assert len(inside) <= 2 * len(right("study", ["ModalitiesInStudy=PT"]))
        server.requests.clear()
        await ask("series", *conditions, at=[archive])
        assert not any(t.startswith("/dicom-web/series") for t in server.requests)  # it is remembered


async def test_series_by_study_have_what_their_study_says() -> None:
    async with QidoServer(HELD, alone=400) as server:
        answer = await ask("series", at=[web(server.url, can=CAN)])
    names = {e.uid: e.first("PatientName") for e in answer}
    assert names == {s["SeriesInstanceUID"]: s["PatientName"] for s in SERIES}


async def test_series_by_study_are_asked_for_a_few_at_once() -> None:
    busy = []

    class Counted(QidoServer):
        def reply(self, target: str) -> tuple[int, bytes]:
            busy.append(self.answering)
            return super().reply(target)

    async with Counted(HELD, alone=404, delay=0.005) as server:
        archive = DicomWeb("web", Http(server.url), CAN, habits=Habits())
        assert (await ask("series", at=[archive])).complete
    assert max(busy) in (2, 3, 4)


async def test_a_refusal_for_another_reason_is_one() -> None:
    async with QidoServer(HELD, status=413) as server:
        told = report_of(await ask("series", at=[web(server.url, can=CAN)]), "web")
    assert (told.status, told.reason) == (Status.FAILED, "too_broad")
    assert len(server.requests) == 1


async def test_where_series_need_a_study_can_be_declared() -> None:
    async with QidoServer(HELD, alone=404) as server:
        options = {"series_alone": False, "lists_all": True, "never_ask": ["StudyDate"]}
        archive = DicomWeb.configured(Archive("x", "dicomweb", url=server.url, options=options))
        shown = archive.request(Ask(Level.SERIES, (condition("Modality=CT"),), ("SeriesInstanceUID",)))
        assert shown.startswith(f"{server.url}/studies?ModalitiesInStudy=CT&")
        assert uids(await ask("series", "Modality=CT", at=[archive])) == right("series", ["Modality=CT"])
        assert not any(t.startswith("/dicom-web/series") for t in server.requests)


async def test_exact_match_only_as_the_shipped_federation_says_of_idcs_proxy() -> None:
    from catalog.archives import shipped

    options = dict(shipped()["idc-dicomweb"]["options"])
    assert options.pop("max_results") == 5000
    async with QidoServer(HELD, exact_only=True) as server:
        archive = DicomWeb.configured(Archive("x", "dicomweb", url=server.url, options=options))
        for conditions in (["PatientID=0023"], ["PatientID=00*", "Modality=CT"], ["StudyDate=20210630"]):
            answer = await ask("series", *conditions, at=[archive], scan=True)
            assert uids(answer) == right("series", conditions) != set()
    assert not any("*" in target for target in server.requests)
