"""Whatever an NBIA archive is asked: no request without a bound, and the answer is the truth.

The server is asked without a network, so that there is time for many questions.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from asking_nbia import HELD, ROWS, V1, V4, bounded, key
from hypothesis import given, settings
from hypothesis import strategies as st
from peers.nbia import BASE, NbiaServer
from strategies import conditions as anything

from adapters.nbia.adapter import Nbia
from adapters.nbia.scopes import BOUNDS, NBIA, scopes
from adapters.nbia.service import Door, Service
from adapters.shared.http import Http
from broker.api import Session
from broker.errors import RefusedByArchive
from broker.meaning.joint import tests as joined
from broker.plan import Wish, plan
from broker.query import Condition, Query, condition
from broker.report import Status
from broker.setup.credentials import Secret
from catalog.keywords import Level


class Direct(Http):
    """Asks a server that is not running, by calling it."""

    server: NbiaServer
    sent: list[str]

    def _reply(self, method: str, target: str, form: Mapping[str, Any]) -> bytes:
        path = f"{BASE}/{self.base.rsplit('/', 1)[-1]}{target}"
        self.sent.append(path)
        reply = self.server.answer(make_mocked_request(method, path), form)
        if reply.status != 200:
            raise RefusedByArchive("refused", "not_found" if reply.status == 404 else f"http_{reply.status}")
        assert isinstance(reply, web.Response)
        return bytes(reply.body or b"")  # type: ignore[arg-type]

    async def get(self, target: str, accept: str) -> bytes | None:
        return self._reply("GET", target, {})

    async def post(self, target: str, form: Mapping[str, str | Secret], accept: str) -> bytes | None:
        return self._reply("POST", target, form)


def direct(server: NbiaServer) -> tuple[Nbia, list[str]]:
    """An adapter for a server that is not running, and the requests that it makes."""
    sent: list[str] = []
    doors = []
    for version in ("v4", "v1"):
        http = Direct(f"http://127.0.0.1:9/{version}")
        http.server, http.sent = server, sent
        doors.append(Door(version, http))
    return Nbia("nbia", Service(doors), 3, 3), sent


NAMES = "Collection PatientID StudyInstanceUID SeriesInstanceUID Modality StudyDate PatientSex".split()


@st.composite
def near_questions(draw: st.DrawFn) -> tuple[str, ...]:
    """A level, and conditions near to what is held."""
    asked = []
    for name in draw(st.lists(st.sampled_from(NAMES), max_size=3, unique=True)):
        some = st.sampled_from([row[name] for row in ROWS if row.get(name)])
        values = draw(st.lists(some, min_size=1, max_size=3))
        if name in ("Collection", "PatientID") and draw(st.booleans()):
            values = [values[0][: draw(st.integers(1, 4))] + "*"]
        asked.append(f"{name}={','.join(values)}")
    return (draw(st.sampled_from(["patients", "studies", "series"])), *asked)


@pytest.mark.parametrize("versions", [V1, V4], ids=["v1", "v4"])
@settings(max_examples=150)
@given(question=near_questions(), insists=st.booleans(), says=st.booleans())
def test_any_question_is_bounded_and_answered_with_the_truth(
    versions: frozenset[str], question: tuple[str, ...], insists: bool, says: bool
) -> None:
    server = NbiaServer(rows=ROWS, versions=versions, asks_for_collection=insists, says_licences=says)
    archive, sent = direct(server)
    query = Query(*question)
    answer = asyncio.run(Session(query, at=[archive], scan=True).answer())
    tests = joined(query.conditions)
    expected = {key(query.level, row) for row in HELD[Level.SERIES] if all(t.of(row) for t in tests)}
    assert answer.reports[0].status is Status.OK, answer.reports[0].line()
    assert {key(query.level, dict(e.said["nbia"])) for e in answer} == expected
    assert sent
    assert all(map(bounded, sent))


@given(st.sampled_from(list(Level)), st.lists(anything(), max_size=3), st.data())
def test_no_plan_leaves_without_a_collection_patient_or_uid(
    level: Level, some: list[Condition], data: st.DataObject
) -> None:
    """Whatever can be meant, and whatever names collections have."""
    texts = {c.keyword: str(c) for c in some}
    for name in data.draw(st.lists(st.sampled_from(NAMES[:5]), max_size=3, unique=True)):
        texts[name] = f"{name}={data.draw(st.sampled_from(['1.2', '1.2,1.3', '*', chr(34) * 2]))}"
    collections = data.draw(st.lists(st.text("1.2* A", min_size=1, max_size=3), max_size=3))
    made = plan(Query(level, *(str(condition(t)) for t in texts.values())), "nbia", NBIA, Wish(scan=True))
    for asked in made.asks:
        for scope in scopes(asked, collections):
            assert any(scope.get(name) for name in BOUNDS)
