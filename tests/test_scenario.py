"""All of the Imaging Data Commons, copies of some of its collections, and records without UIDs: one answer.

Every series of IDC, an NBIA server and an Orthanc that each hold some of its collections, and a list of scans
as LONI gives them, without UIDs. The truth is counted by SQL over the index; what the copies say wrongly was
planted here.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import duckdb
import idc_index_data
import pytest
from asking import need_orthanc, web
from asking_nbia import nbia
from peers.nbia import NbiaServer
from peers.nbia_rows import Row, from_idc, idc_name
from peers.orthanc import Orthanc

from adapters.dicomweb.adapter import QIDO
from adapters.idc.adapter import Idc
from adapters.rows import Rows
from broker.answer import Answer
from broker.api import Session
from broker.joining.entity import Entity
from broker.joining.rules import Rules
from broker.query import Query
from catalog.keywords import Level
from fixtures.dicom import instance

IN_NBIA = ("BREAST-DIAGNOSIS", "CC-Radiomics-Phantom", "PDMR-Texture-Analysis")
IN_ORTHANC = ("QIN LUNG CT", "PDMR-833975-119-R", "PDMR-997537-175-T")
OF_TWO_PATIENTS = "1.2.840.113654.2.55.125969098001031158877420279905106225610"
RULES = Rules(
    domains=(frozenset({"idc", "nbia"}),),
    aliases={name: idc_name(name) for name in (*IN_NBIA, *IN_ORTHANC)},
)


@dataclass(frozen=True)
class Planted:
    """What NBIA's copy says wrongly: series by what contradicts, and those that only differ."""

    contradicting: dict[str, set[str]]
    differing: set[str]
    moved_to: str


def planted(rows: list[Row]) -> tuple[list[Row], Planted]:
    """NBIA's rows with a modality, a study and a patient's sex that are not IDC's, and some descriptions."""
    changed: list[dict[str, str]] = [dict(row) for row in rows]
    women = [r for r in changed if r.get("PatientSex") == "F"]
    studies = list(dict.fromkeys((r["PatientID"], r["StudyInstanceUID"]) for r in women))
    (one, other) = next((a, b) for a, b in pairwise(studies) if a[0] == b[0])
    moved = next(r for r in changed if r["StudyInstanceUID"] == one[1])
    taken = [uid for _, uid in studies if uid not in (one[1], other[1])]
    sexes = [r for r in changed if r["StudyInstanceUID"] == taken[0]]
    modality = [r for r in changed if r["StudyInstanceUID"] == taken[1]][:2]
    differing = [r for r in changed if r["StudyInstanceUID"] in taken[2:5]]
    for row in sexes:
        row["PatientSex"] = "M"
    for row in modality:
        row["Modality"] = "NM"
    for row in differing:
        row["SeriesDescription"] = "anonymised copy"
    moved["StudyInstanceUID"] = other[1]
    contradicting = {
        "PatientSex": {r["SeriesInstanceUID"] for r in sexes},
        "Modality": {r["SeriesInstanceUID"] for r in modality},
        "StudyInstanceUID": {moved["SeriesInstanceUID"]},
    }
    return [*changed], Planted(contradicting, {r["SeriesInstanceUID"] for r in differing}, other[1])


@pytest.fixture(scope="module")
def index() -> Iterator[duckdb.DuckDBPyConnection]:
    """The index, read without the broker."""
    with duckdb.connect() as db:
        db.execute(f"CREATE VIEW series AS FROM read_parquet('{idc_index_data.IDC_INDEX_PARQUET_FILEPATH}')")
        yield db


def files(rows: list[Row], folder: Path) -> list[Path]:
    """An instance of each series, as a file that says of it what IDC says."""
    made = []
    for number, row in enumerate(rows):
        said = {k: v for k, v in row.items() if k in SAID}
        place = folder / f"{number}.dcm"
        instance(said, row["SOPClassUID"], f"2.25.{10**30 + number}", 1).save_as(
            place, enforce_file_format=True
        )
        made.append(place)
    return made


SAID = frozenset(
    "PatientID PatientSex PatientAge StudyInstanceUID StudyDate StudyDescription SeriesInstanceUID Modality "
    "BodyPartExamined SeriesDescription SeriesNumber SeriesDate Manufacturer ManufacturerModelName".split()
)


def without_uids(rows: list[Row]) -> list[dict[str, str]]:
    """Scans as LONI lists them: known collections, patients and dates, and an Image ID instead of UIDs."""
    kept = ("PatientID", "StudyDate", "SeriesDescription", "Modality")
    return [
        {
            "SeriesKey": f"I{number}",
            "Collection": idc_name(row["Collection"]),
            **{k: row[k] for k in kept if k in row},
        }
        for number, row in enumerate(rows)
    ]


@dataclass
class World:
    """The answer, and what went in."""

    answer: Answer
    copies: Mapping[str, list[Row]]
    plan: Planted
    loose: int

    def __post_init__(self) -> None:
        self.studies = self.answer.studies
        self.patients = self.answer.patients
        self.conflicts = {str(e.uid): found for e in self.studies if (found := e.conflicts)}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Everything asked once."""
    need_orthanc()
    folder = tmp_path_factory.mktemp("copies")
    in_nbia, plan = planted(from_idc(IN_NBIA))
    in_orthanc = [*from_idc(IN_ORTHANC), *_of_two_patients()]
    loose = without_uids(in_nbia[:40])
    with Orthanc(folder, files(in_orthanc, folder), decode=True) as orthanc:
        answer = asyncio.run(_asked(in_nbia, orthanc.url, loose))
    return World(answer, {"nbia": in_nbia, "orthanc": in_orthanc}, plan, len(loose))


def _of_two_patients() -> list[Row]:
    return [row for row in from_idc(["NLST"]) if row["StudyInstanceUID"] == OF_TWO_PATIENTS]


async def _asked(in_nbia: list[Row], orthanc: str, loose: list[dict[str, str]]) -> Answer:
    async with NbiaServer(rows=in_nbia) as server:
        archives: list[Any] = [
            Idc(),
            nbia(server),
            web(orthanc, "orthanc", QIDO),
            Rows("loni", loose, Level.SERIES),
        ]
        session = Session(Query("series"), at=archives, scan=True)
        session.rules = RULES
        return await session.answer(300)


def uids(rows: list[Row]) -> set[str]:
    return {row["SeriesInstanceUID"] for row in rows}


def test_every_archive_answered_completely(world: World) -> None:
    assert [(r.archive, r.status.value) for r in world.answer.reports] == [
        (name, "ok") for name in ("idc", "nbia", "orthanc", "loni")
    ]
    kept = {r.archive: r.kept for r in world.answer.reports}
    assert kept == {
        "idc": 1_044_191,
        "nbia": len(world.copies["nbia"]),
        "orthanc": len(world.copies["orthanc"]),
        "loni": 40,
    }
    assert kept["nbia"] > 1_000
    assert kept["orthanc"] > 300


def test_the_number_of_distinct_studies_is_right(world: World, index: duckdb.DuckDBPyConnection) -> None:
    """Copies add none; what has no UID is nobody's study; and no study is lost."""
    expected = {uid for (uid,) in index.execute("SELECT DISTINCT StudyInstanceUID FROM series").fetchall()}
    assert {e.uid for e in world.studies if e.uid} == expected
    assert len(expected) == 168_507
    assert sum(e.uid is None for e in world.studies) <= world.loose


def test_every_copy_is_joined_to_its_original_and_to_nothing_else(world: World) -> None:
    known: defaultdict[str, set[str]] = defaultdict(set)
    for archive, rows in world.copies.items():
        for uid in uids(rows):
            known[uid].add(archive)
    collided = set().union(*world.plan.contradicting.values())
    joined = {str(e.uid): set(e.archives) for e in world.answer if len(e.archives) > 1}
    assert joined == {uid: {"idc", *archives} for uid, archives in known.items() if uid not in collided}
    assert len({e.uid for e in world.answer if e.uid}) == 1_044_191


def test_what_contradicts_is_not_fused_and_both_sides_say_why(world: World) -> None:
    sides: defaultdict[str, list[Entity]] = defaultdict(list)
    for e in world.answer.collisions:
        sides[str(e.uid)].append(e)
    found: defaultdict[str, set[str]] = defaultdict(set)
    for uid, both in sides.items():
        assert [e.archives for e in both] == [("idc",), ("nbia",)]
        for keyword, by in both[0].collision.items():
            assert set(by) == {"idc", "nbia"}
            found[keyword].add(uid)
    assert found == world.plan.contradicting


def test_what_only_differs_is_fused_and_listed(world: World) -> None:
    found = {
        str(e.uid)
        for e in world.answer
        if len(e.archives) > 1 and e.conflicts.get("SeriesDescription", {}).get("nbia") == "anonymised copy"
    }
    assert found == world.plan.differing
    assert len(found) >= 3


def test_records_without_uids_are_merged_with_nothing(world: World) -> None:
    loose = [e for e in world.answer if "loni" in e.archives]
    assert len(loose) == world.loose
    assert {(e.uid, e.archives) for e in loose} == {(None, ("loni",))}
    assert len({e.key for e in loose}) == world.loose


@pytest.mark.parametrize(
    ("keyword", "known"), [("PatientID", 1), ("StudyDate", 651), ("StudyDescription", 965)]
)
def test_the_known_conflicts_of_idc_are_found(
    world: World, index: duckdb.DuckDBPyConnection, keyword: str, known: int
) -> None:
    text = f"SELECT StudyInstanceUID FROM series GROUP BY ALL HAVING count(DISTINCT {keyword}) > 1"
    expected = {uid for (uid,) in index.execute(text).fetchall()}
    found = {uid for uid, by in world.conflicts.items() if keyword in by}
    assert len(expected) == known
    assert found - {world.plan.moved_to} == expected - {world.plan.moved_to}


def test_one_study_of_two_patients_joins_nobody(world: World) -> None:
    """IDC and Orthanc both give it to two patients: that is no reason to take these for one."""
    assert world.conflicts[OF_TWO_PATIENTS]["PatientID"] == {
        "idc": ("108001", "123342"),
        "orthanc": ("108001", "123342"),
    }
    named = [
        e for e in world.patients if set(e.said) & {"idc"} and e.first("PatientID") in ("108001", "123342")
    ]
    assert sorted((e.first("PatientID"), e.archives) for e in named) == [
        ("108001", ("idc",)),
        ("123342", ("idc",)),
    ]


def test_a_patient_id_of_two_collections_stays_two_patients(world: World) -> None:
    """Of 89 PatientIDs, copies of one or the other collection are linked to their own original only."""
    collections: defaultdict[str, set[str]] = defaultdict(set)
    for e in world.patients:
        pairs = {(RULES.collection(c), p) for archive, c, p in _identities(e) if archive in ("idc", "nbia")}
        assert len(pairs) < 2
        for collection, patient in pairs:
            collections[patient].add(collection)
    assert sum(len(names) > 1 for names in collections.values()) == 89


def _identities(e: Entity) -> set[tuple[str, str, str]]:
    found = set()
    for source, row in e.sayings:
        said = dict(zip(source.keywords, row, strict=True))
        found.add((source.archive, str(said.get("Collection") or ""), str(said.get("PatientID") or "")))
    return found


def test_patients_are_linked_for_a_reason(world: World) -> None:
    """T1c by the declared domain and aliases, T2 by a study in common where Orthanc knows no collection."""
    linked = [e for e in world.patients if len(e.archives) > 1]
    tiers = {
        archives: {link.tier for e in linked if e.archives == archives for link in e.links}
        for archives in ARCHIVES
    }
    assert tiers == {("idc", "nbia"): {"T1c", "T2"}, ("idc", "orthanc"): {"T2"}}
    assert {e.archives for e in linked} == set(ARCHIVES)


ARCHIVES = (("idc", "nbia"), ("idc", "orthanc"))
