"""`broker matrix`, `compare`, `archives`, the pages: what ships, what was measured, hostile words as text."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from broker.cli import main, printing
from broker.cli.matrix_export import markdown
from broker.cli.pages import pages
from broker.cli.signs import sign
from broker.knowing.knowledge import knowledge
from catalog import places
from catalog.evidence import Status
from catalog.matrix import ROUTES
from catalog.probes import Found, measured, record

ROOT = Path(__file__).parent.parent
HOSTILE = "<script>alert(1)</script>|*b*|`c`|\x1b[31m=cmd()"


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state directory of its own."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return places.evidence()


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str], state: Path) -> object:
    """The command's standard output; its code must be 0 unless another is expected."""

    def run(*words: str, code: int = 0) -> str:
        assert main(list(words)) == code
        got = capsys.readouterr()
        run.errors = got.err  # type: ignore[attr-defined]
        return got.out

    return run


def measure(archive: str, capability: str, value: str, status: Status = Status.NUMBER) -> Found:
    return Found(
        archive, capability, measured(status, value, cite="QIDO-RS, key by key", by="imaging-broker 9")
    )


def test_a_fresh_install_prints_the_survey(said) -> None:  # type: ignore[no-untyped-def]
    out = said("matrix")
    blocks = ["The survey of August 2010\n", "Archives of today\n", "The survey of August 2010: software\n"]
    assert [out.index(b) for b in blocks] == sorted(out.index(b) for b in blocks)
    (row,) = [line for line in out.splitlines() if line.split()[:1] == ["nbia-cip"]]
    assert row.split()[1:] == "≡ ≡ · ✓° · ≡° ≡ ✓ ✓ ≡ ✓ ◐° # ◐ ≡ · ✓".split()
    assert "· unknown, which is not no" in out


def test_one_archive_is_told_in_words_and_why_gives_the_quotes(said) -> None:  # type: ignore[no-untyped-def]
    assert "◐ partial: For submission, but not download (2010-08)" in " ".join(
        said("matrix", "nbia-cip").split()
    )
    why = said("matrix", "xnat-central", "--why", "--capability", "curation")
    assert '"XNAT Central is not moderated to control content"' in why
    assert "https://pmc.ncbi.nlm.nih.gov/articles/PMC4965359" in why
    assert "documentation, 2016-01, stated" in why


def test_every_cell_that_is_known_shows_its_evidence(said) -> None:  # type: ignore[no-untyped-def]
    document = json.loads(said("matrix", "--format", "json"))
    cells = [c for row in document["rows"] for c in row["cells"].values()]
    assert len(cells) == 25 * 17 + 6 * 13
    for cell in cells:
        assert cell["evidence"]
        assert all(e["source"] and e["status"] for e in cell["evidence"])
    why = said("matrix", "--why")
    for row in document["rows"]:
        for cell in row["cells"].values():
            for e in cell["evidence"]:
                assert e.get("quote", "") in why


def test_csv_has_a_line_for_each_piece_of_evidence(said) -> None:  # type: ignore[no-untyped-def]
    rows = list(
        csv.DictReader(io.StringIO(said("matrix", "osa", "--format", "csv", "--capability", "content")))
    )
    assert [(r["value"], r["confidence"], r["leads"]) for r in rows] == [
        ("Autism Research", "uncertain", "false"),
        ("Optical images (some DICOM); three communities hold lesion-sizing lung data", "stated", "true"),
    ]


def test_the_survey_as_it_stood_and_what_changed_since(said) -> None:  # type: ignore[no-untyped-def]
    then = said("matrix", "--as-of", "2010-08")
    assert "Archives of today" not in then
    (row,) = [line for line in then.splitlines() if line.split()[:1] == ["xnat-central"]]
    assert row.split()[1:] == "≡ ≡".split() + ["·"] * 15
    changes = list(csv.DictReader(io.StringIO(said("matrix", "--changed-since", "2020", "--format", "csv"))))
    (groups,) = [c for c in changes if (c["archive"], c["capability"]) == ("loni-ida", "groupings")]
    assert (groups["before"], groups["before_as_of"], groups["now_as_of"]) == (
        "Projects",
        "2010-08",
        "2023-04",
    )
    assert not [c for c in changes if c["archive"] == "nirl"]


def test_what_was_measured_here_leads_and_the_past_stays(said) -> None:  # type: ignore[no-untyped-def]
    record(
        [measure("nitrc-ir", "dicom_tags_queryable", "12"), measure("here", "size", "3 studies", Status.TEXT)]
    )
    record([measure("nitrc-ir", "dicom_tags_queryable", "14")])
    row = said("matrix", "nitrc-ir", "--capability", "tags")
    assert "#* 14" in row
    assert "12; probe" in said("matrix", "nitrc-ir", "--why")
    assert "imaging-broker 9" in said("matrix", "nitrc-ir", "--why")
    assert "Your own archives" in said("matrix")
    assert "3 studies" in said("matrix", "here")


def test_a_condition_finds_archives_and_says_where_it_could_not_decide(said) -> None:  # type: ignore[no-untyped-def]
    where = ["--where", "public_api=yes,partial", "--where", "deidentification~142"]
    found = json.loads(said("archives", "--format", "json", *where))
    assert [a["name"] for a in found] == ["nbia-cip"]
    assert "a condition is not known, left out" in said.errors
    assert "idc" in said.errors
    both = json.loads(said("archives", "--format", "json", "--include-unknown", *where))
    assert {a["name"] for a in both} > {"nbia-cip", "idc"}
    refused = json.loads(said("archives", "--format", "json", "--where", "tags>50"))
    assert [a["name"] for a in refused] == ["nbia-cip", "nbia-niams"]
    retired = json.loads(said("archives", "--format", "json", "--where", "state=retired"))
    assert [a["name"] for a in retired] == ["xnat-central"]


def test_every_row_of_the_survey_shows_its_route_and_state(said) -> None:  # type: ignore[no-untyped-def]
    listed = {a["name"]: a for a in json.loads(said("archives", "--format", "json"))}
    survey = [a for a in listed.values() if a["layer"] == "survey"]
    assert len(survey) == 14
    for archive in survey:
        assert archive["route"]["how"] in ROUTES
        assert archive["route"]["why"]
        assert archive["state"] in ("alive", "moved", "retired", "unknown")
        if archive["route"]["how"] == "adapter":
            assert set(archive["route"]["ask"]) <= set(listed)
    table = said("archives")
    assert "--at tcia,idc" in table
    assert "import as loni" in table
    assert "matrix only" in table


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (["matrix", "nowhere"], 2, "unknown archive 'nowhere'"),
        (["matrix", "--capability", "colour"], 2, "unknown capability 'colour'"),
        (["matrix", "tcai"], 2, "did you mean tcia?"),
        (["matrix", "ida"], 2, "did you mean loni-ida?"),
        (["compare", "idc", "lonida"], 2, "did you mean loni-ida?"),
        (["matrix", "--capability", "public_apii"], 2, "did you mean public_api?"),
        (["archives", "--where", "publicapi=yes"], 2, "did you mean public_api?"),
        (["collections", "--at", "loni-id"], 5, "did you mean loni-ida?"),
        (["probe", "nbia-cip"], 5, "`broker search series CONDITION --at tcia,idc`"),
        (["search", "studies", "--at", "nirl"], 5, "`broker collections --at nirl`"),
        (["probe", "orthanc-dem"], 5, "did you mean orthanc-demo?"),
        (["matrix", "--as-of", "yesterday"], 2, "'yesterday' is not a date"),
        (["matrix", "--html", "/no/such/folder/x.html"], 5, "--html"),
        (["matrix", "--check", "/no/such"], 5, "no capabilities.toml"),
        (["compare", "idc"], 2, "two archives"),
        (["compare", "idc", "midas"], 2, "not asked the same questions"),
        (["archives", "--where", "public_api"], 2, "is not a condition"),
        (["archives", "--where", "colour=red"], 2, "unknown capability 'colour'"),
        (["archives", "--where", "state>3"], 2, "not a number"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(words: list[str], code: int, text: str, said) -> None:  # type: ignore[no-untyped-def]
    assert said(*words, code=code) == ""
    (line,) = said.errors.splitlines()
    assert text in line


def test_two_programs_side_by_side(said) -> None:  # type: ignore[no-untyped-def]
    rows = {r["capability"]: r for r in json.loads(said("compare", "xnat", "midas", "--format", "json"))}
    assert rows["Deployment Support"]["verdict"] == "="
    assert rows["Supported image formats"]["verdict"] == "≠"
    assert rows["Helpdesk support"]["verdict"] == "?"
    assert "≠ 1 different" in (said("compare", "xnat", "midas") and said.errors)


def test_the_shipped_folder_passes_and_a_broken_one_is_told(said, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    import shutil

    folder = shutil.copytree(ROOT / "catalog" / "data", tmp_path / "data")
    assert said("matrix", "--check", str(folder)) == ""
    place = folder / "archives" / "aimi.toml"
    place.write_text(place.read_text().replace('state = "alive"', 'state = "well"'))
    said("matrix", "--check", str(folder), code=5)
    assert f"{place}:" in said.errors
    assert "today.state" in said.errors


def test_hostile_words_are_text_in_every_format(said) -> None:  # type: ignore[no-untyped-def]
    record(
        [measure("evil", "size", HOSTILE, Status.TEXT), measure("evil", "public_api", "=cmd()", Status.TEXT)]
    )
    for words in (
        ["matrix", "evil"],
        ["matrix", "evil", "--why"],
        ["matrix", "evil", "--format", "markdown"],
    ):
        out = said(*words)
        assert "\x1b" not in out
    table = said("matrix", "evil", "--format", "markdown")
    assert "<script>" not in table
    assert r"\<script\>alert(1)\</script\>\|\*b\*\|\`c\`\|" in table
    assert all(line.count(" | ") == 1 for line in table.splitlines())
    rows = csv.DictReader(io.StringIO(said("matrix", "evil", "--format", "csv")))
    assert "'=cmd()" in {r["value"] for r in rows}


def test_markdown_is_read_back_as_the_text_it_was() -> None:
    assert markdown("a_b [x](y) & <z>") == r"a\_b \[x\](y) \& \<z\>"
    assert markdown("two\nlines") == "two lines"


def test_the_pages_of_the_archives_are_current() -> None:
    folder = ROOT / "docs" / "archives"
    made = pages()
    assert {f.name for f in folder.iterdir()} == set(made)
    for name, text in made.items():
        assert (folder / name).read_text() == text, f"{name}: run broker archives --pages docs/archives"


def test_pages_are_written_and_nothing_else_is_touched(said, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "own.md").write_text("mine")
    said("archives", "--pages", str(tmp_path))
    assert {f.name for f in tmp_path.iterdir()} >= {*pages(), "own.md"}


def test_evidence_that_cannot_be_read_is_named(state: Path, said) -> None:  # type: ignore[no-untyped-def]
    record([measure("nirl", "size", "1")])
    with state.open("a") as file:
        file.write("not json\n")
    for words in (["matrix", "nirl"], ["compare", "idc", "nirl"], ["archives", "--where", "size~x"]):
        said(*words)
        assert f"{state}:2" in said.errors
    assert knowledge().notes
    with state.open("a") as file:
        file.write("not json\n" * 20)
    said("matrix", "nirl")
    assert "and 16 more lines" in said.errors


def test_a_folder_in_place_of_the_evidence_is_named(state: Path, said: Any) -> None:
    state.mkdir(parents=True)
    for words in (["matrix"], ["compare", "idc", "nirl"], ["archives"], ["sync", "idc"], ["probe", "idc"]):
        said(*words, code=5)
        assert str(state) in said.errors, words


def test_what_failed_is_named_also_without_progress(said: Any, tmp_path: Path) -> None:
    file = tmp_path / "f.toml"
    file.write_text('[archives.gone]\nadapter = "xnat"\nurl = "http://127.0.0.1:1"\n')
    for verb in ("probe", "sync"):
        said(verb, "gone", "--quiet", "--config", str(file), code=4)
        assert "gone: not probed (unreachable)" in said.errors


def test_a_sync_that_asks_nobody_says_so_in_every_format(said: Any) -> None:
    assert json.loads(said("sync", "xnat-central", "--format", "json")) == []
    assert "xnat-central: retired, not asked" in said.errors


MARKED = """
[archives.mine]
adapter = "rows"
[[archives.mine.options.records]]
StudyInstanceUID = "1.2.3"
StudyDescription = "[bold red]x[/] <b>y</b> :smile:"
"""


def test_a_description_with_markup_is_text_in_every_table(said, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    file = tmp_path / "f.toml"
    file.write_text(MARKED)
    for words, code in ((["search", "studies"], 0), (["show", "1.2.3"], 3)):  # it has studies only
        out = said(*words, "--at", "mine", "--config", str(file), code=code)
        assert "[bold red]x[/] <b>y</b> :smile:" in out, words
    asked = said("explain", "studies", "StudyDescription=[red]x[/red]", "--at", "mine", "--config", str(file))
    assert "StudyDescription=[red]x[/red]" in asked


@pytest.mark.parametrize("width", [24, 40, 60, 80, 100, 152, 160])
def test_no_sign_and_no_column_is_lost_in_a_narrow_window(
    width: int,
    said: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(printing, "console", lambda: Console(width=width, highlight=False))
    out = said("matrix", "--table", "archives")
    assert max(len(line) for line in out.splitlines() if line[:1] == " " and "·" in line) <= width
    matrix = knowledge().matrix.of("archives")
    shown: dict[str, list[str]] = {}
    for line in out.splitlines():
        words = line.split()
        if words and words[0] in {r.id for r in matrix.rows}:
            shown.setdefault(words[0], []).extend(words[1:])
    assert shown == {r.id: [sign(r.cell(c.id)) for c in matrix.capabilities] for r in matrix.rows}


@pytest.mark.parametrize(
    "words", [["archives"], ["collections", "lidc", "--at", "idc"], ["compare", "tcia", "idc"]]
)
def test_a_table_without_room_is_told_row_by_row(
    words: list[str],
    said: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(printing, "console", lambda: Console(width=1000, highlight=False))
    wide = said(*words)
    heads = [h for h in re.split(r"\s{3,}", wide.splitlines()[0].strip()) if h]
    monkeypatch.setattr(printing, "console", lambda: Console(width=40, highlight=False))
    narrow = said(*words)
    assert all(f"  {head}: " in narrow for head in heads[1:])
    every = re.findall(r"[A-Za-z]{2,}", "\n".join(wide.splitlines()[1:]))
    assert set(every) <= set(re.findall(r"[A-Za-z]{2,}", narrow)), "no word is cut or left out"


def test_an_own_archive_may_be_called_as_a_program_is(said: Any, tmp_path: Path) -> None:
    file = tmp_path / "f.toml"
    file.write_text('[archives.xnat]\nadapter = "xnat"\nurl = "https://xnat.example.org"\n')
    record([measure("xnat", "federated", "one", Status.NO), measure("xnat", "size", "15 studies")])
    asked = ["--config", str(file), "--format", "json"]
    assert "15 studies" in said("matrix", "xnat", *asked)
    matrix = knowledge(file).matrix
    assert [r.table for r in matrix.named("xnat")] == ["archives", "software"]
    program = next(r for r in matrix.rows if r.id == "xnat" and r.table == "software")
    assert program == next(r for r in knowledge().matrix.rows if r.id == "xnat" and r.table == "software")
    assert not program.cell("federated").lead.known, "what was measured of the archive is not of the program"
    assert said("compare", "idc", "xnat", *asked)
    assert said("compare", "midas", "xnat", *asked)
    assert said("matrix", "xnat", "--why", "--config", str(file)).count("(xnat)") == 2


def test_a_reader_who_has_gone_is_the_same_for_every_print() -> None:
    """rich ends with 1, whatever the command says."""

    class Gone(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError(text)

    screen = printing.console()
    screen.file = Gone()
    with pytest.raises(BrokenPipeError):
        screen.print("x")
