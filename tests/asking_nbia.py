"""Short ways to ask an NBIA archive in tests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from asking import ask, report_of
from peers.nbia import NbiaServer
from peers.nbia_rows import fixture_rows, known

from adapters.nbia.adapter import Nbia
from adapters.nbia.scopes import BOUNDS
from broker.report import Report
from catalog.archives import Archive
from catalog.keywords import Level

ROWS = fixture_rows()
HELD = known(ROWS)
SERIES = {row["SeriesInstanceUID"] for row in ROWS}
STUDIES = {row["StudyInstanceUID"] for row in ROWS}
V1 = frozenset({"v1"})
V4 = frozenset({"v4"})


def nbia(server: NbiaServer, name: str = "nbia", **options: Any) -> Nbia:
    """The archive as a federation file would have it."""
    return Nbia.configured(Archive(name, "nbia", url=server.url, options=options))


async def told(server: NbiaServer, level: str, *asked: str, **options: Any) -> Report:
    """The report on one question."""
    scan = options.pop("scan", False)
    return report_of(await ask(level, *asked, at=[nbia(server, **options)], scan=scan), "nbia")


def paths(server: NbiaServer) -> list[str]:
    """Endpoints and their parameters, without the version."""
    return [target.split("/")[-1].removesuffix("&format=json") for target in server.requests]


def bounded(target: str) -> bool:
    """Whether a request lists names only, or is bound to a collection, a patient or a UID."""
    parts = urlsplit(target)
    if parts.path.endswith(("/getCollectionValues", "/getSeriesMetadata")):
        return True
    names = {"PatientID" if name == "PatientId" else name for name, value in parse_qsl(parts.query) if value}
    return bool(names & set(BOUNDS))


def key(level: Level, record: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(
        record.get(k) for k in (("Collection", "PatientID") if level is Level.PATIENT else (level.uid,))
    )
