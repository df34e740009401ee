"""How many, and how sure: what archives count equals what is listed; overlaps are never added up as exact."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb
import idc_index_data
import pytest
from asking import report_of, web
from hypothesis import given, settings
from hypothesis import strategies as st
from peers.orthanc import Orthanc

import broker
from adapters.idc.adapter import Idc
from adapters.rows import Rows
from broker.adapter import Ask, Facet, Page, Tally
from broker.answering.counts import Count, Part, combined
from broker.answering.facets import Sheet
from broker.api import Session
from broker.counting import Counter
from broker.errors import BadQuery, ServerFault
from broker.query import Query
from broker.report import Report
from catalog.capability import Can, Kind
from catalog.keywords import Level
from fixtures.dicom import truth

PARQUET = Path(str(idc_index_data.IDC_INDEX_PARQUET_FILEPATH))


async def counted(
    level: str, *conditions: str, at: Iterable[Any], by: Iterable[str] = (), **options: Any
) -> Any:
    """The counts of a question."""
    return await Counter(Session(Query(level, *conditions), at=at), by, **options).counted(60)


def series(*rows: str, archive: str) -> Rows:
    """An archive of series: `study series modality` a row."""
    keywords = ("StudyInstanceUID", "SeriesInstanceUID", "Modality", "PatientID", "StudyDate")
    return Rows(archive, [dict(zip(keywords, row.split(), strict=False)) for row in rows], Level.SERIES)


A = series("1.1 1.1.1 CT p 20200101", "1.1 1.1.2 SEG p 20200101", "1.2 1.2.1 MR q 20210101", archive="a")
B = series("1.2 1.2.1 MR q 20210101", "1.3 1.3.1 CT r 20220202", archive="b")


class Counting(Rows):
    """An archive that counts by itself, as one that applies Modality."""

    def __init__(
        self, name: str, records: Sequence[Mapping[str, Any]], tally: Tally | Exception | None
    ) -> None:
        super().__init__(name, records, Level.SERIES)
        kinds = {"Modality": frozenset({Kind.SINGLE})}
        self.can = Can(levels=self.can.levels, matches=kinds, returns=self.can.returns, lists_all=True)
        self.tally = tally
        self.listed = 0

    async def count(self, ask: Ask, facets: tuple[Facet, ...]) -> Tally | None:
        """What the test says."""
        del ask, facets
        if isinstance(self.tally, Exception):
            raise self.tally
        return self.tally

    async def find(self, ask: Ask) -> AsyncIterator[Page]:
        """The records; how often is counted."""
        self.listed += 1
        async for page in super().find(ask):
            yield page


CT = [{"SeriesInstanceUID": f"1.9.{n}", "Modality": "CT"} for n in range(3)]
HALF = [{"SeriesInstanceUID": f"1.9.{n}", "Modality": "CT"} for n in range(2, 6)]


async def test_by_modality_equals_duckdbs_own_count() -> None:
    found = await counted("series", at=[Idc()], by=["modality", "Collection", "year"])
    with duckdb.connect() as db:
        for name, column in (
            ("modality", "Modality"),
            ("Collection", "collection_id"),
            ("year", "StudyDate[:4]"),
        ):
            own = db.execute(f"SELECT {column}, count(*) FROM '{PARQUET}' GROUP BY 1").fetchall()
            assert {g.value: g.count for g in found.facets[name]} == {v or "": Count(n, n) for v, n in own}
    assert found.total == Count(1044191, 1044191)
    assert found.there == ("idc",)


BY = ["Modality", "BodyPartExamined", "PatientSex", "year", "License", "Collection"]
ASKED = [
    ("series", ["Collection=rider_pilot,lidc_idri", "Modality=CT"]),
    ("series", ["SeriesDescription~flair", "PatientSex=F"]),
    ("studies", ["Collection=rider_pilot"]),
    ("studies", ["Collection=rider_pilot,tcga_luad", "BodyPartExamined=CHEST"]),
    ("studies", ["Modality=MG", "StudyDate=2010-"]),
    ("patients", ["Modality=MR", "Collection=rider_neuro_mri,ispy1,tcga_luad"]),
    ("patients", ['PatientSex=""', "Modality=SM"]),
]


@pytest.mark.parametrize(("level", "conditions"), ASKED, ids=[" ".join([a, *b]) for a, b in ASKED])
async def test_idc_counts_what_it_lists(level: str, conditions: list[str]) -> None:
    """The same archive, once counted there, once listed and checked here."""

    class Listing:
        """IDC, without its counting."""

        def __init__(self) -> None:
            self.inner = Idc()
            self.name, self.can = "idc", self.inner.can

        def find(self, ask: Ask) -> AsyncIterator[Page]:
            return self.inner.find(ask)

    there = await counted(level, *conditions, at=[Idc()], by=BY)
    here = await counted(level, *conditions, at=[Listing()], by=BY)
    assert (there.there, here.there) == (("idc",), ())
    assert there.total == here.total
    assert there.total.low > 0
    for name in BY:
        assert {g.value: g.count for g in there.facets[name]} == {g.value: g.count for g in here.facets[name]}
    if level == "series":
        assert report_of(there, "idc").unknown == report_of(here, "idc").unknown


async def test_equal_uids_of_two_archives_count_once() -> None:
    found = await counted("series", at=[A, B], by=["Modality", "archive"])
    assert str(found.total) == "4"
    assert found.archives == {"a": Count(3, 3), "b": Count(2, 2)}
    assert {g.value: (str(g.count), g.archives) for g in found.facets["Modality"]} == {
        "CT": ("2", {"a": 1, "b": 1}),
        "MR": ("1", {"a": 1, "b": 1}),
        "SEG": ("1", {"a": 1}),
    }
    assert [g.value for g in found.facets["archive"]] == ["a", "b"]


async def test_studies_counted_by_what_their_matching_series_say() -> None:
    found = await counted("studies", "Modality=CT,MR", at=[A, B], by=["Modality", "year"])
    assert found.total == Count(3, 3)
    assert found.facets["Modality"]["CT"] == Count(2, 2)
    assert found.facets["Modality"]["SEG"] == Count(0, 0)
    assert {g.value: g.count.low for g in found.facets["year"]} == {"2020": 1, "2021": 1, "2022": 1}


async def test_what_archives_count_by_themselves_is_at_most_until_it_is_listed() -> None:
    one, two = Counting("one", CT, Tally(3)), Counting("two", HALF, Tally(4))
    rough = await counted("series", "Modality=CT", at=[one, two])
    assert str(rough.total) == "at most 7, at least 4"
    assert (one.listed, two.listed) == (0, 0)
    exact = await counted("series", "Modality=CT", at=[one, two], exact=True)
    assert str(exact.total) == "6"
    assert (one.listed, two.listed) == (1, 1)


async def test_one_archive_alone_is_not_listed_for_exactness() -> None:
    one, none = Counting("one", CT, Tally(3)), Counting("none", [{**CT[0]}], Tally(0))
    found = await counted("series", "Modality=CT", at=[one, none], exact=True)
    assert (str(found.total), one.listed, none.listed) == ("3", 0, 0)


async def test_a_condition_that_is_not_applied_there_is_counted_by_listing() -> None:
    one = Counting("one", [*CT, {"SeriesInstanceUID": "1.8", "Modality": "MR"}], Tally(1000))
    found = await counted("series", "Modality=C*", at=[one])
    assert (str(found.total), one.listed, found.there) == ("3", 1, ())


async def test_what_cannot_be_counted_there_is_listed() -> None:
    one = Counting("one", CT, None)
    found = await counted("series", "Modality=CT", at=[one])
    assert (str(found.total), one.listed) == ("3", 1)


async def test_an_archive_that_fails_leaves_at_least() -> None:
    found = await counted(
        "series", "Modality=CT", at=[A, Counting("one", CT, ServerFault("no"))], by=["Modality"]
    )
    assert str(found.total) == "at least 1"
    assert str(found.archives["one"]) == "at least 0"
    assert found.facets["Modality"]["CT"].kind == "at least"
    assert report_of(found, "one").reason == "upstream_5xx"


async def test_an_attribute_that_an_archive_does_not_return_is_named() -> None:
    bare = Rows("bare", [{"SeriesInstanceUID": "1.7"}], Level.SERIES)
    found = await counted("series", at=[A, bare], by=["Modality"])
    assert found.facets["Modality"].untold == ("bare",)
    assert found.facets["Modality"]["CT"] == Count(1, None)
    assert found.total == Count(4, 4)


async def test_patients_of_two_archives_are_at_most() -> None:
    found = await counted("patients", at=[A, B])
    assert found.total == Count(2, 4)  # nobody knows whether p is r, or q of a is q of b


async def test_a_condition_that_an_archive_cannot_have_leaves_it_unknown() -> None:
    found = await counted("series", "Manufacturer=GE*", at=[A])
    assert found.total == Count(0, None)
    assert report_of(found, "a").status.value == "refused"


async def test_two_real_archives_with_studies_in_common(packaged: Orthanc, mended: Orthanc) -> None:
    told = truth()["archives"]
    both = [web(packaged.url, "a"), web(mended.url, "b")]
    held = {n: {str(h["study"]["StudyInstanceUID"]) for h in told[n]} for n in ("a", "b")}
    found = await counted("studies", at=both)
    assert found.total == Count(len(held["a"] | held["b"]), len(held["a"] | held["b"]))
    assert len(held["a"] & held["b"]) > 0
    assert found.archives == {n: Count(len(own), len(own)) for n, own in held.items()}
    series = await counted("series", "Modality=CT", at=both, by=["modality", "archive"])
    uids = {
        str(s["SeriesInstanceUID"])
        for n in told
        for h in told[n]
        for s in h["series"]
        if s.get("Modality") == "CT"
    }
    assert series.total.low == len(uids)
    assert series.facets["modality"]["CT"].low == len(uids)


async def test_what_would_be_ignored_is_refused() -> None:
    for options in ({"limit": 3}, {"order": "Modality"}, {"include_unknown": True}):
        with pytest.raises(BadQuery, match="a count"):
            Counter(Session(Query("series"), at=[A], **options))


UIDS = st.dictionaries(st.sampled_from([f"1.{n}" for n in range(6)]), st.sampled_from(["x", "y", ""]))


@settings(deadline=None)
@given(st.lists(UIDS, min_size=1, max_size=3), st.lists(st.booleans(), min_size=3, max_size=3))
def test_bounds_hold_the_truth(held: list[dict[str, str]], there: list[bool]) -> None:
    """Whatever archives hold, and whoever counts by himself: the truth is within the bounds."""
    query = Query("series")
    rows = [[{"SeriesInstanceUID": u, "SeriesDescription": m} for u, m in own.items()] for own in held]
    listing = [Rows(f"a{i}", r, Level.SERIES) for i, r in enumerate(rows) if not there[i] and r]
    answer = broker.search(query, at=listing) if listing else None
    names = {"Text": Facet("SeriesDescription")}
    sheet = Sheet(names).own(answer.entities if answer else ())
    parts, reports = [], []
    for i, own in enumerate(held):
        groups = {"Text": {m: sum(x == m for x in own.values()) for m in set(own.values())}}
        parts.append(Part(f"a{i}", len(own), True, groups, there=there[i]))
        reports.append(Report(f"a{i}"))
    found = combined(query, names, parts, sheet.together(), reports)
    whole = {u for own in held for u in own}
    assert found.total.low <= len(whole) <= (found.total.high or 0)
    for value in ("x", "y"):
        truth = {u for own in held for u, m in own.items() if m == value}
        bound = found.facets["Text"][value]
        assert bound.low <= len(truth) <= (bound.high or 0)
    if not any(there[: len(held)]):
        assert found.total.exact


def test_a_facet_that_is_none_is_refused_by_name() -> None:
    with pytest.raises(BadQuery, match="did you mean Modality"):
        broker.count("series", by=["Modalty"], at=[A])


def run(*words: str) -> subprocess.CompletedProcess[str]:
    """The command as a user runs it."""
    return subprocess.run(
        [sys.executable, "-m", "broker", *words], capture_output=True, text=True, timeout=60, check=False
    )


def test_the_command_counts_every_level_and_says_how() -> None:
    done = run("count", "Collection=rider_pilot", "--at", "idc", "--format", "json")
    assert done.returncode == 0, done.stderr
    told = {c["level"]: c["total"] for c in json.loads(done.stdout)["counts"]}
    assert told == {
        level: {"kind": "exact", "low": n, "high": n}
        for level, n in (("PATIENT", 8), ("STUDY", 154), ("SERIES", 774))
    }
    assert "counted there" in done.stderr


def test_facets_as_a_table_and_as_csv() -> None:
    words = ("facets", "series", "Collection=rider_pilot", "--by", "modality,sex", "--at", "idc")
    table = run(*words, "--top", "2")
    assert table.returncode == 0, table.stderr
    assert "(4 more values: --top 0)" in table.stdout
    rows = list(csv.DictReader(io.StringIO(run(*words, "--format", "csv").stdout)))
    assert {
        "level": "SERIES",
        "facet": "modality",
        "value": "CT",
        "kind": "exact",
        "low": "172",
        "high": "172",
    } in rows
