"""The guide, the reference and the notebook: examples run, links lead somewhere, the site builds."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
GUIDE = (DOCS / "index.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(text: str, language: str) -> list[str]:
    """The code blocks in one language."""
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def environment(folder: Path) -> dict[str, str]:
    """The user's data in a folder of its own, our command found first."""
    place = str(Path(sys.executable).parent)
    return {
        **os.environ,
        "XDG_DATA_HOME": str(folder / "data"),
        "PATH": f"{place}{os.pathsep}{os.environ['PATH']}",
    }


def test_the_commands_of_the_guide_run_in_order(tmp_path: Path) -> None:
    script = "".join(blocks(GUIDE, "sh"))
    assert script.count("broker ") >= 10
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        capture_output=True, text=True, timeout=240, check=False, cwd=tmp_path, env=environment(tmp_path),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "lung-ct" / "croissant.json").is_file()
    assert (tmp_path / "lung-ct.s5cmd").read_text().count("\ncp s3://") > 100


def test_the_python_of_the_guide_runs_in_order(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "".join(blocks(GUIDE, "python"))],
        capture_output=True, text=True, timeout=240, check=False, cwd=tmp_path, env=environment(tmp_path),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "exact" in done.stdout
    assert "[('idc', False)]" in done.stdout


def test_the_readme_shows_what_is_printed(tmp_path: Path) -> None:
    """Standard output, word for word; of what has a time or a path in it, the rest of the line."""
    (shown,) = blocks(README, "console")
    steps = re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", shown, re.MULTILINE)
    assert len(steps) >= 4
    for command, expected in steps:
        done = subprocess.run(
            ["bash", "-c", f"{command} 2>&1"],
            capture_output=True, text=True, timeout=120, check=False, cwd=tmp_path, env=environment(tmp_path),
        )  # fmt: skip
        assert done.returncode == 0, done.stdout
        assert _words(done.stdout) == _words(expected), command


def _words(text: str) -> list[list[str]]:
    lines = (re.sub(r"\d+\.\d\d s|20\d{6}T[\d.]+Z", "TIME", line).split() for line in text.splitlines())
    return [line for line in lines if line and not set("".join(line)) <= {"─"}]


def test_the_notebook_runs_offline_in_a_minute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environment(tmp_path).items():
        monkeypatch.setenv(name, value)
    notebook = nbformat.read(DOCS / "notebook.ipynb", as_version=4)  # type: ignore[no-untyped-call]
    assert not any(cell.get("outputs") for cell in notebook.cells)  # kept without, so that none is old
    start = time.monotonic()
    client = NotebookClient(
        notebook, timeout=60, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    )
    client.execute()
    assert time.monotonic() - start < 60
    text = nbformat.writes(notebook)  # type: ignore[no-untyped-call]
    assert "sha256:" in text
    assert "cp s3://idc-open-data" in text


def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "-q", "--site-dir", str(tmp_path)],
        capture_output=True, text=True, timeout=240, check=False, cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1", "DISABLE_MKDOCS_2_WARNING": "true"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "reference" / "index.html").read_text(encoding="utf-8")
    for name in ("search_async", "to_pandas", "Cohort", "FacetCounts", "MissingExtra"):
        assert name in page


def test_every_public_name_is_in_the_reference() -> None:
    import broker

    page = (DOCS / "reference.md").read_text(encoding="utf-8")
    named = set(re.findall(r"::: broker\.([\w.]+)", page))
    whole = {name.rpartition(".")[2] for name in named}
    errors = {"ArchiveError", "BadConfig", "BadQuery", "BrokerError"}
    assert set(broker.__all__) - whole - errors <= OTHERS


# documented where their own pages are
OTHERS = {"Session"}


@pytest.mark.parametrize("page", sorted(DOCS.rglob("*.md")), ids=lambda p: p.name)
def test_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8")):
        if "://" not in link:
            assert (page.parent / link).exists(), link
