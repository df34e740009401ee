"""Identity: collisions stop a fusion, patients are joined only for a reason, worlds with known truth."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.adapter import Page
from broker.joining.entity import Entity, Source
from broker.joining.identity import contradictions
from broker.joining.link import linked
from broker.joining.rules import NO_RULES, Rules, dummy
from broker.merge import Change, Merge
from catalog.keywords import Level

SERIES = ("SeriesInstanceUID", "StudyInstanceUID", "Modality", "PatientSex", "PatientBirthDate")
PATIENT = ("PatientID", "Collection", "IssuerOfPatientID", "PatientSex", "PatientBirthDate")
STUDY = ("StudyInstanceUID", "PatientID", "PatientSex")
RANKS = {name: i for i, name in enumerate(("a", "b", "c", "d", "hospital", "public"))}


def merged(
    level: Level, keywords: tuple[str, ...], rows: list[tuple[str, tuple[Any, ...]]], rules: Rules = NO_RULES
) -> Merge:
    merge = Merge(level, rules)
    for archive, row in rows:
        merge.add(Page(keywords, [row]), Source(archive, RANKS[archive], keywords, 0.0))
    return merge


HARD = [
    ("PatientSex", "M", "F", True),
    ("PatientSex", "M", "female", True),
    ("PatientSex", "M", "O", False),
    ("PatientSex", "M", "", False),
    ("PatientSex", "0000", "F", False),
    ("PatientBirthDate", "19500101", "1950.01.01", False),
    ("PatientBirthDate", "19500101", "19500102", True),
    ("PatientBirthDate", "19500101", None, False),
    ("Modality", "CT", "MR", True),
    ("Modality", "CT", ("CT", "SEG"), False),
    ("StudyInstanceUID", "1.2\0", "1.2", False),
]


@pytest.mark.parametrize(("keyword", "one", "other", "answer"), HARD)
def test_what_contradicts(keyword: str, one: Any, other: Any, answer: bool) -> None:
    records = [((keyword,), (one,)), ((keyword,), (other,))]
    assert contradictions(Level.SERIES, records) == [keyword] * answer
    assert contradictions(Level.SERIES, records[::-1]) == [keyword] * answer


ROWS = [
    ("a", ("2.1", "1.1", "CT", "M", "")),
    ("b", ("2.1", "1.1", "CT", "", "19500101")),
    ("c", ("2.1", "1.1", "MR", "M", "19500101")),
]


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 1, 0], [1, 2, 0], [2, 0, 1]])
def test_a_contradiction_splits_it_whole_in_any_order_and_both_sides_are_shown(order: list[int]) -> None:
    result = merged(Level.SERIES, SERIES, [ROWS[i] for i in order]).result()
    assert [(e.uid, e.archives) for e in result] == [("2.1", ("a",)), ("2.1", ("b",)), ("2.1", ("c",))]
    assert all(e.collision == {"Modality": {"a": "CT", "b": "CT", "c": "MR"}} for e in result)
    assert result[2].values["Modality"] == "MR"


def test_without_the_contradiction_it_is_one() -> None:
    (one,) = merged(Level.SERIES, SERIES, ROWS[:2]).result()
    assert (one.archives, one.collision) == (("a", "b"), {})


def test_an_archive_that_contradicts_itself_collides_with_itself() -> None:
    rows = [
        ("a", ("2.1", "1.1", "CT", "", "")),
        ("a", ("2.1", "1.2", "CT", "", "")),
        ("b", ("2.1", "1.1", "CT", "", "")),
    ]
    result = merged(Level.SERIES, SERIES, rows).result()
    assert [e.archives for e in result] == [("a",), ("a",), ("b",)]
    assert result[0].collision == {"StudyInstanceUID": {"a": ("1.1", "1.2"), "b": "1.1"}}


def test_what_each_record_changed_is_told_as_it_arrives() -> None:
    merge = Merge(Level.SERIES)
    told = [
        [
            change
            for change, _ in merge.follow(Page(SERIES, [row]), Source(archive, RANKS[archive], SERIES, 0.0))
        ]
        for archive, row in [*ROWS, ("d", ("", "1.1", "CT", "", ""))]
    ]
    assert told == [[Change.FOUND], [Change.EXTENDED], [Change.COLLIDED], [Change.FOUND]]


def test_no_study_is_joined_across_the_barrier_without_a_bridge() -> None:
    rows = [("hospital", ("1.1", "P1", "M")), ("public", ("1.1", "X", "M"))]
    barrier = {"hospital": True, "public": False}
    assert len(merged(Level.STUDY, STUDY, rows, Rules(identified=barrier)).result()) == 2
    bridged = Rules(identified=barrier, bridges=frozenset({frozenset(barrier)}))
    assert len(merged(Level.STUDY, STUDY, rows, bridged).result()) == 1
    assert len(merged(Level.STUDY, STUDY, rows).result()) == 1


def patients(
    rows: list[tuple[str, tuple[Any, ...]]], rules: Rules = NO_RULES, studies: Sequence[Entity] = ()
) -> list[Entity]:
    return linked(merged(Level.PATIENT, PATIENT, rows, rules).result(), studies, rules)


SAME = [("a", ("7", "lidc_idri", "", "", "")), ("b", ("7", "LIDC-IDRI", "", "", ""))]


def test_equal_ids_alone_join_nobody() -> None:
    assert len(patients(SAME)) == 2


def test_t1_issuer_and_id() -> None:
    rows = [(a, ("7", "", "HOSPITAL", "", "")) for a in ("a", "b", "c")]
    (one,) = patients(rows)
    assert one.archives == ("a", "b", "c")
    assert {link.tier for link in one.links} == {"T1"}
    assert "HOSPITAL" in one.links[0].by


def test_t1c_a_declared_domain_with_an_alias() -> None:
    domain = (frozenset({"a", "b"}),)
    assert len(patients(SAME, Rules(domains=domain))) == 2
    (one,) = patients(SAME, Rules(domains=domain, aliases={"LIDC-IDRI": "lidc_idri"}))
    assert one.links[0].tier == "T1c"
    assert (
        len(
            patients(
                [*SAME, ("c", ("7", "lidc_idri", "", "", ""))],
                Rules(domains=domain, aliases={"LIDC-IDRI": "lidc_idri"}),
            )
        )
        == 2
    )


def test_t2_a_study_in_common() -> None:
    rows = [("a", ("1.1", "P1", "")), ("b", ("1.1", "P-001", "")), ("b", ("1.2", "P-002", ""))]
    studies = merged(Level.STUDY, STUDY, rows).result()
    people = [
        ("a", ("P1", "", "", "", "")),
        ("b", ("P-001", "", "", "", "")),
        ("b", ("P-002", "", "", "", "")),
    ]
    found = patients(people, studies=studies)
    assert [e.archives for e in found] == [("a", "b"), ("b",)]
    assert found[0].links[0].by == "StudyInstanceUID 1.1"
    assert found[0].said["b"]["PatientID"] == "P-001"


def test_t2_a_study_that_one_archive_gives_to_two_patients_links_nobody() -> None:
    """IDC has one; where Orthanc has a copy of it, the two must not become one patient."""
    rows = [(archive, ("1.1", patient, "")) for archive in "ab" for patient in ("P1", "P2")]
    studies = merged(Level.STUDY, STUDY, rows).result()
    people = [(archive, (patient, "", "", "", "")) for archive in "ab" for patient in ("P1", "P2")]
    assert [e.archives for e in patients(people, studies=studies)] == [("a",), ("a",), ("b",), ("b",)]


def test_two_names_of_one_collection_are_no_conflict() -> None:
    rules = Rules(aliases={"LIDC-IDRI": "lidc_idri"})
    keywords = ("StudyInstanceUID", "Collection")
    rows = [("a", ("1.1", "lidc_idri")), ("b", ("1.1", "LIDC-IDRI"))]
    assert merged(Level.STUDY, keywords, rows, rules).result()[0].conflicts == {}
    assert set(merged(Level.STUDY, keywords, rows).result()[0].conflicts) == {"Collection"}


def test_t3_the_crosswalk() -> None:
    rules = Rules(crosswalk=((("a", "", "7"), ("b", "LIDC-IDRI", "7")),))
    assert [link.tier for link in patients(SAME, rules)[0].links] == ["T3"]


@pytest.mark.parametrize("nobody", ["", "0", "000", "ANONYMOUS", "unknown", " "])
def test_dummies_link_nothing_not_even_in_one_archive(nobody: str) -> None:
    assert dummy(nobody)
    rows = [(a, (nobody, "", "H", "", "")) for a in ("a", "a", "b")]
    assert len(patients(rows, Rules(domains=(frozenset({"a", "b"}),)))) == 3


def test_a_contradiction_in_a_component_splits_it_whole() -> None:
    rows = [("a", ("7", "", "H", "M", "")), ("b", ("7", "", "H", "", "")), ("c", ("7", "", "H", "F", ""))]
    found = patients(rows)
    assert [e.archives for e in found] == [("a",), ("b",), ("c",)]
    assert found[0].collision == {"PatientSex": {"a": "M", "c": "F"}}


def test_patients_are_not_linked_across_the_barrier() -> None:
    rows = [("hospital", ("7", "", "H", "", "")), ("public", ("7", "", "H", "", ""))]
    assert len(patients(rows, Rules(identified={"hospital": True, "public": False}))) == 2


VALUES: dict[str, list[str | None]] = {
    "SeriesInstanceUID": ["2.1", "2.2", "", "bad"],
    "StudyInstanceUID": ["1.1", "1.2", ""],
    "Modality": ["CT", "MR", "", None],
    "PatientSex": ["M", "F", "", None],
    "PatientBirthDate": ["19500101", "1950.01.01", "", None],
}
WORLD = st.lists(
    st.tuples(st.sampled_from("abcd"), st.tuples(*(st.sampled_from(VALUES[k]) for k in SERIES))), max_size=8
)


def told(merge: Merge) -> list[Any]:
    """What a merge says, without what has no UID."""
    return sorted(repr((e.key, e.said, e.values, e.conflicts, e.collision)) for e in merge.result() if e.uid)


@given(WORLD, st.randoms())
@settings(max_examples=300)
def test_commutative_associative_idempotent(world: list[Any], order: random.Random) -> None:
    once = merged(Level.SERIES, SERIES, world)
    shuffled = list(world)
    order.shuffle(shuffled)
    assert told(merged(Level.SERIES, SERIES, shuffled)) == told(once)
    assert told(merged(Level.SERIES, SERIES, [*world, *world])) == told(once)
    uids = {row[0] for _, row in world} - {"", "bad"}
    assert {e.uid for e in once.wholes() if e.uid} == uids
    for entity in once.result():
        said = {source.archive: row for source, row in entity.sayings}
        sexes = {row[3] for row in said.values()} & {"M", "F"}
        assert len(sexes) < 2
