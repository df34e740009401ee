"""What no honest archive says: it is refused in good time, costs little memory, and harms no neighbour."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from injecting.held import Held, Peak, settled
from injecting.kinds import behind
from injecting.place import Place, ask, dicomweb
from peers.attacks import DIMSE, HTTP, Attack
from peers.faults import HOST, Faulty, Wire, http

from adapters.shared.http import Http

LATE = 1.0  # seconds over the deadline on a machine that is busy with other tests
MOST = 64  # MB


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    async with Place() as made:
        yield made


@pytest.mark.parametrize(
    ("kind", "attack"),
    [("dicomweb", a) for a in HTTP] + [("dimse", a) for a in DIMSE],
    ids=lambda a: a if isinstance(a, str) else a.name,
)
async def test_an_attack_harms_nobody(kind: str, attack: Attack, place: Place) -> None:
    fault, before = attack.fault(), Held.now()
    async with Faulty(fault) as peer:
        adapters = [dicomweb(f"a{n}", place.port(n)) for n in range(3)]
        attacked = behind(kind, f"http://{HOST}/dicom-web", peer.port)
        with Peak() as peak:
            trial = await ask([attacked, *adapters], "a3", 1.5)
    told = trial.report
    assert (told.status.value, told.kept) == (attack.status, attack.kept)
    assert told.reason in attack.reason.split(" or ")
    assert trial.healthy == place.truth.healthy
    assert trial.over <= LATE
    assert peak.rise < MOST
    now = await settled(before)
    assert (now.tasks, now.threads) == (before.tasks, before.threads)


async def test_a_late_reply_is_not_taken_for_that_to_the_next_request() -> None:
    async def twice(wire: Wire) -> None:
        await wire.request()
        wire.writer.write(http("200 OK", b"[1]"))
        await asyncio.sleep(0.05)
        wire.writer.write(http("200 OK", b"[666]"))
        await wire.request()
        wire.writer.write(http("200 OK", b"[2]"))

    async with Faulty(twice) as peer:
        archive = Http(f"http://{HOST}:{peer.port}")
        seen = []
        for _ in range(2):
            seen.append(await archive.get("/x", "application/json"))
            await asyncio.sleep(0.2)
        await archive.close()
    assert seen == [b"[1]", b"[1]"]
    assert peer.connections == 2
