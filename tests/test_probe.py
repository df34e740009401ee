"""Probes of real servers: what is measured agrees with what they do when they are asked directly."""

from __future__ import annotations

import json
import subprocess
import urllib.request
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from asking import ask
from asking_nbia import bounded
from peers.dcmqrscp import Dcmqrscp
from peers.loopback import HOST
from peers.nbia import NbiaServer
from peers.nbia_rows import fixture_rows
from peers.orthanc import Orthanc
from peers.qido import QidoServer
from peers.xnat import XnatServer, fixture_site

from adapters.dicomweb.adapter import QIDO
from broker import api
from broker.api import Session
from broker.cli import main
from broker.measurements import matching
from broker.planning.trust import Distrust
from broker.probe import Result, probe
from broker.query import Query
from catalog.archives import Archive
from catalog.evidence import Status
from catalog.keywords import Level, keyword
from catalog.probes import BEHAVIOUR, MATCHING, recorded
from fixtures.dicom import Truth, truth

YES, NO = Status.YES, Status.NO


@pytest.fixture(autouse=True)
def own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Evidence of its own for each test."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path


def web(orthanc: Orthanc) -> Archive:
    """An Orthanc's DICOMweb side as an archive of a federation."""
    return Archive("web", "dicomweb", url=orthanc.url)


def dimse(port: int, aet: str) -> Archive:
    """A C-FIND SCP as an archive of a federation."""
    return Archive("pacs", "dimse", url=f"dimse://{HOST}:{port}", options={"ae_title": aet})


def verdicts(result: Result) -> dict[tuple[str, str], Status]:
    """(level and keyword, kind of matching) -> verdict."""
    assert result.error is None
    found = [f.evidence for f in result.found if f.capability == MATCHING]
    return {(e.about, e.value): e.status for e in found}


def cell(result: Result, capability: str) -> str:
    """The value of one measured cell."""
    (found,) = [f.evidence for f in result.found if f.capability == capability]
    assert found.as_of
    assert found.by.startswith("imaging-broker ")
    return found.value


def behaviour(result: Result, about: str) -> Status:
    """What was said of one behaviour."""
    (found,) = [f.evidence for f in result.found if (f.capability, f.evidence.about) == (BEHAVIOUR, about)]
    return found.status


def directly(orthanc: Orthanc, query: str, path: str = "studies") -> int:
    """How many records a question of urllib brings."""
    with urllib.request.urlopen(f"{orthanc.url}/{path}?{query}", timeout=10) as reply:
        return len(json.load(reply))


async def test_orthanc_mended_as_it_answers_directly(mended: Orthanc) -> None:
    result = await probe(web(mended))
    seen = verdicts(result)
    assert result.questions <= 80
    for about, kind, query, path in (
        ("", "any text", "PatientName=SMITH%5EJOHN", "studies"),
        ("STUDY PatientName", "letters of any case", "PatientName=*smith*", "studies"),
        ("STUDY PatientID", "letters of any case", "PatientID=ru1", "studies"),
        ("STUDY Modality", "single value", "Modality=CT", "studies"),
        ("SERIES Modality", "single value", "Modality=CT", "series"),
    ):
        assert seen[about, kind] is (YES if directly(mended, query, path) else NO), (about, kind)
    assert seen["", "any text"] is YES
    assert seen["STUDY Modality", "single value"] is NO
    assert seen["STUDY StudyDate", "range"] is YES
    assert directly(mended, "") == len(truth()["archives"]["b"])
    assert cell(result, "size") == f"{directly(mended, '')} studies"
    assert cell(result, "dicom_transfer_protocol") == "QIDO-RS, WADO-RS"
    assert int(cell(result, "dicom_tags_queryable")) >= 12
    assert (behaviour(result, "limit"), behaviour(result, "halves")) == (YES, YES)
    assert behaviour(result, "fuzzymatching") is NO


async def test_orthanc_as_packaged_decodes_nothing(packaged: Orthanc) -> None:
    result = await probe(web(packaged))
    seen = verdicts(result)
    assert directly(packaged, "PatientName=SMITH%5EJOHN") == 0
    (api_,) = [f.evidence for f in result.found if f.capability == "public_api"]
    assert "limit: obeyed" in api_.note
    assert "values of other characters than letters and digits are not found" in api_.note
    assert seen["", "any text"] is NO
    assert seen["STUDY PatientName", "wildcard"] is YES, "letters arrive"
    assert ("STUDY PatientName", "single value") not in seen, "what cannot arrive proves nothing"


def findscu(archive: Archive, level: str, *keys: str) -> int:
    """How many records dcmtk's findscu gets."""
    host, _, port = archive.url.removeprefix("dimse://").partition(":")
    told = [
        "findscu",
        "-v",
        "-S",
        "-aec",
        str(archive.options["ae_title"]),
        "-k",
        f"QueryRetrieveLevel={level}",
    ]
    for key in keys:
        told += ["-k", key]
    done = subprocess.run([*told, host, port], capture_output=True, text=True, check=True, timeout=30)
    return (done.stdout + done.stderr).count("(Pending)")


async def test_dcmqrscp_as_findscu_sees_it(dcmqrscp: Dcmqrscp) -> None:
    archive = dimse(dcmqrscp.port, dcmqrscp.aet)
    result = await probe(archive)
    seen = verdicts(result)
    everything = findscu(archive, "STUDY", "StudyInstanceUID")
    assert findscu(archive, "STUDY", "StudyInstanceUID", "PatientName=*DOE*")
    assert findscu(archive, "STUDY", "StudyInstanceUID", "PatientName=*doe*") == 0
    assert seen["STUDY PatientName", "wildcard"] is YES
    assert seen["STUDY PatientName", "letters of any case"] is NO
    assert findscu(archive, "STUDY", "StudyInstanceUID", "ModalitiesInStudy=ZZ") == everything > 0
    assert seen["STUDY ModalitiesInStudy", "single value"] is NO
    assert findscu(archive, "STUDY", "StudyInstanceUID", "Modality=ZZ") == everything
    assert seen["STUDY Modality", "single value"] is NO
    assert seen["SERIES Modality", "single value"] is YES
    assert "C-ECHO, C-FIND Study Root" in cell(result, "dicom_transfer_protocol")
    assert behaviour(result, "extended negotiation") is NO


async def test_orthanc_by_c_find_as_findscu_sees_it(mended: Orthanc) -> None:
    archive = dimse(mended.dicom_port, mended.aet)
    seen = verdicts(await probe(archive))
    assert findscu(archive, "STUDY", "StudyInstanceUID", "PatientName=*smith*")
    assert seen["STUDY PatientName", "letters of any case"] is YES
    assert findscu(archive, "STUDY", "StudyInstanceUID", "ModalitiesInStudy=CT")
    assert findscu(archive, "STUDY", "StudyInstanceUID", "ModalitiesInStudy=ZZ") == 0
    assert seen["STUDY ModalitiesInStudy", "single value"] is YES
    assert findscu(archive, "STUDY", "StudyInstanceUID", "Modality=CT") == 0
    assert seen["STUDY Modality", "single value"] is NO


async def test_no_value_of_a_record_is_kept(mended: Orthanc, own_state: Path) -> None:
    await probe(web(mended))
    await probe(dimse(mended.dicom_port, mended.aet))
    kept = "".join(f.read_text() for f in (own_state / "state").rglob("*.jsonl"))
    assert '"STUDY PatientName"' in kept
    assert [v for v in _values(truth()) if len(v) > 3 and v in kept] == []


def _values(of: Truth) -> Iterable[str]:
    for held in of["archives"]["b"]:
        for record in (held["study"], *held["series"]):
            for name, value in record.items():
                if name not in ("ModalitiesInStudy", "Modality", "SpecificCharacterSet", "BodyPartExamined"):
                    yield from value if isinstance(value, list) else [value]


async def test_the_next_explain_cites_the_probe_and_drops_what_was_refuted(
    dcmqrscp: Dcmqrscp, own_state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = own_state / "federation.toml"
    archive = dimse(dcmqrscp.port, dcmqrscp.aet)
    file.write_text(
        f'[archives.pacs]\nadapter = "dimse"\nurl = "{archive.url}"\n'
        f'options = {{ ae_title = "{dcmqrscp.aet}" }}\n'
    )

    def why(query: Query) -> str:
        (told,) = Session(query, at=["pacs"], config_file=file).explain()
        return told.plan.steps[0].why + (" (self-test first)" if told.may_learn else "")

    named, dated = Query("studies", "PatientName=DOE*"), Query("studies", "StudyDate=2021")
    assert "self-test first" in why(named)
    assert "PS3.4" in why(dated)
    result = await probe(archive)
    assert "self-test first" not in why(named), "measured: case matters there"
    assert why(dated).startswith("promised: range, single value (measured 20")
    assert f"probe, {result.questions} questions" in why(dated)
    after = await ask("studies", "PatientName=doe*", at=["pacs"], config_file=file, scan=True)
    assert len(after) == 1, "what it cannot do is done here"

    assert main(["matrix", "pacs", "--why", "--config", str(file)]) == 0
    shown = capsys.readouterr().out
    assert "C-ECHO, C-FIND Study Root" in shown
    assert f"probe, {result.questions} questions" in shown


async def test_xnat_as_its_listings_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XNAT_PASSWORD", "pass:wörd")
    login = {"kind": "basic", "username": "alice", "password": "env:XNAT_PASSWORD"}
    async with XnatServer(fixture_site(), dicomweb=True) as server:
        result = await probe(Archive("xnat", "xnat", url=server.url, auth=login))
        held = list(server.site.visible("alice"))
        projects = server.site.readable("alice")
        asked = len(server.log)
    seen = verdicts(result)
    assert cell(result, "public_api") == "XNAT 1.8.11, with a log-in (basic)"
    assert cell(result, "size") == f"{len(projects)} projects, {len(held)} image sessions"
    assert cell(result, "dicom_transfer_protocol") == "QIDO-RS"
    assert {kind for about, kind in seen if about == "STUDY StudyDate"} == {"single value", "range"}
    assert set(seen.values()) == {YES}
    assert asked < 150


async def test_xnat_that_ignores_its_filters_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    async with XnatServer(fixture_site(), ignores_filters=True) as server:
        seen = verdicts(await probe(Archive("xnat", "xnat", url=server.url)))
    assert seen["STUDY StudyInstanceUID", "single value"] is NO
    assert seen["STUDY StudyDate", "range"] is NO


@pytest.mark.parametrize("versions", [frozenset({"v1", "v4"}), frozenset({"v1"})])
async def test_nbia_says_its_endpoints_and_is_not_listed(versions: frozenset[str]) -> None:
    async with NbiaServer(rows=fixture_rows(), versions=versions) as server:
        result = await probe(Archive("nbia", "nbia", url=server.url))
        named = [p for p in server.requests if not bounded(p)]
    version = "v4" if "v4" in versions else "v1"
    assert cell(result, "public_api").startswith(f"NBIA REST {version}: getCollectionValues, getModality")
    assert "getSeries" in cell(result, "public_api")
    assert cell(result, "size") == f"{len({r['Collection'] for r in fixture_rows()})} collections"
    assert all("Values" in p for p in named), "lists of names, and nothing else without a bound"


# twins that lie


async def twin(**manners: Any) -> Result:
    """What a probe makes of a QIDO server with these manners."""
    async with QidoServer(truth()["archives"]["b"], **manners) as server:
        return await probe(Archive("twin", "dicomweb", url=server.url))


async def test_an_honest_server_keeps_what_it_promises() -> None:
    seen = verdicts(await twin())
    of_studies = {name: kinds for name, kinds in QIDO.matches.items() if keyword(name).level <= Level.STUDY}
    promised = [(f"STUDY {name}", kind.value) for name, kinds in of_studies.items() for kind in kinds]
    known = [seen[key] for key in promised if key in seen]
    assert len(known) >= 12
    assert set(known) == {YES}


async def test_a_server_that_ignores_conditions() -> None:
    result = await twin(ignores_filters=True)
    assert {v for (about, _), v in verdicts(result).items() if about} == {NO}
    assert cell(result, "dicom_tags_queryable") == "0"


async def test_a_server_that_judges_studies_by_their_first_series() -> None:
    assert verdicts(await twin(one_instance=True))["STUDY Modality", "single value"] is Status.PARTIAL


async def test_a_server_that_cuts_its_answers_short() -> None:
    result = await twin(cap=10)
    assert behaviour(result, "halves") is NO
    assert [f for f in result.found if f.capability == "size"] == [], "nothing shows how many there are"


async def test_servers_whose_limits_and_offsets_lie() -> None:
    assert behaviour(await twin(limit_before_filter=True), "limit with conditions") is NO
    assert behaviour(await twin(ignores_offset=True), "offset") is NO
    assert behaviour(await twin(ignores_paging=True), "limit") is NO
    assert behaviour(await twin(alone=404), "series") is NO


async def test_what_changed_is_told_and_the_old_evidence_stays() -> None:
    async with QidoServer(truth()["archives"]["b"]) as server:
        archive = Archive("twin", "dicomweb", url=server.url)
        first = await probe(archive)
        server.exact_only = True
        again = await probe(archive)
    changed = {(c.found.evidence.about, c.found.evidence.value): c for c in again.changes if c.before}
    told = changed["STUDY PatientName", "wildcard"]
    assert (told.before and told.before.status, told.found.evidence.status) == (YES, NO)
    assert [f.evidence for f in recorded().found][: len(first.found)] == [f.evidence for f in first.found]


async def test_a_server_that_fails_in_the_middle_leaves_nothing_half_kept() -> None:
    result = await twin(status=429, headers={"Retry-After": "60"}, times=1)
    assert result.error is not None
    assert result.error.reason == "rate_limited"  # type: ignore[union-attr]
    assert recorded().found == ()


# promises that are broken in a search


async def broken(server: QidoServer, folder: Path, *conditions: str) -> list[Any]:
    """What is on record after a search in which a promise is broken."""
    file = folder / "federation.toml"
    file.write_text(f'[archives.liar]\nadapter = "dicomweb"\nurl = "{server.url}"\n')
    await ask("studies", *conditions, at=["liar"], config_file=file)
    return [(f.capability, f.evidence.about, f.evidence.value, f.evidence.status) for f in recorded().found]


async def test_a_broken_promise_is_kept_once_and_again_after_it_was_kept(own_state: Path) -> None:
    async with QidoServer(truth()["archives"]["b"], ignores_filters=True) as server:
        first = await broken(server, own_state, "AccessionNumber=B_01")
        api.DISTRUST = Distrust()
        again = await broken(server, own_state, "AccessionNumber=B_01")
    assert first == [(MATCHING, "STUDY AccessionNumber", "single value", NO)]
    assert again == first


async def test_a_few_records_too_many_do_not_refute_a_promise(own_state: Path) -> None:
    few = truth()["archives"]["b"][:4]
    async with QidoServer(few, ignores_filters=True) as server:
        kept = await broken(server, own_state, "AccessionNumber=B_01")
    assert kept == [(BEHAVIOUR, "STUDY AccessionNumber", "lets other records through", Status.PARTIAL)]


async def test_evidence_of_another_address_is_not_used(own_state: Path) -> None:
    async with QidoServer(truth()["archives"]["b"], ignores_filters=True) as server:
        await broken(server, own_state, "AccessionNumber=B_01")
        here = matching("liar", server.url)
    assert [e.status for e in here] == [NO]
    assert matching("liar", "https://moved.example.org/dicom-web") == []


async def test_a_second_probe_keeps_the_first_and_tells_no_change(mended: Orthanc) -> None:
    first = await probe(web(mended))
    again = await probe(web(mended))
    assert len(first.changes) == len(first.found)
    assert again.changes == []
    assert len(recorded().found) == len(first.found) + len(again.found)


async def test_an_archive_that_is_not_there_changes_nothing() -> None:
    result = await probe(Archive("gone", "dicomweb", url="http://127.0.0.1:9/dicom-web"))
    assert result.error is not None
    assert recorded().found == ()
