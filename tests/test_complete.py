"""What the shells complete, and what people see while archives answer."""

from __future__ import annotations

import io
import os
import pty
import re
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from asking import need
from rich.console import Console

from broker.adapter import Page
from broker.answering.counts import NAMES
from broker.cli.commands import parser
from broker.cli.complete import candidates
from broker.cli.completion import SCRIPTS
from broker.cli.progress import LINES, Progress
from broker.joining.entity import Source
from broker.report import Report, Status
from broker.run import Done, Records
from catalog.archives import shipped

CASES = [
    ("broker sea", ["search"]),
    ("broker search stu", ["studies"]),
    ("broker search series Moda", ["ModalitiesInStudy=", "Modality="]),
    ("broker search series Modality=C", ["Modality=CR", "Modality=CT"]),
    ("broker search series Modality=CT,M", ["Modality=CT,MG", "Modality=CT,MR"]),
    ("broker search series Collection=rider_l", ["Collection=rider_lung_ct", "Collection=rider_lung_pet_ct"]),
    ("broker search series --at idc-", ["idc-dicomweb"]),
    ("broker search series --at=idc-", ["--at=idc-dicomweb"]),
    ("broker search series --at idc,idc-", ["idc,idc-dicomweb"]),
    ("broker search series --form", ["--format"]),
    ("broker search series --format p", ["parquet"]),
    ("broker search --columns PatientI", ["PatientID"]),
    ("broker count --by mod", ["modality"]),
    ("broker manifest x --kind s", ["s5cmd"]),
    ("broker search 'unfinished", []),
    ("broker search series --limit ", []),
]


@pytest.mark.parametrize(("line", "expected"), CASES, ids=[line for line, _ in CASES])
def test_the_last_word_becomes(line: str, expected: list[str]) -> None:
    assert candidates(line) == expected


def test_nothing_typed_shows_everything() -> None:
    assert set(candidates("broker ")) == set(parser()[1]) - {"complete"}
    assert set(candidates("broker search --at ")) == set(shipped())
    assert {*NAMES, "archive", "year"} <= set(candidates("broker count --by "))


def test_saved_cohorts_are_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    place = tmp_path / "imaging-broker" / "cohorts" / "lung-ct"
    place.mkdir(parents=True)
    (place / "cohort.json").write_text("{}")
    for verb in ("rerun", "diff", "manifest", "describe"):
        assert candidates(f"broker {verb} lun") == ["lung-ct"]


def test_a_broken_federation_file_completes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "f.toml"
    file.write_text("[archives")
    monkeypatch.setenv("IMAGING_BROKER_CONFIG", str(file))
    assert candidates("broker search --at i") == []


def shell(*words: str) -> str:
    """What a shell prints, with our command found first."""
    place = str(Path(sys.executable).parent)
    env = {**os.environ, "PATH": f"{place}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False, env=env)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_bash_completes() -> None:
    lines = ["broker sea", "broker search series Modality=CT,M", "broker search --at=idc-"]
    asked = "".join(
        f'COMP_LINE={line!r}; COMP_POINT=${{#COMP_LINE}}; COMPREPLY=(); _broker; echo "${{COMPREPLY[*]}}"; '
        for line in lines
    )
    told = shell("bash", "-c", f"source <(broker completion bash); {asked}").splitlines()
    assert told == ["search", "CT,MG CT,MR", "idc-dicomweb"]


def test_fish_completes(tmp_path: Path) -> None:
    need(None if shutil.which("fish") else "fish is not installed")
    told = shell(
        "fish",
        "--no-config",
        "-c",
        "broker completion fish | source; complete -C 'broker search series Modality=CT,M'",
    )
    assert sorted(told.split()) == ["Modality=CT,MG", "Modality=CT,MR"]


def test_zsh_completes(tmp_path: Path) -> None:
    """In a real zsh on a pseudo-terminal: `broker sea`, tab, and the line is `broker search`."""
    need(None if shutil.which("zsh") else "zsh is not installed")
    place = str(Path(sys.executable).parent)
    start = "autoload -Uz compinit; compinit -u -D; source <(broker completion zsh); PS1='> '; print READY\n"
    (tmp_path / ".zshrc").write_text(start)
    env = {
        **os.environ,
        "ZDOTDIR": str(tmp_path),
        "TERM": "dumb",
        "PATH": f"{place}{os.pathsep}{os.environ['PATH']}",
    }
    seen = typed(["zsh", "-i"], env, "READY", "broker sea\t", "broker search")
    assert "broker search" in seen


def typed(words: list[str], env: dict[str, str], ready: str, keys: str, until: str) -> str:
    """What a terminal shows after some keys."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvpe(words[0], words, env)  # noqa: S606
    try:
        seen = _read(terminal, ready, 20)
        os.write(terminal, keys.encode())
        return seen + _read(terminal, until, 20)
    finally:
        os.close(terminal)
        os.kill(pid, 9)
        os.waitpid(pid, 0)


def _read(terminal: int, until: str, seconds: float) -> str:
    seen, end = "", time.monotonic() + seconds
    while until not in seen and time.monotonic() < end:
        if select.select([terminal], [], [], 0.2)[0]:
            try:
                seen += os.read(terminal, 65536).decode(errors="replace")
            except OSError:  # the other side has ended
                break
    return seen


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_shell_reads_its_script(name: str) -> None:
    need(None if shutil.which(name) else f"{name} is not installed")
    subprocess.run([name, "-n"], input=SCRIPTS[name], text=True, check=True, timeout=20)


def test_completing_loads_nothing_heavy() -> None:
    heavy = {"aiohttp", "asyncio", "duckdb", "pydantic", "pydicom", "rich", "msgspec"}
    code = (
        "import sys; from broker.cli import main; "
        "main(['complete', '--', 'broker search series Modality=']); "
        f"print('LOADED', sorted(set(sys.modules) & {heavy!r}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.splitlines()[-1] == "LOADED []"


SEARCH = ("search", "series", "Modality=CT", "--at", "idc", "--limit", "2")


def terminal(*verb: str, **env: str) -> str:
    """A command on a pseudo-terminal; a search where none is given."""
    words = [sys.executable, "-m", "broker", *(verb or SEARCH)]
    full = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "120", **env}
    full.pop("NO_COLOR", None) if "NO_COLOR" not in env else None
    pid, end = pty.fork()
    if pid == 0:
        os.execvpe(words[0], words, full)  # noqa: S606
    seen = _read(end, "\0never", 30)
    os.close(end)
    os.waitpid(pid, 0)
    return seen


def test_progress_and_colours_are_for_terminals() -> None:
    seen = terminal()
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", seen)
    assert re.search(r"idc +(asked|answering|ok) +\d+ records", plain)
    assert "2 series" in seen
    coloured = re.compile(r"\x1b\[[0-9;]*3[0-7][0-9;]*m")
    assert not coloured.search(terminal(NO_COLOR="1"))
    piped = subprocess.run(
        [sys.executable, "-m", "broker", "search", "series", "--at", "idc", "--limit", "2"],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert "\x1b" not in piped.stdout + piped.stderr
    assert "answering" not in piped.stderr


def test_each_archive_has_a_line_until_there_is_no_room() -> None:
    names = [f"a{n:02}" for n in range(LINES + 3)]
    progress = Progress(names, show=False)
    progress.watch(Records(Source("a00", 0, ("Modality",), 0.0), Page(("Modality",), [("CT",)] * 1234)))
    progress.watch(Done(Report("a01", Status.FAILED, seconds=0.5)))
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(progress.drawn())
    lines = console.export_text().splitlines()
    assert re.match(r"a00 +answering +1,234 records +1 pages", lines[0])
    assert lines[-1].startswith("and 3 more")
    assert not any("failed" in text for text in lines)  # it has ended: behind those that are awaited


def test_a_count_shows_progress_too_and_several_questions_are_one_line() -> None:
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", terminal("count", "Collection=rider_pilot", "--at", "idc"))
    assert re.search(r"idc +(asked|ok) +0 records +0 pages", plain)
    progress = Progress(["a"], show=False, questions=2)
    seen = []
    for _ in range(2):
        progress.watch(Done(Report("a", seconds=0.5)))
        seen += [str(cell) for cell in progress.drawn().columns[1].cells]
    assert seen == ["asked", "ok"]
