"""Every condition is applied again to what came back, and what that shows is counted."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from broker.adapter import Page
from broker.matching import Value
from broker.plan import Wish, plan
from broker.planning.check import Checker
from broker.query import Query
from catalog.capability import Can, Kind
from catalog.keywords import Level

TEXT = frozenset({Kind.SINGLE, Kind.WILDCARD})
RANGE = frozenset({Kind.SINGLE, Kind.RANGE})


def archive(returns: Sequence[str] | None = None, **matches: frozenset[Kind]) -> Can:
    """What an archive promises and returns."""
    known = None if returns is None else frozenset(returns)
    return Can(frozenset({Level.SERIES}), matches, known, lists_all=True)


def checked(
    can: Can, texts: Sequence[str], columns: Sequence[str], *rows: Sequence[Value], unknown: bool = False
) -> tuple[list[tuple[tuple[str, ...], list[tuple[Value, ...]]]], Checker]:
    """The pages that are kept, and the checker."""
    checker = Checker(plan(Query("SERIES", *texts), "there", can, Wish()), can, unknown)
    page = Page(tuple(columns), [tuple(row) for row in rows])
    return [(names, kept.rows) for names, kept in checker.sort(page)], checker


def test_what_all_satisfy_is_passed_on_as_it_is() -> None:
    can = archive()
    page = Page(("Modality",), [("CT",), ("CT",)], bad=3, notes=("charset",))
    checker = Checker(plan(Query("SERIES", "Modality=CT"), "there", can, Wish()), can)
    assert [(names, kept is page) for names, kept in checker.sort(page)] == [((), True)]


def test_rows_are_kept_dropped_or_unknown() -> None:
    kept, checker = checked(archive(), ["Modality=CT"], ["Modality"], ["CT"], ["MR"], [None], [""], ["CT"])
    assert kept == [((), [("CT",), ("CT",)])]
    assert checker.unknown == {"Modality": 2}
    assert checker.broken == {}


def test_unknown_rows_are_dropped_unless_they_are_wanted() -> None:
    made = plan(Query("SERIES", "Modality=CT"), "there", archive(), Wish())
    page = Page(("Modality",), [(None,)])
    assert [(names, kept.rows) for names, kept in Checker(made, archive()).sort(page)] == [((), [])]


def test_counts_go_on_over_pages() -> None:
    _, checker = checked(archive(), ["Modality=CT"], ["Modality"], [None])
    list(checker.sort(Page(("Modality",), [(None,), ("MR",)])))
    assert checker.unknown == {"Modality": 2}


def test_unknown_rows_come_in_pages_by_what_is_unknown() -> None:
    texts, columns = ["Modality=CT", "StationName=A"], ["StationName", "Modality"]
    rows: list[list[Value]] = [["A", "CT"], ["A", None], ["", "CT"], ["", None], ["B", None], [None, "MR"]]
    kept, checker = checked(archive(), texts, columns, *rows, unknown=True)
    assert kept == [
        ((), [("A", "CT")]),
        (("Modality",), [("A", None)]),
        (("StationName",), [("", "CT")]),
        (("Modality", "StationName"), [("", None)]),
    ]
    assert checker.unknown == {"Modality": 2, "StationName": 2}


def test_what_fails_another_condition_is_not_unknown() -> None:
    _, checker = checked(
        archive(), ["Modality=CT", "StationName=A"], ["Modality", "StationName"], ["MR", None]
    )
    assert checker.unknown == {}


def test_an_attribute_that_did_not_come_is_unknown() -> None:
    kept, checker = checked(archive(), ["Modality=CT"], ["StationName"], ["A"], ["B"])
    assert kept == [((), [])]
    assert checker.unknown == {"Modality": 2}


def test_an_attribute_that_never_comes_was_asked_there() -> None:
    can = archive(["StationName"], Modality=TEXT)
    kept, checker = checked(can, ["Modality=CT", "StationName=A"], ["StationName"], ["A"], ["B"])
    assert kept == [((), [("A",)])]
    assert checker.unknown == checker.broken == {}


def test_a_promise_is_broken_where_the_very_condition_was_asked() -> None:
    can = archive(Modality=TEXT)
    _, checker = checked(
        can, ["Modality=CT", "StationName=A"], ["Modality", "StationName"], ["MR", "B"], ["CT", "B"]
    )
    assert checker.broken == {"Modality": 1}


def test_a_weaker_form_promises_nothing() -> None:
    can = archive(PatientName=TEXT)
    _, checker = checked(can, ["PatientName=SMITH"], ["PatientName"], ["GOLDSMITH"])
    assert checker.broken == {}


def test_an_archive_that_matches_in_any_case_breaks_no_promise() -> None:
    can = archive(Modality=TEXT | {Kind.ANY_CASE})
    kept, checker = checked(can, ["Modality=CT"], ["Modality"], ["ct"], ["CT"])
    assert kept == [((), [("CT",)])]
    assert checker.broken == {}


def test_an_unknown_value_breaks_no_promise() -> None:
    """PS3.4 C.2.2.1.2 lets it match."""
    _, checker = checked(archive(Modality=TEXT), ["Modality=CT"], ["Modality"], [""])
    assert checker.broken == {}
    assert checker.unknown == {"Modality": 1}


INTERVAL = ["StudyDate=20060705-20060707", "StudyTime=1000-1800"]
DAY_AND_HOUR = ["StudyDate", "StudyTime"]


def test_an_interval_is_judged_whole() -> None:
    """PS3.4 C.2.2.2.5.4."""
    rows: list[list[Value]] = [["20060706", "0510"], ["20060705", "0510"], ["20060705", None], [None, "1200"]]
    kept, checker = checked(archive(), INTERVAL, DAY_AND_HOUR, *rows)
    assert kept == [((), [("20060706", "0510")])]
    assert checker.unknown == {"StudyDate": 2}


def test_without_the_time_only_the_days_between_are_certain() -> None:
    kept, checker = checked(archive(), INTERVAL, ["StudyDate"], ["20060706"], ["20060705"])
    assert kept == [((), [("20060706",)])]
    assert checker.unknown == {"StudyDate": 1}


def test_a_date_alone_promises_nothing_about_its_time() -> None:
    _, checker = checked(archive(StudyDate=RANGE), INTERVAL, DAY_AND_HOUR, ["20060705", "0510"])
    assert checker.broken == {}


def test_an_archive_that_combines_promises_both() -> None:
    can = Can(frozenset({Level.SERIES}), {"StudyDate": RANGE, "StudyTime": RANGE}, combines=True)
    texts = ["StudyDate=20060705-20060707", "StudyTime=100000-180000.999999"]
    _, checker = checked(can, texts, DAY_AND_HOUR, ["20060705", "0510"])
    assert checker.broken == {"StudyDate": 1, "StudyTime": 1}


@pytest.mark.parametrize(
    ("returns", "row", "kept"),
    [
        (["StudyDate"], ["20060705"], True),  # the time was asked there
        (["StudyDate"], ["20060708"], False),
        (["StudyTime"], ["0510"], True),  # without its date, a time says nothing
        ([], [], True),
    ],
)
def test_half_an_interval_comes_back(returns: list[str], row: list[str], kept: bool) -> None:
    can = Can(
        frozenset({Level.SERIES}), {"StudyDate": RANGE, "StudyTime": RANGE}, frozenset(returns), combines=True
    )
    texts = ["StudyDate=20060705-20060707", "StudyTime=100000-180000.999999"]
    found, checker = checked(can, texts, returns, row)
    assert found == [((), [tuple(row)] if kept else [])]
    assert checker.unknown == {}


SEQUENCE = "RequestAttributesSequence"
STEP, PROCEDURE = f"{SEQUENCE}.ScheduledProcedureStepID", f"{SEQUENCE}.RequestedProcedureID"


def item(step: str, procedure: str) -> tuple[tuple[str, Value], ...]:
    """An item of the sequence."""
    return (("ScheduledProcedureStepID", step), ("RequestedProcedureID", procedure))


def test_the_items_of_a_sequence_are_judged_together() -> None:
    """PS3.4 C.2.2.2.6: all in the same item."""
    same, apart = (item("A", "1"), item("B", "2")), (item("A", "2"), item("B", "1"))
    kept, checker = checked(
        archive(), [f"{STEP}=A", f"{PROCEDURE}=1"], [SEQUENCE], [same], [apart], [None], [(item("A", ""),)]
    )
    assert kept == [((), [(same,)])]
    assert checker.unknown == {PROCEDURE: 2}


def test_promises_about_a_sequence() -> None:
    row = [((item("B", "1")),)]
    both = Can(frozenset({Level.SERIES}), {STEP: TEXT, PROCEDURE: TEXT})
    _, checker = checked(both, [f"{STEP}=A", f"{PROCEDURE}=1"], [SEQUENCE], row)
    assert checker.broken == {PROCEDURE: 1, STEP: 1}
    one = Can(frozenset({Level.SERIES}), {STEP: TEXT})
    _, checker = checked(one, [f"{STEP}=A", f"{PROCEDURE}=1"], [SEQUENCE], row)
    assert checker.broken == {}
