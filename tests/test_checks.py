"""`broker archives check` and `add`: what is there, since when, and entries written only when right."""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from aiohttp import web as server
from aiohttp.test_utils import TestServer
from peers.orthanc import Orthanc

from broker import config
from broker.admitting.checks import Checked, History, check
from broker.admitting.pauses import Pauses, key_of
from broker.cli import archives_add, main
from broker.errors import BadConfig, Unreachable
from catalog.archives import Archive

STUDY = [{"0020000D": {"vr": "UI", "Value": ["1.2.3"]}}]


def archive(url: str, **more: object) -> Archive:
    return Archive("there", "dicomweb", url=url, **more)  # type: ignore[arg-type]


async def served(reply: Callable[[], server.Response]) -> TestServer:
    async def answer(request: server.Request) -> server.Response:
        return reply()

    app = server.Application()
    app.router.add_get("/{tail:.*}", answer)
    made = TestServer(app)
    await made.start_server()
    return made


@pytest.mark.parametrize(
    ("status", "auth", "said"),
    [
        (200, {}, (True, "QIDO-RS", "none", "")),
        (200, {"kind": "bearer", "token": "env:T"}, (True, "QIDO-RS", "accepted", "")),
        (401, {"kind": "bearer", "token": "env:T"}, (False, "", "refused", "auth")),
        (401, {}, (False, "", "needed", "auth")),
        (500, {"kind": "bearer", "token": "env:T"}, (False, "", "not known", "upstream_5xx")),
    ],
)
async def test_what_a_check_tells(
    status: int,
    auth: dict[str, str],
    said: tuple[bool, str, str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("T", "a-token")
    at = await served(
        lambda: server.json_response(STUDY, status=status, content_type="application/dicom+json")
    )
    (found,) = await check([archive(str(at.make_url("/")), auth=auth)])
    assert (found.ok, found.speaks, found.credentials, found.reason) == said
    assert "a-token" not in repr(found)
    await at.close()


async def test_a_dead_archive_and_a_missing_secret_harm_no_other() -> None:
    at = await served(lambda: server.json_response([], content_type="application/dicom+json"))
    url = str(at.make_url("/"))
    missing = archive(url, auth={"kind": "bearer", "token": "env:NOBODY_SET_THIS"})
    found = await check(
        [archive("http://127.0.0.1:9"), missing, archive(url), Archive("idc", "idc")], timeout=5
    )
    assert [(f.ok, f.reason) for f in found] == [
        (False, "unreachable"),
        (False, "config"),
        (True, ""),
        (True, ""),
    ]
    assert found[2].speaks == "QIDO-RS, no study"
    assert "NOBODY_SET_THIS" in found[1].detail
    await at.close()


def made(at: float, ok: bool, reason: str = "", archive: str = "a") -> Checked:
    return Checked(archive, f"{archive} 01", at, ok, reason=reason, since=at)


def test_since_is_the_first_of_equal_outcomes(tmp_path: Path) -> None:
    history = History(tmp_path / "state" / "checks.jsonl")
    outcomes = [
        made(1, True),
        made(2, False, "dns"),
        made(3, False, "dns"),
        made(4, False, "auth"),
        made(5, True),
    ]
    assert [history.add([one, made(one.at, True, archive="b")])[0].since for one in outcomes] == [
        1,
        2,
        2,
        4,
        5,
    ]
    assert history.all()[-1].since == 1
    assert len(history.all()) == 10


def test_a_damaged_line_is_told_and_left(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    history = History(tmp_path / "checks.jsonl")
    history.add([made(1, True)])
    with history.file.open("a") as file:
        file.write('{"cut in ha\n{"other": 1}\n')
    history.add([made(2, True)])
    assert [one.at for one in history.all()] == [1, 2]
    assert "line 2: not a check" in caplog.text
    assert history.all()[-1].since == 1


def test_the_command_checks_and_forgets_a_pause(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "f.toml"
    file.write_text('[archives.dead]\nadapter = "dicomweb"\nurl = "http://127.0.0.1:9"\n')
    key = key_of(config.federation(file).archives["dead"])
    for _ in range(5):
        Pauses().failed(key, "dead", Unreachable("it refuses connections"))
    words = ["archives", "check", "dead", "--config", str(file)]
    assert main(words) == 4
    assert "left alone until" in capsys.readouterr().out
    assert main([*words, "--reset", "--format", "json"]) == 4
    (told,) = json.loads(capsys.readouterr().out)
    assert (told["ok"], told["reason"], told["left_alone_until"]) == (False, "unreachable", None)
    assert main(["archives", "check", "dead", "idc", "--config", str(file)]) == 3
    assert main(["archives", "check", "idc"]) == 0
    assert main(["archives", "check", "nobody"]) == 5
    assert main(["archives", "chekc"]) == 2
    assert "write `check [ARCHIVE ...]` or `add NAME`" in capsys.readouterr().err


def add(file: Path, *more: str, url: str = "http://127.0.0.1:9/x") -> int:
    return main(["archives", "add", "mine", "--kind", "dicomweb", "--url", url, "--config", str(file), *more])


def test_what_does_not_answer_is_not_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "new" / "f.toml"
    assert add(file) == 4
    assert not file.exists()
    assert "nothing was written" in capsys.readouterr().out


def test_an_entry_is_written_and_the_rest_of_the_file_stays(tmp_path: Path) -> None:
    file = tmp_path / "f.toml"
    before = '# ours\n[archives.idc]\nasked = false # not now\n\n[links]\naliases = { "A" = "b" }\n'
    file.write_text(before)
    file.chmod(0o640)
    told = [
        "--option",
        "lists_all=true",
        "--limit",
        "seconds=3",
        "--set",
        "title=My own",
        "--set",
        "asked=true",
    ]
    login = ["--auth", "kind=bearer", "--auth", "token=env:MINE"]
    os.environ["MINE"] = "a-token"
    try:
        assert add(file, "--unchecked", *told, *login) == 0
    finally:
        del os.environ["MINE"]
    text = file.read_text()
    assert "# ours" in text
    assert "asked = false # not now" in text
    assert "a-token" not in text
    assert tomllib.loads(text)["archives"]["mine"] == {
        "adapter": "dicomweb",
        "url": "http://127.0.0.1:9/x",
        "title": "My own",
        "asked": True,
        "auth": {"kind": "bearer", "token": "env:MINE"},
        "options": {"lists_all": True},
        "limits": {"seconds": 3},
    }
    assert file.stat().st_mode & 0o777 == 0o640
    assert config.federation(file).archives["mine"].limits == {"seconds": 3}
    assert list(tmp_path.iterdir()) == [file]
    assert add(file, "--unchecked") == 5, "it is there already"


@pytest.mark.parametrize(
    ("more", "code"),
    [
        (["--auth", "kind=basic", "--auth", "password=hunter2", "--auth", "username=u"], 5),
        (["--set", "trust=perhaps"], 5),
        (["--set", "nonsense=1"], 5),
        (["--option", "nothing"], 2),
        (["--option", f"lists_all={'[' * 5000}"], 2),
        (["--limit", f"seconds={'1' * 5000}"], 5),
        (["--kind", "pigeon"], 2),
        (["--url", "not an address"], 5),
    ],
)
def test_what_is_wrong_is_not_written(
    more: list[str], code: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "f.toml"
    assert add(file, *more) == code
    assert not file.exists()
    said = capsys.readouterr()
    assert "hunter2" not in said.out + said.err


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BadConfig, match="cannot be written"):
        archives_add.write(tmp_path / "file" / "f.toml", "mine", {"adapter": "dicomweb"})


def test_a_real_archive_is_added(packaged: Orthanc, tmp_path: Path) -> None:
    file = tmp_path / "f.toml"
    assert add(file, url=packaged.url) == 0
    assert file.exists()
