"""What is sent of a condition: the strongest form that an archive bears, never one that loses a record.

PS3.4 C.2.2.2 says what a condition means; `reference` is an archive that keeps its promises to the letter.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import KEYWORDS, capabilities, conditions, near

from broker.matching import Value, compiled, filled, pattern
from broker.meaning import values
from broker.meaning.joint import tests as joined
from broker.planning.weaken import REQUESTS, sendable, split
from broker.query import Condition, Match, condition
from catalog.capability import Can, Kind, Proof
from catalog.keywords import Level

TEXT = frozenset({Kind.SINGLE, Kind.WILDCARD})
EVERY = frozenset(Kind) - {Kind.ANY_CASE}


def can(kinds: frozenset[Kind] | set[Kind], keyword: str, **more: object) -> Can:
    """An archive that promises kinds of matching on one keyword."""
    made = Can(frozenset({Level.STUDY}), {keyword: frozenset(kinds)})
    return replace(made, **more)  # type: ignore[arg-type]


def sent(text: str, kinds: frozenset[Kind] | set[Kind], **more: object) -> str | None:
    """What is sent of one condition, as it is written."""
    asked = condition(text)
    found = sendable(asked, (asked,), can(kinds, asked.keyword, **more))
    return None if found is None else str(found).partition("=")[2] or str(found)


def test_what_is_promised_is_sent_as_it_is() -> None:
    asked = condition("Modality=CT")
    assert sendable(asked, (asked,), can(TEXT, "Modality")) is asked


def test_nothing_is_sent_where_nothing_is_promised() -> None:
    assert sent("Modality=CT", set()) is None
    asked = condition("Modality=CT")
    assert sendable(asked, (asked,), can(TEXT, "StudyDate")) is None


@pytest.mark.parametrize(
    ("text", "kinds", "found"),
    [
        ("Modality=CT", {Kind.SINGLE}, "CT"),
        ("Modality=CT", {Kind.WILDCARD}, "CT"),
        ("Modality=C*", {Kind.WILDCARD}, "C*"),
        ("Modality=X*", {Kind.WILDCARD}, "X*"),
        ("Modality=?*", {Kind.WILDCARD}, None),
        ("Modality=C*", {Kind.SINGLE}, None),
        ("Modality=CT", {Kind.RANGE, Kind.CONTAINS, Kind.EMPTY}, None),
        ("Modality=CT,MR", {Kind.SINGLE, Kind.ANY_OF}, "CT,MR"),
        ("Modality=CT,M*", {Kind.SINGLE, Kind.ANY_OF}, None),
        ('Modality=""', {Kind.EMPTY}, '""'),
        ('Modality=""', TEXT, None),
        ('StudyDate=""', {Kind.EMPTY, Kind.RANGE}, '""'),
        ('StudyDate=""', {Kind.SINGLE, Kind.RANGE}, None),
        ('StudyTime=""', {Kind.SINGLE, Kind.RANGE}, None),
        ('PatientName=""', EVERY, None),
        ("StudyDescription~chest", {Kind.CONTAINS}, "StudyDescription~chest"),
        ("StudyDescription~chest", TEXT, None),
        ("StudyDescription~chest", TEXT | {Kind.ANY_CASE}, "*chest*"),
        ("StudyDescription~1.5 (2)", TEXT, "*1.5 (2)*"),
        ("StudyDescription~chest", {Kind.SINGLE, Kind.ANY_CASE}, None),
        ("SeriesNumber=7", {Kind.SINGLE}, "7"),
        ("SeriesNumber=7", {Kind.WILDCARD, Kind.RANGE}, None),
        ("StudyInstanceUID=1.2", {Kind.WILDCARD}, None),
        ("PatientAge=066Y", {Kind.SINGLE}, "066Y"),
    ],
)
def test_the_strongest_form_that_is_promised(text: str, kinds: set[Kind], found: str | None) -> None:
    assert sent(text, kinds) == found


@pytest.mark.parametrize(
    ("text", "kinds", "found"),
    [
        ("StudyDate=20200615", {Kind.SINGLE}, "20200615"),
        ("StudyDate=20200615", {Kind.SINGLE, Kind.RANGE}, "20200615"),
        ("StudyDate=20200615", {Kind.RANGE}, "20200615-20200615"),
        ("StudyDate=2020", {Kind.SINGLE, Kind.RANGE}, "20200101-20201231"),
        ("StudyDate=2020", {Kind.SINGLE}, None),
        ("StudyDate=2020-", {Kind.RANGE}, "20200101-"),
        ("StudyTime=10", {Kind.SINGLE, Kind.RANGE}, "100000-105959.999999"),
        ("StudyTime=10", {Kind.SINGLE}, None),
        ("StudyTime=1015-", {Kind.RANGE}, "101500-"),
        ("StudyTime=-1015", {Kind.RANGE}, "-101559.999999"),
        ("StudyTime=-101530.5", {Kind.RANGE}, "-101530.599999"),
        ("StudyTime=101530.25-", {Kind.RANGE}, "101530.250000-"),
        ("StudyTime=-235960", {Kind.RANGE}, "-235959.999999"),
        ("AcquisitionDateTime=2020", {Kind.RANGE}, "20200101000000-20201231235959.999999"),
        ("AcquisitionDateTime=202002-", {Kind.RANGE}, "20200201000000-"),
        ("AcquisitionDateTime=-2020021510-0500", {Kind.RANGE}, "-20200215105959.999999-0500"),
        (
            "AcquisitionDateTime=20200215103000.5+0100",
            {Kind.RANGE},
            "20200215103000.500000+0100-20200215103000.599999+0100",
        ),
        ("AcquisitionDateTime=2020", {Kind.SINGLE}, None),
    ],
)
def test_periods_are_spelled_out(text: str, kinds: set[Kind], found: str | None) -> None:
    """PS3.4 C.2.2.2.5: archives read shortened values in their own ways."""
    assert sent(text, kinds) == found


@pytest.mark.parametrize("keyword", ["SpecificCharacterSet", "TimezoneOffsetFromUTC", "QueryRetrieveLevel"])
def test_what_says_how_to_read_a_request_is_never_matched_there(keyword: str) -> None:
    """PS3.4 C.2.2.2, C.4.1.1.3.1."""
    assert sent(f"{keyword}=A", EVERY) is None


# --- characters that may not arrive


@pytest.mark.parametrize("proof", [Proof.NO, Proof.OPEN])
@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("StudyDescription=CT-a_b.c", "CT-a_b.c"),
        ("StudyDescription=CT CHEST", "CT*CHEST"),
        ("StudyDescription=C?EST*", "C?EST*"),
        ("StudyDescription=a+/b", "a*b"),
        ("StudyDescription=äöü", None),
        ("StudyDescription=é?", None),
        ("StudyDescription~ch", "StudyDescription~ch"),
        ("StudyDescription~a b", None),
        ("StudyDescription~1 2", "*1*2*"),
        ('StudyDescription=""', None),
        ("SeriesNumber=+7", None),
        ("SeriesNumber=-7", "-7"),
        ("AcquisitionDateTime=2020+0200-", None),
        ("StudyTime=10", "100000-105959.999999"),
        ("PatientName=SMITH^JOHN", "*SMITH*JOHN*"),
    ],
)
def test_only_plain_characters_are_sent_where_others_may_be_lost(
    proof: Proof, text: str, found: str | None
) -> None:
    assert sent(text, EVERY, any_text=proof) == found


# --- names: PS3.5 6.2.1


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("PatientName=SMITH^JOHN", "*SMITH^JOHN*"),
        ("PatientName=SMITH^*", "*SMITH*"),
        ("PatientName=SMITH^^^?*", "*SMITH*"),
        ("PatientName=*^JOHN", "*^JOHN*"),
        ("PatientName= SMITH ^JOHN^^ ", "*SMITH ^JOHN*"),
        ("PatientName=Yamada^Tarou=山田", "*Yamada^Tarou*"),
        ("PatientName==山田", "*山田*"),
        ("PatientName=^=*=山田*", "*山田*"),
        ("PatientName=René", "*Ren*"),
        ("PatientName=Rene\u0301e", "*Ren*e*"),
        ("PatientName=Strasse", "*Stra*e*"),
        ("PatientName=Straße", "*Stra*e*"),
        ("PatientName=Stra?e", "*Stra*e*"),
        ("PatientName=JONES", "*JONES*"),
        ("PatientName=JONES*", "*JONE*"),
        ("PatientName=*SON", "*ON*"),
        ("PatientName~smith", "*mith*"),
        ("PatientName~mith^", "*mith*"),
        ("PatientName~a=b", "*a*"),
        ("PatientName~ a ", "*a*"),
        ("PatientName=ΝΊΚΟΣ*", "*Ν*ΚΟ*"),
        ("PatientName=νικοσα", "*νικο*α*"),
        ("PatientName=XAX", "*XAX*"),
        ("PatientName=X", "*X*"),
        ("PatientName=?*", None),
        ("PatientName=*^?", None),
        ("PatientName=é", None),
    ],
)
def test_a_name_is_sent_as_what_any_way_of_writing_it_has(text: str, found: str | None) -> None:
    assert sent(text, TEXT) == found


def test_names_need_wildcards_and_an_archive_that_takes_any_case() -> None:
    assert sent("PatientName=SMITH", {Kind.SINGLE}) is None
    for proof in (Proof.NO, Proof.OPEN):
        assert sent("PatientName=SMITH", TEXT, any_case_pn=proof) is None
        assert sent("PatientName=山田", TEXT, any_case_pn=proof) == "*山田*"


# --- many stars


@pytest.mark.parametrize(
    ("stars", "found"), [(None, "*a*b*c*"), (4, "*a*b*c*"), (3, "*a*b*"), (2, "*a*"), (1, None), (0, None)]
)
def test_as_many_stars_as_an_archive_bears(stars: int | None, found: str | None) -> None:
    assert sent("StudyDescription=*a*b*c*", TEXT, stars=stars) == found


def test_characters_that_an_archive_loses_beside_wildcards() -> None:
    assert sent("StudyDescription=%a_b*", TEXT, odd="%_") == "*a*b*"
    assert sent("StudyDescription=%a_b", TEXT, odd="%_") == "%a_b"
    assert sent("StudyDescription=*%*", TEXT, odd="%_") is None


def test_fewer_stars_from_the_right() -> None:
    assert sent("StudyDescription=a*b*c", TEXT, stars=1) == "a*"
    assert sent("StudyDescription=a*b*c", TEXT, stars=2) == "a*b*c"
    assert sent("StudyDescription=abc", {Kind.WILDCARD}, stars=0) == "abc"


# --- several values


def requests(texts: list[str], archive: Can) -> list[list[str]]:
    """What is sent, request by request."""
    asked = tuple(condition(t) for t in texts)
    forms = [sendable(c, asked, archive) for c in asked]
    return [[str(c) for c in part] for part in split(tuple(f for f in forms if f is not None), archive)]


def test_a_list_goes_in_as_many_requests_as_it_needs() -> None:
    text = "Modality=A,B,C,D,E"
    assert requests([text], can({Kind.SINGLE, Kind.ANY_OF}, "Modality")) == [[text]]
    assert requests([text], can({Kind.SINGLE, Kind.ANY_OF}, "Modality", lists=2)) == [
        ["Modality=A,B"],
        ["Modality=C,D"],
        ["Modality=E"],
    ]
    assert requests([text], can({Kind.SINGLE}, "Modality")) == [[f"Modality={m}"] for m in "ABCDE"]


def test_every_list_with_every_other() -> None:
    archive = Can(frozenset({Level.SERIES}), dict.fromkeys(("Modality", "StationName"), EVERY), lists=1)
    assert requests(["Modality=A,B", "StationName=X,Y"], archive) == [
        ["Modality=A", "StationName=X"],
        ["Modality=A", "StationName=Y"],
        ["Modality=B", "StationName=X"],
        ["Modality=B", "StationName=Y"],
    ]


def test_only_one_condition_becomes_several_requests() -> None:
    archive = Can(frozenset({Level.SERIES}), dict.fromkeys(("Modality", "StationName"), TEXT))
    assert requests(["Modality=A,B", "StationName=X,Y"], archive) == [["Modality=A"], ["Modality=B"]]
    assert requests(["Laterality=L,R", "StationName=X,Y"], archive) == [["StationName=X"], ["StationName=Y"]]
    assert requests(["Modality=A", "StationName=X,Y"], archive) == [
        ["Modality=A", "StationName=X"],
        ["Modality=A", "StationName=Y"],
    ]


def test_a_long_list_does_not_become_a_flood_of_requests() -> None:
    values_ = [str(n) for n in range(REQUESTS + 1)]
    archive = can(TEXT, "PatientID")
    assert len(requests([f"PatientID={','.join(values_[1:])}"], archive)) == REQUESTS
    assert requests([f"PatientID={','.join(values_)}"], archive) == [[]]


def test_one_value_that_cannot_be_sent_keeps_all_from_being_sent() -> None:
    assert sent("StudyDescription=a,b*", {Kind.SINGLE, Kind.ANY_OF}) is None
    assert sent("StudyDescription=a,é", EVERY, any_text=Proof.NO) is None


def test_values_that_become_the_same_are_sent_once() -> None:
    assert sent("PatientName=SMITH,SMITH^*", TEXT | {Kind.ANY_OF}) == "*SMITH*"


def test_nothing_asked_is_one_request() -> None:
    assert list(split((), can(TEXT, "Modality"))) == [()]


# --- combined date and time: PS3.4 C.2.2.2.5.4

RANGE = frozenset({Kind.RANGE})
INTERVAL = ["StudyDate=20060705-20060707", "StudyTime=10-18"]


@pytest.mark.parametrize(
    ("matches", "combines", "found"),
    [
        ({"StudyDate": RANGE, "StudyTime": RANGE}, True, ["StudyDate", "StudyTime"]),
        ({"StudyDate": RANGE, "StudyTime": RANGE}, False, ["StudyDate"]),
        ({"StudyTime": RANGE}, True, []),
        ({"StudyDate": TEXT, "StudyTime": RANGE}, True, []),
    ],
)
def test_the_time_of_an_interval_goes_only_with_its_date(
    matches: dict[str, frozenset[Kind]], combines: bool, found: list[str]
) -> None:
    (request,) = requests(INTERVAL, Can(frozenset({Level.STUDY}), matches, combines=combines))
    assert [text.partition("=")[0] for text in request] == found


def test_a_time_that_is_no_part_of_an_interval_goes_alone() -> None:
    archive = Can(frozenset({Level.STUDY}), {"StudyTime": RANGE})
    for date in ("20060705", "20060705-", "*"):
        assert requests([f"StudyDate={date}", "StudyTime=10-18"], archive)[0] != []


@given(st.data())
@settings(max_examples=100)
def test_an_interval_that_is_sent_loses_nothing(data: st.DataObject) -> None:
    form = data.draw(st.sampled_from(["{}-{}", "{}-", "-{}"]))
    day = st.sampled_from(["20060705", "20060706", "20060707"])
    hour = st.sampled_from(["10", "1030", "18"])
    asked = (
        condition("StudyDate=" + form.format(*sorted([data.draw(day), data.draw(day)]))),
        condition("StudyTime=" + form.format(*sorted([data.draw(hour), data.draw(hour)]))),
    )
    archive = Can(
        frozenset({Level.STUDY}), {"StudyDate": RANGE, "StudyTime": RANGE}, combines=data.draw(st.booleans())
    )
    forms = [f for c in asked if (f := sendable(c, asked, archive))]
    record: dict[str, Value] = {"StudyDate": data.draw(day), "StudyTime": data.draw(hour | st.none())}
    (wanted,) = joined(asked)
    assert wanted.of(record) is not True or all(test.of(record) is True for test in joined(forms))


# --- sequences: PS3.4 C.2.2.2.6


def test_a_path_is_sent_where_the_path_is_promised() -> None:
    path = "RequestAttributesSequence.ScheduledProcedureStepID"
    assert sent(f"{path}=A*", TEXT) == "A*"
    asked = condition(f"{path}=A")
    assert sendable(asked, (asked,), can(TEXT, "ScheduledProcedureStepID")) is None
    assert sendable(asked, (asked,), can(TEXT, "RequestAttributesSequence")) is None


# --- an archive that keeps its promises, and nothing beyond them


Fold = Callable[[str], str]


def by_letter(text: str) -> str:
    """Lower case as tables of letters have it; Python's `lower` looks at the letters around a sigma."""
    return "".join(c.lower() for c in text)


FOLDS: tuple[Fold, ...] = (by_letter, str.casefold)


def reference(form: Condition, value: Value, archive: Can, fold: Fold) -> bool:
    """Whether such an archive returns a record. Fails where it is asked what it does not promise."""
    kinds = archive.kinds(form.keyword)
    assert {m.kind for m in form.matches} <= kinds
    assert len(form.matches) <= (archive.lists if Kind.ANY_OF in kinds else 1)
    for m in form.matches:
        written = "" if m.kind is Kind.EMPTY else str(m)
        assert archive.any_text is Proof.YES or set(written) <= PLAIN
        assert archive.stars is None or m.kind is not Kind.WILDCARD or written.count("*") <= archive.stars
    return any(one_match(form, m, value, archive, fold) for m in form.matches)


PLAIN = set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-?*")


def one_match(form: Condition, m: Match, value: Value, archive: Can, fold: Fold) -> bool:
    vr, texts = form.key.vr, filled(value, form.key.vr)
    if m.kind is Kind.CONTAINS:
        return any(values.folded(m.text) in values.folded(values.text(t, vr)) for t in texts)
    if vr == "PN":
        own = fold if archive.any_case_pn is Proof.YES else str
        return any(fits(own(m.text), own(t)) for t in texts)
    if Kind.ANY_CASE in archive.kinds(form.keyword) and vr in values.WILD and m.kind is not Kind.EMPTY:
        return any(fits(fold(m.text), fold(values.text(t, vr))) for t in texts)
    return compiled(replace(form, matches=(m,)))(value) is True


def fits(wanted: str, held: str) -> bool:
    """Wildcards against the whole text, groups and all: what archives do with names."""
    return pattern(values.composed(wanted)).match(values.composed(held)) is not None


@pytest.mark.parametrize("vrs", [("PN",), ("DA", "TM", "DT"), ("LO", "LT", "CS", "UR"), tuple(KEYWORDS)])
@given(st.data())
@settings(max_examples=250)
def test_a_form_that_is_sent_loses_no_record_that_matches(vrs: tuple[str, ...], data: st.DataObject) -> None:
    asked = data.draw(conditions(vrs))
    archive = data.draw(capabilities(asked))
    value = data.draw(near(asked))
    form = sendable(asked, (asked,), archive)
    if asked.universal or form is None:
        return
    fold = data.draw(st.sampled_from(FOLDS))
    found = [reference(part, value, archive, fold) for (part,) in split((form,), archive)]
    assert any(found) or compiled(asked)(value) is not True
