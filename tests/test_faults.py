"""Every fault of the kit, at every position among healthy archives: the invariants of the contract."""

from __future__ import annotations

import asyncio
import itertools
import logging
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from injecting.held import Held, settled
from injecting.injections import at_random
from injecting.place import HEALTHY, Place, dicomweb, violations
from peers import faults
from peers.cases import HTTP, Case
from peers.faults import HOST, Faulty

from broker.admitting.admission import Admission
from broker.admitting.pauses import Pauses, counts
from broker.answer import Answer
from broker.api import Session
from broker.cli import INCOMPLETE, NOTHING, OK
from broker.cli.search import _code
from broker.errors import Unreachable
from broker.query import Query

LATE = 1.0  # seconds over the deadline on a machine that is busy with other tests
PATIENT = 2.0  # seconds for a query on such a machine
NAMES = {case.name: case for case in HTTP}
PAIRS = list(itertools.combinations(HTTP, 2))


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    async with Place() as made:
        yield made


@pytest.mark.parametrize("case", HTTP, ids=list(NAMES))
async def test_a_fault_is_said_and_harms_no_other(
    case: Case, place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    before = Held.now()
    for position in range(HEALTHY + 1):
        async with Faulty(case.fault(), (HOST, place.port(HEALTHY))) as peer:
            trial = await place.trial(peer.port, position, PATIENT)
            assert violations(case, trial, place.truth, len(peer.requests), LATE) == []
            assert _code(trial.answer, [], strict=False) == (OK if case.status == "ok" else INCOMPLETE)
            peer.fault = faults.through  # I6: no restart is needed once it is mended
            after = await place.trial(peer.port, position, 10)
            assert after.answer.complete
            assert after.faulty == place.truth.faulty
    now = await settled(before)
    assert (now.tasks, now.threads) == (before.tasks, before.threads)
    assert now.files <= before.files


@pytest.mark.parametrize("case", HTTP, ids=list(NAMES))
async def test_what_is_held_against_an_archive(case: Case, place: Place, tmp_path: Path) -> None:
    pauses = Pauses(tmp_path / "pauses.sqlite")
    async with Faulty(case.fault(), (HOST, place.port(HEALTHY))) as peer:
        session = Session(Query("studies"), at=[dicomweb("a3", peer.port)])
        session.admissions = [Admission("key", session.admissions[0].limits, pauses)]
        await session.answer(PATIENT)
    assert [(s.failures, s.reason) for s in pauses.all()] == ([(1, case.reason)] if case.counts else [])


async def both(place: Place, one: Case, two: Case) -> Answer:
    async with (
        Faulty(one.fault(), (HOST, place.port(HEALTHY))) as a,
        Faulty(two.fault(), (HOST, place.port(HEALTHY))) as b,
    ):
        adapters = [dicomweb("bad", a.port), *(dicomweb(f"a{n}", place.port(n)) for n in range(HEALTHY))]
        return await Session(Query("studies"), at=[*adapters, dicomweb("worse", b.port)]).answer(PATIENT)


async def pair(place: Place, one: Case, two: Case) -> None:
    answer = await both(place, one, two)
    said = {r.archive: (r.status.value, r.reason) for r in answer.reports}
    assert (said.pop("bad"), said.pop("worse")) == ((one.status, one.reason), (two.status, two.reason))
    assert set(said.values()) == {("ok", "")}
    words = {(e.uid, a): own for e in answer for a, own in e.said.items() if a not in ("bad", "worse")}
    assert words == place.truth.healthy
    assert answer.complete == (one.status == two.status == "ok")


@pytest.mark.parametrize(
    "pair_", random.Random(7).sample(PAIRS, 12), ids=lambda p: f"{p[0].name} and {p[1].name}"
)
async def test_two_faults_at_once(pair_: tuple[Case, Case], place: Place) -> None:
    await pair(place, *pair_)


@pytest.mark.nightly
async def test_every_two_faults_at_once(place: Place) -> None:
    for one, two in PAIRS:
        await pair(place, one, two)


async def test_every_archive_fails(place: Place) -> None:
    failing = [case for case in HTTP if case.status == "failed"]
    peers = [await place.faulty(case.fault()) for case in failing]
    adapters = [dicomweb(f"bad{n}", peer.port) for n, peer in enumerate(peers)]
    answer = await Session(Query("studies"), at=adapters).answer(PATIENT)
    assert [(r.status.value, r.reason) for r in answer.reports] == [(c.status, c.reason) for c in failing]
    assert len(answer) == 0
    assert not answer.complete
    assert _code(answer, [], strict=False) == NOTHING


async def test_random_injections_lose_nothing_and_tell_no_lie() -> None:
    assert await at_random(40, seed=3, deadline=3) == 0


async def test_patient_names_and_secrets_are_in_no_log_report_or_repr(
    place: Place, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("MARKED", "tok-3N-marked")
    from adapters.dicomweb.adapter import DicomWeb
    from adapters.shared.http import Http
    from broker.setup.credentials import headers

    login = headers("a3", {"kind": "bearer", "token": "env:MARKED"})
    for case in HTTP:
        async with Faulty(case.fault(), (HOST, place.port(HEALTHY))) as peer:
            there = DicomWeb("a3", Http(f"http://{HOST}:{peer.port}/dicom-web", login))
            session = Session(Query("studies", PatientName="MARKEDNAME^*", PatientID="MARKEDID"), at=[there])
            answer = await session.answer(0.4)
            said = " ".join(f"{r.reason} {r.detail} {r.notes}" for r in answer.reports)
        for text in (caplog.text, said, repr(there), repr(answer), repr(session)):
            assert "tok-3N-marked" not in text
            assert "MARKEDNAME" not in text
            assert "MARKEDID" not in text


async def test_cancelled_questions_leave_nothing_behind(place: Place) -> None:
    before = Held.now()
    async with Faulty(faults.silence) as peer:
        for _ in range(200):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(
                    Session(Query("studies"), at=[dicomweb("a3", peer.port)]).answer(10), 0.02
                )
    now = await settled(before)
    assert now.tasks <= before.tasks
    assert now.threads <= before.threads
    assert now.files <= before.files


async def test_a_reply_that_came_is_read_even_by_a_late_reader(place: Place) -> None:
    adapters = [dicomweb(f"a{n}", place.port(n)) for n in range(HEALTHY)]
    async with Session(Query("studies"), at=adapters).asking(0.3) as events:
        await asyncio.sleep(0.8)  # everything came in time; only the reader is late
        seen = [event async for event in events]
    reports = [event.report for event in seen if hasattr(event, "report")]
    assert sorted(r.archive for r in reports) == [f"a{n}" for n in range(HEALTHY)]
    assert all(r.ok for r in reports)


async def test_the_kit_itself_passes_an_honest_archive_through(place: Place) -> None:
    async with Faulty(faults.through, (HOST, place.port(HEALTHY))) as peer:
        trial = await place.trial(peer.port, 1, 10)
    assert trial.answer.complete
    assert trial.faulty == place.truth.faulty
    assert counts(Unreachable("x"), 0)
