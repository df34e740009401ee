"""What was imported from one place is taken back: exactly as if it had not been imported, or not at all."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from holdings import Catalog, of, rows, told
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.holdings import Held, Source, Store
from catalog.imports.rows import Row
from catalog.keywords import Level
from catalog.problems import BadFile, Missing
from catalog.store import store
from catalog.store_duckdb import DuckStore
from catalog.store_postgres import PostgresStore
from catalog.store_rows import holdings

FOLDER = tempfile.TemporaryDirectory()
FILE, OTHER, THIRD = (Source("mine", f"/{name}.csv", "csv", 1, "00") for name in ("file", "other", "third"))


def series(number: int, **said: str) -> Row:
    return Row(Level.SERIES, {"SeriesKey": str(number), "PatientID": f"P{number}", **said}, number + 2)


A = [series(n, Modality="MR") for n in range(5)]
B = [series(n, Modality="CT", BodyPartExamined="LUNG") for n in range(10, 13)]


def said(kept: Store) -> list[tuple[object, ...]]:
    """The values of all rows, and the sources that told of them."""
    columns = ", ".join(f'"{name}"' for name in sorted(kept.held()["mine"].columns))
    return rows(kept, f"{columns}, _source, _line, _also, _same")


def state(kept: Store) -> tuple[Held, list[tuple[object, ...]], list[str]]:
    return kept.held()["mine"], said(kept), [one.source.place for one in kept.sources()]


def test_what_only_one_file_said_goes_and_nothing_else(kept: Store) -> None:
    kept.take(FILE, A)
    before = state(kept)
    kept.take(OTHER, B)
    assert state(kept) != before
    assert kept.take_back("mine", "/other.csv") == 3
    assert state(kept) == before
    kept.take(OTHER, B)
    assert kept.take_back("mine", "/file.csv") == 5
    assert {row[1] for row in said(kept)} == {"CT"}
    assert "BodyPartExamined" in kept.held()["mine"].columns
    assert kept.held()["mine"].cite == "csv: /other.csv"


def test_a_file_that_said_the_same_leaves_what_the_first_said(kept: Store) -> None:
    kept.take(FILE, A)
    before = state(kept)
    outcome = kept.take(OTHER, [*A[:3], *B])
    assert (outcome.added, outcome.unchanged, outcome.noted) == (3, 3, 3)
    assert kept.take(OTHER, [*A[:3], *B]).touched is False
    assert kept.take_back("mine", "/other.csv") == 3
    assert state(kept) == before


def test_what_another_file_said_too_is_not_taken_from_it(kept: Store) -> None:
    kept.take(FILE, A)
    kept.take(OTHER, [*A[:2], *B])
    before = told(kept)
    with pytest.raises(BadFile, match=r"2 of the rows that /file.csv told of were told of by /other.csv too"):
        kept.take_back("mine", "/file.csv")
    assert told(kept) == before
    kept.take_back("mine", "/other.csv")
    assert kept.take_back("mine", "/file.csv") == 5
    assert kept.held() == {}
    assert kept.sources() == []


@pytest.mark.parametrize("place", ["/file.csv", "/other.csv"])
def test_values_that_several_gave_are_not_given_apart(kept: Store, place: str) -> None:
    kept.take(FILE, A)
    kept.take(OTHER, [series(1, Modality="PT"), *B])
    before = told(kept)
    with pytest.raises(BadFile, match=r"1 of the rows .* Say broker catalog remove mine"):
        kept.take_back("mine", place)
    assert told(kept) == before


def test_whoever_said_the_same_of_what_changed_since_goes_alone(kept: Store) -> None:
    kept.take(FILE, A)
    kept.take(THIRD, A[:2])
    kept.take(OTHER, [series(1, Modality="PT")])
    before = said(kept)
    assert kept.take_back("mine", "/third.csv") == 0
    assert [row[:3] for row in said(kept)] == [row[:3] for row in before]
    assert {one.source.place for one in kept.sources()} == {"/file.csv", "/other.csv"}
    kept.take(Source("mine", "/fourth.csv", "csv", 1), B)
    assert kept.take_back("mine", "/fourth.csv") == 3


def test_what_replaces_all_is_the_only_one_that_said_it(kept: Store) -> None:
    kept.take(FILE, A)
    kept.take(OTHER, A)
    kept.take(THIRD, [*A, *B], replace=True)
    assert kept.take_back("mine", "/third.csv") == 8
    assert kept.held() == {}


PLACES = (FILE, OTHER, THIRD)
SERIES = st.builds(
    lambda key, whom, said: Row(
        Level.SERIES, {**({"SeriesKey": key} if key else {}), "PatientID": whom, **said}
    ),
    st.sampled_from(["1", "2", "3", ""]),
    st.sampled_from(["P", "Q"]),
    st.dictionaries(st.sampled_from(["Modality", "BodyPartExamined"]), st.sampled_from(["A", "B"])),
)
IMPORTS = st.lists(st.tuples(st.sampled_from(PLACES), st.lists(SERIES, min_size=1, max_size=4)), max_size=5)


def taken(imports: Sequence[tuple[Source, list[Row]]]) -> Store:
    kept = store(Path(tempfile.mkdtemp(dir=FOLDER.name)) / "catalog.duckdb")
    for source, given_ in imports:
        kept.take(source, given_)
    return kept


def values(kept: Store) -> list[str]:
    """What the rows say."""
    if "mine" not in kept.held():
        return []
    names = sorted(kept.held()["mine"].columns)
    found = (zip(names, row[:-4], strict=True) for row in said(kept))
    return sorted(str([(name, value) for name, value in row if value is not None]) for row in found)


@settings(max_examples=20, deadline=None)
@given(IMPORTS, st.sampled_from(PLACES))
def test_it_is_as_if_it_had_not_been_imported_or_nothing_is_done(
    imports: list[tuple[Source, list[Row]]], source: Source
) -> None:
    kept = taken(imports)
    before = told(kept)
    try:
        kept.take_back("mine", source.place)
    except (BadFile, Missing):
        assert told(kept) == before
        return
    without = taken([one for one in imports if one[0] != source])
    assert values(kept) == values(without)
    assert [about.rows for about in kept.held().values()] == [about.rows for about in without.held().values()]


def test_what_nobody_imported_is_named(kept: Store) -> None:
    with pytest.raises(Missing, match="holds nothing of 'mine'"):
        kept.take_back("mine", "/file.csv")
    kept.take(FILE, A)
    with pytest.raises(BadFile, match=r"nothing of mine was imported from /x.csv"):
        kept.take_back("mine", "/x.csv")


def older(kept: Store) -> None:
    """Make of a store what an older version would have left."""
    about = {key: value for key, value in kept.held()["mine"].plain().items() if key != "traced"}
    told = json.dumps(about)
    if isinstance(kept, DuckStore):
        import duckdb

        with duckdb.connect(str(kept.path)) as db:
            db.execute('ALTER TABLE "rows_mine" DROP COLUMN _same')
            db.execute("UPDATE archives SET about = ?", [told])
        return
    assert isinstance(kept, PostgresStore)
    with kept.connected() as server:
        server.execute('ALTER TABLE "rows_mine" DROP COLUMN _same')
        server.execute("UPDATE archives SET about = %s", [told])


def test_a_catalog_of_an_older_version_is_not_believed_to_know_every_file(kept: Store) -> None:
    kept.take(FILE, A)
    older(kept)
    assert [origin.place for origin in holdings(kept, "mine", "1")[0].origins] == ["/file.csv"]
    for _ in range(2):
        with pytest.raises(BadFile, match="did not yet note every file that tells of a row"):
            kept.take_back("mine", "/file.csv")
        kept.take(OTHER, [*A, *B])
    kept.take(OTHER, [*A, *B], replace=True)
    assert kept.take_back("mine", "/other.csv") == 8


def test_the_command_takes_back_what_lay_at_a_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    catalog = Catalog(tmp_path, capsys)
    monkeypatch.chdir(tmp_path)
    first = catalog.write("a.csv", "SeriesKey,PatientID,Modality\n1,P1,CT\n2,P2,MR\n")
    catalog.write("b.csv", "SeriesKey,PatientID,Modality\n2,P2,MR\n3,P3,MR\n")
    for name in ("a.csv", "b.csv"):
        assert catalog.take(Path(name), "--archive", "mine")[0] == 0
    out = catalog.run("catalog", "show", "mine", "2")[1]
    assert [line.split(" line")[0].split(",")[0] for line in out.splitlines()[1:3]] == [
        f"  from {first}",
        f"  from {tmp_path / 'b.csv'}",
    ]
    code, _, err = catalog.run("catalog", "remove", "mine", "--from", "a.csv")
    assert (code, "Take back the others first, or broker catalog remove mine" in err) == (2, True)
    Path("b.csv").unlink()
    assert catalog.run("catalog", "remove", "mine", "--from", "b.csv")[:2] == (0, "mine: 1 rows forgotten\n")
    assert sorted(of(catalog.search("series"), "SeriesKey")) == ["1", "2"]
    assert catalog.run("catalog", "remove", "mine", "--from", str(first))[0] == 0
    assert "nothing was imported yet" in catalog.run("catalog", "list")[1]
