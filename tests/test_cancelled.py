"""Every kind of archive: two hundred searches cancelled at random moments leave nothing behind, anywhere."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import cast

import pytest
from asking import need
from injecting.kinds import Database, Remote, local
from injecting.upstreams import running
from peers.postgres import PASSWORD, Postgres
from peers.xnat import XnatServer, fixture_site

from adapters.idc.adapter import Idc
from adapters.shared.http import Http
from adapters.xnat.adapter import Xnat
from broker.adapter import Adapter
from broker.api import Session
from broker.conform.leaks import Open, left_behind
from broker.query import Query
from broker.setup.credentials import Login, Secret
from catalog import postgres_reader
from catalog.postgres_reader import PostgresReader
from catalog.store import store

KINDS = ("dicomweb", "dimse", "xnat", "nbia", "midas", "girder", "postgres", "local", "idc")
SEARCHES = 200


@pytest.fixture(scope="module")
def urls() -> Iterator[dict[str, str]]:
    with running() as found:
        yield found


@pytest.mark.parametrize("kind", KINDS)
async def test_cancelled_searches_leave_nothing(
    kind: str, urls: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if kind == "postgres":
        need(Postgres.missing())
    made: dict[str, Callable[[str], Adapter]] = {"idc": Idc, "local": local(tmp_path).honest}
    made |= {name: Remote(name, url).honest for name, url in urls.items()}
    if kind == "postgres":
        monkeypatch.setattr("catalog.postgres_reader.IDLE", 0)  # whatever stays open is a leak
        made["postgres"] = Database("postgres", urls["postgres"]).honest
    more = {"Collection": "nsclc_radiomics"} if kind == "idc" else {}
    await cancelled(lambda: made[kind]("a"), Query("series", Modality="CT", **more))


async def test_cancelled_searches_of_a_user_leave_no_session_at_an_xnat() -> None:
    user = Login("basic", "alice", Secret("pass:wörd"))
    async with XnatServer(fixture_site(), latency=0.002) as server:
        await cancelled(lambda: Xnat("a", Http(server.url), user), Query("series", Modality="CT"))
        assert len(server.asked("/data/services/auth")) > SEARCHES / 4
        assert server.accounts.open_of_users == 0


async def cancelled(make: Callable[[], Adapter], query: Query) -> None:
    """Searches cancelled at random moments, up to the time that a whole one takes: each ends in a second."""
    took = []
    for _ in range(5):  # what is opened once in a process stays open
        archive, start = make(), time.perf_counter()
        await Session(query, at=[archive], scan=True).answer(60)
        took.append(time.perf_counter() - start)
    whole = min(took)
    before, rng, ended = Open.now(), random.Random(1), 0
    for _ in range(SEARCHES):
        asked = asyncio.create_task(Session(query, at=[make()], scan=True).answer(60))
        await asyncio.sleep(rng.uniform(0, whole))
        ended += asked.cancel()
        await asyncio.wait([asked], timeout=1)
        assert asked.done(), "a second is enough"
        assert asked.cancelled() or asked.exception() is None
    assert ended > SEARCHES / 4, "many were still under way"
    assert await left_behind(before) == []


def test_a_connection_that_was_to_be_cancelled_is_not_used_again(urls: dict[str, str]) -> None:
    """The cancellation may arrive late, and would hit the statement of another search."""
    need(Postgres.missing())
    reader = cast(PostgresReader, store(urls["postgres"], PASSWORD).reader(lambda: False))
    reader.execute("SELECT pg_sleep(30)")
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(reader.fetchmany, 1)
        while not waiting.done():
            reader.interrupt()
        assert waiting.exception() is not None
    reader.close()
    assert reader._db.closed
    assert all(reader._db not in kept for kept in postgres_reader._IDLE.values())
