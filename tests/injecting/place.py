"""One faulty DICOMweb archive among healthy ones: what must hold, whatever the fault."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

from peers.cases import Case
from peers.faults import HOST, Faulty
from peers.qido import QidoServer

from adapters.dicomweb.adapter import QIDO, DicomWeb
from adapters.shared.http import Http
from broker.adapter import Adapter
from broker.answer import Answer
from broker.api import Session
from broker.query import Query
from broker.report import Report
from broker.setup.limits import Limits
from fixtures.dicom import Holding

DEADLINE = 0.6
GRACE = 0.25  # seconds over the deadline that the contract allows
HEALTHY = 3

Word = Mapping[tuple[str, str], Mapping[str, Any]]


def holdings(archive: int, studies: int = 12) -> list[Holding]:
    """Studies of one archive; every other one is also held by its neighbour."""
    return [_study(archive if n % 2 else (archive + 1) % (HEALTHY + 1), n) for n in range(studies)]


def _study(origin: int, n: int) -> Holding:
    uid = f"1.2.826.{origin + 1}.{n + 1}"
    study = {"StudyInstanceUID": uid, "PatientID": f"P{origin}-{n}", "StudyDate": f"2020010{n % 9 + 1}"}
    return {
        "study": {**study, "ModalitiesInStudy": "CT"},
        "series": [{"SeriesInstanceUID": f"{uid}.1", "Modality": "CT"}],
    }


def dicomweb(name: str, port: int) -> DicomWeb:
    """A DICOMweb archive with the usual limit of bytes."""
    limits = Limits(connect=2, idle=5, first_byte=5)
    return DicomWeb(name, Http(f"http://{HOST}:{port}/dicom-web", limits=limits), QIDO)


@dataclass
class Trial:
    """What came of one question: its answer, the faulty archive's report, seconds over the deadline."""

    answer: Answer
    report: Report
    over: float
    healthy: Word
    faulty: Word


async def ask(adapters: Sequence[Adapter], faulty: str, deadline: float = DEADLINE) -> Trial:
    """All studies of all archives."""
    start = time.perf_counter()
    answer = await Session(Query("studies"), at=adapters).answer(deadline)
    over = max(time.perf_counter() - start - deadline, 0.0)
    words = {(e.uid or "", archive): own for e in answer for archive, own in e.said.items()}
    healthy = {key: own for key, own in words.items() if key[1] != faulty}
    own = {key: own for key, own in words.items() if key[1] == faulty}
    report = next(r for r in answer.reports if r.archive == faulty)
    return Trial(answer, report, over, healthy, own)


class Place:
    """Three healthy archives and one whose fault can be chosen, at any position among them."""

    def __init__(self) -> None:
        self._stack = AsyncExitStack()
        self._servers: list[QidoServer] = []

    async def __aenter__(self) -> Place:
        for number in range(HEALTHY + 1):
            server = QidoServer(holdings(number))
            self._servers.append(await self._stack.enter_async_context(server))
        self.truth = await self._baseline()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._stack.__aexit__(None, None, None)

    async def _baseline(self) -> Trial:
        return await ask([dicomweb(f"a{n}", s.port) for n, s in enumerate(self._servers)], "a3", 10)

    def port(self, number: int) -> int:
        """The port of an honest server."""
        return self._servers[number].port

    async def trial(self, port: int, position: int, deadline: float = DEADLINE) -> Trial:
        """The faulty archive `a3` at this port, at one of the positions 0 to 3."""
        adapters = [dicomweb(f"a{n}", self._servers[n].port) for n in range(HEALTHY)]
        adapters.insert(position, dicomweb("a3", port))
        return await ask(adapters, "a3", deadline)

    async def faulty(self, fault: Any) -> Faulty:
        """The fault before the fourth server; it stands until this place is left."""
        return await self._stack.enter_async_context(Faulty(fault, (HOST, self.port(HEALTHY))))


def violations(case: Case, trial: Trial, truth: Trial, requests: int, grace: float = GRACE) -> list[str]:
    """The invariants I1, I2, I3, I7 of one trial, in words; empty where all hold."""
    told = trial.report
    wrong = []
    if trial.healthy != truth.healthy:
        wrong.append("I1: a healthy archive's records differ")
    if trial.over > grace:
        wrong.append(f"I2: {trial.over:.3f} s over the deadline")
    if (told.status.value, told.reason) != (case.status, case.reason):
        wrong.append(f"I3: {told.status.value} ({told.reason}) instead of {case.status} ({case.reason})")
    if told.ok != (case.status == "ok") or trial.answer.complete != told.ok:
        wrong.append("I3: complete or not is not said as it is")
    if requests > case.attempts:
        wrong.append(f"I7: {requests} requests, at most {case.attempts}")
    return wrong
