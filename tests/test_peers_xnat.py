"""Our XNAT is one for xnatpy and pyxnat, unmodified; and it has the traps that it says it has."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any

import aiohttp
import pytest
import xnat_native as native
from peers.xnat import XnatServer, fixture_site, large_site

ALICE = {"user": "alice", "password": "pass:wörd"}


async def seen(ask: Any, url: str, *words: str, **login: Any) -> Any:
    return await asyncio.to_thread(ask, url, *words, **login)


async def get(server: XnatServer, path: str, **more: Any) -> tuple[int, str]:
    """One reply to a guest (or another)."""
    async with aiohttp.ClientSession() as session, session.get(server.url + path, **more) as reply:
        return reply.status, await reply.text()


async def rows(server: XnatServer, path: str) -> list[dict[str, str]]:
    status, text = await get(server, path)
    assert status == 200
    found: list[dict[str, str]] = json.loads(text)["ResultSet"]["Result"]
    return found


async def test_xnatpy_and_pyxnat_see_the_same_sessions_and_scans() -> None:
    site = fixture_site()
    async with XnatServer(site, context="/ir") as server:
        sessions = await seen(native.sessions_of_xnatpy, server.url, **ALICE)
        assert sessions == await seen(native.sessions_of_pyxnat, server.url, **ALICE)
        assert len(sessions) == len(site.sessions)
        scans = await seen(native.scans_of_xnatpy, server.url, **ALICE)
        assert scans == await seen(native.scans_of_pyxnat, server.url, **ALICE)
        assert len(scans) == sum(len(s.scans) for s in site.sessions)


async def test_xnatpy_and_pyxnat_read_files_and_zips() -> None:
    site = fixture_site()
    session = next(s for s in site.sessions if s.label == "session_1")
    held = {f.name: f.content for s in session.scans for r in s.resources for f in r.files}
    async with XnatServer(site) as server:
        assert await seen(native.files_of_xnatpy, server.url, "LUNG", "session_1", **ALICE) == held
        assert await seen(native.files_of_pyxnat, server.url, "LUNG", "session_1", **ALICE) == held


async def test_xnatpy_and_pyxnat_search() -> None:
    def by_xnatpy(url: str) -> list[str]:
        with native.xnatpy(url, **ALICE) as c:
            kind = c.classes.CtSessionData
            query = kind.query().filter(kind.label.like("session_1%"), kind.project == "LUNG")
            labels = query.view(kind.label).tabulate_dict()
            assert query.first().id in {e.id for e in c.experiments.values()}
            return [row["xnat_col_ctsessiondatalabel"] for row in labels]

    def by_pyxnat(url: str) -> list[str]:
        with native.pyxnat(url, **ALICE) as i:
            found = i.select("xnat:ctSessionData", ["xnat:ctSessionData/LABEL"]).where(
                [("xnat:ctSessionData/LABEL", "LIKE", "session_1*"), "AND"]
            )
            return list(found.get("label", always_list=True))

    async with XnatServer(fixture_site()) as server:
        labels = await asyncio.to_thread(by_xnatpy, server.url)
        assert labels
        assert set(labels) <= set(await asyncio.to_thread(by_pyxnat, server.url))


async def test_guests_and_members_see_what_they_may_see() -> None:
    async with XnatServer(fixture_site()) as server:
        guest, bob, alice = [
            {
                row["ID"]
                for row in json.loads((await get(server, "/data/projects", headers=who))[1])["ResultSet"][
                    "Result"
                ]
            }
            for who in ({}, basic("bob", "b"), basic(**ALICE))
        ]
    assert guest < bob < alice
    assert (len(guest), len(bob), len(alice)) == (3, 4, 5)


def basic(user: str, password: str) -> dict[str, str]:
    """A header that logs in."""
    pair = base64.b64encode(f"{user}:{password}".encode()).decode("ascii")
    return {"Authorization": f"Basic {pair}"}


async def test_dates_are_split_at_the_first_dash() -> None:
    listed = "/data/projects/LUNG/experiments?columns=ID,date&date="
    async with XnatServer(fixture_site()) as server:
        assert len(await rows(server, listed + "01/01/2010-12/31/2015")) > 0
        assert await get(server, listed + "2020-01-01") == (200, "")  # the error is swallowed
        status, _ = await get(server, "/data/experiments?columns=ID&date=2020-01-01")
        assert status == 500


async def test_unknown_filters_are_ignored_and_unknown_columns_dropped() -> None:
    async with XnatServer(fixture_site()) as server:
        every = await rows(server, "/data/projects/LUNG/experiments?columns=ID")
        assert await rows(server, "/data/projects/LUNG/experiments?columns=ID,nonsense&nonsense=1") == every
        assert (await get(server, "/data/experiments?xsiType=xnat:nonsense"))[0] == 500


async def test_text_filters_are_like_expressions() -> None:
    listed = "/data/projects/LUNG/experiments?columns=label&label="
    async with XnatServer(fixture_site()) as server:
        assert await rows(server, listed + "session_1,session_3")
        assert not await rows(server, listed + "SESSION*")
        one = {row["label"] for row in await rows(server, listed + "session_1*")}
        assert one == {row["label"] for row in await rows(server, listed + "sessio__1%25")}


async def test_pages_have_no_total_and_lose_rows_of_generic_roots_after_the_cut() -> None:
    async with XnatServer(fixture_site()) as server:
        told = json.loads((await get(server, "/data/experiments?columns=ID&limit=15"))[1])["ResultSet"]
        assert "totalRecords" not in told
        assert 0 < len(told["Result"]) < 15
        whole = json.loads((await get(server, "/data/experiments?columns=ID"))[1])["ResultSet"]
        assert whole["totalRecords"] == str(len(whole["Result"]))
    async with XnatServer(fixture_site(), version="1.8.3") as old:
        assert len(await rows(old, "/data/experiments?columns=ID&limit=2")) > 2


async def test_what_is_shared_is_listed_in_its_project_and_not_on_the_site() -> None:
    async with XnatServer(fixture_site()) as server:
        inside = {r["ID"]: r["label"] for r in await rows(server, "/data/projects/LUNG/experiments")}
        everywhere = {r["ID"] for r in await rows(server, "/data/experiments")}
    hidden = [own for own, label in inside.items() if label == "from_elsewhere"]
    assert hidden
    assert not set(hidden) & everywhere


async def test_an_expired_session_is_a_guest_on_an_open_site_and_refused_on_a_closed_one() -> None:
    for closed in (False, True):
        async with XnatServer(fixture_site(), require_login=closed) as server, aiohttp.ClientSession() as s:
            form = {"username": "alice", "password": "pass:wörd"}
            async with s.put(f"{server.url}/data/services/auth", data=form) as reply:
                cookie = {"Cookie": f"JSESSIONID={await reply.text()}"}
            async with s.get(f"{server.url}/data/auth", headers=cookie) as reply:
                assert await reply.text() == "User 'alice' is logged in"
            server.accounts.expire()
            async with s.get(f"{server.url}/data/projects", headers=cookie) as reply:
                assert reply.status == (401 if closed else 200)
                assert closed or "JSESSIONID" in reply.cookies


async def test_browsers_are_sent_to_a_page() -> None:
    async with XnatServer(fixture_site(), require_login=True) as server:
        browser = {"User-Agent": "Mozilla/5.0"}
        assert (await get(server, "/data/projects", headers=browser))[1].startswith("<!DOCTYPE html>")
        assert (await get(server, "/data/projects"))[0] == 401
        assert (await get(server, "/xapi/siteConfig/buildInfo"))[0] == 200


async def test_a_user_may_have_only_so_many_sessions() -> None:
    async with XnatServer(fixture_site(), max_sessions=1) as server, aiohttp.ClientSession() as s:
        form = {"username": "bob", "password": "b"}
        for status in (200, 401):
            async with s.put(f"{server.url}/data/services/auth", data=form, headers={"Cookie": ""}) as reply:
                assert reply.status == status


async def test_tokens_catalogs_history_and_nothing_to_read() -> None:
    async with XnatServer(fixture_site()) as server:
        status, text = await get(server, "/data/services/tokens/issue", headers=basic(**ALICE))
        token = json.loads(text)
        alias = basic(token["alias"], token["secret"])
        assert (await get(server, "/data/auth", headers=alias))[1] == "User 'alice' is logged in"
        status, text = await get(server, "/data/experiments/XNAT_E00001/scans/1/resources/DICOM?format=json")
        assert (status, text[:5]) == (200, "<?xml")
        _, text = await get(server, "/data/experiments/XNAT_E00001?format=json")
        assert [item["meta"]["isHistory"] for item in json.loads(text)["items"]] == [True, False]
        assert "project_access" in (await rows(server, "/data/projects?accessible=true"))[0]
        for project in server.site.projects:
            project.access = "private"
        assert (await get(server, "/data/subjects"))[0] == 500


@pytest.mark.parametrize("size", [8, 40])
def test_a_large_site_is_as_large_as_it_should_be(size: int) -> None:
    site = large_site(size, 3, 4)
    assert (len(site.sessions), len(site.projects)) == (size, 4)
    assert len({s.uid for e in site.sessions for s in e.scans}) == 3 * size
    assert {sum(e.project == p.id for e in site.sessions) for p in site.projects} == {size // 4}
