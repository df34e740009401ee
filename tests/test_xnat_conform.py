"""The XNAT adapter passes the conformance suite against our XNAT: as a guest, and as a user."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from conforming import OnLoopback
from peers.xnat import XnatServer, fixture_site
from xnat_truth import NAMES, records

from adapters.shared.http import Http
from adapters.xnat.adapter import Xnat
from broker.errors import Forbidden, Limited, Malformed, RefusedByArchive, ServerFault
from broker.setup.credentials import Login, Secret

SITE = fixture_site(split=False)  # two sessions of one UID are one study, and the suite counts records
PASSWORD = "pass:wörd"


class TestGuest(OnLoopback):
    """What everybody may see: three of five projects."""

    records = records(SITE)
    names = NAMES
    login: Login | None = None
    manners: Mapping[str, Any] = {}
    silent = MappingProxyType({"latency": 30})
    faults = (
        (Forbidden, {"status": 401}),
        (Forbidden, {"status": 403}),
        (Limited, {"status": 429}),
        (ServerFault, {"status": 500}),
        (Malformed, {"truncated": True}),
        (Malformed, {"empty_body": True}),
        (RefusedByArchive, {"redirect": "http://127.0.0.2:9/elsewhere"}),
    )

    def serve(self, **manners: Any) -> XnatServer:
        return XnatServer(SITE, **self.manners, **manners)

    def adapter(self, server: XnatServer) -> Xnat:
        return Xnat("xnat", Http(server.url, keeps_cookies=False), self.login)

    def received(self) -> Sequence[str]:
        return [self.server.origin + entry.path for entry in self.server.log]


class TestUser(TestGuest):
    """A member of every project, logged in to an XNAT that is closed to others, below a context path."""

    records = records(SITE, "alice")
    login = Login("basic", "alice", Secret(PASSWORD))
    secrets = (PASSWORD,)
    manners = MappingProxyType({"require_login": True, "context": "/ir"})
