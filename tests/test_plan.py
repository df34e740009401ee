"""Every condition is asked there, checked here, or refused by name: which one, and why."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import capabilities, conditions

from broker.plan import DEFAULT_FIELDS, Plan, Where, Wish, plan
from broker.query import Query
from catalog.capability import Can, Kind, Proof
from catalog.keywords import USUAL, Level

P, T, S = Level.PATIENT, Level.STUDY, Level.SERIES
TEXT = frozenset({Kind.SINGLE, Kind.WILDCARD})
DATE = frozenset({Kind.SINGLE, Kind.RANGE})
KINDS = {
    "Modality": TEXT,
    "StudyDate": DATE,
    "StudyDescription": TEXT,
    "StudyInstanceUID": TEXT | {Kind.ANY_OF},
}
PACS = Can(frozenset({T, S}), KINDS, frozenset(USUAL))


def made(level: str, *texts: str, can: Can = PACS, wish: Wish | None = None) -> Plan:
    """The plan of a query for one archive."""
    return plan(Query(level, *texts), "there", can, wish or Wish())


def ways(found: Plan) -> list[tuple[str, Where]]:
    """Which way each condition takes."""
    return [(step.condition.keyword, step.where) for step in found.steps]


# --- the three ways


def test_what_is_promised_is_asked_there() -> None:
    found = made("SERIES", "Modality=CT")
    (step,) = found.steps
    assert (step.where, step.exact, step.why) == (Where.THERE, True, "promised: single value, wildcard")
    assert (found.asked(), found.checked(), found.refusal) == (["Modality=CT"], [], "")
    assert [str(c) for ask in found.asks for c in ask.conditions] == ["Modality=CT"]
    assert found.archive == "there"


def test_what_is_not_promised_but_comes_back_is_checked_here() -> None:
    found = made("SERIES", "Modality=CT", "StationName=A")
    assert ways(found) == [("Modality", Where.THERE), ("StationName", Where.HERE)]
    assert found.steps[1].why == "promised there: nothing"
    assert not found.steps[1].exact
    assert (found.asked(), found.checked()) == (["Modality=CT"], ["StationName=A"])
    assert [str(c) for ask in found.asks for c in ask.conditions] == ["Modality=CT"]


def test_a_weaker_form_is_sent_and_the_whole_checked_here() -> None:
    found = made("STUDY", "StudyDescription~1 2")
    (step,) = found.steps
    assert step.where is Where.HERE
    assert step.why.startswith("a weaker form is asked there; promised there: ")
    assert (found.asked(), found.checked()) == (["StudyDescription=*1 2*"], ["StudyDescription~1 2"])


def test_what_is_neither_promised_nor_comes_back_is_refused_by_name() -> None:
    can = replace(PACS, returns=frozenset({"StudyInstanceUID", "StudyDescription"}))
    found = made("STUDY", "StudyDescription=A", "AccessionNumber=B*", can=can)
    assert ways(found) == [("AccessionNumber", Where.REFUSED), ("StudyDescription", Where.THERE)]
    assert found.steps[0].sent is None
    assert (found.archive, found.query.level, found.asks) == ("there", T, ())
    assert found.refusal == ("cannot apply AccessionNumber: it is neither searched by there nor returned")


def test_every_refused_condition_is_named() -> None:
    can = replace(PACS, returns=frozenset())
    found = made("STUDY", "AccessionNumber=B*", "StudyID=1", can=can)
    assert "cannot apply AccessionNumber: " in found.refusal
    assert "; cannot apply StudyID: " in found.refusal


def test_a_weaker_form_does_not_do_where_nothing_comes_back_to_check() -> None:
    found = made("STUDY", "StudyDescription~1 2", can=replace(PACS, returns=frozenset()))
    assert ways(found) == [("StudyDescription", Where.REFUSED)]
    assert found.steps[0].sent is None


def test_what_is_promised_and_does_not_come_back_is_taken_at_its_word() -> None:
    found = made("STUDY", "StudyDescription=A", can=replace(PACS, returns=frozenset()))
    assert found.steps[0].why == "promised: single value, wildcard; taken at its word"
    assert found.steps[0].where is Where.THERE


def test_a_universal_condition_is_no_condition() -> None:
    """PS3.4 C.2.2.2.3: it only asks for the value."""
    can = replace(PACS, matches={}, returns=frozenset({"StudyInstanceUID", "StudyID"}), lists_all=False)
    found = made("STUDY", "StudyID=*", "AccessionNumber=*", can=can)
    assert [(s.where, s.why) for s in found.steps] == [(Where.THERE, "matches everything")] * 2
    assert found.refusal == ""
    assert [ask.conditions for ask in found.asks] == [()]
    assert "StudyID" in found.asks[0].fields
    assert "AccessionNumber" not in found.asks[0].fields


def test_several_requests_are_as_good_as_one() -> None:
    found = made("SERIES", "Modality=CT,MR", can=replace(PACS, returns=frozenset()))
    assert ways(found) == [("Modality", Where.THERE)]
    assert [[str(c) for c in ask.conditions] for ask in found.asks] == [["Modality=CT"], ["Modality=MR"]]


# --- listing everything


def test_an_archive_is_not_listed_whole_unless_that_is_fine() -> None:
    found = made("SERIES", "StationName=A", "ProtocolName=B")
    assert found.refusal == (
        "ProtocolName, StationName cannot be asked there, so all of it would be listed; add a condition on "
        "Modality or StudyDate or StudyDescription or StudyInstanceUID, or allow it with --scan"
    )
    assert found.asks == ()
    assert [s.where for s in found.steps] == [Where.HERE] * 2
    assert made("SERIES", "StationName=A", wish=Wish(scan=True)).refusal == ""
    assert made("SERIES", "StationName=A", can=replace(PACS, lists_all=True)).refusal == ""
    assert made("SERIES", "StationName=A", "Modality=CT").refusal == ""


def test_whoever_asks_for_everything_gets_it() -> None:
    found = made("STUDY")
    assert (found.refusal, len(found.asks), found.asks[0].conditions) == ("", 1, ())


def test_no_hint_where_nothing_can_be_asked() -> None:
    assert made("STUDY", "StudyID=1", can=replace(PACS, matches={})).refusal == (
        "StudyID cannot be asked there, so all of it would be listed; allow it with --scan"
    )


def test_hints_are_few_and_of_the_level() -> None:
    kinds = {name: TEXT for name, k in USUAL.items() if k.level is S} | {"StudyID": TEXT}
    assert (
        "a condition on StudyID, or"
        in made("STUDY", "AccessionNumber=1", can=replace(PACS, matches=kinds)).refusal
    )
    refusal = made("SERIES", "AccessionNumber=1", can=replace(PACS, matches=kinds)).refusal
    assert refusal.count(" or ") == 6  # six hints, and the option


# --- levels


@pytest.mark.parametrize(
    ("asked", "texts", "levels", "at"),
    [
        ("STUDY", ["StudyDate=2020"], {T, S}, T),
        ("SERIES", ["StudyDate=2020"], {T, S}, S),
        ("PATIENT", ["StudyDate=2020"], {P, T, S}, T),
        ("PATIENT", ["PatientID=1"], {T, S}, T),
        ("PATIENT", ["Modality=CT"], {P, T, S}, S),
        ("STUDY", ["Modality=CT", "StationName=A"], {T, S}, S),
        ("STUDY", ["StudyDate=2020"], {S}, S),
        ("STUDY", ["Modality=CT"], {S}, S),
        ("STUDY", ["StationName=A"], {T}, T),
        ("PATIENT", ["StationName=A"], {P}, P),
        ("PATIENT", ["StationName=A"], {P, T}, T),
        ("PATIENT", ["StationName=A"], {T}, T),
        ("STUDY", ["EchoTime=1"], {T, S}, S),
    ],
)
def test_the_level_that_keeps_every_condition(
    asked: str, texts: list[str], levels: set[Level], at: Level
) -> None:
    can = replace(PACS, levels=frozenset(levels), returns=None)
    found = made(asked, *texts, can=can, wish=Wish(scan=True))
    assert found.level is at
    assert found.groups is (at is not Level[asked])
    assert {ask.level for ask in found.asks} == {at}


def test_no_level_no_question() -> None:
    found = made("SERIES", "Modality=CT", can=replace(PACS, levels=frozenset({P, T})))
    assert (found.refusal, found.steps, found.asks) == ("it has no SERIES level", (), ())
    assert (found.archive, found.query, found.level) == ("there", Query("SERIES", "Modality=CT"), S)


def test_a_relational_archive_takes_finer_conditions() -> None:
    can = replace(PACS, levels=frozenset(Level), relational=True)
    found = made("STUDY", "Modality=CT", "StationName=A", can=can)
    assert found.level is T
    assert [c.keyword for c in found.asks[0].conditions] == ["Modality"]


# --- ModalitiesInStudy: PS3.4 C.3.4


def test_studies_by_modality_are_asked_by_modalities_in_study() -> None:
    can = replace(PACS, matches={**KINDS, "ModalitiesInStudy": TEXT})
    found = made("STUDY", "Modality=CT", "StudyDate=2020", can=can)
    assert found.level is T
    assert found.asked() == ["ModalitiesInStudy=CT", "StudyDate=20200101-20201231"]
    assert "ModalitiesInStudy" in found.asks[0].fields


@pytest.mark.parametrize(
    "texts",
    [
        ["Modality=CT", "StationName=A"],  # they must hold in one series
        ["Modality=CT", "ModalitiesInStudy=MR"],
        ['Modality=""'],  # no modality in one series, not in all
        ['Modality=CT,""'],
    ],
)
def test_where_modalities_in_study_would_mean_something_else(texts: list[str]) -> None:
    can = replace(PACS, matches={"ModalitiesInStudy": TEXT})
    found = made("STUDY", *texts, can=can, wish=Wish(scan=True))
    assert found.level is S
    assert {s.condition.keyword for s in found.steps} == {t.partition("=")[0] for t in texts}


def test_an_archive_without_modalities_in_study_is_asked_for_series() -> None:
    can = replace(PACS, matches={}, returns=frozenset(USUAL) - {"ModalitiesInStudy"})
    assert made("STUDY", "Modality=CT", can=can).level is S


def test_series_are_asked_for_where_only_their_modality_is_promised() -> None:
    assert made("STUDY", "Modality=CT").level is S
    assert made("STUDY", "Modality=CT", can=replace(PACS, levels=frozenset({T}), lists_all=True)).level is T
    assert made("STUDY", "Modality=CT", can=replace(PACS, matches={}, lists_all=True)).level is T


def test_a_relational_archive_takes_modality_itself() -> None:
    can = replace(PACS, matches={**KINDS, "ModalitiesInStudy": TEXT}, relational=True)
    found = made("STUDY", "Modality=CT", can=can)
    assert found.asked() == ["Modality=CT"]
    assert found.level is T


def test_series_by_modality_stay_what_they_are() -> None:
    assert made("SERIES", "Modality=CT").asked() == ["Modality=CT"]
    only_series = replace(PACS, levels=frozenset({S}), matches={"ModalitiesInStudy": TEXT}, lists_all=True)
    assert made("STUDY", "Modality=CT", can=only_series).checked() == ["Modality=CT"]
    assert made("PATIENT", "Modality=CT").asked() == ["Modality=CT"]


def test_counts_live_at_their_own_level() -> None:
    can = replace(PACS, own_level=frozenset({"NumberOfStudyRelatedSeries"}), lists_all=True)
    assert ways(made("STUDY", "NumberOfStudyRelatedSeries=2", can=can))[0][1] is Where.HERE
    found = made("SERIES", "NumberOfStudyRelatedSeries=2", can=can)
    assert "cannot apply NumberOfStudyRelatedSeries" in found.refusal


# --- what is sent with a question


def fields(found: Plan) -> tuple[str, ...]:
    """The keywords asked for."""
    return found.asks[0].fields


def test_the_usual_keywords_of_the_level_come_back() -> None:
    assert set(fields(made("STUDY"))) == {k for k in DEFAULT_FIELDS if USUAL[k].level <= T}
    assert set(fields(made("SERIES"))) == DEFAULT_FIELDS
    assert set(USUAL) >= DEFAULT_FIELDS


def test_what_is_asked_for_and_what_is_wished_comes_too_once() -> None:
    found = fields(
        made(
            "STUDY", "StudyDate=2020", "StationName=A", wish=Wish(fields=("EchoTime", "StudyDate"), scan=True)
        )
    )
    assert len(found) == len(set(found))
    assert "StationName" in found
    assert "EchoTime" not in found  # not among those that come back
    everything = replace(PACS, returns=None)
    assert fields(made("STUDY", can=everything, wish=Wish(fields=("EchoTime",))))[-1] == "EchoTime"


def test_only_what_comes_back_is_asked_for() -> None:
    assert fields(made("STUDY", can=replace(PACS, returns=frozenset({"StudyDate", "EchoTime"})))) == (
        "StudyDate",
    )


@pytest.mark.parametrize(
    ("level", "texts", "limit"),
    [
        ("SERIES", ["Modality=CT"], 11),
        ("SERIES", [], 11),
        ("SERIES", ["Modality=*"], 11),
        ("SERIES", ["Modality=CT", "StationName=A"], None),
        ("STUDY", ["StudyDescription~1"], None),
        ("PATIENT", ["StudyDate=20200615"], None),
    ],
)
def test_a_limit_is_sent_only_where_every_row_counts(level: str, texts: list[str], limit: int | None) -> None:
    assert made(level, *texts, wish=Wish(limit=10)).asks[0].limit == limit
    assert made(level, *texts).asks[0].limit is None


def test_no_limit_where_too_many_rows_break_no_promise() -> None:
    can = replace(PACS, matches={"Modality": TEXT | {Kind.ANY_CASE}})
    assert made("SERIES", "Modality=CT", can=can, wish=Wish(limit=10)).asks[0].limit is None


# --- values that an archive must not see


def test_what_is_withheld_is_checked_here() -> None:
    can = replace(PACS, matches={**KINDS, "PatientID": TEXT})
    found = made(
        "STUDY", "PatientID=1", "StudyDate=2020", can=can, wish=Wish(withheld=frozenset({"PatientID"}))
    )
    assert ways(found) == [("PatientID", Where.HERE), ("StudyDate", Where.THERE)]
    assert found.steps[0].why == "its value is not shown to a public archive"
    assert [c.keyword for ask in found.asks for c in ask.conditions] == ["StudyDate"]


def test_what_is_withheld_and_does_not_come_back_is_refused() -> None:
    can = replace(PACS, matches={**KINDS, "PatientID": TEXT}, returns=frozenset({"StudyDate"}))
    found = made(
        "STUDY", "PatientID=1", "StudyDate=2020", can=can, wish=Wish(withheld=frozenset({"PatientID"}))
    )
    assert found.refusal == (
        "cannot apply PatientID: its value is not shown to a public archive, and PatientID does not come back"
    )


def test_the_time_of_a_withheld_date_is_not_sent_alone() -> None:
    """PS3.4 C.2.2.2.5.4: alone it would mean something else."""
    can = replace(PACS, matches={"PatientBirthDate": DATE, "PatientBirthTime": DATE}, combines=True)
    texts = ("PatientBirthDate=1950-1960", "PatientBirthTime=01-02")
    assert len(made("STUDY", *texts, can=can).asks[0].conditions) == 2
    found = made("STUDY", *texts, can=can, wish=Wish(scan=True, withheld=frozenset({"PatientBirthDate"})))
    assert found.asks[0].conditions == ()


# --- records of which a condition is unknown: PS3.4 C.2.2.1.2


def test_unknown_records_are_not_filtered_away_where_they_are_wanted() -> None:
    wish = Wish(include_unknown=True, scan=True)
    found = made("SERIES", "Modality=CT", "StudyInstanceUID=1.2", wish=wish)
    assert ways(found)[1] == ("StudyInstanceUID", Where.THERE)
    assert [c.keyword for c in made("SERIES", "StudyDescription=A", wish=wish).asks[0].conditions] == []
    assert not found.asks[0].unknown


def test_an_archive_that_can_tell_them_is_asked_to() -> None:
    can = replace(PACS, unknowns=True)
    found = made("STUDY", "StudyDescription=A", can=can, wish=Wish(include_unknown=True))
    assert found.asks[0].unknown
    assert found.asked() == ["StudyDescription=A"]
    assert not made("STUDY", "StudyDescription=A", can=can).asks[0].unknown


def test_which_conditions_the_archive_may_have_dropped_unknown_records_by() -> None:
    found = made("SERIES", "StudyDescription=A", "StudyInstanceUID=1.2", "StationName=B", "StudyID=*")
    assert found.taken_there() == ["StudyDescription"]


# --- sequences: PS3.4 C.2.2.2.6

SEQUENCE = "RequestAttributesSequence"
STEP = f"{SEQUENCE}.ScheduledProcedureStepID"


def test_an_attribute_in_a_sequence_is_asked_by_its_path_and_comes_back_as_the_sequence() -> None:
    found = made("SERIES", f"{STEP}=A", can=replace(PACS, matches={STEP: TEXT}))
    assert ways(found) == [(STEP, Where.THERE)]
    assert found.steps[0].why.endswith("; taken at its word")
    found = made("SERIES", f"{STEP}=A", can=replace(PACS, returns=None), wish=Wish(scan=True))
    assert ways(found) == [(STEP, Where.HERE)]
    assert SEQUENCE in fields(found)
    assert STEP not in fields(found)


def test_an_attribute_in_a_sequence_that_never_comes_is_refused_by_name() -> None:
    for promised in (SEQUENCE, "ScheduledProcedureStepID"):
        found = made("SERIES", f"{STEP}=A", can=replace(PACS, matches={promised: TEXT}))
        assert found.refusal == f"cannot apply {STEP}: it is neither searched by there nor returned"


# --- always


@given(st.data())
def test_no_condition_is_ever_ignored(data: st.DataObject) -> None:
    asked = data.draw(st.lists(conditions(), max_size=4, unique_by=lambda c: c.keyword))
    can = (
        data.draw(capabilities(*asked))
        if asked
        else replace(PACS, any_text=data.draw(st.sampled_from(Proof)))
    )
    found = plan(Query("SERIES", *map(str, asked)), "there", can, Wish(scan=data.draw(st.booleans())))
    assert sorted(s.condition.keyword for s in found.steps) == sorted(c.keyword for c in asked)
    for step in found.steps:
        assert_taken(step.where, step.condition.universal, can.gives(step.condition.column))
        assert (step.where is Where.REFUSED) <= bool(found.refusal)
    assert bool(found.asks) is not bool(found.refusal)
    assert all(sent_of(found.steps) == {c.keyword for c in ask.conditions} for ask in found.asks)


def assert_taken(where: Where, universal: bool, back: bool) -> None:
    """A condition that is checked here comes back; one that is refused does not."""
    assert where is Where.THERE or back is (where is Where.HERE)
    assert not universal or where is Where.THERE


def sent_of(steps: Iterable[object]) -> set[str]:
    """The keywords that are sent."""
    sent = [getattr(s, "sent", None) for s in steps]
    return {c.keyword for c in sent if c is not None and not c.universal}


def test_a_promise_is_shown_with_what_it_rests_on() -> None:
    asked = Query("STUDY", "StudyDate=2010-", "StationName=A")
    can = replace(PACS, matches={"StudyDate": frozenset({Kind.RANGE})}, cite="a probe of 2026-11-23")
    here, there = plan(asked, "x", can, Wish()).steps
    assert here.why == "promised there: nothing"
    assert there.why == "promised: range (a probe of 2026-11-23)"


def test_a_promise_may_hold_at_one_level_only() -> None:
    can = Can(
        levels=frozenset({Level.STUDY, Level.SERIES}),
        matches={"StudyInstanceUID": frozenset({Kind.SINGLE})},
        by_level={Level.SERIES: {"Modality": frozenset({Kind.SINGLE})}},
    )
    assert can.at(Level.SERIES).kinds("Modality") == {Kind.SINGLE}
    assert not can.at(Level.SERIES).kinds("StudyInstanceUID")
    assert not can.at(Level.STUDY).kinds("Modality")
    assert not can.without(["Modality"]).at(Level.SERIES).kinds("Modality")


def test_a_hope_is_asked_for_only_when_it_holds() -> None:
    one = frozenset({Kind.SINGLE})
    can = Can(
        levels=frozenset({Level.STUDY}),
        matches={"PatientID": one},
        hopes={Level.STUDY: {"ModalitiesInStudy": one}},
        lists_all=True,
    )
    asked = Query("STUDY", ModalitiesInStudy="CT")
    assert plan(asked, "x", can, Wish()).asked() == []
    assert plan(asked, "x", can.hopeful(), Wish()).asked() == ["ModalitiesInStudy=CT"]
    held = can.promising(can.hopes)
    assert (held.at(Level.STUDY).kinds("PatientID"), held.hopes) == (one, {})
    assert not can.without(["ModalitiesInStudy"]).hopeful().at(Level.STUDY).kinds("ModalitiesInStudy")
