"""The DIMSE adapter passes the conformance suite against Orthanc and dcmqrscp."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from conforming import records
from peers.dcmqrscp import Dcmqrscp
from peers.loopback import HOST
from peers.orthanc import Orthanc
from peers.scp import raw

from adapters.dimse.adapter import STUDY_ROOT, Dimse
from adapters.dimse.link import Peer
from adapters.dimse.pdu import ABORTED, RJ
from broker.adapter import Adapter
from broker.conform import AdapterTests
from broker.errors import ArchiveError, Forbidden, Limited, Malformed, TimedOut, Unreachable
from broker.setup.limits import Limits
from fixtures.dicom import truth

HELD = truth()["archives"]["b"]
COUNTS = {"NumberOfStudyRelatedSeries", "NumberOfStudyRelatedInstances", "NumberOfSeriesRelatedInstances"}
LACKS = COUNTS | {"ModalitiesInStudy", "BodyPartExamined", "SeriesDescription"}
CAN = STUDY_ROOT.without(["StudyDate"])  # one of the dates is written 1997.04.24, and no server finds that


class _Real(AdapterTests):
    """A real server, started once."""

    paged = False  # so few records come in one batch
    records = records(HELD)
    peer: Peer
    can = CAN

    @asynccontextmanager
    async def archive(self) -> AsyncIterator[Adapter]:
        yield Dimse("dimse", self.peer, self.can)

    def hanging(self) -> Any:
        return self._saying(None)

    def failing(self) -> Sequence[tuple[type[ArchiveError], Any]]:
        return [
            (Unreachable, self._at(Peer(HOST, 9))),
            (Malformed, self._saying(b"HTTP/1.1 400 Bad Request\r\n\r\n")),
            (Unreachable, self._saying(ABORTED)),
            (Forbidden, self._saying(bytes([RJ, 0, 0, 0, 0, 4, 0, 1, 1, 7]))),
            (Limited, self._saying(bytes([RJ, 0, 0, 0, 0, 4, 0, 2, 3, 2]))),
            (TimedOut, self._saying(None, Limits(connect=0.2))),
        ]

    @asynccontextmanager
    async def _at(self, peer: Peer) -> AsyncIterator[Adapter]:
        yield Dimse("dimse", peer, CAN)

    @asynccontextmanager
    async def _saying(self, said: bytes | None, limits: Limits | None = None) -> AsyncIterator[Adapter]:
        """Takes connections, and answers a request with these bytes; or never says a word."""
        async with raw(first=said) as (port, _):
            yield Dimse("dimse", Peer(HOST, port, limits=limits or Limits()), CAN)


class TestOrthanc(_Real):
    """Orthanc's DIMSE side."""

    @pytest.fixture(autouse=True)
    def _running(self, mended: Orthanc) -> None:
        self.peer = Peer(HOST, mended.dicom_port, mended.aet)


class TestDcmqrscp(_Real):
    """dcmtk's archive, which keeps less of a record."""

    can = replace(CAN, absent=CAN.absent | LACKS)

    @pytest.fixture(autouse=True)
    def _running(self, dcmqrscp: Dcmqrscp) -> None:
        self.peer = Peer(HOST, dcmqrscp.port, dcmqrscp.aet)
