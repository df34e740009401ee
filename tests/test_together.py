"""Options that would be ignored in combination are refused by name, before anything is asked or written."""

from __future__ import annotations

from pathlib import Path

import pytest

from broker.cli import BAD_QUERY, OK, main

REFUSED = {
    "matrix --html page.html --format csv": "--format: not together with --html",
    "matrix --html page.html --why": "--why: not together with --html",
    "matrix --html page.html --changed-since 2024": "--changed-since: not together with --html",
    "matrix --check catalog/data --html page.html": "--html: without meaning for --check",
    "matrix --check catalog/data --format json": "--format: without meaning for --check",
    "matrix --check catalog/data tcia": "leave tcia out",
    "matrix --changed-since 2024 --why": "--why: not together with --changed-since",
    "matrix --why --format markdown": "json and csv hold it",
    "compare tcia idc --why --format csv": "`broker matrix tcia idc --format json` has",
    "archives --kind xnat --url http://x": "--kind and --url: without meaning for the list of archives",
    "archives --timeout 3": "--timeout: without meaning for the list",
    "archives check --where state=alive": "--where: without meaning for archives check",
    "archives add pacs --kind dicomweb --format json": "--format: without meaning for archives add",
    "archives --pages pages --where state=alive": "--where: without meaning for --pages",
    "catalog list --archive pacs": "--archive: list shows every archive",
    "catalog show --archive pacs UID": "name the archive without --archive",
    "catalog remove pacs --format json": "--format: without meaning for catalog remove",
    "catalog remove pacs --dry-run": "--dry-run: without meaning for catalog remove",
    "catalog list --from rows.csv": "--from: without meaning for catalog list",
    "catalog import rows.csv --from rows.csv": "--from: of `remove`",
    "catalog list --replace": "--replace: without meaning for catalog list",
    "catalog import rows.csv --format json": "--format: of `list` and `show`",
    "catalog import rows.csv --mapping m.toml --as nda": "--as nda: --mapping is for tables",
    "search Modality=CT --format csv --columns PatientID": "--columns: chooses the columns of a table",
    "search Modality=CT -o page.parquet --columns PatientID": "parquet holds every column",
    "search Modality=CT --prefer license": "only json and ndjson name these, not table",
    "count Modality=CT --top 5": "--top: no facets are asked for",
    "count Modality=CT --by sex --top 5 --format csv": "--top: shortens tables",
    "facets Modality=CT --top -1": "--top -1: write how many",
    "describe Modality=CT --as fhir --title T": "--title: a name of a data set",
    "manifest Modality=CT --run 2026": "--run: of a cohort",
    "manifest kept --at idc --limit 5": "--at and --limit: of a query, and kept was asked already",
    "get kept -o page.html --field PatientAge": "--field: of a query, and kept was asked already",
    "describe kept --scan": "--scan: of a query, and kept was asked already",
}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to write to, and a cohort `kept`."""
    for name in ("CONFIG", "DATA", "STATE"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / name))
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    return work


@pytest.mark.parametrize("words", REFUSED)
def test_what_cannot_be_had_together_is_said(
    words: str, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if " kept" in words:
        assert main(["save", "kept", "series", "Collection=rider_pilot", "Modality=CR", "--at", "idc"]) == OK
        capsys.readouterr()
    assert main(words.split()) == BAD_QUERY
    got = capsys.readouterr()
    assert REFUSED[words] in got.err
    assert got.err.startswith("broker: ")
    assert got.err.count("\n") == 1
    assert (got.out, list(home.iterdir())) == ("", [])


@pytest.mark.parametrize(
    "words",
    [
        "matrix --format csv --why",
        "matrix tcia --as-of 2020 --html page.html",
        "matrix --changed-since 2024 --format csv --capability public_api",
        "archives --format json --where state=retired --include-unknown",
        "catalog list --format json",
        "count series Collection=rider_pilot --by sex --top 1 --at idc",
        "search series Collection=rider_pilot --at idc --format json --prefer license --limit 1",
    ],
)
def test_what_goes_together_is_taken(words: str, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words.split()) == OK, capsys.readouterr().err
