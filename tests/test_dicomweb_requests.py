"""DICOMweb through sessions of `requests`: the log-in is theirs, limits and errors are ours."""

from __future__ import annotations

import importlib.util
import sys
import types
from dataclasses import replace
from typing import Any

import pytest
import requests
from asking import ask, report_of, uids
from dicomweb_client import DICOMwebClient
from peers.qido import QidoServer

from adapters.dicomweb.adapter import QIDO, DicomWeb, Paging
from broker.errors import BadConfig
from broker.report import Status
from broker.setup.limits import Limits
from catalog.archives import Archive
from catalog.capability import Proof
from fixtures.dicom import truth

HELD = truth()["archives"]["b"]
STUDIES = {h["study"]["StudyInstanceUID"] for h in HELD}
LISTS = replace(QIDO, lists_all=True)


def over(url: str, session: requests.Session | None = None, **limits: Any) -> DicomWeb:
    """An archive asked through a dicomweb-client."""
    client = DICOMwebClient(url, session=session or requests.Session())
    return DicomWeb.over("web", client, LISTS, Paging(size=7), Limits(**limits))


async def test_the_log_in_of_the_session_is_used() -> None:
    async with QidoServer(HELD, needs={"X-API-Key": "k", "Authorization": "Basic dTpw"}) as server:
        session = requests.Session()
        session.headers["X-API-Key"] = "k"
        refused = await ask("study", at=[over(server.url, session)])
        session.auth = ("u", "p")
        answer = await ask("study", at=[over(server.url, session)])
    assert report_of(refused, "web").reason == "auth"
    assert uids(answer) == STUDIES


BROKEN: list[tuple[dict[str, Any], str]] = [
    ({"status": 403}, "forbidden"),
    ({"status": 413}, "too_broad"),
    ({"status": 429}, "rate_limited"),
    ({"status": 503}, "upstream_5xx"),
    ({"html": True}, "not_json"),
    ({"object_body": True}, "bad_shape"),
    ({"truncated": True}, "bad_json"),
    ({"redirect": "/dicom-web/elsewhere"}, "redirect_refused"),
    ({"gzip_bomb": True}, "too_large"),
]


@pytest.mark.parametrize(("fault", "reason"), BROKEN, ids=[reason for _, reason in BROKEN])
async def test_each_fault_has_its_reason_and_is_asked_once(fault: dict[str, Any], reason: str) -> None:
    """dicomweb-client would ask five times, for up to 130 s, and take the error object for a study."""
    async with QidoServer(HELD, **fault) as server:
        answer = await ask("study", at=[over(server.url, bytes=8_000_000)])
    told = report_of(answer, "web")
    assert (told.status, told.reason) == (Status.FAILED, reason)
    assert len(server.requests) == 1


async def test_silence_ends() -> None:
    async with QidoServer(HELD, hang=True) as server:
        answer = await ask("study", at=[over(server.url, first_byte=0.2)])
    assert report_of(answer, "web").reason == "timeout"


async def test_encoded_values_leave_as_they_are() -> None:
    """`requests` decodes `%31`, and the self-test would be deceived."""
    async with QidoServer(HELD, no_decode=True) as server:
        archive = over(server.url)
        assert (await archive.learn()).any_text is Proof.NO
        await archive.close()


def _made() -> requests.Session:
    session = requests.Session()
    session.headers["X-Made"] = "here"
    return session


async def test_a_session_can_be_named_in_the_federation_file(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("site_sessions")
    module.made = _made  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "site_sessions", module)
    async with QidoServer(HELD, needs={"X-Made": "here"}) as server:
        options = {"session": "site_sessions:made", "lists_all": True}
        archive = DicomWeb.configured(Archive("web", "dicomweb", url=server.url, options=options))
        assert uids(await ask("study", at=[archive])) == STUDIES


def test_the_session_for_google_cloud_is_there_or_says_what_is_missing() -> None:
    """What `docs/federation.md` names exists. It is not called: it would ask Google for credentials."""
    options = {"session": "dicomweb_client.ext.gcp.session_utils:create_session_from_gcp_credentials"}
    archive = Archive("gcp", "dicomweb", url="https://healthcare.example/v1/dicomWeb", options=options)
    if importlib.util.find_spec("google") is not None:
        assert DicomWeb.configured(archive).name == "gcp"
    else:
        with pytest.raises(BadConfig, match=r"pip install dicomweb-client\[gcp\]"):
            DicomWeb.configured(archive)


@pytest.mark.parametrize("place", ["no_such_module:made", "json:no_such_function", "json"])
def test_a_session_that_is_not_there_is_said_before_anything_is_asked(place: str) -> None:
    with pytest.raises(BadConfig, match=r"package\.module:function"):
        DicomWeb.configured(Archive("x", "dicomweb", url="http://127.0.0.1:9/", options={"session": place}))


async def test_a_session_that_cannot_log_in_is_a_failure_of_its_archive() -> None:
    class Broken(requests.Session):
        def request(self, *args: Any, **kwargs: Any) -> Any:
            raise KeyError("token")

    told = report_of(await ask("study", at=[over("http://127.0.0.1:9/", Broken())]), "web")
    assert (told.status, told.reason) == (Status.FAILED, "session")


async def test_the_callers_session_can_still_be_used() -> None:
    async with QidoServer(HELD) as server:
        session = requests.Session()
        await ask("study", at=[over(server.url, session)])
        import asyncio

        reply = await asyncio.to_thread(session.get, f"{server.url}/studies?limit=1")
        assert len(reply.json()) == 1
        session.close()
