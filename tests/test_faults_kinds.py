"""Every fault in front of every kind of archive: said, and of no consequence for the others."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any
from urllib.parse import urlsplit

import pytest
from asking import uids
from injecting.held import Held, settled
from injecting.kinds import behind
from injecting.place import Place, ask, dicomweb, holdings
from peers import faults
from peers.cases import HTTP, Case
from peers.faults import HOST, Fault, Faulty
from peers.girder import GirderServer
from peers.midas import MidasServer
from peers.nbia import NbiaServer
from peers.nbia_rows import fixture_rows
from peers.orthanc import Orthanc
from peers.qido import QidoServer
from peers.shelves import shelves
from peers.xnat import XnatServer, fixture_site

SERVERS: dict[str, Callable[[], AbstractAsyncContextManager[Any]]] = {
    "dicomweb": lambda: QidoServer(holdings(3)),
    "xnat": lambda: XnatServer(fixture_site()),
    "nbia": lambda: NbiaServer(rows=fixture_rows()),
    "midas": lambda: MidasServer(held=shelves("b")),
    "girder": lambda: GirderServer(held=shelves("b")),
}
FAILING = [case for case in HTTP if case.status == "failed"]
SPOILED = [(how, at) for how in ("cut", "reset", "stall", "garbage") for at in (0, 40, 700)]
LATE = 1.0  # seconds over the deadline on a machine that is busy with other tests


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    async with Place() as made:
        yield made


async def harmless(place: Place, kind: str, url: str, fault: Fault, upstream: int) -> tuple[str, str]:
    """One faulty archive after healthy ones: their records are the same, and the answer is not whole."""
    before = Held.now()
    async with Faulty(fault, (HOST, upstream)) as peer:
        adapters = [dicomweb(f"a{n}", place.port(n)) for n in range(3)]
        trial = await ask([*adapters, behind(kind, url, peer.port)], "a3", 1.5)
    assert trial.healthy == place.truth.healthy
    assert trial.over <= LATE
    assert not trial.answer.complete
    now = await settled(before)
    assert (now.tasks, now.threads) <= (before.tasks, before.threads)
    return trial.report.status.value, trial.report.reason


@pytest.mark.parametrize("kind", SERVERS)
async def test_a_fault_at_its_first_reply(kind: str, place: Place) -> None:
    async with SERVERS[kind]() as server:
        for case in FAILING:
            said = await harmless(place, kind, server.url, case.fault(), urlsplit(server.url).port or 0)
            assert said[0] == "failed", (case.name, said)
            assert said[1] in expected(kind, case), (case.name, said)


def expected(kind: str, case: Case) -> set[str]:
    """The reason of the contract, or where a kind of archive can know better, its own."""
    words = {case.reason}
    if kind == "nbia":
        words |= {"bad_shape", "not_found"}
    if kind in ("midas", "girder", "xnat"):
        words |= {"bad_shape", "bad_json", "not_json", "auth", "not_found", "empty_body"}
    return words


@pytest.mark.parametrize("kind", SERVERS)
@pytest.mark.parametrize(("how", "at"), SPOILED)
async def test_a_reply_spoiled_on_its_way(kind: str, how: str, at: int, place: Place) -> None:
    async with SERVERS[kind]() as server:
        fault = faults.spoiled(at, how)
        status, reason = await harmless(place, kind, server.url, fault, urlsplit(server.url).port or 0)
        assert status in ("failed", "partial")
        assert reason


async def test_a_dimse_archive_spoiled_on_its_way(mended: Orthanc, place: Place) -> None:
    for how, at in [*SPOILED, ("cut", 3000), ("reset", 3000), ("stall", 3000), ("garbage", 3000)]:
        said = await harmless(place, "dimse", "", faults.spoiled(at, how), mended.dicom_port)
        assert said[0] in ("failed", "partial"), (how, at, said)
        assert said[1], (how, at)


async def test_a_dimse_archive_that_speaks_something_else(place: Place) -> None:
    for said in (b"HTTP/1.1 400 Bad Request\r\n\r\n", b"SSH-2.0-OpenSSH_9.2\r\n", b"\x99" * 100):
        told = await harmless(place, "dimse", "", faults.banner(said), 9)
        assert told == ("failed", "bad_protocol"), said


async def test_all_kinds_are_whole_without_a_fault(place: Place) -> None:
    for kind, serve in SERVERS.items():
        async with serve() as server, Faulty(faults.through, (HOST, urlsplit(server.url).port or 0)) as peer:
            trial = await ask([behind(kind, server.url, peer.port)], "a3", 20)
        assert trial.answer.complete, (kind, trial.report)
        assert uids(trial.answer)
