"""What conditions leave unknown is counted rightly, whatever the import has counted beforehand."""

from __future__ import annotations

import json
import random
import shutil
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

import duckdb
import pytest
from asking import ask, report_of

import broker
from adapters.local.adapter import Local
from adapters.rows import Rows
from broker.matching import compiled
from broker.query import condition
from catalog.duckdb_reader import FOLDED
from catalog.holdings import Source, Store
from catalog.imports.rows import Row
from catalog.keywords import Level
from catalog.store import store

FILE, OTHER = (Source("mine", f"/{name}.csv", "csv", 1) for name in ("file", "other"))
VALUES: dict[str, tuple[str | None, ...]] = {
    "Modality": ("MR", "CT"),
    "StudyDate": ("20000101", "20200315", None),
    "SeriesDescription": ("T2 FLAIR", "Straße", None, None),
    "BodyPartExamined": ("HEAD", None),
    "PatientAge": ("050Y", None),
    "SeriesNumber": ("7", "8", None),
}
QUESTIONS = [
    ("Modality=MR",),
    ("SeriesDescription~flair",),
    ("SeriesNumber=7", "PatientAge=050Y"),
    ("Modality=MR", "SeriesDescription~STRASSE", "StudyDate=2000-"),
    ("BodyPartExamined=HEAD", "Modality=CT", "StudyDate=2005-"),
    ("BodyPartExamined=HEAD", "SeriesDescription=*F*", "StudyDate=-2005", "SeriesNumber=7,8"),
    ('BodyPartExamined="",HEAD', "StudyDate=2005-"),
    ('StudyDate="",2005-', "SeriesDescription~flair", "PatientAge=050Y"),
]

Record = dict[str, str | None]


def records(seed: int, count: int = 120) -> list[Record]:
    """Series with and without values."""
    made = random.Random(seed)
    return [
        {k: made.choice(values) for k, values in VALUES.items()}
        | {"SeriesInstanceUID": f"1.2.{n}", "StudyInstanceUID": f"1.9.{n // 5}", "PatientID": f"P{n // 10}"}
        for n in range(count)
    ]


def rows(found: Sequence[Record]) -> list[Row]:
    """As a file tells them."""
    return [Row(Level.SERIES, record, n) for n, record in enumerate(found)]


async def agrees(local: Local, held: Sequence[Record]) -> None:
    """The counts are those of records that are all looked at here; those of the import are right too."""
    looked = Rows("rows", held, Level.SERIES)
    for asked in QUESTIONS:
        told = report_of(await ask("series", *asked, at=[local]), "mine")
        seen = report_of(await ask("series", *asked, at=[looked]), "rows")
        assert (told.kept, told.unknown) == (seen.kept, seen.unknown), asked
        assert told.untold == []
    columns = local._store.held()["mine"].columns
    for name in VALUES:
        assert columns[name].missing == sum(r[name] is None for r in held), name


def by_hand(level: Level, asked: Sequence[str], held: Sequence[Record]) -> tuple[int, dict[str, int]]:
    """Studies or patients that satisfy every condition, and how many each condition leaves unknown."""
    groups: defaultdict[str | None, list[Record]] = defaultdict(list)
    for record in held:
        groups[record[level.uid]].append(record)
    found, unknown = 0, Counter[str]()
    conditions = [condition(text) for text in asked]
    finer = [c for c in conditions if c.key.level > level]
    tests = {c: compiled(c) for c in conditions}
    for rows in groups.values():
        hits = [r for r in rows if all(tests[c](r[c.keyword]) is not False for c in finer)]
        truths = [bool(hits) and (any(all(tests[c](r[c.keyword]) for c in finer) for r in hits) or None)]
        for c in (c for c in conditions if c not in finer):
            values = {r[c.keyword] for r in rows}
            seen = {tests[c](value) for value in values - {None} or {None}}
            truths.append(True if True in seen else None if seen == {None} else False)
        if all(truths):
            found += 1
        elif False not in truths:
            doubtful = [(c, hits if c in finer else rows) for c in conditions]
            unknown.update(c.keyword for c, of in doubtful if all(tests[c](r[c.keyword]) is None for r in of))
    return found, dict(unknown)


def keyed(record: Record, some: str) -> Record:
    """A series whose study has no UID, but the archive's own key: all studies, or those of odd number."""
    study = str(record["StudyInstanceUID"])
    if some == "uid" or (some == "both" and int(study[4:]) % 2 == 0):
        return record
    return {k: v for k, v in record.items() if k != "StudyInstanceUID"} | {"StudyKey": study}


@pytest.mark.parametrize(
    ("level", "by"),
    [(Level.STUDY, "uid"), (Level.STUDY, "key"), (Level.STUDY, "both"), (Level.PATIENT, "uid")],
)
async def test_studies_and_patients_are_counted_as_they_are_meant(kept: Store, level: Level, by: str) -> None:
    held = records(8, 300)
    kept.take(FILE, rows([keyed(r, by) for r in held]))
    for asked in QUESTIONS:
        told = report_of(await ask(level.name.lower(), *asked, at=[Local("mine", kept)]), "mine")
        assert (told.kept, told.unknown) == by_hand(level, asked, held), asked


async def test_counts_hold_after_imports_that_add_change_and_replace(kept: Store) -> None:
    first, second, third = records(1), records(2), records(3, 60)
    kept.take(FILE, rows(first))
    early = Local("mine", kept)
    await agrees(early, first)
    kept.take(FILE, rows(second))  # the same series, now with other values and without
    await agrees(Local("mine", kept), second)
    await agrees(early, second)
    both = [{k: c if c is not None else b for (k, b), c in zip(x.items(), y.values(), strict=True)}
            for x, y in zip(second, third, strict=False)]  # fmt: skip
    kept.take(OTHER, rows(third))  # a second file says more of some
    await agrees(early, [*both, *second[60:]])
    kept.take(OTHER, rows(third), replace=True)
    assert len(await ask("series", at=[early])) == 60
    await agrees(early, third)


async def test_counts_hold_after_an_archive_was_forgotten_and_came_again(kept: Store) -> None:
    kept.take(FILE, rows(records(4)))
    early = Local("mine", kept)
    await agrees(early, records(4))
    kept.remove("mine")
    gone = report_of(await ask("series", "Modality=MR", at=[early]), "mine")
    assert (gone.status.value, gone.reason) == ("failed", "catalog_missing")
    kept.take(OTHER, rows(records(5)))
    await agrees(early, records(5))


async def test_what_has_no_series_is_not_counted_as_one(kept: Store) -> None:
    held = records(6)
    bare = [Row(Level.STUDY, {"StudyInstanceUID": f"1.8.{n}", "PatientID": f"Q{n}"}, n) for n in range(9)]
    kept.take(FILE, [*rows(held), *bare])
    local, looked = Local("mine", kept), Rows("rows", held, Level.SERIES)
    for asked in QUESTIONS:
        told = report_of(await ask("series", *asked, at=[local]), "mine")
        assert told.unknown == report_of(await ask("series", *asked, at=[looked]), "rows").unknown, asked
    studies = report_of(await ask("studies", "StudyDate=2020", at=[local]), "mine")
    assert studies.unknown["StudyDate"] >= 9


@pytest.mark.parametrize("level", ["series", "studies", "patients"])
async def test_a_catalog_of_before_anything_was_counted_tells_the_same(tmp_path: Path, level: str) -> None:
    kept, older = store(tmp_path / "catalog.duckdb"), tmp_path / "older.duckdb"
    kept.take(FILE, rows(records(7)))
    shutil.copyfile(tmp_path / "catalog.duckdb", older)
    now = [report_of(await ask(level, *asked, at=[Local("mine", kept)]), "mine") for asked in QUESTIONS]
    with duckdb.connect(str(older)) as db:
        ((about,),) = db.execute("SELECT about FROM archives").fetchall()
        old = json.loads(about)
        del old["marked"], old["numbered"]
        for column in old["columns"].values():
            del column["missing"]
        for number in ("_study", "_patient"):
            db.execute(f'ALTER TABLE "rows_mine" DROP COLUMN {number}')
        db.execute("UPDATE archives SET about = ?", [json.dumps(old)])
    local = Local("mine", store(older))
    assert local._known().columns["StudyDate"].missing is None
    before = [report_of(await ask(level, *asked, at=[local]), "mine") for asked in QUESTIONS]
    assert [(r.kept, r.unknown) for r in now] == [(r.kept, r.unknown) for r in before]
    assert any(r.unknown for r in now)


@pytest.mark.parametrize("level", ["series", "studies"])
async def test_the_plan_shows_what_counts_the_unknown_where_anything_does(tmp_path: Path, level: str) -> None:
    kept = store(tmp_path / "catalog.duckdb")
    kept.take(FILE, rows(records(7)))

    def sent(*words: str, **more: bool) -> str:
        (explained,) = broker.explain(level, *words, at=[Local("mine", kept)], **more)
        return " ".join(explained.requests)

    assert sent("Modality=MR").count("; SELECT") == 0, "every row has one"
    assert sent("Modality=MR", "BodyPartExamined=HEAD").count("; SELECT") == 1
    assert sent("Modality=MR", "BodyPartExamined=HEAD", include_unknown=True).count("; SELECT") == 0
    with duckdb.connect(str(tmp_path / "catalog.duckdb"), read_only=True) as db:
        db.execute(FOLDED.replace("CREATE", "CREATE TEMP"))
        *_, counted = sent("SeriesDescription~flair", "BodyPartExamined=HEAD").split("; ")
        told = db.execute(counted).fetchall()
    answer = await ask(level, "SeriesDescription~flair", "BodyPartExamined=HEAD", at=[Local("mine", kept)])
    unknown = report_of(answer, "mine").unknown
    assert sorted(told[0]) == sorted(unknown.get(k, 0) for k in ("SeriesDescription", "BodyPartExamined"))
