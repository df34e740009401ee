"""Every measured cell and verdict of a probe, beside what the same servers answer when asked directly.

The questions here go by urllib, pynetdicom and findscu, not by our adapters.
"""

from __future__ import annotations

import base64
import json
import subprocess
import urllib.request
import warnings
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from directly import Found, Scu, accepted, held, qido, verdict
from peers.dcmqrscp import Dcmqrscp
from peers.dcmtk import dcmtk
from peers.loopback import HOST
from peers.orthanc import Orthanc
from peers.xnat import XnatServer, fixture_site

from adapters.dimse.services import SERVICES
from broker.planning.measured import RETURNED
from broker.probing.probe import Result, probe
from catalog.archives import Archive
from catalog.evidence import Status
from catalog.keywords import Level, keyword
from catalog.probes import BEHAVIOUR, MATCHING
from fixtures.dicom import truth

HELD = truth()["archives"]["b"]
FINDS = {"single value", "wildcard", "range"}


@pytest.fixture(autouse=True)
def own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Evidence of its own for each test."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def cells(result: Result) -> dict[str, str]:
    """Capability -> value of the measured cells."""
    assert result.error is None
    return {f.capability: f.evidence.value for f in result.found if f.capability not in (MATCHING, BEHAVIOUR)}


def behaviour(result: Result, about: str) -> Status:
    """What was said of one behaviour."""
    (found,) = [f.evidence for f in result.found if (f.capability, f.evidence.about) == (BEHAVIOUR, about)]
    return found.status


def compared(result: Result, ask: Found, most: int = 5) -> tuple[int, set[str]]:
    """How many verdicts agree with direct questions (all of them), and which keywords really find records.

    Where a search for series looks for studies first, keys of studies are put to studies here too.
    """
    count, finding = 0, set()
    for f in result.found:
        level, _, name = f.evidence.about.rpartition(" ")
        if f.capability != MATCHING or not name or f.evidence.value == RETURNED:
            continue
        at = "STUDY" if "Put to the study" in f.evidence.note else level
        with warnings.catch_warnings():  # pydicom's, of values that it would not have written
            warnings.simplefilter("ignore")
            told = verdict(ask, at, name, f.evidence.value, held(HELD, at, name), most)
        assert told is f.evidence.status, (f.evidence.about, f.evidence.value, told)
        count += 1
        finding |= {name} if told is Status.YES and f.evidence.value in FINDS else set()
    return count, finding


def directly(url: str, **headers: str) -> Any:
    """A reply of an HTTP server, as JSON."""
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=10) as reply:
        return json.load(reply)


async def test_orthanc_by_qido_rs(mended: Orthanc) -> None:
    result = await probe(Archive("web", "dicomweb", url=mended.url))
    count, finding = compared(result, qido(mended.url))
    assert count >= 30
    told = cells(result)
    assert told["dicom_tags_queryable"] == str(len(finding))
    studies = directly(f"{mended.url}/studies")
    assert told["size"] == f"{len(studies)} studies"
    assert told["public_api"] == "QIDO-RS, without a log-in", "it was just asked without one"
    assert told["dicom_transfer_protocol"] == "QIDO-RS, WADO-RS"
    (image, *_) = directly(f"{mended.url}/instances?limit=1")
    study, series, instance = (image[tag]["Value"][0] for tag in ("0020000D", "0020000E", "00080018"))
    assert directly(f"{mended.url}/studies/{study}/series/{series}/instances/{instance}/metadata")
    assert not any("RetrieveAETitle" in s or "00080054" in s for s in studies)
    assert "federated" not in told, "no study says where it is retrieved from"


async def test_orthancs_behaviour_by_qido_rs(mended: Orthanc) -> None:
    result = await probe(Archive("web", "dicomweb", url=mended.url))

    def count(query: str) -> int:
        return len(directly(f"{mended.url}/studies?{query}"))

    every = count("")
    assert (behaviour(result, "limit") is Status.YES) is (count("limit=1") == 1)
    first, second = (directly(f"{mended.url}/studies?limit=1&offset={n}") for n in (0, 1))
    assert (behaviour(result, "offset") is Status.YES) is (first != second)
    assert (behaviour(result, "unknown key") is Status.PARTIAL) is (count("NoSuchAttribute=1") == every)
    misspelled = count("PatientName=SMTIH*&fuzzymatching=true")
    assert (behaviour(result, "fuzzymatching") is Status.YES) is (misspelled > 0)
    usual, whole = (directly(f"{mended.url}/studies?{q}") for q in ("limit=1", "limit=1&includefield=all"))
    assert (behaviour(result, "includefield=all") is Status.YES) is (len(whole[0]) > len(usual[0]))
    empty = "?AccessionNumber=%22%22&emptyvaluematching=true"
    without = [h for h in HELD if h["study"].get("AccessionNumber") == ""]
    assert without
    assert directly(f"{mended.url}/studies{empty}") == [], "and the verdict above says so"


def returned(result: Result, scu: Scu) -> set[str]:
    """The keywords that a probe says do not come back; each word is compared with direct answers."""
    gone = set()
    for f in result.found:
        if f.evidence.value == RETURNED:
            name = f.evidence.about.partition(" ")[2]
            comes = any(row.get(name) not in (None, "") for row in scu.rows("STUDY", {name: ""}))
            assert comes is (f.evidence.status is Status.YES), name
            gone |= set() if comes else {name}
    return gone


def services(port: int, aet: str) -> str:
    """The services that an SCP accepts, when everything is proposed."""
    took = accepted(port, aet, SERVICES)
    return ", ".join(name for uid, name in SERVICES.items() if uid in took)


async def test_orthanc_by_c_find(mended: Orthanc) -> None:
    archive = _dimse(mended.dicom_port, mended.aet)
    result = await probe(archive)
    count, finding = compared(result, Scu(mended.dicom_port, mended.aet).found, most=2)
    assert count >= 45
    told = cells(result)
    assert told["dicom_tags_queryable"] == str(len(finding))
    assert told["dicom_transfer_protocol"] == services(mended.dicom_port, mended.aet)
    assert told["size"] == f"at least {_dated(Scu(mended.dicom_port, mended.aet))} studies"
    assert returned(result, Scu(mended.dicom_port, mended.aet)) == set()
    assert behaviour(result, "extended negotiation") is Status.NO


async def test_dcmqrscp_by_c_find(dcmqrscp: Dcmqrscp) -> None:
    scu = Scu(dcmqrscp.port, dcmqrscp.aet)
    result = await probe(_dimse(dcmqrscp.port, dcmqrscp.aet))
    count, finding = compared(result, scu.found)
    assert count >= 45
    told = cells(result)
    assert told["dicom_tags_queryable"] == str(len(finding))
    assert told["dicom_transfer_protocol"] == services(dcmqrscp.port, dcmqrscp.aet)
    assert told["size"] == f"at least {_dated(scu)} studies"
    assert "ModalitiesInStudy" in returned(result, scu)
    titles = {str(row.RetrieveAETitle) for row in scu.rows("STUDY", {"RetrieveAETitle": ""})}
    assert len(titles) == 1
    assert told["federated"] == "one retrieve AE title"
    assert told["public_api"].startswith("C-FIND Study Root, OFFIS_DCMTK_")


async def test_dcmqrscp_by_findscu(dcmqrscp: Dcmqrscp) -> None:
    """A second client, which shares no code with ours or pynetdicom."""
    result = await probe(_dimse(dcmqrscp.port, dcmqrscp.aet))
    assert result.error is None
    seen = _verdicts(result)

    def found(*keys: str) -> int:
        words = [str(dcmtk("findscu")), "-v", "-S", "-aec", dcmqrscp.aet, HOST, str(dcmqrscp.port)]
        asked = [w for k in ("QueryRetrieveLevel=STUDY", "StudyInstanceUID", *keys) for w in ("-k", k)]
        done = subprocess.run([*words, *asked], capture_output=True, text=True, check=True, timeout=30)
        return (done.stdout + done.stderr).count("(Pending)")

    every = found()
    assert 0 < found("PatientName=*DOE*") < every
    assert seen["STUDY PatientName", "wildcard"] is Status.YES
    assert found("PatientName=*doe*") == 0
    assert seen["STUDY PatientName", "letters of any case"] is Status.NO
    assert found("ModalitiesInStudy=ZZ") == every
    assert seen["STUDY ModalitiesInStudy", "single value"] is Status.NO
    assert found('AccessionNumber=""') == 0
    assert seen["STUDY AccessionNumber", "empty value"] is Status.NO


async def test_xnat_by_its_rest_interface(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XNAT_PASSWORD", "pass:wörd")
    login = {"kind": "basic", "username": "alice", "password": "env:XNAT_PASSWORD"}
    pair = base64.b64encode("alice:pass:wörd".encode()).decode()
    site = fixture_site()
    async with XnatServer(site, dicomweb=True) as server:
        result = await probe(Archive("xnat", "xnat", url=server.url, auth=login))

        async def ask(path: str) -> Any:
            import aiohttp

            headers = {"Authorization": f"Basic {pair}"}
            async with (
                aiohttp.ClientSession(headers=headers) as session,
                session.get(server.url + path) as got,
            ):
                assert got.status == 200, path
                return await got.json(content_type=None)

        async def rows(path: str) -> list[dict[str, str]]:
            found: list[dict[str, str]] = (await ask(path))["ResultSet"]["Result"]
            return found

        version = (await ask("/xapi/siteConfig/buildInfo"))["version"]
        projects = [row["ID"] for row in await rows("/data/projects?format=json")]
        columns = "ID,UID,date,dcmAccessionNumber"
        every = f"/data/experiments?xsiType=xnat:imageSessionData&columns={columns}&format=json"
        sessions = await rows(every)
        plugin = await ask(f"/xapi/dicomweb/projects/{projects[0]}/studies?limit=1")
        filters = {"StudyInstanceUID": "UID", "AccessionNumber": "dcmAccessionNumber"}
        for keyword_, column in filters.items():
            key = next(k for k in sessions[0] if k.lower().endswith(column.lower()))
            value = next(row[key] for row in sessions if row[key])
            hits, misses = [], []
            for project in projects:
                place = (
                    f"/data/projects/{project}/experiments?xsiType=xnat:imageSessionData&columns=ID,{column}"
                )
                hits += await rows(f"{place}&{column}={quote(value)}&format=json")
                misses += await rows(f"{place}&{column}=nobodys&format=json")
            works = bool(hits) and not misses
            assert (_verdicts(result)[f"STUDY {keyword_}", "single value"] is Status.YES) is works is True
    told = cells(result)
    assert told["public_api"] == f"XNAT {version}, with a log-in (basic)"
    assert told["size"] == f"{len(projects)} projects, {len(sessions)} image sessions"
    assert plugin
    assert told["dicom_transfer_protocol"] == "QIDO-RS"
    finding = {about.rpartition(" ")[2] for about, kind in _verdicts(result) if kind in FINDS}
    assert told["dicom_tags_queryable"] == str(len(finding))
    assert all(keyword(name).level <= Level.SERIES for name in finding)


def _verdicts(result: Result) -> dict[tuple[str, str], Status]:
    return {
        (f.evidence.about, f.evidence.value): f.evidence.status
        for f in result.found
        if f.capability == MATCHING
    }


def _dated(scu: Scu) -> int:
    """Studies with a StudyDate of the last hundred years, as the archive gives them."""
    return len(scu.found("STUDY", {"StudyDate": "19270101-"}))


def _dimse(port: int, aet: str) -> Archive:
    return Archive("pacs", "dimse", url=f"dimse://{HOST}:{port}", options={"ae_title": aet})
