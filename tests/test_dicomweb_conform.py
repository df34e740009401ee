"""The DICOMweb adapter passes the conformance suite against a QIDO-RS server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from asking import web
from peers.qido import QidoServer

from adapters.dicomweb import QIDO, Paging
from broker.adapter import Adapter
from broker.conform import AdapterTests
from broker.errors import ArchiveError, Forbidden, Limited, Malformed, ServerFault, Unreachable
from catalog.keywords import Level
from fixtures.dicom import Holding, truth

HELD = truth()["archives"]["b"]
CAN = QIDO.without(["StudyDate"])  # one of the dates is written 1997.04.24, and no server finds that


def records(held: Iterable[Holding]) -> Mapping[Level, list[dict[str, Any]]]:
    """The studies and series of fixtures, each series with the UID of its study."""
    series = [
        {"StudyInstanceUID": h["study"]["StudyInstanceUID"], **row} for h in held for row in h["series"]
    ]
    return {Level.STUDY: [dict(h["study"]) for h in held], Level.SERIES: series}


class TestQido(AdapterTests):
    """Our own server, seven records a page."""

    records = records(HELD)

    @asynccontextmanager
    async def archive(self) -> AsyncIterator[Adapter]:
        async with QidoServer(HELD) as self.server:
            yield web(self.server.url, can=CAN, paging=Paging(size=7))

    def received(self) -> Sequence[str]:
        return [self.server.url.removesuffix("/dicom-web") + target for target in self.server.requests]

    def hanging(self) -> Any:
        return self._in_trouble(hang=True)

    def failing(self) -> Sequence[tuple[type[ArchiveError], Any]]:
        return [
            (Unreachable, self._dead()),
            (Forbidden, self._in_trouble(status=401)),
            (Limited, self._in_trouble(status=429)),
            (ServerFault, self._in_trouble(status=500)),
            (Malformed, self._in_trouble(html=True)),
        ]

    @asynccontextmanager
    async def _in_trouble(self, **fault: Any) -> AsyncIterator[Adapter]:
        async with QidoServer(HELD, **fault) as server:
            yield web(server.url, can=CAN)

    @asynccontextmanager
    async def _dead(self) -> AsyncIterator[Adapter]:
        yield web("http://127.0.0.1:9/dicom-web", can=CAN)
