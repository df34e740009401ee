"""Short ways to ask in tests."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

import pytest
from peers.orthanc import Orthanc

from adapters.dicomweb.adapter import QIDO, DicomWeb, Paging
from adapters.shared.http import Http
from broker.answer import Answer
from broker.api import Session
from broker.query import Query
from broker.report import Report
from broker.setup.limits import Limits
from catalog.capability import Can


def web(
    url: str, name: str = "web", can: Can = QIDO, paging: Paging | None = None, **limits: Any
) -> DicomWeb:
    """A DICOMweb archive at an address."""
    return DicomWeb(name, Http(url, limits=Limits(**limits)), can, paging)


async def ask(level: str, *conditions: str, at: Iterable[Any], timeout: float = 10, **options: Any) -> Answer:
    """The answer to a question."""
    return await Session(Query(level, *conditions), at=at, **options).answer(timeout)


def uids(answer: Answer) -> set[str]:
    """The UIDs of an answer."""
    return {e.uid for e in answer if e.uid}


def report_of(answer: Answer, archive: str) -> Report:
    """One archive's report."""
    return next(r for r in answer.reports if r.archive == archive)


def need_orthanc() -> None:
    """Skip without Orthanc; fail where it is required."""
    need(Orthanc.missing())


def need(missing: str | None) -> None:
    """Skip without a peer, saying what is missing; fail where peers are required."""
    if missing:
        required = os.environ.get("BROKER_REQUIRE_PEERS") == "1"
        pytest.fail(f"required: {missing}") if required else pytest.skip(missing)
