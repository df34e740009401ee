"""The DICOMweb adapter passes the conformance suite: our QIDO-RS server, twins of it, and real Orthancs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from types import MappingProxyType
from typing import Any

import pytest
import requests
from asking import web
from conforming import OnLoopback, records
from dicomweb_client import DICOMwebClient
from peers.orthanc import Orthanc
from peers.qido import QidoServer

from adapters.dicomweb.adapter import QIDO, DicomWeb, Paging
from broker.adapter import Adapter
from broker.conform import AdapterTests
from broker.errors import Forbidden, Limited, Malformed, RefusedByArchive, ServerFault
from fixtures.dicom import truth

HELD = truth()["archives"]["b"]
CAN = QIDO.without(["StudyDate"])  # one of the dates is written 1997.04.24, and no server finds that


class ForQido(OnLoopback):
    """Our own server, seven records a page."""

    records = records(HELD)
    manners: Mapping[str, Any] = {}
    faults = (
        (Forbidden, {"status": 401}),
        (Limited, {"status": 429}),
        (ServerFault, {"status": 500}),
        (Malformed, {"html": True}),
        (RefusedByArchive, {"redirect": "http://127.0.0.2/dicom-web/studies"}),
    )

    def serve(self, **manners: Any) -> QidoServer:
        return QidoServer(HELD, **self.manners, **manners)

    def adapter(self, server: QidoServer) -> DicomWeb:
        return web(server.url, can=CAN, paging=Paging(size=7))


class TestQido(ForQido):
    """An honest server."""


class TestLimitBeforeFilter(ForQido):
    """One that counts candidates before it filters (orthanc-dicomweb 1.20)."""

    manners = MappingProxyType({"limit_before_filter": True})


class TestShortPages(ForQido):
    """One that gives fewer records in a page than it is asked for."""

    manners = MappingProxyType({"page_cap": 3})


class TestSeriesByStudy(ForQido):
    """One that lists series only within a study."""

    manners = MappingProxyType({"alone": 404})


class TestClient(ForQido):
    """Through the session of a dicomweb-client."""

    def adapter(self, server: QidoServer) -> DicomWeb:
        client = DICOMwebClient(server.url, session=requests.Session())
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
