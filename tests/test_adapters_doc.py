"""The adapter of `docs/adapters.md`, built into a distribution of its own and found by its entry point."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from broker.conform import AdapterTests
from broker.conform.base import Base

PAGE = (Path(__file__).parent.parent / "docs" / "adapters.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"^`([\w.]+)`:\n\n```\w+\n(.*?)```$", PAGE, re.DOTALL | re.MULTILINE))


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Mapping[str, str]]:
    """A folder with the files of the page, and an environment in which their distribution is installed."""
    folder = tmp_path_factory.mktemp("scanlist")
    for name, text in FILES.items():
        (folder / name).write_text(text, encoding="utf-8")
    target = folder / "installed"
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", "--no-index"]
    _run([*pip, "--target", str(target), str(folder)], folder, os.environ)
    (folder / "scanlist.py").unlink()  # only what is installed is to be found
    return folder, {**os.environ, "PYTHONPATH": str(target)}


def _run(command: list[str], folder: Path, environment: Mapping[str, str]) -> str:
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_page_has_every_file() -> None:
    assert set(FILES) == {"pyproject.toml", "scanlist.py", "test_scanlist.py", "federation.toml"}


def test_its_adapter_passes_its_tests(installed: tuple[Path, Mapping[str, str]]) -> None:
    folder, environment = installed
    told = _run(
        [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:asyncio", "test_scanlist.py"],
        folder,
        environment,
    )
    count = len([name for name in dir(AdapterTests) if name.startswith("test_")])
    passed, skipped = (int(n) for n in re.findall(r"(\d+) (?:passed|skipped)", told))
    assert (passed + skipped, skipped) == (count, 3), told


def test_a_promise_that_is_not_kept_fails_as_the_page_says(installed: tuple[Path, Mapping[str, str]]) -> None:
    folder, environment = installed
    wrong = folder / "wrong"
    wrong.mkdir()
    (wrong / "scanlist.py").write_text(
        FILES["scanlist.py"].replace(
            '(">=", match.low), ("<=", match.high)', '(">", match.low), ("<", match.high)'
        )
    )
    (wrong / "test_scanlist.py").write_text(FILES["test_scanlist.py"])
    command = [sys.executable, "-m", "pytest", "-q", "-k", "nothing_is_lost", "test_scanlist.py"]
    done = subprocess.run(
        command,
        cwd=wrong,
        env={**environment, "PYTHONPATH": str(wrong)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    for line in re.findall(r"^AssertionError: .*\n(?:  .*\n)+", PAGE, re.MULTILINE)[0].splitlines():
        assert line.strip() in done.stdout, done.stdout


def test_the_broker_finds_it_by_its_entry_point(installed: tuple[Path, Mapping[str, str]]) -> None:
    folder, environment = installed
    with sqlite3.connect(folder / "scans.db") as db:
        db.execute("CREATE TABLE scans (uid PRIMARY KEY, patient, day, title)")
        db.executemany(
            "INSERT INTO scans VALUES (?, ?, ?, ?)",
            [
                ("2.25.1", "P1", "20200301", "Chest CT"),
                ("2.25.2", "P2", "20200301", "MR"),
                ("2.25.3", "P", "2019", "CT"),
            ],
        )
    db.close()
    (words,) = re.findall(r"^broker (search .*)$", PAGE, re.MULTILINE)
    command = [sys.executable, "-m", "broker", *words.replace("'", "").split(), "--format", "json"]
    answer = json.loads(_run(command, folder, environment))
    assert [e["uid"] for e in answer["entities"]] == ["2.25.1"]


def test_every_attribute_of_the_class_is_on_the_page() -> None:
    own = [n for n in vars(Base) if not n.startswith("_")] + list(Base.__annotations__)
    for_tests = {"held", "run", "levels", "whole_ask", "asks", "fields", "keys"}
    assert not [n for n in own if n not in for_tests and f"| `{n}" not in PAGE]
