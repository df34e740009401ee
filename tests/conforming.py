"""The conformance suite over a server of ours on loopback."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from types import MappingProxyType
from typing import Any

from asking import ask, report_of, uids, web
from peers.loopback import LOGIN_PAGE, Fault, Loopback, RestServer
from peers.qido import QidoServer

from broker.adapter import Adapter
from broker.api import Session
from broker.conform import AdapterTests
from broker.conform.leaks import Open, left_behind
from broker.errors import ArchiveError, Forbidden, Malformed, RefusedByArchive, ServerFault, Unreachable
from broker.query import Query
from broker.report import Report
from catalog.keywords import Level
from fixtures.dicom import Holding

FAULTS: Sequence[tuple[type[ArchiveError], Mapping[str, Any]]] = [
    (RefusedByArchive, {"faults": {"": Fault(400, "Invalid query parameter: 'ZQ9XMARK'")}}),
    (Forbidden, {"faults": {"": Fault(401, "Unauthorized")}}),
    (ServerFault, {"faults": {"": Fault()}}),
    (Malformed, {"faults": {"": Fault(200, LOGIN_PAGE, "text/html")}}),
    (Malformed, {"faults": {"": Fault(200, "{", "application/json")}}),
]


class OnLoopback(AdapterTests):
    """A subclass gives its server and the adapter that speaks to it.

    silent, faults  manners in which the server never answers, or answers so that an error is right
    """

    silent: Mapping[str, Any] = MappingProxyType({"hang": True})
    faults: Sequence[tuple[type[ArchiveError], Mapping[str, Any]]] = FAULTS
    server: Any

    def serve(self, **manners: Any) -> Loopback:
        """The server, with some manners."""
        raise NotImplementedError

    def adapter(self, server: Any) -> Adapter:
        """The adapter for a server."""
        raise NotImplementedError

    def archive(self) -> Any:
        return self._opened()

    def hanging(self) -> Any:
        return self._opened(**self.silent)

    def failing(self) -> Sequence[tuple[type[ArchiveError], Any]]:
        faulty = [(error, self._opened(**manners)) for error, manners in self.faults]
        return [(Unreachable, self._gone()), *faulty]

    def received(self) -> Sequence[str]:
        return [self.server.origin + target for target in self.server.requests]

    @asynccontextmanager
    async def _opened(self, **manners: Any) -> AsyncIterator[Adapter]:
        async with self.serve(**manners) as self.server:
            yield self.adapter(self.server)

    @asynccontextmanager
    async def _gone(self) -> AsyncIterator[Adapter]:
        """A server that was not started."""
        yield self.adapter(self.serve(port=9))


def records(held: Iterable[Holding]) -> Mapping[Level, list[dict[str, Any]]]:
    """The studies and series of fixtures, each series with the UID of its study."""
    series = [
        {"StudyInstanceUID": h["study"]["StudyInstanceUID"], **row} for h in held for row in h["series"]
    ]
    return {Level.STUDY: [dict(h["study"]) for h in held], Level.SERIES: series}


async def gone(server: RestServer) -> None:
    """The server sees every request of its clients closed within a second."""
    end = time.monotonic() + 1
    while server.answering and time.monotonic() < end:
        await asyncio.sleep(0.01)
    assert server.answering == 0


async def cancelled(server: RestServer, make: Callable[[], Adapter], times: int = 200) -> None:
    """So many searches, each left while the archive is busy with it; what they leave open is counted."""
    before = Open.now()
    for _ in range(times):
        seen = len(server.requests)
        start = time.monotonic()
        async with Session(Query("series"), at=[make()], scan=True).asking(60):
            while len(server.requests) == seen:
                await asyncio.sleep(0.001)
        assert time.monotonic() - start < 2
    assert len(server.requests) >= times
    await gone(server)
    assert await left_behind(before) == []


async def left_in_the_middle(server: RestServer, make: Callable[[], Adapter], connections: int = 4) -> None:
    """A search is left while the archive answers: its requests end, and never were more than connections."""
    async with Session(Query("series"), at=[make()]).asking(60) as events:
        await anext(events)
        while not server.answering:
            await asyncio.sleep(0.001)
    await gone(server)
    assert server.most <= connections


async def beside_a_good_one(broken: Adapter, held: list[Holding], level: str = "series") -> Report:
    """The report of a broken archive. A good one, which is asked with it, gives all that it gives alone."""
    async with QidoServer(held) as good:
        alone = await ask(level, at=[web(good.url, "good")])
        answer = await ask(level, at=[broken, web(good.url, "good")])
    assert uids(alone) <= uids(answer)
    assert report_of(answer, "good").ok
    return answer.reports[0]
