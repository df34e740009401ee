"""The XNAT adapter against our XNAT: what real clients see, sessions that are lost, faults, leaving early."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import xnat_native as native
from asking import ask, report_of, uids, web
from peers.qido import QidoServer
from peers.xnat import XnatServer, fixture_site, large_site
from peers.xnat.model import Site
from xnat_truth import records

import broker
from adapters.shared.http import Http
from adapters.xnat.adapter import Xnat
from adapters.xnat.project import Naming
from broker.answer import Answer
from broker.conform.leaks import Open, left_behind
from broker.errors import BadConfig, Forbidden
from broker.report import Status
from broker.setup.credentials import Login, Secret
from broker.setup.limits import Limits
from catalog.archives import Archive
from catalog.keywords import Level
from fixtures.dicom import truth

PASSWORD = "pass:wörd"
ALICE = Login("basic", "alice", Secret(PASSWORD))
NATIVE = {"user": "alice", "password": PASSWORD}
HELD = truth()["archives"]["b"]


def at(server: XnatServer, user: Login | None = None, name: str = "xnat", **more: Any) -> Xnat:
    limits = Limits(**more.pop("limits", {"first_byte": 5.0}))
    return Xnat(name, Http(server.url, limits=limits, keeps_cookies=False), user, **more)


def told(answer: Answer) -> Any:
    report = report_of(answer, "xnat")
    return report.status, report.reason


def own_ids(answer: Answer) -> dict[str, list[Mapping[str, Any]]]:
    """XNAT's own ID (`E`, or `E/scan`) -> every record of it."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for entity in answer:
        for source, row in entity.sayings:
            said = dict(zip(source.keywords, row, strict=True))
            own = str(said["DataURL"]).partition("/data/experiments/")[2].replace("/scans/", "/")
            found.setdefault(own, []).append(said)
    return found


# what real clients see


async def test_every_session_that_real_clients_see_and_none_more() -> None:
    async with XnatServer(fixture_site()) as server:
        answer = await ask("studies", at=[at(server, ALICE)], fields=["OtherPatientIDs"])
        by_xnatpy = await asyncio.to_thread(native.sessions_of_xnatpy, server.url, **NATIVE)
        by_pyxnat = await asyncio.to_thread(native.sessions_of_pyxnat, server.url, **NATIVE)
    assert by_xnatpy == by_pyxnat
    held = own_ids(answer)
    assert all(len(said) == 1 for said in held.values())
    assert {own: _session(said[0]) for own, said in held.items()} == {
        own: (uid, date.replace("-", ""), text, {label, patient} - {""})
        for own, uid, date, text, patient, label in by_xnatpy
    }


def _session(said: Mapping[str, Any]) -> tuple[str, str, str, set[str]]:
    patient = said["PatientID"]
    names = {patient} if isinstance(patient, str) else set(patient)
    texts = [said[k] or "" for k in ("StudyInstanceUID", "StudyDate", "StudyDescription")]
    return texts[0], texts[1], texts[2], names


async def test_every_scan_that_real_clients_see_and_none_more() -> None:
    async with XnatServer(fixture_site()) as server:
        answer = await ask("series", at=[at(server, ALICE)])
        by_xnatpy = await asyncio.to_thread(native.scans_of_xnatpy, server.url, **NATIVE)
        by_pyxnat = await asyncio.to_thread(native.scans_of_pyxnat, server.url, **NATIVE)
    assert by_xnatpy == by_pyxnat
    held = own_ids(answer)
    keys = ("SeriesInstanceUID", "Modality", "SeriesDescription")
    assert {(own, *((said[k] or "") for k in keys)) for own, (said,) in held.items()} == {
        (f"{own}/{scan}", uid, modality, text) for own, scan, uid, modality, text in by_xnatpy
    }


async def test_a_guest_sees_what_guests_see_also_what_is_only_shared() -> None:
    async with XnatServer(fixture_site()) as server:
        answer = await ask("studies", at=[at(server)])
        listed = await asyncio.to_thread(_listed_by_guest, server.url)
    assert set(own_ids(answer)) == listed
    assert {"XNAT_E00014"} & listed  # of a private project, shared into a public one
    assert told(answer) == (Status.OK, "")


def _listed_by_guest(url: str) -> set[str]:
    with native.xnatpy(url) as c:
        return {e.id for p in c.projects.values() for e in p.experiments.values()}


# what a record is


async def test_what_is_shared_comes_once_and_is_found_in_each_of_its_projects() -> None:
    async with XnatServer(fixture_site()) as server:
        every = own_ids(await ask("studies", at=[at(server, ALICE)]))
        (shared,) = [said for (said,) in every.values() if isinstance(said["Collection"], tuple) and
                     "BRAIN" in said["Collection"]]  # fmt: skip
        assert shared["Collection"] == ("LUNG", "BRAIN")
        for project in shared["Collection"]:
            answer = await ask("studies", f"Collection={project}", at=[at(server, ALICE)])
            assert shared["StudyInstanceUID"] in uids(answer)


async def test_one_study_in_two_sessions_is_one_study_with_both_said() -> None:
    async with XnatServer(fixture_site()) as server:
        answer = await ask("studies", "StudyDescription~全身", at=[at(server)])
    (study,) = list(answer)
    assert len(study.sayings) == 2
    urls = study.said["xnat"]["DataURL"]
    assert sorted(str(u).rpartition("/")[2] for u in urls or ()) == ["XNAT_E00003", "XNAT_E00003_PT"]


async def test_what_has_no_uid_is_known_by_xnats_own_id_and_never_merged() -> None:
    async with XnatServer(fixture_site()) as one, XnatServer(fixture_site()) as two:
        answer = await ask("series", "Collection=NIFTI", at=[at(one, name="one"), at(two, name="two")])
    assert len(answer) == 8
    assert all(e.uid is None and len(e.archives) == 1 for e in answer)
    assert {e.key for e in answer} >= {("one", "XNAT_E00502/T1w"), ("two", "XNAT_E00502/T1w")}
    assert len({e.key for e in answer}) == 8


async def test_genders_dates_and_times_are_said_in_dicoms_words() -> None:
    site = fixture_site()
    texts = {"male": "M", "F": "F", "other": "O", "unknown": None, "": None, "diverse": "diverse"}
    for subject, text in zip(site.subjects, texts, strict=False):
        subject.gender = text
    async with XnatServer(site) as server:
        answer = await ask("studies", at=[at(server, ALICE)], fields=["OtherPatientIDs"])
    said = {str(r["OtherPatientIDs"][-1]): r for (r,) in own_ids(answer).values()}
    for subject, expected in zip(site.subjects, texts.values(), strict=False):
        assert said[subject.id]["PatientSex"] == expected
    assert {len(str(r["StudyDate"])) for r in said.values() if r["StudyDate"]} == {8}
    assert {len(str(r["StudyTime"])) for r in said.values() if r["StudyTime"]} == {6}


@pytest.mark.parametrize(
    ("naming", "both"), [("both", ("patient_20", "+20")), ("subject", "patient_20"), ("dicom", "+20")]
)
async def test_what_a_patient_id_is_can_be_chosen(naming: str, both: Any) -> None:
    async with XnatServer(fixture_site()) as server:
        archive = at(server, patients=Naming(naming))
        answer = await ask("studies", "StudyDescription~calc", at=[archive])
        assert [e.first("PatientID") for e in answer] == [both]
        for text in both if isinstance(both, tuple) else (both,):
            assert len(await ask("studies", f"PatientID={text}", at=[archive])) == 1


async def test_studies_of_other_archives_are_the_same_studies() -> None:
    """Every peer holds the same patients: what has one UID is one study, and nothing contradicts it."""
    site = fixture_site()
    held = {r["StudyInstanceUID"] for r in records(site)[Level.STUDY] if "StudyInstanceUID" in r}
    async with XnatServer(site) as server, QidoServer(truth()["archives"]["a"]) as qido:
        answer = await ask("studies", at=[web(qido.url), at(server)])
        series = await ask("series", at=[web(qido.url), at(server)])
    both = {e.uid for e in answer if len(e.archives) == 2}
    in_qido = {str(h["study"]["StudyInstanceUID"]) for h in truth()["archives"]["a"]}
    assert both == held & in_qido
    assert len(both) > 10
    assert not any(e.collision for e in (*answer, *series))
    assert len([e for e in series if len(e.archives) == 2]) > 20


# what is asked there


async def test_conditions_are_sent_as_xnat_reads_them() -> None:
    async with XnatServer(fixture_site()) as server:
        await ask("studies", "StudyDate=-20121231", "AccessionNumber=B_01,NL1", at=[at(server)])
        (sent,) = {p.partition("&columns")[2].partition("&")[2] for p in server.asked("LUNG/experiments")}
        assert sent == "dcmAccessionNumber=B_01,NL1&date=01/01/1800-12/31/2012&format=json"
        server.log.clear()
        answer = await ask("series", "StudyInstanceUID=2.25.1", at=[at(server)])
        assert not answer.entities
        assert not server.asked("subjects")  # where no session is, nothing else is asked
        server.log.clear()
        await ask("series", "Collection=BRA*", at=[at(server)])
        assert {p.split("/")[3] for p in server.asked("/data/projects/")} == {"BRAIN"}


async def test_filters_that_are_ignored_are_found_out() -> None:
    async with XnatServer(fixture_site(), ignores_filters=True) as server:
        answer = await ask("studies", "StudyDate=2010-2012", at=[at(server)])
        good = {e.uid for e in await ask("studies", at=[at(server)]) if _year(e) in (2010, 2011, 2012)}
    assert uids(answer) == good
    assert told(answer) == (Status.OK, "filter_not_applied")


def _year(entity: broker.Entity) -> int:
    return int(str(entity.first("StudyDate") or "0")[:4] or 0)


@pytest.mark.parametrize("fault", [{"status": 500}, {"empty_body": True}])
async def test_a_filter_that_makes_it_fail_is_left_out(fault: dict[str, Any]) -> None:
    async with XnatServer(fixture_site()) as good:
        expected = await ask("studies", "StudyDate=2010-2012", at=[at(good)])
    async with XnatServer(fixture_site(), only="date=", **fault) as server:
        answer = await ask("studies", "StudyDate=2010-2012", at=[at(server)])
    assert uids(answer) == uids(expected)
    assert told(answer)[0] is Status.OK
    assert "filter_refused" in report_of(answer, "xnat").notes


# sessions


async def test_a_session_is_verified_kept_and_ended() -> None:
    async with XnatServer(fixture_site(), require_login=True) as server:
        answer = await ask("series", at=[at(server, ALICE)])
        assert told(answer) == (Status.OK, "")
        asked = [(entry.method, entry.path) for entry in server.log]
        assert asked[:2] == [("PUT", "/data/services/auth"), ("GET", "/data/auth")]
        assert asked[-1] == ("DELETE", "/data/JSESSION")
        assert [m for m, _ in asked].count("PUT") == 1
        assert server.accounts.open_of_users == 0
        assert {entry.agent for entry in server.log} == {"imaging-broker"}


@pytest.mark.parametrize("closed", [False, True])
async def test_an_expired_session_is_noticed_and_logged_in_to_again_once(closed: bool) -> None:
    """On an open site the reply is a guest's, with status 200: fewer projects, and no error."""
    async with XnatServer(fixture_site(), require_login=closed) as server:
        archive = at(server, ALICE)
        whole = len((await ask("studies", at=[archive])).entities)
        await archive._session._ready()
        server.accounts.expire()
        server.log.clear()
        answer = await ask("studies", at=[archive])
        assert len(answer) == whole
        assert told(answer) == (Status.OK, "")
        assert [entry.method for entry in server.log].count("PUT") == 1


@pytest.mark.parametrize("closed", [False, True])
async def test_a_session_that_is_lost_again_is_an_error_and_not_a_guests_answer(closed: bool) -> None:
    lost: dict[str, Any] = {"forgets": "/projects", "require_login": closed}
    async with XnatServer(fixture_site(), **lost) as server, QidoServer(HELD) as good:
        answer = await ask("studies", at=[at(server, ALICE), web(good.url)])
        assert told(answer) == (Status.FAILED, "session_lost")
        assert [entry.method for entry in server.log].count("PUT") == 2
        assert report_of(answer, "web").ok
        given = Login("jsession", "", Secret(server.accounts.open("alice")))
        assert told(await ask("studies", at=[at(server, given)])) == (Status.FAILED, "session_lost")


async def test_a_session_that_ends_in_the_middle_is_noticed_too() -> None:
    async with XnatServer(fixture_site(), forgets="/projects/NIFTI/") as server:
        answer = await ask("studies", at=[at(server, ALICE)])
    assert told(answer)[1] == "session_lost"
    assert not any(e.first("Collection") == "NIFTI" for e in answer)


async def test_a_wrong_password_and_too_many_sessions_are_refusals() -> None:
    wrong = Login("basic", "alice", Secret("wrong"))
    async with XnatServer(fixture_site(), max_sessions=0) as full, XnatServer(fixture_site()) as server:
        for archive in (at(server, wrong), at(full, ALICE)):
            answer = await ask("studies", at=[archive])
            assert told(answer) == (Status.FAILED, "auth")
            assert not len(answer)
            assert "wrong" not in repr(answer.reports)


async def test_an_alias_token_logs_in() -> None:
    async with XnatServer(fixture_site(), require_login=True) as server:
        token = server.accounts.issue("alice")
        user = Login("basic", token["alias"], Secret(token["secret"]))
        answer = await ask("studies", at=[at(server, user)])
    assert len(own_ids(answer)) == len(server.site.sessions)
    assert not server.asked("services")


async def test_a_session_that_was_given_is_used_and_left_open() -> None:
    async with XnatServer(fixture_site()) as server:
        open_already = server.accounts.open("alice")
        archive = at(server, Login("jsession", "", Secret(open_already)))
        assert len(own_ids(await ask("studies", at=[archive]))) == len(server.site.sessions)
        assert server.accounts.open_of_users == 1
        server.accounts.expire()
        assert told(await ask("studies", at=[archive])) == (Status.FAILED, "auth")


async def test_a_guest_keeps_one_session_and_a_closed_site_refuses_guests() -> None:
    async with XnatServer(fixture_site()) as server, XnatServer(fixture_site(), require_login=True) as closed:
        await ask("series", at=[at(server)])
        assert not server.accounts._alive()
        assert told(await ask("series", at=[at(closed)])) == (Status.FAILED, "auth")


# faults

BROKEN: list[tuple[Mapping[str, Any], str]] = [
    ({"status": 401}, "auth"),
    ({"status": 403}, "forbidden"),
    ({"status": 404}, "not_found"),
    ({"status": 429, "headers": {"Retry-After": "120"}}, "rate_limited"),
    ({"status": 500}, "upstream_5xx"),
    ({"status": 503, "headers": {"Retry-After": "5"}}, "rate_limited"),
    ({"html": True}, "not_json"),
    ({"redirect": "http://127.0.0.2:9/oasisbrains/"}, "redirect_refused"),
    ({"redirect": "/app/template/Login.vm"}, "auth"),
    ({"empty_body": True}, "empty_body"),
    ({"truncated": True}, "bad_json"),
    ({"short": 1, "only": "projects$"}, "short_table"),
    ({"drops": frozenset({"UID"})}, "bad_columns"),
]


@pytest.mark.parametrize(("fault", "reason"), BROKEN, ids=[str(b[0])[:40] for b in BROKEN])
async def test_what_is_broken_has_a_reason_and_harms_no_other(fault: Mapping[str, Any], reason: str) -> None:
    async with XnatServer(fixture_site(), **fault) as broken, QidoServer(HELD) as good:
        answer = await ask("studies", at=[at(broken), web(good.url)])
    assert told(answer) == (Status.FAILED, reason)
    assert report_of(answer, "web").ok
    assert not any("xnat" in e.archives for e in answer)


@pytest.mark.parametrize(
    ("fault", "reason"),
    [({"status": 500}, "upstream_5xx"), ({"short": 1}, "short_table"), ({"empty_body": True}, "empty_body")],
)
async def test_a_project_that_fails_is_named_and_the_others_are_told(fault: Any, reason: str) -> None:
    async with XnatServer(fixture_site(), only="/projects/BRAIN/", **fault) as server:
        answer = await ask("studies", at=[at(server)])
    assert told(answer) == (Status.PARTIAL, reason)
    assert "1 of 3 projects" in report_of(answer, "xnat").detail
    assert {str(e.first("Collection")) for e in answer} >= {"LUNG", "NIFTI"}


async def test_a_project_that_may_not_be_read_is_noted_and_harms_nothing() -> None:
    async with XnatServer(fixture_site(), only="/projects/BRAIN/", status=403) as server:
        answer = await ask("studies", at=[at(server)])
    assert told(answer)[0] is Status.OK
    assert report_of(answer, "xnat").notes == ["unreadable_projects"]
    async with XnatServer(fixture_site(), only="/projects/", status=403) as server:
        assert told(await ask("studies", at=[at(server)])) == (Status.FAILED, "forbidden")


async def test_one_failure_and_then_an_answer_is_an_answer() -> None:
    async with XnatServer(fixture_site(), status=502, times=1) as server:
        assert told(await ask("studies", at=[at(server)])) == (Status.OK, "")


async def test_a_tail_that_is_not_escaped_is_read_as_csv() -> None:
    async with XnatServer(fixture_site()) as good, XnatServer(fixture_site(), header_fault=True) as server:
        expected, answer = [await ask("series", at=[at(s)]) for s in (good, server)]
    assert list(own_ids(answer)) == list(own_ids(expected))
    assert told(answer)[0] is Status.OK
    assert "read_as_csv" in report_of(answer, "xnat").notes


async def test_another_character_set_is_read_and_noted() -> None:
    site = Site([p for p in fixture_site().projects if p.id == "BRAIN"])
    site.sessions = [s for s in fixture_site().sessions if s.project == "BRAIN" and s.patient_id == "0042"]
    async with XnatServer(site, encoding="latin-1") as server:
        answer = await ask("studies", at=[at(server)])
    assert [e.first("PatientName") for e in answer] == ["Müller^Jörg"]
    assert report_of(answer, "xnat").notes == ["latin-1"]


async def test_columns_that_an_xnat_does_not_have_are_noted_and_unknown() -> None:
    gone = frozenset({"xnat:imageSessionData/study_id", "xnat:imageSessionData/sharing/share/project"})
    async with XnatServer(fixture_site(), drops=gone) as server:
        answer = await ask("studies", "StudyID=2", at=[at(server)])
    assert not len(answer)
    assert report_of(answer, "xnat").unknown == {"StudyID": 21}
    assert "no_column=study_id" in report_of(answer, "xnat").notes


async def test_more_projects_than_replies_and_too_large_replies_end_it() -> None:
    async with XnatServer(fixture_site()) as server:
        few = await ask("studies", at=[at(server, limits={"pages": 3})])
        small = await ask("studies", at=[at(server, limits={"bytes": 700})])
    assert told(few) == (Status.PARTIAL, "page_limit")
    assert told(small)[1] == "too_large"


async def test_it_goes_on_where_only_the_search_is_blocked() -> None:
    async with XnatServer(fixture_site(), block_search=True) as server:
        assert told(await ask("studies", at=[at(server)])) == (Status.OK, "")


# leaving


async def test_leaving_ends_every_request_within_a_second() -> None:
    async with XnatServer(fixture_site(), latency=30) as slow:
        archives = [at(slow, name=f"x{n}") for n in range(3)] + [at(slow, ALICE, "user")]
        async with broker.asking("studies", at=archives, timeout=60):
            while slow.answering < 4:
                await asyncio.sleep(0.01)
            start = time.monotonic()
        assert time.monotonic() - start < 1
        while slow.answering and time.monotonic() - start < 1:
            await asyncio.sleep(0.01)
        assert (slow.answering, slow.aborted) == (0, 4)


async def test_two_hundred_searches_left_early_leave_nothing() -> None:
    async with XnatServer(large_site(40, 2), latency=0.02, gzip=False) as server:
        before = Open.now()
        for number in range(200):
            user = ALICE if number % 2 else None
            async with broker.asking("series", at=[at(server, user)], timeout=60):
                await asyncio.sleep(0.0007 * (number % 100))
        assert not await left_behind(before)
        assert threading.active_count() <= len(before.threads)
        assert server.answering == 0
        assert server.aborted > 50


async def test_a_limit_ends_it_early() -> None:
    async with XnatServer(large_site(80, 2, 8)) as server:
        answer = await ask("series", limit=3, at=[at(server)])
        assert len(answer) == 3
        assert answer.more
        assert not server.asked("P07")


# from Python and from a federation file


def test_options_are_read_and_what_is_wrong_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XNAT_PASS_OF_MINE", PASSWORD)
    auth = {"kind": "basic", "username": "alice", "password": "env:XNAT_PASS_OF_MINE"}
    entry = Archive("x", "xnat", url="https://x.example/ir", auth=auth, options={"patient_id": "subject"})
    made = Xnat.configured(entry)
    assert made.patients is Naming.SUBJECT
    assert PASSWORD not in repr(vars(made)) + repr(vars(made._session))
    for options, words in (({"patient_id": "x"}, "'both', 'subject', 'dicom'"), ({"size": 1}, "'size'")):
        with pytest.raises(BadConfig, match=words):
            Xnat.configured(Archive("x", "xnat", url="https://x.example", options=options))
    with pytest.raises(BadConfig, match="in the clear"):
        Xnat.configured(Archive("x", "xnat", url="http://x.example", auth=auth))
    bearer = {"kind": "bearer", "token": "env:XNAT_PASS_OF_MINE"}
    with pytest.raises(BadConfig, match="bearer"):
        Xnat.configured(Archive("x", "xnat", url="https://x.example", auth=bearer))


async def test_objects_are_xnatpys_on_the_same_session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PW", PASSWORD)
    monkeypatch.setenv("XNAT_USER", "somebody")  # what xnatpy finds in the environment is not used
    monkeypatch.setenv("XNAT_PASS", "else")
    async with XnatServer(fixture_site(), require_login=True) as server:
        file = tmp_path / "federation.toml"
        file.write_text(
            f'[archives.mine]\nadapter = "xnat"\nurl = "{server.url}"\n'
            'auth = { kind = "basic", username = "alice", password = "env:PW" }\n'
        )
        archive = broker.archive("mine", file)
        before = Open.now()
        async with archive.objects() as objects:
            labels = await objects(lambda xnat: {s.label for s in xnat.projects["BRAIN"].subjects.values()})
            who = await objects(lambda xnat: (xnat.logged_in_user, threading.current_thread().name))
            again = await objects(lambda xnat: threading.current_thread().name)
            answer = await ask("studies", at=[archive])  # the session goes on for the objects
            assert server.accounts.open_of_users == 1
            assert await objects(lambda xnat: len(xnat.experiments)) == len(own_ids(answer))
            with pytest.raises(KeyError):
                await objects(lambda xnat: xnat.projects["NOWHERE"])
        assert {"0042", "123"} <= labels
        assert who == ("alice", again)
        assert again.startswith("xnatpy-mine")
        assert server.accounts.open_of_users == 0
        assert not await left_behind(before)
        assert [entry.method for entry in server.log].count("PUT") == 1


async def test_objects_of_a_guest_and_without_a_model() -> None:
    async with XnatServer(fixture_site()) as server:
        async with at(server).objects(model=False) as objects:
            path = "/data/projects"
            found = await objects(lambda xnat: xnat.get_json(path)["ResultSet"]["Result"])
        assert [row["ID"] for row in found] == ["LUNG", "BRAIN", "NIFTI"]
        assert not server.asked("schemas")


async def test_objects_can_be_left_while_xnatpy_waits() -> None:
    async def use(server: XnatServer) -> None:
        async with at(server, ALICE).objects(model=False) as objects, asyncio.timeout(0.5):
            await objects(lambda xnat: xnat.get_json("/data/projects"))
            server.latency = 2.5
            await objects(lambda xnat: xnat.get_json("/data/projects"))

    async with XnatServer(fixture_site()) as server:
        before = Open.now()
        start = time.monotonic()
        with pytest.raises(TimeoutError):
            await use(server)
        assert time.monotonic() - start < 2.3
        await asyncio.sleep(1.5)
        assert not await left_behind(before)


async def test_objects_whose_session_has_ended_say_so() -> None:
    async with XnatServer(fixture_site()) as server, at(server, ALICE).objects(model=False) as objects:
        assert len(await objects(lambda xnat: xnat.get_json("/data/projects")["ResultSet"]["Result"])) == 5
        server.accounts.expire()
        with pytest.raises(Forbidden) as lost:
            await objects(lambda xnat: xnat.get_json("/data/projects"))
        assert lost.value.reason == "session_lost"


async def test_the_dicomweb_plug_in_is_found_and_can_be_spoken_to() -> None:
    async with XnatServer(fixture_site(), dicomweb=True) as server, XnatServer(fixture_site()) as without:
        archive = at(server)
        root = await archive.dicomweb("BRAIN")
        assert root == f"{server.url}/xapi/dicomweb/projects/BRAIN"
        by_qido = uids(await ask("studies", at=[web(root)]))
        by_rest = uids(await ask("studies", "Collection=BRAIN", at=[archive]))
        assert by_qido < by_rest  # what is shared into a project is not told there
        bare = at(without)
        assert await bare.dicomweb("BRAIN") is None
        await bare.close()
        with pytest.raises(Forbidden):
            await archive.dicomweb("SHOWN")
        await archive.close()


async def test_a_check_says_the_version_and_whether_credentials_are_accepted() -> None:
    async with XnatServer(fixture_site(), require_login=True, version="1.9.1.1") as server:
        archive = at(server, ALICE)
        assert await archive.check() == "XNAT 1.9.1.1"
        await archive.close()
        stranger = at(server, Login("basic", "alice", Secret("no")))
        with pytest.raises(Forbidden):
            await stranger.check()
        await stranger.close()


async def test_the_answer_is_the_same_whoever_is_faster() -> None:
    async with XnatServer(fixture_site()) as server:
        first = json.dumps([e.first("DataURL") for e in await ask("series", at=[at(server)])])
        for connections in (1, 2, 8):
            answer = await ask("series", at=[at(server, limits={"connections": connections})])
            assert json.dumps([e.first("DataURL") for e in answer]) == first
