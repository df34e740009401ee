"""The README's walk-through over every kind of archive: its command, run, gives its output."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

from asking import need, need_orthanc
from peers.dcmqrscp import Dcmqrscp

ROOT = Path(__file__).parent.parent


def plain(text: str) -> list[str]:
    """Lines without what differs from run to run."""
    lines = [re.sub(r"\d+\.\d\d s", "_ s", line.rstrip()) for line in text.splitlines()]
    # the sorted copy may be under way in another process
    return [
        re.sub(r"(sorted copy of the IDC index|parquet of idc-index-data) ", "IDC ", line) for line in lines
    ]


def test_the_command_gives_the_output() -> None:
    need_orthanc()
    need(Dcmqrscp.missing())
    section = (ROOT / "README.md").read_text().partition("## Every kind of archive at once")[2]
    command, output = re.findall(r"```(?:sh|text)\n(.*?)```", section, re.DOTALL)[:2]
    words = shlex.split(command)
    at = words.index("broker")
    run = [sys.executable, *words[1:at], sys.executable, "-m", *words[at:]]
    done = subprocess.run(run, capture_output=True, text=True, timeout=240, check=False, cwd=ROOT)
    assert done.returncode == 3, done.stderr
    said = [line for line in plain(done.stdout + done.stderr) if not line.startswith("adni: 6 new")]
    assert said == plain(output)
