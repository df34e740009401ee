"""HTTP as adapters use it: what is asked as a form. Everything else is tested through the adapters."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from adapters.shared.http import Http
from broker.errors import Forbidden, RefusedByArchive
from broker.setup.credentials import Secret

SEEN: list[tuple[str, str, dict[str, str]]] = []


async def _answer(request: web.Request) -> web.Response:
    SEEN.append((request.method, request.path_qs, {k: str(v) for k, v in (await request.post()).items()}))
    where = {"/login": "/app/login", "/moved": "/elsewhere"}.get(request.path)
    if where:
        return web.Response(status=302, headers={"Location": where})
    if request.path == "/once" and len(SEEN) == 1:
        return web.Response(status=502)
    headers = {"Set-Cookie": "SMITHÉ=1; Path=/"} if request.path == "/cookie" else {}
    return web.Response(text="[1]", content_type="application/json", headers=headers)


@pytest.fixture
async def http() -> AsyncIterator[Http]:
    SEEN.clear()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", _answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    client = Http(f"http://127.0.0.1:{runner.addresses[0][1]}")
    yield client
    await client.close()
    await runner.cleanup()


async def test_a_form_arrives_with_its_secrets_and_is_asked_twice_at_most(http: Http) -> None:
    form: dict[str, str | Secret] = {"list": "1.2,1.3", "token": Secret("s3cret"), "name": "Müller & Söhne"}
    assert await http.post("/once?method=x", form, "application/json") == b"[1]"
    sent = {"list": "1.2,1.3", "token": "s3cret", "name": "Müller & Söhne"}
    assert [("POST", "/once?method=x", sent)] * 2 == SEEN
    assert "s3cret" not in repr(form)


async def test_a_form_is_not_sent_on(http: Http) -> None:
    with pytest.raises(RefusedByArchive) as moved:
        await http.post("/moved", {"a": "1"}, "application/json")
    assert moved.value.reason == "redirect_refused"
    with pytest.raises(Forbidden):
        await http.post("/login", {"a": "1"}, "application/json")
    assert len(SEEN) == 2
    assert await http.get("/moved", "application/json") == b"[1]"


async def test_what_an_archive_calls_its_cookies_is_in_no_log(
    http: Http, caplog: pytest.LogCaptureFixture
) -> None:
    assert await http.get("/cookie", "application/json") == b"[1]"
    assert "SMITH" not in caplog.text
