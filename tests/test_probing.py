"""Planted questions and what follows from their answers: pure, by examples and on arbitrary records."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.matching import Value, compiled
from broker.planning.measured import ANY_TEXT, RETURNED, measured
from broker.probing.trials import KEYS, MORE, Shown, in_study, trials
from broker.probing.verdicts import IGNORED, Outcome, matching, searchable
from catalog import probes
from catalog.capability import Can, Kind, Proof
from catalog.evidence import Evidence, Status
from catalog.keywords import Level

ALL = (*KEYS[Level.STUDY], *MORE[Level.STUDY])
STUDY: Shown = {
    "StudyInstanceUID": "1.2.3",
    "PatientID": "A-7",
    "PatientName": "DOE^JANE",
    "StudyDate": "20200615",
    "StudyTime": "101530",
    "StudyDescription": "CT Thorax",
    "ModalitiesInStudy": ("CT", "SR"),
}

texts = st.text(st.characters(codec="utf-8"), max_size=12)
records = st.lists(
    st.fixed_dictionaries({"StudyInstanceUID": st.just("1.2.3")}, optional=dict.fromkeys(ALL[1:], texts)),
    min_size=1,
    max_size=4,
)


@given(records)
def test_what_must_come_satisfies_the_condition_and_what_must_not_does_not(shown: Sequence[Shown]) -> None:
    for trial in trials(Level.STUDY, shown, ALL):
        if trial.kind is Kind.ANY_CASE:
            continue  # beyond DICOM for all but names
        truths = [compiled(trial.condition)(row.get(trial.keyword)) for row in shown]
        assert (True in truths) if trial.hit else (True not in truths)


@given(records)
def test_a_question_asks_for_one_record_and_for_nothing_twice(shown: Sequence[Shown]) -> None:
    for trial in trials(Level.STUDY, shown, ALL):
        names = [c.keyword for c in trial.conditions]
        assert "StudyInstanceUID" in names
        assert len(set(names)) == len(names)
        assert not any("\\" in str(m) for c in trial.conditions for m in c.matches)


def test_a_study_is_asked_for_by_each_key_in_each_way() -> None:
    asked = {
        (t.keyword, t.kind, str(t.condition).partition("=")[2]) for t in trials(Level.STUDY, [STUDY], ALL)
    }
    assert ("PatientName", Kind.ANY_CASE, "*doe*") in asked
    assert ("PatientID", Kind.ANY_CASE, "a-7") in asked
    assert ("StudyDate", Kind.RANGE, "20200101-20201231") in asked
    assert ("StudyTime", Kind.RANGE, "100000-105959.999999") in asked
    assert ("StudyInstanceUID", Kind.ANY_OF, "1.2.3,2.25.1") in asked
    assert ("AccessionNumber", Kind.SINGLE, "No such value") in asked, "of what is not shown: is it ignored?"


def test_series_keys_are_put_to_their_study_by_two_modalities() -> None:
    series: list[Shown] = [{"Modality": "CT", "BodyPartExamined": "CHEST"}, {"Modality": "SR"}]
    asked = [(t.keyword, str(t.condition.matches[0]), t.hit) for t in in_study(STUDY, series)]
    assert asked[:3] == [("Modality", "CT", True), ("Modality", "SR", True), ("Modality", "NO_SUCH", False)]
    assert ("BodyPartExamined", "CHEST", True) in asked
    assert all(t.level is Level.STUDY for t in in_study(STUDY, series))


def outcomes(name: str, came: dict[tuple[Kind, bool], bool | None]) -> list[Outcome]:
    """What came of the questions about one keyword; None: it was refused."""
    planted = {(t.kind, t.hit): t for t in trials(Level.STUDY, [STUDY], [name])}
    return [Outcome(planted[key], bool(c), "" if c is not None else "http_400") for key, c in came.items()]


HIT, MISS = (Kind.SINGLE, True), (Kind.SINGLE, False)
WILD = (Kind.WILDCARD, True)


@pytest.mark.parametrize(
    ("came", "single", "wildcard", "note"),
    [
        ({HIT: True, MISS: False, WILD: True}, Status.YES, Status.YES, ""),
        ({HIT: True, MISS: False, WILD: False}, Status.YES, Status.NO, "not found"),
        ({HIT: True, MISS: True, WILD: True}, Status.NO, Status.NO, IGNORED),
        ({HIT: False, MISS: False, WILD: True}, Status.NO, Status.YES, ""),
        ({HIT: True, MISS: False, WILD: None}, Status.YES, Status.NO, "refused (http_400)"),
    ],
)
def test_verdicts(
    came: dict[tuple[Kind, bool], bool | None], single: Status, wildcard: Status, note: str
) -> None:
    found = {f.value: f for f in matching(outcomes("PatientID", came))}
    assert (found["single value"].status, found["wildcard"].status) == (single, wildcard)
    assert note in found["wildcard"].note
    assert {f.about for f in found.values()} == {"STUDY PatientID"}


def test_what_holds_for_studies_holds_for_series_where_studies_are_asked_first() -> None:
    came = outcomes("PatientID", {HIT: True, MISS: False})
    assert [f.about for f in matching(came, by_study=True)] == ["STUDY PatientID", "SERIES PatientID"]


def test_keywords_are_counted_once_and_only_where_they_find() -> None:
    came = outcomes("PatientID", {HIT: True, MISS: False}) + outcomes("StudyDate", {HIT: False, MISS: False})
    told = searchable(matching(came, by_study=True))
    assert (told.status, told.value) == (Status.NUMBER, "1")
    assert told.note.startswith("Of 2 that were tried. Found by: study: PatientID")


# what plans make of it

BOTH = frozenset({Kind.SINGLE, Kind.WILDCARD})
CAN = Can(
    levels=frozenset({Level.STUDY, Level.SERIES}),
    matches={"PatientID": BOTH},
    any_text=Proof.OPEN,
    any_case_pn=Proof.OPEN,
)


def said(status: Status, value: str, about: str) -> Evidence:
    """A measurement."""
    return probes.measured(status, value, cite="probe, 9 questions", by="imaging-broker 9", about=about)


def test_a_promise_is_dropped_and_cited_at_its_level_alone() -> None:
    can = measured(CAN, [said(Status.NO, "wildcard", "SERIES PatientID")])
    assert can.at(Level.STUDY).kinds("PatientID") == BOTH
    assert can.at(Level.SERIES).kinds("PatientID") == {Kind.SINGLE}
    assert can.at(Level.STUDY).cited("PatientID") == ""
    assert can.at(Level.SERIES).cited("PatientID").endswith("probe, 9 questions")


def test_in_part_is_not_enough_for_a_promise() -> None:
    can = measured(CAN, [said(Status.PARTIAL, k.value, "STUDY PatientID") for k in BOTH])
    assert not can.at(Level.STUDY).kinds("PatientID")


@pytest.mark.parametrize(
    ("status", "days", "text", "case"),
    [
        (Status.NO, 0, Proof.NO, Proof.NO),
        (Status.NO, 99, Proof.NO, Proof.NO),
        (Status.YES, 0, Proof.YES, Proof.YES),
        (Status.YES, 2, Proof.OPEN, Proof.OPEN),
        (Status.UNKNOWN, 0, Proof.OPEN, Proof.OPEN),
        (Status.PARTIAL, 0, Proof.NO, Proof.NO),
    ],
)
def test_what_is_open_is_settled_to_no_for_good_and_to_yes_for_a_day(
    status: Status, days: int, text: Proof, case: Proof
) -> None:
    found = [said(status, ANY_TEXT, ""), said(status, "letters of any case", "STUDY PatientName")]
    can = measured(CAN, found, datetime.now(UTC) + timedelta(days=days))
    assert (can.any_text, can.any_case_pn) == (text, case)
    before = can.before
    assert (before is not None) is (text is Proof.YES)
    assert before is None or (before.any_text, before.any_case_pn) == (Proof.OPEN, Proof.OPEN)


def test_hopes_are_fulfilled_for_a_day_but_those_of_lists_are_tested_anew() -> None:
    one, several = frozenset({Kind.SINGLE}), frozenset({Kind.SINGLE, Kind.ANY_OF})
    hopes = {Level.STUDY: {"ModalitiesInStudy": one, "StudyInstanceUID": several}}
    about = ("STUDY ModalitiesInStudy", "STUDY StudyInstanceUID")
    found = [said(Status.YES, kind.value, name) for name in about for kind in several]
    can = measured(replace(CAN, hopes=hopes), found)
    assert can.at(Level.STUDY).kinds("ModalitiesInStudy") == one
    assert can.hopes == {Level.STUDY: {"StudyInstanceUID": several}}
    assert can.at(Level.STUDY).kinds("PatientID") == BOTH
    later = measured(replace(CAN, hopes=hopes), found, datetime.now(UTC) + timedelta(days=2))
    assert later.hopes == hopes


def test_what_does_not_come_back_is_not_counted_upon() -> None:
    found = [
        said(Status.NO, RETURNED, "STUDY ModalitiesInStudy"),
        said(Status.YES, RETURNED, "STUDY StudyID"),
    ]
    can = measured(CAN, found)
    assert not can.gives("ModalitiesInStudy")
    assert can.gives("StudyID")


def test_values_of_several_are_known_by_their_last() -> None:
    value: Value = STUDY["ModalitiesInStudy"]
    assert value == ("CT", "SR")
    asked = [t for t in trials(Level.STUDY, [STUDY], ["ModalitiesInStudy"]) if t.hit]
    assert {str(t.condition.matches[0]) for t in asked} == {"SR"}
