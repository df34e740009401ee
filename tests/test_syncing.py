"""`broker sync` and `broker probe` as commands: what is asked again, what is told, how they end."""

from __future__ import annotations

import asyncio
import json
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import pytest_asyncio
from peers.qido import QidoServer, synthetic

from broker.cli import BAD_CONFIG, BAD_QUERY, INCOMPLETE, NOTHING, OK, main
from broker.probing.syncing import due, sync
from catalog.archives import Archive
from catalog.probes import recorded


@pytest.fixture(autouse=True)
def own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Evidence of its own for each test."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path


@pytest_asyncio.fixture
async def two() -> AsyncIterator[list[QidoServer]]:
    """Two archives."""
    async with QidoServer(synthetic(1, 20)) as one, QidoServer(synthetic(2, 20)) as other:
        yield [one, other]


def archives(servers: list[QidoServer]) -> list[Archive]:
    """Entries for them."""
    return [Archive(f"a{n}", "dicomweb", url=s.url) for n, s in enumerate(servers)]


def federation(folder: Path, servers: list[QidoServer], *more: str) -> str:
    """A federation file of servers, and of addresses at which there is nobody."""
    file = folder / "federation.toml"
    urls = [*(s.url for s in servers), *more]
    file.write_text(
        "".join(f'[archives.a{n}]\nadapter = "dicomweb"\nurl = "{u}"\n' for n, u in enumerate(urls))
    )
    return str(file)


def command(*words: str) -> int:
    """The exit code of a command."""
    return main([*words])


async def test_each_is_kept_as_it_ends_and_not_asked_again(two: list[QidoServer]) -> None:
    given = archives(two)
    async for result in sync(given, at_once=1, pause=0):
        assert {f.archive for f in recorded().found} == {result.archive}
        break  # interrupted
    wanted, fresh = due(given, timedelta(days=7))
    assert [a.name for a in wanted] == [a.name for a in given if a.name not in fresh]
    assert len(wanted) == len(fresh) == 1
    tomorrow = datetime.now(UTC) + timedelta(days=8)
    first, second = due(given, timedelta(days=7), tomorrow)[0]
    assert first.name == wanted[0].name != second.name, "who was never asked comes first"


async def test_questions_wait_for_each_other(two: list[QidoServer]) -> None:
    seen: list[int] = []

    async def watch() -> None:
        while True:
            seen.append(two[0].answering)
            await asyncio.sleep(0.001)

    two[0].delay = 0.003
    watching = asyncio.create_task(watch())
    start = asyncio.get_running_loop().time()
    async for result in sync(archives(two[:1]), pause=0.01):
        assert result.error is None
        pauses = 0.01 * (result.questions - 20)
        assert asyncio.get_running_loop().time() - start > pauses
    watching.cancel()
    assert max(seen) == 1


async def test_sync_says_what_changed(
    two: list[QidoServer], own_state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = federation(own_state, two)
    words = ("sync", "a0", "a1", "--pause", "0", "--config", file)
    assert await asyncio.to_thread(command, *words) == OK
    told = capsys.readouterr()
    assert "2 of 2 archives probed: 0 statements changed" in told.out
    assert "a1: " in told.err
    assert await asyncio.to_thread(command, *words) == OK
    assert "a0: probed 20" in capsys.readouterr().err
    two[0].ignores_filters = True
    assert await asyncio.to_thread(command, *words, "--older-than", "0", "--format", "json") == OK
    changes = [c for r in json.loads(capsys.readouterr().out) for c in r["changes"]]
    assert {c["archive"] for c in changes} == {"a0"}
    assert {"STUDY PatientID", "SERIES Modality"} <= {c["about"] for c in changes}


async def test_what_an_archive_gained_and_unlearned_is_told_with_what_it_was(
    two: list[QidoServer], own_state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Another server at the same address: it holds less, and takes wildcards for characters."""
    file = federation(own_state, two)
    words = ("sync", "a0", "a1", "--pause", "0", "--older-than", "0", "--config", file)
    assert await asyncio.to_thread(command, *words) == OK
    port = two[0].port
    await two[0].__aexit__(None, None, None)
    async with QidoServer(synthetic(3, 12), port=port, exact_only=True):
        capsys.readouterr()
        assert await asyncio.to_thread(command, *words, "--format", "json") == OK
    await two[0].__aenter__()
    changes = [c for r in json.loads(capsys.readouterr().out) for c in r["changes"]]
    told = {(c["capability"], c["about"], c["now_value"]): c for c in changes}
    assert {c["archive"] for c in changes} == {"a0"}
    assert told["size", "", "12 studies"]["was_value"] == "20 studies"
    wildcard = told["matching", "STUDY PatientName", "wildcard"]
    assert (wildcard["was"], wildcard["now"]) == ("yes", "no")


async def test_a_sync_that_is_killed_goes_on_where_it_was(two: list[QidoServer], own_state: Path) -> None:
    two[1].delay = 0.2  # it is in the middle when the other has ended
    words = ["sync", "a0", "a1", "--pause", "0", "--config", federation(own_state, two)]

    async def run() -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(sys.executable, "-m", "broker", *words, stderr=PIPE)

    killed = await run()
    async with asyncio.timeout(60):
        while not recorded().found or not two[1].requests:
            await asyncio.sleep(0.02)
    killed.kill()
    await killed.communicate()
    kept = recorded()
    assert {f.archive for f in kept.found} == {"a0"}, "an archive is kept whole or not at all"
    asked, two[1].delay = len(two[0].requests), 0.0
    again = await run()
    _, err = await again.communicate()
    assert again.returncode == OK
    assert b"a0: probed 20" in err
    assert len(two[0].requests) == asked, "it is not asked again"
    assert recorded().found[: len(kept.found)] == kept.found
    assert {f.archive for f in recorded().found} == {"a0", "a1"}
    assert recorded().damaged == ()


async def test_the_exit_code_says_how_many_answered(
    two: list[QidoServer], own_state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = federation(own_state, two[:1], "http://127.0.0.1:9/dicom-web")
    assert await asyncio.to_thread(command, "probe", "a0", "--config", file, "-q") == OK
    shown = capsys.readouterr().out
    assert "dicom_tags_queryable" in shown
    assert await asyncio.to_thread(command, "probe", "a0", "a1", "--config", file) == INCOMPLETE
    assert "a1: not probed (unreachable)" in capsys.readouterr().err
    assert await asyncio.to_thread(command, "sync", "a1", "--config", file) == NOTHING
    assert await asyncio.to_thread(command, "sync", "a1", "--older-than", "x", "--config", file) == BAD_QUERY
    assert await asyncio.to_thread(command, "probe", "nobody", "--config", file) == BAD_CONFIG


def test_evidence_that_cannot_be_kept_is_an_error(
    own_state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (own_state / "state").write_text("a file where a folder should be")
    assert main(["probe", "idc", "-q"]) == BAD_CONFIG
    assert "evidence" in capsys.readouterr().err
