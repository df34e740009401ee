"""The audit trail: every question that leaves is recorded first, and none leaves where it cannot be."""

from __future__ import annotations

import base64
import stat
from pathlib import Path
from xml.etree import ElementTree as Xml

import pytest
from injecting.place import holdings
from peers.qido import QidoServer

from broker.api import Session
from broker.cli import main
from broker.errors import BadConfig
from broker.query import Query


def config(tmp_path: Path, url: str, trail: str, required: bool = True) -> Path:
    file = tmp_path / "f.toml"
    entry = f'[archives.there]\nadapter = "dicomweb"\nurl = "{url}"\noptions = {{ any_text = true }}\n'
    file.write_text(f'{entry}[audit]\nfile = "{trail}"\nrequired = {str(required).lower()}\n')
    return file


def messages(file: Path) -> list[Xml.Element]:
    return [Xml.fromstring(line) for line in file.read_text(encoding="utf-8").splitlines()]  # noqa: S314


async def test_what_is_sent_is_recorded_as_it_was_sent(tmp_path: Path) -> None:
    async with QidoServer(holdings(0)) as server:
        file = config(tmp_path, server.url, "trail/queries.xml")
        for patient in ("P0-1", "P0-3"):
            await Session(Query("studies", PatientID=patient), at=["there"], config_file=file).answer(10)
        sent = [
            f"http://127.0.0.1:{server.port}{target}"
            for target in server.requests
            if "PatientID=" in target and target.endswith("limit=1000&offset=0")
        ]
    trail = tmp_path / "trail" / "queries.xml"
    assert stat.S_IMODE(trail.stat().st_mode) == 0o600
    told = messages(trail)
    assert len(told) == 2
    first = told[0]
    assert first.tag == "AuditMessage"
    event = first.find("EventIdentification")
    assert event is not None
    assert (event.get("EventActionCode"), event.get("EventOutcomeIndicator")) == ("E", "0")
    code = event.find("EventID")
    assert code is not None
    assert (code.get("csd-code"), code.get("codeSystemName")) == ("110112", "DCM")
    roles = [r.get("csd-code") for r in first.iterfind("ActiveParticipant/RoleIDCode")]
    assert roles == ["110153", "110152"]
    queries = [m.findtext("ParticipantObjectIdentification/ParticipantObjectQuery") or "" for m in told]
    assert [base64.b64decode(q).decode() for q in queries] == sent


async def test_nothing_is_asked_that_cannot_be_recorded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    async with QidoServer(holdings(0)) as server:
        file = config(tmp_path, server.url, "file/queries.xml")
        with pytest.raises(BadConfig, match="nothing is asked without it"):
            Session(Query("studies", PatientID="P0-1"), at=["there"], config_file=file)
        assert main(["search", "studies", "PatientID=P0-1", "--at", "there", "--config", str(file)]) == 5
        assert server.requests == []
        # ... and where the trail breaks later
        file = config(tmp_path, server.url, "trail.xml")
        session = Session(Query("studies", PatientID="P0-1"), at=["there"], config_file=file)
        (tmp_path / "trail.xml").unlink()
        (tmp_path / "trail.xml").mkdir()
        answer = await session.answer(10)
        assert [(r.status.value, r.reason) for r in answer.reports] == [("failed", "audit")]
        assert server.requests == []


async def test_a_trail_that_is_wished_for_only_stops_nobody(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    async with QidoServer(holdings(0)) as server:
        file = config(tmp_path, server.url, "file/queries.xml", required=False)
        answer = await Session(Query("studies", PatientID="P0-1"), at=["there"], config_file=file).answer(10)
    assert answer.complete
    assert "cannot be written" in caplog.text
    assert "P0-1" not in caplog.text
