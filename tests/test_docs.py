"""What the documents say is true: commands run, examples run, every option and verb is documented."""

from __future__ import annotations

import doctest
import importlib
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from broker.cli.commands import parser
from catalog.archives import shipped
from catalog.keywords import OURS

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
FEDERATION = (ROOT / "docs" / "federation.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    """The code blocks of the README in one language."""
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


COMMANDS = [line for block in blocks("sh") for line in block.splitlines() if line.startswith("broker ")]


@pytest.mark.parametrize("command", COMMANDS)
def test_the_commands_of_the_readme_run(command: str, tmp_path: Path) -> None:
    words = shlex.split(command)
    done = subprocess.run(
        [sys.executable, "-m", "broker", *words[1:]],
        capture_output=True,
        timeout=120,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr.decode()


def test_the_python_of_the_readme_runs(tmp_path: Path) -> None:
    (example,) = blocks("python")
    done = subprocess.run(
        [sys.executable, "-c", example], capture_output=True, text=True, timeout=120, check=True, cwd=tmp_path
    )
    assert "CC BY" in done.stdout
    assert "idc: ok" in done.stdout


@pytest.mark.parametrize(
    "module",
    [
        "broker",
        "broker.api",
        "broker.query",
        "broker.matching",
        "broker.run",
        "broker.follow",
        "adapters.rows",
        "broker.counting",
        "broker.answer",
        "broker.cohorts.cohort",
        "broker.manifests.making",
        "broker.answering.counts",
    ],
)
def test_doctests(module: str) -> None:
    result = doctest.testmod(importlib.import_module(module))
    assert result.attempted > 0
    assert result.failed == 0


def test_every_verb_and_every_exit_code_is_in_the_readme() -> None:
    _, verbs = parser()
    for verb in verbs:
        assert f"broker {verb}" in README
    for code in (0, 2, 3, 4, 5, 130):
        assert re.search(rf"^\| {code} \|", README, re.MULTILINE)


def test_every_keyword_of_ours_is_explained() -> None:
    assert all(f"`{name}`" in README and about for name, about in OURS.items())


def test_every_option_of_an_archive_is_in_the_federation_page() -> None:
    source = "".join(file.read_text() for file in (ROOT / "adapters").rglob("*.py"))
    options = set(re.findall(r'options(?:\.\w+\(|, )"(\w+)"', source))
    assert options >= {"lists_all", "page_size", "copy", "ae_title", "client_key", "patient_id"}
    missing = sorted(o for o in options if f"`{o}`" not in FEDERATION)
    assert not missing
    from broker.setup.federation import Entry

    assert not [f for f in Entry.model_fields if f"`{f}`" not in FEDERATION]


def test_the_shipped_federation_passes_the_check_of_a_users_file() -> None:
    from broker.setup.federation import checked

    entries = {name: dict(entry) for name, entry in shipped().items()}
    assert set(checked(Path("shipped"), {"archives": entries})[0]) == set(entries)
    assert all(e["state"] and e["as_of"] and e["cite"] for e in entries.values())


def test_every_public_name_can_be_imported_and_says_what_it_means() -> None:
    import broker

    for name in broker.__all__:
        assert (getattr(broker, name).__doc__ or "").strip(), name
