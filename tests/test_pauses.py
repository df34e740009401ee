"""Archives that fail are left alone for a while, and asked again after it."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from aiohttp import web as server
from asking import report_of

from broker.admitting import pauses as module
from broker.admitting.pauses import Pauses, counts, key_of
from broker.api import Session
from broker.errors import (
    BadConfig,
    DeadlinePassed,
    Forbidden,
    Limited,
    Malformed,
    ServerFault,
    TooMuch,
    Unreachable,
)
from broker.query import Query
from broker.report import Status
from broker.setup.limits import Limits
from catalog.archives import Archive

KEY = "hospital 0123"


class Clock:
    """The time, as a test wants it."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def time(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(module, "time", made)
    return made


def fail(pauses: Pauses, times: int = 1) -> None:
    for _ in range(times):
        pauses.failed(KEY, "hospital", Unreachable("it refuses connections"))


def test_five_failures_in_a_row_begin_a_pause_that_grows(tmp_path: Path, clock: Clock) -> None:
    pauses = Pauses(tmp_path / "state" / "p.sqlite")
    assert pauses.permit(KEY) is None
    fail(pauses, 4)
    assert pauses.permit(KEY) is None
    fail(pauses)
    for number in range(1, 13):
        standing = pauses.permit(KEY)
        assert standing is not None
        assert standing.until - clock.now == pytest.approx(min(30 * number, 300))
        clock.now = standing.until + 0.1
        assert pauses.permit(KEY) is None
        assert pauses.permit(KEY) is not None, "one probe only"
        fail(pauses)


def test_an_answer_clears_what_was_held_against_it(tmp_path: Path, clock: Clock) -> None:
    pauses = Pauses(tmp_path / "p.sqlite")
    fail(pauses, 4)
    pauses.answered(KEY)
    fail(pauses, 4)
    assert pauses.permit(KEY) is None
    fail(pauses)
    clock.now += 31
    assert pauses.permit(KEY) is None
    pauses.answered(KEY)
    assert pauses.permit(KEY) is None
    assert pauses.all() == []


def test_a_probe_that_was_given_up_leaves_room_for_another(tmp_path: Path, clock: Clock) -> None:
    pauses = Pauses(tmp_path / "p.sqlite")
    fail(pauses, 5)
    clock.now += 31
    assert pauses.permit(KEY) is None
    pauses.released(KEY)
    assert pauses.permit(KEY) is None
    clock.now += module.PROBING + 1  # its process was killed
    assert pauses.permit(KEY) is None


def test_retry_after_is_kept_to(tmp_path: Path, clock: Clock) -> None:
    pauses = Pauses(tmp_path / "p.sqlite")
    pauses.failed(KEY, "hospital", Limited("429", retry_after=120))
    standing = pauses.permit(KEY)
    assert standing is not None
    assert standing.until == clock.now + 120
    assert standing.reason == "rate_limited"
    pauses.failed(KEY, "hospital", Limited("429", retry_after=10**9))
    assert pauses.all()[0].until == clock.now + 120, "a pause that runs is not made longer"


def test_other_processes_know(tmp_path: Path) -> None:
    file = tmp_path / "p.sqlite"
    fail(Pauses(file), 5)
    code = f"print(Pauses(Path({str(file)!r})).permit({KEY!r}))"
    code = f"from broker.admitting.pauses import Pauses; from pathlib import Path; {code}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "unreachable" in done.stdout


def test_a_reset_forgets(tmp_path: Path) -> None:
    pauses = Pauses(tmp_path / "p.sqlite")
    assert pauses.reset("hospital") == 0
    fail(pauses, 5)
    assert pauses.reset("other") == 0
    assert pauses.reset("hospital") == 1
    assert pauses.permit(KEY) is None


def test_a_file_that_is_no_database_is_made_anew(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "p.sqlite"
    file.write_bytes(b"not a database, whoever wrote it" * 100)
    pauses = Pauses(file)
    assert pauses.permit(KEY) is None
    assert "no archive is left alone" in caplog.text
    fail(pauses, 5)
    assert pauses.permit(KEY) is not None


def test_a_locked_file_stops_nobody(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "p.sqlite"
    fail(Pauses(file), 5)
    other = sqlite3.connect(file)
    other.execute("begin exclusive")
    assert Pauses(file).permit(KEY) is None
    assert "locked" in caplog.text
    other.close()


def test_what_counts() -> None:
    assert counts(Unreachable("x"), 0)
    assert counts(ServerFault("x"), 0)
    assert counts(Malformed("x", "bad_json"), 0)
    assert counts(DeadlinePassed("x"), 0)
    assert not counts(DeadlinePassed("x"), 5), "it was answering"
    assert not counts(TooMuch("x"), 5)
    assert not counts(Forbidden("x"), 0)
    assert not counts(Malformed("x", "not_json"), 0)


def test_the_key_tells_credentials_apart() -> None:
    one = Archive("a", "dicomweb", url="https://x", auth={"kind": "bearer", "token": "env:ONE"})
    two = Archive("a", "dicomweb", url="https://x", auth={"kind": "bearer", "token": "env:TWO"})
    assert key_of(one) != key_of(two)
    assert key_of(one) == key_of(one)


@pytest.mark.parametrize(
    "given",
    [{"bytes": 0}, {"pages": 1.5}, {"connect": -1}, {"rate": True}, {"idle": float("inf")}, {"byte": 3}],
)
def test_a_wrong_limit_is_named(given: dict[str, float]) -> None:
    with pytest.raises(BadConfig, match=rf"archive a: limits\.{next(iter(given))}"):
        Limits.of("a", given)


class Down:
    """An archive that fails, or answers, and counts what it was asked."""

    def __init__(self) -> None:
        self.requests = 0
        self.down = True

    async def answer(self, request: server.Request) -> server.Response:
        self.requests += 1
        await asyncio.sleep(0.001)
        if self.down:
            return server.Response(status=500)
        body = [{"0020000D": {"vr": "UI", "Value": ["1.2.3"]}}] if request.query.get("offset") == "0" else []
        return server.json_response(body, content_type="application/dicom+json")


@contextmanager
def config(tmp_path: Path, url: str, extra: str = "") -> Iterator[Path]:
    file = tmp_path / "federation.toml"
    file.write_text(
        f'[archives.down]\nadapter = "dicomweb"\nurl = "{url}"\noptions = {{ lists_all = true }}\n{extra}'
    )
    yield file


@pytest.fixture
async def down() -> AsyncIterator[tuple[Down, str]]:
    peer = Down()
    app = server.Application()
    app.router.add_get("/{tail:.*}", peer.answer)
    runner = server.AppRunner(app)
    await runner.setup()
    site = server.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield peer, f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


async def search(file: Path) -> tuple[Status, str, int]:
    answer = await Session(Query("studies"), at=["down"], config_file=file).answer(10)
    report = report_of(answer, "down")
    return report.status, report.reason, len(answer)


@pytest.mark.parametrize("at_once", [1, 200])
async def test_200_searches_of_a_dead_archive_are_10_requests(
    at_once: int, down: tuple[Down, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    peer, url = down
    with config(tmp_path, url) as file:
        seen = []
        for _ in range(200 // at_once):
            seen += await asyncio.gather(*(search(file) for _ in range(at_once)))
        assert len(seen) == 200
        assert {status for status, _, _ in seen} == {Status.FAILED, Status.SKIPPED}
        assert {reason for status, reason, _ in seen if status is Status.SKIPPED} == {"left_alone"}
        assert peer.requests <= 10
        before, peer.down = peer.requests, False
        assert (await search(file))[0] is Status.SKIPPED
        assert peer.requests == before
        now = time.time() + 31
        monkeypatch.setattr(module, "time", type("Later", (), {"time": staticmethod(lambda: now)}))
        assert await search(file) == (Status.OK, "", 1)
        assert await search(file) == (Status.OK, "", 1)


async def test_more_records_than_allowed_end_the_question(down: tuple[Down, str], tmp_path: Path) -> None:
    peer, url = down
    peer.down = False
    with config(tmp_path, url, "limits = { records = 1 }") as file:
        assert (await search(file))[0] is Status.OK
    many = [{"0020000D": {"vr": "UI", "Value": [f"1.2.{n}"]}} for n in range(5)]

    async def answer(request: server.Request) -> server.Response:
        return server.json_response(many, content_type="application/dicom+json")

    app = server.Application()
    app.router.add_get("/{tail:.*}", answer)
    runner = server.AppRunner(app)
    await runner.setup()
    await server.TCPSite(runner, "127.0.0.1", 0).start()
    with config(tmp_path, f"http://127.0.0.1:{runner.addresses[0][1]}", "limits = { records = 3 }") as file:
        assert (await search(file))[:2] == (Status.PARTIAL, "record_limit")
    await runner.cleanup()


async def test_an_archive_may_have_less_time_than_the_query(tmp_path: Path) -> None:
    async def never(request: server.Request) -> server.Response:
        await asyncio.sleep(30)
        raise AssertionError

    app = server.Application()
    app.router.add_get("/{tail:.*}", never)
    runner = server.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await server.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    with config(tmp_path, url, "limits = { seconds = 0.2 }") as file:
        assert (await search(file))[:2] == (Status.FAILED, "timeout")
    with config(tmp_path, url, "limits = { connect = 0.1, first_byte = 0.1 }") as file:
        assert (await search(file))[:2] == (Status.FAILED, "timeout")
    await runner.cleanup()


async def test_a_rate_is_kept(down: tuple[Down, str], tmp_path: Path) -> None:
    from adapters.shared.pace import Pace

    pace = Pace(Limits(rate=50))
    loop = asyncio.get_running_loop()
    starts = []

    async def one() -> None:
        async with pace:
            starts.append(loop.time())

    await asyncio.gather(*(one() for _ in range(6)))
    since = [start - starts[0] for start in starts]
    assert all(when >= n / 50 - 0.001 for n, when in enumerate(since)), "none before its turn"
