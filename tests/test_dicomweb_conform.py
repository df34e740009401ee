"""The DICOMweb adapter passes the conformance suite: our QIDO-RS server, twins of it, and real Orthancs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from types import MappingProxyType
from typing import Any

import pytest
import requests
from asking import web
from dicomweb_client import DICOMwebClient
from peers.orthanc import Orthanc
from peers.qido import QidoServer

from adapters.dicomweb.adapter import QIDO, DicomWeb, Paging
from broker.adapter import Adapter
from broker.conform import AdapterTests
from broker.errors import (
    ArchiveError,
    Forbidden,
    Limited,
    Malformed,
    RefusedByArchive,
    ServerFault,
    Unreachable,
)
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


class ForQido(AdapterTests):
    """Our own server, seven records a page."""

    records = records(HELD)
    fault: Mapping[str, Any] = {}

    def adapter(self, url: str) -> DicomWeb:
        return web(url, can=CAN, paging=Paging(size=7))

    @asynccontextmanager
    async def archive(self) -> AsyncIterator[Adapter]:
        async with QidoServer(HELD, **self.fault) as self.server:
            yield self.adapter(self.server.url)

    def received(self) -> Sequence[str] | None:
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
            (RefusedByArchive, self._in_trouble(redirect="http://127.0.0.2/dicom-web/studies")),
        ]

    @asynccontextmanager
    async def _in_trouble(self, **fault: Any) -> AsyncIterator[Adapter]:
        async with QidoServer(HELD, **fault) as server:
            yield self.adapter(server.url)

    @asynccontextmanager
    async def _dead(self) -> AsyncIterator[Adapter]:
        yield self.adapter("http://127.0.0.1:9/dicom-web")


class TestQido(ForQido):
    """An honest server."""


class TestLimitBeforeFilter(ForQido):
    """One that counts candidates before it filters (orthanc-dicomweb 1.20)."""

    fault = MappingProxyType({"limit_before_filter": True})


class TestShortPages(ForQido):
    """One that gives fewer records in a page than it is asked for."""

    fault = MappingProxyType({"page_cap": 3})


class TestSeriesByStudy(ForQido):
    """One that lists series only within a study."""

    fault = MappingProxyType({"alone": 404})


class TestClient(ForQido):
    """Through the session of a dicomweb-client."""

    def adapter(self, url: str) -> DicomWeb:
        client = DICOMwebClient(url, session=requests.Session())
        return DicomWeb.over("web", client, CAN, Paging(size=7))


class ForOrthanc(AdapterTests):
    """A real server, seven records a page."""

    url: str
    can = CAN

    @asynccontextmanager
    async def archive(self) -> AsyncIterator[Adapter]:
        yield web(self.url, can=self.can, paging=Paging(size=7))


class TestPackaged(ForOrthanc):
    """Orthanc as packaged, which decodes nothing that it is asked."""

    records = records(truth()["archives"]["a"])
    can = QIDO

    @pytest.fixture(autouse=True)
    def _running(self, packaged: Orthanc) -> None:
        self.url = packaged.url


class TestMended(ForOrthanc):
    """Orthanc that decodes."""

    records = records(HELD)

    @pytest.fixture(autouse=True)
    def _running(self, mended: Orthanc) -> None:
        self.url = mended.url


class TestPackagedByClient(TestPackaged):
    """Orthanc as packaged, through the session of a dicomweb-client."""

    @asynccontextmanager
    async def archive(self) -> AsyncIterator[Adapter]:
        yield DicomWeb.over("web", DICOMwebClient(self.url), QIDO, Paging(size=7))
