"""Merging: by UID, keeping who said what, independent of arrival; nothing overwritten, nothing invented."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.adapter import Page
from broker.joining.entity import Source
from broker.merge import Merge
from catalog.keywords import Level

KEYWORDS = ("StudyInstanceUID", "PatientID", "StudyDescription")


def source(archive: str, rank: int = 0, keywords: tuple[str, ...] = KEYWORDS) -> Source:
    return Source(archive, rank, keywords, 0.0)


def merged(*pages: tuple[Source, list[tuple[Any, ...]]], level: Level = Level.STUDY) -> Merge:
    merge = Merge(level)
    for who, rows in pages:
        merge.add(Page(who.keywords, rows), who)
    return merge


def test_equal_uids_are_one_entity_with_every_word_kept() -> None:
    merge = merged((source("a"), [("1.2", "P1", "CHEST")]), (source("b", 1), [("1.2", "P-1", "")]))
    (study,) = merge.result()
    assert study.archives == ("a", "b")
    assert study.said["b"] == {"StudyInstanceUID": "1.2", "PatientID": "P-1", "StudyDescription": ""}
    assert study.values == {"StudyInstanceUID": "1.2", "PatientID": "P1", "StudyDescription": "CHEST"}
    assert study.conflicts == {"PatientID": {"a": "P1", "b": "P-1"}}


def test_the_value_shown_follows_precedence_not_arrival() -> None:
    late = merged((source("b", 1), [("1.2", "B", None)]), (source("a", 0), [("1.2", "A", None)]))
    assert late.result()[0].first("PatientID") == "A"


def test_padding_is_no_other_uid() -> None:
    assert (
        len(merged((source("a"), [("1.2\0", "P", None)]), (source("b"), [("1.2", "P", None)])).result()) == 1
    )


@pytest.mark.parametrize("bad", [None, "", "no-uid", "1.2." + "3" * 64, ("1.2", "1.3")])
def test_without_a_valid_uid_nothing_is_merged_and_none_is_invented(bad: Any) -> None:
    merge = merged((source("a"), [(bad, "P", "X"), (bad, "P", "X")]), (source("b", 1), [(bad, "P", "X")]))
    assert len(merge.result()) == 3
    assert {e.uid for e in merge.result()} == {None}


def test_a_repeated_record_of_one_archive_is_counted_once_more() -> None:
    (study,) = merged((source("a"), [("1.2", "P", "X")] * 3)).result()
    assert (study.copies, len(study.sayings)) == (3, 1)


def test_an_archive_that_contradicts_itself_is_shown_to() -> None:
    """In IDC v25 one StudyInstanceUID carries two PatientIDs."""
    (study,) = merged((source("a"), [("1.2", "P1", "X"), ("1.2", "P2", "X")])).result()
    assert study.said["a"]["PatientID"] == ("P1", "P2")
    assert study.conflicts == {"PatientID": {"a": ("P1", "P2")}}


def test_equality_follows_the_vr_and_raw_stands_beside_normal() -> None:
    keywords = ("StudyInstanceUID", "StudyDate", "PatientName", "PatientSex", "PatientAge")
    one = source("a", 0, keywords), [("1.2", "2020.06.15", "SMITH^JOHN^^", "male", "66")]
    two = source("b", 1, keywords), [("1.2", "20200615", "SMITH^JOHN", "M", "066Y")]
    (study,) = merged(one, two).result()
    assert set(study.conflicts) == {"PatientSex", "PatientAge"}
    assert study.said["a"]["StudyDate"] == "2020.06.15"
    assert study.normal == {"a": {"StudyDate": "20200615", "PatientName": "SMITH^JOHN", "PatientSex": "M"}}
    assert study.unreadable == {"a": ("PatientAge",)}


PATIENT = ("PatientID", "Collection", "PatientSex")


def test_a_patient_id_counts_only_within_archive_and_collection() -> None:
    """89 PatientIDs of IDC v25 occur in several collections."""
    rows: list[tuple[Any, ...]] = [
        ("1", "lidc", "M"),
        ("1", "nlst", "M"),
        ("1", "lidc", "M"),
        ("", "lidc", "M"),
        ("", "lidc", "F"),
    ]
    here, there = source("a", 0, PATIENT), source("b", 1, PATIENT)
    patients = merged((here, rows), (there, rows[:1]), level=Level.PATIENT).result()
    assert len(patients) == 5  # two collections, two without an id, one of the other archive
    assert all(e.uid is None for e in patients)


VALUES = st.sampled_from([None, "", "x", "y", ("x", "y")])
ROWS = st.lists(st.tuples(st.sampled_from(["1.1", "1.2", "1.3", "", "bad"]), VALUES, VALUES), max_size=6)


@given(st.dictionaries(st.sampled_from("abcd"), ROWS, min_size=1), st.randoms())
def test_the_result_does_not_depend_on_arrival_order(
    held: dict[str, list[Any]], order: random.Random
) -> None:
    pages = [(source(name, ord(name)), [row]) for name, rows in held.items() for row in rows]

    def told(merge: Merge) -> dict[Any, Any]:
        return {e.key: (e.said, e.values, e.conflicts, e.copies) for e in merge.result() if e.uid}

    once = merged(*pages)
    order.shuffle(pages)
    again = merged(*pages)
    assert told(again) == told(once)
    assert len(told(once)) == len({row[0] for rows in held.values() for row in rows} - {"", "bad"})


@given(st.dictionaries(st.sampled_from("abcd"), ROWS, min_size=1))
def test_every_value_traces_to_a_record_with_that_uid(held: dict[str, list[Any]]) -> None:
    merge = merged(*((source(name, ord(name)), rows) for name, rows in held.items()))
    for e in merge.result():
        for who, row in e.sayings:
            assert row in held[who.archive]
            assert e.uid in (None, row[0])
        for keyword, value in e.values.items():
            column = KEYWORDS.index(keyword)
            told = [row[column] for _, row in e.sayings]
            assert value in told or set(value or ()) <= {
                v for t in told for v in ((t,) if isinstance(t, str) else t or ())
            }


def test_entities_are_made_when_read_and_do_not_change_afterwards() -> None:
    """What arrives after a result was taken does not get into it."""
    merge = merged((source("a"), [("1.2", "P1", "X"), ("1.3", "P", "X")]))
    before = merge.result()
    merge.add(Page(KEYWORDS, [("1.2", "P2", "X"), ("1.4", "P", "X")]), source("b", 1))
    assert (len(before), len(merge), [e.uid for e in merge.result()]) == (2, 3, ["1.2", "1.3", "1.4"])
    assert before[0].archives == ("a",)
    assert before[0] is before[0] is before[:1][0]
    assert merge.result()[0].archives == ("a", "b")


def test_what_one_record_lacks_can_contradict_between_two_others() -> None:
    """No archive contradicts the first one, which says nothing of it."""
    one = source("a", 0, ("StudyInstanceUID",)), [("1.2",)]
    two = source("b", 1, ("PatientSex", "StudyInstanceUID")), [("M", "1.2")]
    three = source("c", 2, ("StudyInstanceUID", "PatientSex", "StudyDate")), [("1.2", "F", "")]
    for pages in ((one, two, three), (three, one, two), (two, three, one)):
        assert [e.archives for e in merged(*pages).result()] == [("a",), ("b",), ("c",)]


def test_an_archive_that_repeats_itself_costs_time_in_proportion() -> None:
    """20,000 records of one UID, each different: pair by pair this would take hours."""
    rows = [("1.2", f"P{n}", "X") for n in range(20_000)]
    (study,) = merged((source("a"), rows)).result()
    assert (study.copies, len(study.sayings), len(study.said["a"]["PatientID"] or ())) == (20_000,) * 3


def test_two_values_in_one_record_of_what_can_only_have_one_are_a_conflict() -> None:
    keywords = ("StudyInstanceUID", "StudyDate", "ModalitiesInStudy", "Modality", "PatientName")
    row = ("1.2", ("20200101", "20200102"), ("CT", "SR"), ("CT", "SR"), ("A^B", "A^B^^"))
    (study,) = merged((source("a", 0, keywords), [row])).result()
    assert study.conflicts == {"StudyDate": {"a": ("20200101", "20200102")}}


def test_modalities_in_study_are_a_union_and_counts_are_never_summed() -> None:
    keywords = ("StudyInstanceUID", "ModalitiesInStudy", "NumberOfStudyRelatedSeries")
    one = source("a", 0, keywords), [("1.2", ("CT", "SR"), "3")]
    two = source("b", 1, keywords), [("1.2", ("CT", "SEG"), "2")]
    for pages in ((one, two), (two, one)):
        (study,) = merged(*pages).result()
        assert study.values["ModalitiesInStudy"] == ("CT", "SR", "SEG")
        assert study.values["NumberOfStudyRelatedSeries"] == "3"
        assert study.conflicts == {"NumberOfStudyRelatedSeries": {"a": "3", "b": "2"}}
