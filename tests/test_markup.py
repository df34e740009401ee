"""What an archive said is text wherever it is shown: one description with markup of every kind, everywhere.

The matrix has its own (tests/test_matrix_page.py in a browser, tests/test_cli_matrix.py as Markdown and CSV).
"""

from __future__ import annotations

import asyncio
import csv
import io
import json
from html.parser import HTMLParser
from pathlib import Path

import pytest
from asking import ask
from peers.nbia import NbiaServer
from peers.nbia_rows import fixture_rows
from rich.console import Console

from broker.answer import Answer
from broker.cli import main
from broker.cli.progress import Progress
from broker.registry import adapter_for
from catalog.archives import Archive

HURT = '=cmd()|<script>alert(1)</script> <b>y</b> [bold red]x[/] :smile: *z* `c` &amp; "q" \x1b[31m'
SHOWN = HURT.replace("\x1b", "�")
"""The same for a terminal or a page: what is no character is shown as one that is missing."""

RECORD = {"StudyInstanceUID": "1.2.3", "PatientID": "P1", "StudyDescription": HURT}
MARKED = Archive("mine", "rows", options={"records": [RECORD]})


@pytest.fixture
def config(tmp_path: Path) -> str:
    """A federation with an archive that says it."""
    file = tmp_path / "f.toml"
    fields = "\n".join(f"{k} = {json.dumps(v)}" for k, v in RECORD.items())
    file.write_text(f'[archives.mine]\nadapter = "rows"\n[[archives.mine.options.records]]\n{fields}\n')
    return str(file)


class Read(HTMLParser):
    """A page as a reader takes it: its tags, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags |= {tag, *(f"{tag} {name}" for name, _ in attrs)}

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture
def told(config: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    """Standard output of a command."""
    monkeypatch.setattr("broker.cli.printing.WIDE", 400)

    def run(*words: str, code: int = 0) -> str:
        assert main([*words, "--at", "mine", "--config", config]) == code, words
        got = capsys.readouterr()
        assert "\x1b" not in got.out + got.err, words
        return got.out

    return run


@pytest.mark.parametrize(
    "words", [["search", "studies"], ["show", "1.2.3"], ["facets", "studies", "--by", "StudyDescription"]]
)
def test_tables(told, words: list[str]) -> None:  # type: ignore[no-untyped-def]
    assert SHOWN in told(*words, code=3 if words[0] == "show" else 0)


def test_json_is_what_was_said(told) -> None:  # type: ignore[no-untyped-def]
    for form in ("json", "ndjson"):
        text = told("search", "studies", "--format", form)
        document = json.loads(text if form == "json" else text.splitlines()[0])
        entity = document["entities"][0] if form == "json" else document
        assert entity["values"]["StudyDescription"] == HURT, form


def test_csv_is_text_in_a_spreadsheet_too(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["search", "studies", "--format", "csv", "--at", "mine", "--config", config]) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out, "it is shown on terminals too"
    (row,) = csv.DictReader(io.StringIO(out))
    assert row["StudyDescription"] == f"'{SHOWN}", "not a formula"


def test_descriptions_as_json(told) -> None:  # type: ignore[no-untyped-def]
    """FHIR has no control characters."""
    assert SHOWN in _texts(json.loads(told("describe", "studies", "StudyInstanceUID=1.2.3", "--as", "fhir")))


def _texts(value: object) -> set[str]:
    if isinstance(value, dict | list):
        return set().union(*map(_texts, value.values() if isinstance(value, dict) else value), set())
    return {str(value)}


async def _answer() -> Answer:
    return await ask("studies", at=[adapter_for(MARKED)], scan=True)


async def test_pages_in_jupyter() -> None:
    answer = await _answer()
    page = Read(answer._repr_html_() + answer.report._repr_html_())
    assert page.tags == {"p", "table", "thead", "tbody", "tr", "th", "td"}
    assert SHOWN in page.text


def test_progress_lines_of_an_archive_with_a_strange_name() -> None:
    progress = Progress([HURT], show=False)
    screen = Console(file=io.StringIO(), width=400, force_terminal=False)
    screen.print(progress.drawn())
    assert SHOWN in screen.file.getvalue()  # type: ignore[attr-defined]


@pytest.mark.parametrize("form", ["table", "markdown", "csv", "json"])
async def test_collections(form: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Markup that an archive's HTML shows as text stays text; markup of its HTML is none of ours."""
    name = "A<script>alert(1)</script>|*b*"
    hurt = f"=1+1\x1b[31m{name}"
    rows = [{**row, "Collection": name} for row in fixture_rows()]
    rows += [{**row, "Collection": hurt} for row in rows[:1]]
    async with NbiaServer(rows=rows) as server:
        file = tmp_path / "f.toml"
        file.write_text(f'[archives.nbia]\nadapter = "nbia"\nurl = "{server.url}"\n')
        words = ["collections", "--at", "nbia", "--more", "modality", "--format", form, "--config", str(file)]
        assert await asyncio.to_thread(main, words) == 0
    told = capsys.readouterr()
    out = told.out
    assert "\x1b" not in out + told.err
    if form == "json":
        one, other = sorted(json.loads(out)["collections"], key=lambda c: c["title"], reverse=True)
        assert other["title"] == hurt, "JSON says every character"
        assert (one["title"], one["about"]) == (name, f"Images of {name}, <i>not</i> patients")
    elif form == "csv":
        titles = {row["title"] for row in csv.DictReader(io.StringIO(out))}
        assert titles == {name, "'" + hurt.replace("\x1b", "�")}
    elif form == "markdown":
        assert "<script>" not in out
        assert r"A\<script\>alert(1)\</script\>\|\*b\*" in out
    else:
        assert name in out
