"""The XNAT adapter passes the conformance suite against our XNAT: as a guest, and as a user."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from peers.xnat import XnatServer, fixture_site
from xnat_truth import NAMES, records

from adapters.shared.http import Http
from adapters.xnat.adapter import Xnat
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
from broker.setup.credentials import Login, Secret

SITE = fixture_site(split=False)  # two sessions of one UID are one study, and the suite counts records
PASSWORD = "pass:wörd"


class TestGuest(AdapterTests):
    """What everybody may see: three of five projects."""

    records = records(SITE)
    names = NAMES
    login: Login | None = None

    @asynccontextmanager
    async def archive(self) -> AsyncIterator[Adapter]:
        async with XnatServer(SITE) as self.server:
            yield self._speaking(self.server.url)

    def received(self) -> Sequence[str]:
        return [self.server.url + entry.path for entry in self.server.log]

    def hanging(self) -> Any:
        return self._in_trouble(latency=30)

    def failing(self) -> Sequence[tuple[type[ArchiveError], Any]]:
        return [
            (Unreachable, self._dead()),
            (Forbidden, self._in_trouble(status=401)),
            (Forbidden, self._in_trouble(status=403)),
            (Limited, self._in_trouble(status=429)),
            (ServerFault, self._in_trouble(status=500)),
            (Malformed, self._in_trouble(truncated=True)),
            (Malformed, self._in_trouble(empty_body=True)),
            (RefusedByArchive, self._in_trouble(redirect="http://127.0.0.2:9/elsewhere")),
        ]

    def _speaking(self, url: str) -> Xnat:
        return Xnat("xnat", Http(url, keeps_cookies=False), self.login)

    @asynccontextmanager
    async def _in_trouble(self, **fault: Any) -> AsyncIterator[Adapter]:
        async with XnatServer(SITE, **fault) as server:
            yield self._speaking(server.url)

    @asynccontextmanager
    async def _dead(self) -> AsyncIterator[Adapter]:
        yield self._speaking("http://127.0.0.1:9")


class TestUser(TestGuest):
    """A member of every project, logged in to an XNAT that is closed to others, below a context path."""

    records = records(SITE, "alice")
    login = Login("basic", "alice", Secret(PASSWORD))
    secrets = (PASSWORD,)

    @asynccontextmanager
    async def archive(self) -> AsyncIterator[Adapter]:
        async with XnatServer(SITE, require_login=True, context="/ir") as self.server:
            yield self._speaking(self.server.url)

    def received(self) -> Sequence[str]:
        return [self.server.url.removesuffix("/ir") + entry.path for entry in self.server.log]
