"""The matrix as it ships: whole, cited, honest about what is lost; its files are checked, line by line."""

from __future__ import annotations

import re
import shutil
from datetime import UTC, datetime, timedelta
from itertools import chain
from pathlib import Path

import pytest

from broker.config import federation
from broker.registry import adapters
from catalog.checking import check
from catalog.evidence import Basis, Confidence, Evidence, Source, Status
from catalog.form import SourceForm
from catalog.imports.kinds import KINDS
from catalog.matrix import ROUTES, UnknownName
from catalog.reading import data, shipped_collections, shipped_matrix

MATRIX = shipped_matrix()
SURVEY = [r for r in MATRIX.rows if r.layer == "survey"]
PAIRS = [(r, c) for r in MATRIX.rows for c in MATRIX.of(r.table).capabilities]
SHIPPED = Path(str(data()))


def test_both_tables_of_the_survey_are_whole() -> None:
    archives = [r.id for r in SURVEY if r.table == "archives"]
    assert (
        archives
        == (
            "nbia-cip nbia-niams xnat-central loni-ida function-birn nirl give-a-scan osa pediatric-mri "
            "webmirs-nhanes na-mic-gallery ndar nih-image-bank eortc"
        ).split()
    )
    assert [r.column for r in SURVEY if r.column] == list(range(1, 10))
    assert len(MATRIX.of("archives").capabilities) == 17
    assert len(MATRIX.of("software").capabilities) == 13
    assert len([r for r in SURVEY if r.table == "software"]) == 6
    later = {r.id for r in MATRIX.rows if r.layer == "today"}
    assert later >= set("tcia idc nitrc-ir openneuro midrc nda physionet eucaim uk-biobank aimi".split())


def test_every_archive_says_something_of_every_capability_and_what_is_lost_is_unknown() -> None:
    for row, capability in PAIRS:
        given = row.cells[capability.id]
        assert given, (row.id, capability.id)
        for e in given:
            assert e.source.title
            assert e.known or e.value or e.note, "what is unknown says why"
            assert not (e.confidence is Confidence.UNKNOWN and e.known), (
                "a lost cell says nothing but unknown"
            )


def test_the_survivors_of_the_survey() -> None:
    """The counts of `archives.md`, of the survey's own cells and of documents about its rows."""
    tables = [e for r in SURVEY for given in r.cells.values() for e in given]
    kept = [e for e in tables if e.kind is Basis.SURVEY and e.place]
    assert len([e for e in kept if e.place == "table"]) == 14
    assert len([e for e in kept if e.place == "prose"]) == 91
    assert len([e for e in tables if e.confidence is Confidence.UNCERTAIN]) == 5
    assert len([e for e in tables if e.kind is Basis.SURVEY and not e.place]) == 174
    deid = MATRIX.row("nbia-cip").cell("deidentification_standard")
    assert deid.lead.quote == "Supplement 142 w/ Keep Description, Retain Device Info options enabled"


@pytest.mark.parametrize("row", ["osa", "function-birn"])
def test_a_cell_in_the_wrong_column_never_leads(row: str) -> None:
    cell = MATRIX.row(row).cell("content_type")
    doubtful = [e for e in cell.evidence if e.confidence is Confidence.UNCERTAIN]
    assert len(doubtful) == 1
    assert cell.lead is not doubtful[0]


def test_where_only_a_doubtful_cell_speaks_the_answer_is_unknown() -> None:
    cell = MATRIX.row("pediatric-mri").cell("content_type")
    assert cell.lead.value == "Autism Research"
    assert cell.status is Status.UNKNOWN


def test_in_2010_nobody_knew_of_2016() -> None:
    then = MATRIX.until("2010-08")
    assert {r.layer for r in then.rows} == {"survey"}
    assert then.row("xnat-central").cell("central_curation").status is Status.UNKNOWN
    assert MATRIX.row("xnat-central").cell("central_curation").status is Status.NO
    assert all(e.as_of <= "2010-08" or "/" in e.as_of for r in then.rows for e in chain(*r.cells.values()))


def test_what_changed_is_what_says_something_else_now() -> None:
    curation = MATRIX.row("xnat-central").cell("central_curation")
    assert [e and e.status for e in curation.changed("2015") or ()] == [None, Status.NO]
    groups = MATRIX.row("loni-ida").cell("groupings").changed("2020") or ()
    assert [e and e.as_of for e in groups] == ["2010-08", "2023-04"]
    assert curation.changed("2017") is None
    again = Evidence(
        Status.NO, Basis.PROBE, Source("probe", "asked"), "Not moderated", "2026-01-01T00:00:00Z"
    )
    same = MATRIX.with_evidence({"xnat-central": {"central_curation": [again]}})
    assert same.row("xnat-central").cell("central_curation").lead is again
    assert same.row("xnat-central").cell("central_curation").changed("2025") is None


def test_every_row_has_a_route_that_exists() -> None:
    known = federation().archives
    for row in (r for r in MATRIX.rows if r.table == "archives"):
        assert row.route is not None
        assert row.route.how in ROUTES
        assert set(row.route.ask) <= set(known)
        assert row.route.why.endswith(".")
        asked = {known[a].adapter for a in row.route.ask}
        assert asked <= set(row.route.adapters)
        assert set(row.route.adapters) <= set(adapters())
    for name, archive in known.items():
        if name in {r.id for r in MATRIX.rows} and archive.state != "embedded":
            assert archive.state == MATRIX.row(name).today.state, name


def test_what_a_route_needs_is_there() -> None:
    """An adapter for what is asked, a reader for what is imported, a record where only records are known."""
    recorded = {c.archive for c in shipped_collections()}
    for row in (r for r in MATRIX.rows if r.table == "archives" and r.route):
        assert row.route is not None
        assert set(row.route.importers) <= set(KINDS), row.id
        if row.route.how == "collection record":
            assert row.id in recorded, row.id
        if row.route.how == "matrix only" and row.layer == "survey":
            assert row.id not in recorded | set(federation().archives)


def test_names_are_found_by_what_is_unique_in_them() -> None:
    assert MATRIX.of("archives").capability("deidentification").id == "deidentification_standard"
    assert MATRIX.row("loni-ida").title == "Image Data Archive (IDA)"
    assert MATRIX.row("birn-site").id == "function-birn-site"
    assert MATRIX.row("nbia").table == "software", "an exact name before all that begin with it"
    with pytest.raises(UnknownName, match="unknown capability 'dicom'; known are content_type"):
        MATRIX.of("archives").capability("dicom")
    with pytest.raises(UnknownName):
        MATRIX.row("")


def test_the_shipped_files_have_no_problem() -> None:
    assert check(SHIPPED, adapters()) == []


def test_today_is_no_future_anywhere_on_earth() -> None:
    today = datetime.now(UTC)
    for date in (today, today + timedelta(hours=13)):
        SourceForm(title="x", as_of=date.strftime("%Y-%m-%d"))
    for date in (today + timedelta(days=2), today + timedelta(days=400)):
        with pytest.raises(ValueError, match="is in the future"):
            SourceForm(title="x", as_of=date.strftime("%Y-%m-%d"))


def broken(folder: Path, file: str, old: str, new: str) -> tuple[str, int]:
    """A copy of the data with one thing wrong; the file and the line where it stands."""
    place = shutil.copytree(SHIPPED, folder / "data") / file
    text = place.read_text()
    assert old in text
    place.write_text(text.replace(old, new, 1))
    return str(place), text[: text.index(old)].count("\n") + 1


WRONG = [
    ("archives/nbia-cip.toml", 'status = "text"', 'status = "perhaps"', "'yes', 'no', 'partial'"),
    ("archives/nbia-cip.toml", 'kind = "survey"', 'kind = "hearsay"', "'survey'"),
    ("archives/idc.toml", 'as_of = "2026-09-26"', 'as_of = "last year"', "pattern"),
    ("archives/idc.toml", 'as_of = "2026-09-26"', 'as_of = "2026-13"', "pattern"),
    ("archives/idc.toml", 'as_of = "2026-09-26"', 'as_of = "2026-09-32"', "pattern"),
    ("archives/idc.toml", 'as_of = "2026-09-26"', 'as_of = "٢٠٢٦"', "pattern"),
    ("archives/idc.toml", 'as_of = "2026-09-26"', 'as_of = "2026-02-30"', "day is out of range"),
    ("archives/idc.toml", 'as_of = "2026-09-26"', 'as_of = "9026-09-26"', "9026-09-26 is in the future"),
    ("archives/idc.toml", 'as_of = "2026-09-26"', 'as_of = "2009/9026"', "2009/9026 is in the future"),
    ("collections/nirl.toml", 'as_of = "2010-08"', 'as_of = "9026"', "9026 is in the future"),
    ("sources.toml", 'as_of = "2', 'as_of = "9', "is in the future"),
    ("capabilities.toml", 'as_of = "2010-08"', 'as_of = "9010-08"', "9010-08 is in the future"),
    ("federation.toml", 'as_of = "2026-09-26"', 'as_of = "9026"', "9026 is in the future"),
    ("archives/function-birn.toml", '["xcede"]', '["xcde"]', "no importer 'xcde'; did you mean xcede?"),
    ("archives/idc.toml", 'ask = ["idc', 'ask = ["icd', "no archive of federation.toml 'icd"),
    ("archives/idc.toml", '"dicomweb"]\n', '"dicomwb"]\n', "no adapter 'dicomwb'; did you mean dicomweb?"),
    ("collections/tcia.toml", 'held_at = "tcia"', 'held_at = "tica"', "no archive of federation.toml 'tica'"),
    ("archives/osa.toml", 'source = "midas-paper"', 'source = "nowhere"', "unknown source 'nowhere'"),
    ("archives/osa.toml", "[[cells.groupings]]", "[[cells.grouping]]", "unknown capability 'grouping'"),
    ("archives/osa.toml", "[[cells.groupings]]", "[[cells.groupings", "not TOML"),
    ("archives/tcia.toml", 'how = "adapter"', 'how = "magic"', "'adapter'"),
    ("archives/tcia.toml", 'url = "https:', 'url = "ftp:', "pattern"),
    ("archives/xnat-central.toml", '["nitrc-ir"]\nsoftware', '["nitrcir"]\nsoftware', "no archive 'nitrcir'"),
    ("archives/eortc.toml", "order = 14", "order = 14\nodor = 3", "odor"),
    ("collections/nirl.toml", "patients = 435", 'patients = "many"', "is not a count"),
    ("collections/nirl.toml", 'id = "miriad"', 'id = "elude"', "more than once"),
    ("collections/tcia.toml", '["idc/4d_lung"]', '["icd/4d_lung"]', "no archive 'icd'"),
    ("sources.toml", "[midas-paper]", '[spare]\ntitle = "x"\nas_of = ""\n\n[midas-paper]', "nothing cites"),
]


@pytest.mark.parametrize(
    ("file", "old", "new", "said"), WRONG, ids=[f"{w[0]}-{w[2][-9:]}-{w[3]}" for w in WRONG]
)
def test_what_is_wrong_in_a_file_is_named_with_its_line(
    file: str, old: str, new: str, said: str, tmp_path: Path
) -> None:
    place, line = broken(tmp_path, file, old, new)
    problems = check(tmp_path / "data", adapters())
    assert [p for p in problems if said in p.text], problems
    shown = str(next(p for p in problems if said in p.text))
    number = int(re.search(r":(\d+): ", shown)[1])  # type: ignore[index]
    assert shown.startswith(place)
    assert line <= number <= line + 1 + new.count("\n"), (shown, line)


def test_a_file_that_is_nested_without_end_is_named(tmp_path: Path) -> None:
    folder = shutil.copytree(SHIPPED, tmp_path / "data")
    place = folder / "archives" / "osa.toml"
    place.write_text("a = " + "[" * 5000)
    assert f"{place}:1: nested too deeply" in [str(p) for p in check(folder)]


def test_a_quote_is_short_and_a_missing_cell_is_named(tmp_path: Path) -> None:
    folder = shutil.copytree(SHIPPED, tmp_path / "data")
    place = folder / "archives" / "osa.toml"
    text = place.read_text()
    place.write_text(text.replace('quote = "Autism', 'quote = "' + "word " * 30 + "Autism", 1))
    assert "at most 25 words; this has 32" in str(check(folder)[0])
    place.write_text(re.sub(r"\[\[cells\.size\]\].*?\n\n", "", text, flags=re.DOTALL))
    assert "'size' is missing" in str(check(folder)[0])
    place.write_bytes(b"\xff" + text.encode())
    assert f"{place}:1: not UTF-8: byte 0" in str(check(folder)[0])
