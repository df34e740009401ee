"""Conditions that are judged together: PS3.4 C.2.2.2.5.4 (date with time) and C.2.2.2.6 (sequences)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.matching import Value, truth
from broker.meaning.joint import tests as joined
from broker.meaning.logic import Truth, all_of, any_of
from broker.meaning.periods import combined
from broker.query import condition

UNKNOWN = None
Record = dict[str, Value]


def judged(record: Record, *texts: str) -> Truth:
    """The answer of all conditions for one record."""
    return all_of(test.of(record) for test in joined([condition(t) for t in texts]))


# --- three answers


@given(st.lists(st.sampled_from([True, False, None])))
def test_the_logic_of_three_answers(answers: list[Truth]) -> None:
    assert any_of(answers) is (True if True in answers else None if None in answers else False)
    assert all_of(answers) is (False if False in answers else None if None in answers else True)


# --- a date and its time


def studied(day: Value, hour: Value, dates: str = "20060705-20060707", times: str = "1000-1800") -> Truth:
    """Whether a study lies in a combined range."""
    return judged({"StudyDate": day, "StudyTime": hour}, f"StudyDate={dates}", f"StudyTime={times}")


@pytest.mark.parametrize(
    ("day", "hour", "answer"),
    [
        ("20060706", "0510", True),  # the example of PS3.4
        ("20060705", "1000", True),
        ("20060705", "095959", False),
        ("20060707", "1800", True),
        ("20060707", "1801", False),
        ("20060704", "1200", False),
        ("20060708", "1200", False),
        ("2006.07.06", "05:10:00", True),
        ("20060706", "", True),
        ("20060706", None, True),
        ("20060706", "noon", True),
        ("20060705", "", UNKNOWN),
        ("20060707", None, UNKNOWN),
        ("20060708", "", False),
        ("20060705", "10", True),
        ("20060705", "09", False),
        ("20060707", "18", UNKNOWN),
        ("200607", "12", UNKNOWN),
        ("", "1200", UNKNOWN),
        (None, None, UNKNOWN),
        ("soon", "1200", UNKNOWN),
        (("20060701", "20060706"), "0510", True),
        (("20060701", "20060705"), "0510", False),
        ("20060705", ("0510", "1200"), True),
        ((), ("0510", "1200"), UNKNOWN),
    ],
)
def test_a_date_and_a_time_range_are_one_interval(day: Value, hour: Value, answer: Truth) -> None:
    assert studied(day, hour) is answer


@pytest.mark.parametrize(
    ("times", "answer"), [("00-23", True), ("000000.000001-23", UNKNOWN), ("00-235959.999998", UNKNOWN)]
)
def test_without_a_time_a_study_may_be_at_any_moment_of_its_day(times: str, answer: Truth) -> None:
    assert studied("20060705", None, "20060705-20060705", times) is answer


@pytest.mark.parametrize(
    ("dates", "times", "day", "hour", "answer"),
    [
        ("20060705-", "1000-", "20060705", "0900", False),
        ("20060705-", "1000-", "20060705", "1000", True),
        ("20060705-", "1000-", "20060706", "0100", True),
        ("-20060707", "-1800", "20060707", "1801", False),
        ("-20060707", "-1800", "20060707", "1800", True),
        ("-20060707", "-1800", "20060706", "2300", True),
    ],
)
def test_open_intervals(dates: str, times: str, day: str, hour: str, answer: bool) -> None:
    assert studied(day, hour, dates, times) is answer


@pytest.mark.parametrize(
    ("dates", "times"),
    [
        ("20060705-20060707", "1000-"),
        ("20060705-", "1000-1800"),
        ("20060705-", "-1800"),
        ("20060705-20060707", "-1800"),
        ("-20060707", "1000-1800"),
        ("20060705-20060707", "10"),
        ("20060706", "1000-1800"),
        ("20060705-20060706,20060707", "1000-1800"),
    ],
)
def test_ranges_of_different_forms_hold_each_for_itself(dates: str, times: str) -> None:
    """No end of either is ignored."""
    asked = [condition(f"StudyDate={dates}"), condition(f"StudyTime={times}")]
    assert combined(asked) == []
    for hour in ("0959", "1030", "1801"):
        assert studied("20060706", hour, dates, times) is truth("StudyTime", times, hour)


def test_only_a_date_and_the_time_that_belongs_to_it() -> None:
    texts = (
        "SeriesDate=2006-2007",
        "StudyTime=10-11",
        "PatientBirthDate=1950-1960",
        "PatientBirthTime=01-02",
    )
    pairs = combined([condition(t) for t in texts])
    assert [(d.keyword, t.keyword) for d, t in pairs] == [("PatientBirthDate", "PatientBirthTime")]
    assert combined([condition("StudyDate=*"), condition("StudyTime=*")]) == []


def test_which_conditions_are_judged_at_once() -> None:
    texts = ("StudyDate=2006-2007", "StudyTime=10-11", "Modality=CT", "PatientID=*")
    made = joined([condition(t) for t in texts])
    assert [(t.keywords, t.columns) for t in made] == [
        (("StudyDate", "StudyTime"), ("StudyDate", "StudyTime")),
        (("Modality",), ("Modality",)),
    ]


# --- sequences

SEQUENCE = "RequestAttributesSequence"
STEP, PROCEDURE = f"{SEQUENCE}.ScheduledProcedureStepID", f"{SEQUENCE}.RequestedProcedureID"


def item(step: Value = None, procedure: Value = None) -> tuple[tuple[str, Value], ...]:
    """An item of the sequence."""
    pairs = (("ScheduledProcedureStepID", step), ("RequestedProcedureID", procedure))
    return tuple((k, v) for k, v in pairs if v is not None)


@pytest.mark.parametrize(
    ("value", "answer"),
    [
        ((item("A", "1"),), True),
        ((item("B", "1"),), False),
        ((item("A", "1"), item("B", "2")), True),
        ((item("A", "2"), item("B", "1")), False),  # each in another item
        ((item("A"),), UNKNOWN),
        ((item("A", ""),), UNKNOWN),
        ((item("B"),), False),
        ((item("A"), item("B", "1")), UNKNOWN),
        ((item("A"), item("A", "1")), True),
        ((item(("C", "A"), "1"),), True),
        ((item(),), UNKNOWN),
        ((), UNKNOWN),
        ("", UNKNOWN),
        (None, UNKNOWN),
        ("what", UNKNOWN),
        (("what", "ever"), UNKNOWN),
    ],
)
def test_every_condition_holds_in_the_same_item(value: Value, answer: Truth) -> None:
    assert judged({SEQUENCE: value}, f"{STEP}=A", f"{PROCEDURE}=1") is answer


@pytest.mark.parametrize(
    ("value", "answer"), [((item("AX"),), True), ((item("B"), item("AY")), True), ((item("B"),), False)]
)
def test_one_condition_in_any_item(value: Value, answer: Truth) -> None:
    assert judged({SEQUENCE: value}, f"{STEP}=A?") is answer


@pytest.mark.parametrize(
    ("value", "answer"),
    [
        *(((item("", "1"),), True), ((item(None, "1"),), True), ((item("A", "1"),), False)),
        *(((item("A"), item(None, "1")), True), ((item(None, "2"),), False)),
        *((None, UNKNOWN), ("", UNKNOWN), ("what", UNKNOWN)),
    ],
)
def test_an_empty_value_in_an_item(value: Value, answer: Truth) -> None:
    assert judged({SEQUENCE: value}, f'{STEP}=""', f"{PROCEDURE}=1") is answer


def test_without_items_an_attribute_is_empty() -> None:
    for value in (None, "", " ", ()):
        assert judged({SEQUENCE: value}, f'{STEP}=""') is True
    for value in ("what", "X"):
        assert judged({SEQUENCE: value}, f'{STEP}=""') is UNKNOWN


def test_a_universal_condition_asks_nothing_of_items() -> None:
    assert joined([condition(f"{STEP}=*")]) == []
    assert judged({SEQUENCE: (item("B", "1"),)}, f"{STEP}=*", f"{PROCEDURE}=1") is True


def test_other_sequences_and_attributes_are_judged_apart() -> None:
    texts = (f"{STEP}=A", "ProcedureCodeSequence.CodeValue=X", "Modality=CT", f"{PROCEDURE}=1")
    made = joined([condition(t) for t in texts])
    assert [(t.keywords, t.columns) for t in made] == [
        (("Modality",), ("Modality",)),
        ((STEP, PROCEDURE), (SEQUENCE,)),
        (("ProcedureCodeSequence.CodeValue",), ("ProcedureCodeSequence",)),
    ]


SCHEDULED = "ScheduledProcedureStepSequence"


def test_a_date_and_its_time_in_one_item_are_one_interval() -> None:
    start = f"{SCHEDULED}.ScheduledProcedureStepStart"
    asked = (f"{start}Date=20060705-20060707", f"{start}Time=1000-1800")

    def record(day: str, hour: str) -> Record:
        names = ("ScheduledProcedureStepStartDate", "ScheduledProcedureStepStartTime")
        return {SCHEDULED: (tuple(zip(names, (day, hour), strict=True)),)}

    assert judged(record("20060706", "0510"), *asked) is True
    assert judged(record("20060705", "0510"), *asked) is False
