"""Whole processes: what a command costs, beside an interpreter that does nothing."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections import Counter
from functools import partial
from pathlib import Path

from benchmarks.measure import Figure, Way, in_turn
from benchmarks.processes import PYTHON, Commands, archives, command
from benchmarks.tables import Aim, Result, Table

ABOUT = "Median time and peak memory of whole processes, from start to end."
BARE, HELP, VERSION = "python -c pass", "broker --help", "broker --version"
LOCAL, LOCAL_TABLE = "local query, 20 rows, ndjson", "local query, 20 rows, table"
REMOTE = "remote query, 20 rows, ndjson"
FEDERATION = '[archives.peer]\nadapter = "dicomweb"\nurl = "{url}"\noptions = {{ lists_all = true }}\n'
LIMITS = {HELP: 3.0, LOCAL: 12.0, REMOTE: 25.0}
SHOWN = 9


def run(*, quick: bool) -> Result:
    """All of them in turn."""
    result = Result("startup", ABOUT)
    with archives(1, 200, 0.0) as urls, tempfile.TemporaryDirectory() as folder, Commands() as commands:
        file = Path(folder, "federation.toml")
        file.write_text(FEDERATION.format(url=urls[0]), encoding="utf-8")
        lines = _lines(file)
        ways: dict[str, Way] = {name: partial(commands.run, line) for name, line in lines.items()}
        runs = in_turn(ways, rounds=5 if quick else 15)
        imports = [_imports(name, lines[name]) for name in (HELP, LOCAL, REMOTE)]
    rows: list[list[str | Figure]] = [
        [n, runs.figure(n, times=1000), runs.ratio(n, BARE), runs.figure(n, "mb")] for n in lines
    ]
    result.tables.append(Table("Whole processes", ("command", "ms", "x bare interpreter", "peak MB"), rows))
    result.tables += imports
    result.aims = [Aim(name, runs.ratio(name, BARE).median, limit) for name, limit in LIMITS.items()]
    result.notes.append(
        "remote: one archive on loopback without latency, named in a federation file (read with pydantic)."
    )
    return result


def _lines(file: Path) -> dict[str, list[str]]:
    broker = command("broker")
    local = [broker, "search", "series", "Modality=CT", "--at", "idc", "--limit", "20", "--quiet"]
    remote = [broker, "search", "studies", "--at", "peer", "--config", str(file), "--limit", "20", "--quiet"]
    return {
        BARE: [str(PYTHON), "-c", "pass"],
        HELP: [broker, "--help"],
        VERSION: [broker, "--version"],
        LOCAL: [*local, "--format", "ndjson"],
        LOCAL_TABLE: local,
        REMOTE: [*remote, "--format", "ndjson"],
    }


_LINE = re.compile(r"import time:\s*(\d+) \|\s*\d+ \|\s*([\w.]+)")
_OWN = {"broker", "adapters", "catalog"}


def _imports(name: str, line: list[str]) -> Table:
    """Where the import time goes: by package, the standard library as one."""
    run = subprocess.run([str(PYTHON), "-X", "importtime", *line], capture_output=True, text=True, check=True)
    times: Counter[str] = Counter()
    for found in _LINE.finditer(run.stderr):
        package = found[2].split(".")[0]
        standard = package in sys.stdlib_module_names
        owner = "the broker itself" if package in _OWN else package
        times[_standard(package) if standard else owner] += int(found[1])
    rows = [[package, f"{us / 1000:.1f}"] for package, us in times.most_common(SHOWN)]
    title = f"Imports of: {name} ({sum(times.values()) / 1000:.0f} ms under -X importtime)"
    return Table(title, ("package", "own ms"), rows)


def _standard(package: str) -> str:
    """The larger parts of the standard library by name."""
    return f"stdlib {package}" if package in _LARGE else "stdlib, other"


_LARGE = frozenset(
    {"argparse", "asyncio", "email", "http", "importlib", "inspect", "json", "logging", "re", "ssl", "typing"}
)
