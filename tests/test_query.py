"""The query language: what is read, what is refused, and that it is written as it is read."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom._dicom_dict import DicomDictionary
from strategies import conditions

from broker.errors import BadQuery
from broker.meaning import values
from broker.query import Condition, Match, Query, condition, read_level
from catalog.capability import Kind
from catalog.keywords import Level

S, W, C, E = Kind.SINGLE, Kind.WILDCARD, Kind.CONTAINS, Kind.EMPTY


def read(text: str) -> list[tuple[Kind, str]]:
    """Kinds and texts of a condition."""
    return [(m.kind, str(m)) for m in condition(text).matches]


def refused(text: str) -> str:
    """Why a condition is refused."""
    with pytest.raises(BadQuery) as caught:
        condition(text)
    return str(caught.value)


# --- values


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Modality=CT", [(S, "CT")]),
        (" Modality = CT ", [(S, "CT")]),
        ("00080060=CT", [(S, "CT")]),
        ("(0008,0060)=CT", [(S, "CT")]),
        ("Modality=CT,MR", [(S, "CT"), (S, "MR")]),
        ("Modality=CT\\MR", [(S, "CT"), (S, "MR")]),
        ("Modality=MR,CT,MR", [(S, "CT"), (S, "MR")]),
        ("BodyPartExamined=LUNG*", [(W, "LUNG*")]),
        ("BodyPartExamined=L?NG", [(W, "L?NG")]),
        ("BodyPartExamined=L***G**", [(W, "L*G*")]),
        ("BodyPartExamined=?*", [(W, "?*")]),
        ("StudyDescription~a*b?", [(C, "a*b?")]),
        ("StudyDescription~ x ", [(C, " x ")]),
        ("StudyDescription~a,b", [(C, "a"), (C, "b")]),
        ("StudyDescription=a=b", [(S, "a=b")]),
        ("StudyDescription=a~b", [(S, "a~b")]),
        ("StudyDescription~a=b", [(C, "a=b")]),
        ("StudyDescription=%_[.]", [(S, "%_[.]")]),
        ("PatientComments= x ", [(S, " x")]),
        ("PatientComments=a\\b", [(S, "a\\b")]),
        ("PatientComments=aXb", [(S, "aXb")]),
        ("PatientComments= *", [(W, " *")]),
        ("PatientComments=a\nb", [(S, "a\nb")]),
        ("DataURL=https://x/a?b=c\\d", [(W, "https://x/a?b=c\\d")]),
        ("SeriesNumber=007", [(S, "007")]),
        ("AccessionNumber=0008006a", [(S, "0008006a")]),
        ("SliceThickness=-1.5", [(S, "-1.5")]),
        ("PatientAge=066Y", [(S, "066Y")]),
        ('SelectorAttribute="(0008,006a)"', [(S, "0008006A")]),
        ("PatientName=e\u0301", [(S, "é")]),
    ],
)
def test_what_is_read(text: str, found: list[tuple[Kind, str]]) -> None:
    assert read(text) == found


@pytest.mark.parametrize("value", ["", " ", "*", " * ", "**", '"*"', "\0"])
@pytest.mark.parametrize("keyword", ["PatientName", "StudyDate", "StudyInstanceUID", "SeriesNumber"])
def test_nothing_and_a_lone_star_are_universal(keyword: str, value: str) -> None:
    """PS3.4 C.2.2.2.3; C.2.2.2.4 for the star."""
    asked = condition(f"{keyword}={value}")
    assert asked.universal
    assert str(asked) == f"{keyword}=*"


@pytest.mark.parametrize("keyword", ["PatientName", "StudyDate", "StudyInstanceUID", "SeriesNumber"])
def test_two_quotes_are_the_empty_value(keyword: str) -> None:
    """PS3.4 C.2.2.2.7 Empty Value Matching."""
    assert read(f'{keyword}=""') == read(f'{keyword}= "" ') == [(E, '""')]
    assert condition(f'{keyword}=""').kinds == {E}


def test_the_empty_value_among_others() -> None:
    asked = condition('Modality=CT,""')
    assert asked.kinds == {S, E, Kind.ANY_OF}
    assert condition(str(asked)) == asked


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('StudyDescription="a,b"', ["a,b"]),
        ('StudyDescription="a,b",c', ["a,b", "c"]),
        ('StudyDescription= "a,b" , "c" ', ["a,b", "c"]),
        ('StudyDescription="say ""x"", y"', ['say "x", y']),
        ('StudyDescription=5" lead', ['5" lead']),
        ('StudyDescription=5" a, 6" b', ['5" a', '6" b']),
        ('StudyDescription="a"b', ['"a"b']),
        ('StudyDescription="', ['"']),
        ('StudyDescription="""', ['"""']),
        ('StudyDescription="a*b"', ["a*b"]),
    ],
)
def test_a_comma_inside_quotes_is_a_comma(text: str, found: list[str]) -> None:
    assert [str(m) for m in condition(text).matches] == found
    assert condition(str(condition(text))) == condition(text)


@pytest.mark.parametrize(
    "text", ["Modality=CT,", "Modality=,CT", "Modality=CT,,MR", "Modality=CT,*", "Modality=,"]
)
def test_nothing_among_several_values_is_refused(text: str) -> None:
    assert "leave it out" in refused(text)


# --- lists of UIDs: PS3.4 C.2.2.2.2


def test_uids_are_listed_by_backslash_or_comma() -> None:
    assert (
        read("StudyInstanceUID=1.2.3\\1.2.4")
        == read("StudyInstanceUID=1.2.3,1.2.4")
        == [(S, "1.2.3"), (S, "1.2.4")]
    )
    assert condition("StudyInstanceUID=1.2.3\\1.2.4").kinds == {S, Kind.ANY_OF}


def test_an_empty_element_in_a_list_of_uids_is_not_universal() -> None:
    assert read("StudyInstanceUID=1.2.3\\") == read("StudyInstanceUID=, 1.2.3, ") == [(S, "1.2.3")]
    assert "leave it out" in refused("StudyInstanceUID=\\")


@pytest.mark.parametrize("value", ["1.2*", "1.2?", "1..2", "1.2a", "1" * 65, "1.2.3\\X"])
def test_what_is_no_uid(value: str) -> None:
    assert refused(f"StudyInstanceUID={value}").startswith("StudyInstanceUID=")


# --- wildcards: PS3.4 C.2.2.2.4


@pytest.mark.parametrize(
    "text",
    [
        *("StudyInstanceUID=1.2*", "StudyDate=2020*", "StudyTime=10*", "AcquisitionDateTime=2020?"),
        *("SeriesNumber=1*", "SliceThickness=1.?", "PatientAge=06*", "Rows=5*", 'SelectorAttribute="0008*"'),
    ],
)
def test_no_wildcards_where_values_are_not_text(text: str) -> None:
    assert text.partition("=")[0] in refused(text)


def test_contains_is_for_text_and_for_something() -> None:
    assert "contains works on text" in refused("StudyDate~2020")
    for nothing in ("", " ", '""'):
        assert "nothing to look for" in refused(f"StudyDescription~{nothing}")


# --- dates and times: PS3.4 C.2.2.2.5


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("StudyDate=20200615", (S, "20200615")),
        ("StudyDate=2020.06.15", (S, "20200615")),
        ("StudyDate=202006", (Kind.RANGE, "20200601-20200630")),
        ("StudyDate=2020.02", (Kind.RANGE, "20200201-20200229")),
        ("StudyDate=2020", (Kind.RANGE, "20200101-20201231")),
        ("StudyDate=2010-20151231", (Kind.RANGE, "20100101-20151231")),
        ("StudyDate=2020-2020", (Kind.RANGE, "20200101-20201231")),
        ("StudyDate=20200615-", (Kind.RANGE, "20200615-")),
        ("StudyDate=20200615 - 20200616", (Kind.RANGE, "20200615-20200616")),
        ("StudyDate=-202006", (Kind.RANGE, "-20200630")),
        ("StudyTime=10", (S, "10")),
        ("StudyTime=10:15", (S, "1015")),
        ("StudyTime=1000-1800", (Kind.RANGE, "1000-1800")),
        ("StudyTime=10-10", (Kind.RANGE, "10-10")),
        ("StudyTime=10:00 - ", (Kind.RANGE, "1000-")),
        ("StudyTime=-18", (Kind.RANGE, "-18")),
        ("AcquisitionDateTime=2020", (S, "2020")),
        ("AcquisitionDateTime=2020010110+0200", (S, "2020010110+0200")),
        ("AcquisitionDateTime=2020010110-0500", (S, "2020010110-0500")),
        ("AcquisitionDateTime=2020-2021", (Kind.RANGE, "2020-2021")),
        ("AcquisitionDateTime=20200101-20200202", (Kind.RANGE, "20200101-20200202")),
        ("AcquisitionDateTime=202001-2021", (Kind.RANGE, "202001-2021")),
        ("AcquisitionDateTime=2020010110-", (Kind.RANGE, "2020010110-")),
        ("AcquisitionDateTime=-2020010110", (Kind.RANGE, "-2020010110")),
        ("AcquisitionDateTime=2020010110-0500-", (Kind.RANGE, "2020010110-0500-")),
        ("AcquisitionDateTime=-2020010110-0500", (Kind.RANGE, "-2020010110-0500")),
        (
            "AcquisitionDateTime=2020010110-0500-2021010110-0500",
            (Kind.RANGE, "2020010110-0500-2021010110-0500"),
        ),
        ("AcquisitionDateTime=2020-0500-2021+0100", (Kind.RANGE, "2020-0500-2021+0100")),
    ],
)
def test_dates_and_times(text: str, found: tuple[Kind, str]) -> None:
    assert read(text) == [found]
    assert condition(str(condition(text))) == condition(text)


def test_the_ends_of_ranges() -> None:
    ends = [(m.low, m.high) for m in condition("AcquisitionDateTime=2020010110-0500-2021010110-0500").matches]
    assert ends == [("2020010110-0500", "2021010110-0500")]
    ends = [(m.low, m.high) for m in condition("AcquisitionDateTime=-2020010110-0500").matches]
    assert ends == [("", "2020010110-0500")]


@pytest.mark.parametrize(
    "text",
    [
        "StudyDate=20201231-20200101",
        "StudyDate=2021-2020",
        "StudyTime=1800-1000",
        "StudyTime=2200-0600",  # does not cross midnight: PS3.4 C.2.2.2.5.2
        "AcquisitionDateTime=2021-2020",
        "AcquisitionDateTime=2020010110-2020010109",
        "AcquisitionDateTime=2020-0500",  # in a DT `-` is a range, where it can be one
        "AcquisitionDateTime=2020010110+0000-2020010110+0200",
    ],
)
def test_a_reversed_range_is_refused(text: str) -> None:
    assert refused(text) == f"{text}: the range is reversed"


@pytest.mark.parametrize(
    "text",
    [
        *(
            "StudyDate=20200631",
            "StudyDate=2020-06-15",
            "StudyDate=2020-06",
            "StudyDate=-",
            "StudyDate=20200101--",
        ),
        *(
            "StudyDate=20200101-20200102-20200103",
            "StudyDate=yesterday",
            "StudyDate=2020 01",
            "StudyDate=2020X-2021",
            "StudyDate=2020-X2021",
            "StudyDate=2020-01-2020-02",
        ),
        *(
            "StudyTime=25",
            "StudyTime=-",
            "StudyTime=10-25",
            "StudyTime=10+0200",
            "AcquisitionDateTime=20201301",
        ),
        *("AcquisitionDateTime=-", "AcquisitionDateTime=2020-2021-2022", "AcquisitionDateTime=2020--2021"),
    ],
)
def test_what_is_no_date_or_time(text: str) -> None:
    keyword, _, value = text.partition("=")
    assert f"{keyword}={value}: not a " in refused(text)
    assert "; write YYYY" in refused(text) or "; write HHMMSS" in refused(text)


def test_what_to_write_instead() -> None:
    assert refused("StudyDate=soon") == (
        "StudyDate=soon: not a DA value; write YYYYMMDD, YYYYMMDD-YYYYMMDD, YYYYMMDD- or -YYYYMMDD"
    )


def test_ends_with_and_without_an_offset_cannot_be_compared() -> None:
    assert "give both ends an offset" in refused("AcquisitionDateTime=2020010110+0200-2021")
    assert read("AcquisitionDateTime=2020010110+0200-") == [(Kind.RANGE, "2020010110+0200-")]


# --- numbers: CP-2305


def test_numbers_are_numbers() -> None:
    ranges = "; ranges of numbers are not part of DICOM matching"
    assert refused("SeriesNumber=7-9").endswith(f"which is written as a whole number{ranges}")
    assert refused("SeriesNumber=seven").endswith("which is written as a whole number")
    assert "ranges" not in refused("SeriesNumber=-x")
    assert "a whole number" in refused("SeriesNumber=1.5")
    assert "a number" in refused("SliceThickness=1,x")
    assert "066Y" in refused("PatientAge=66")


# --- names: PS3.5 6.2.1


@pytest.mark.parametrize("value", ["^", "^^", "=", "==", "^=^", " ^ "])
def test_a_name_without_letters_is_no_name(value: str) -> None:
    assert "no name in it" in refused(f"PatientName={value}")


def test_a_name_has_three_groups_at_most() -> None:
    assert read("PatientName=a=b=c") == [(S, "a=b=c")]
    assert "three groups" in refused("PatientName=a=b=c=d")


# --- what no value can hold: PS3.5 6.1.3, 6.4


@pytest.mark.parametrize("value", ["a\nb", "a\0b", "\x1b$B", "a\x7fb", "\x01"])
def test_control_characters_are_refused(value: str) -> None:
    assert "control character" in refused(f"StudyDescription={value}")
    assert "control character" in refused(f"StudyDescription~{value}")


def test_text_may_have_lines_but_no_other_controls() -> None:
    assert read("PatientComments=a\r\n\t\fb") == [(S, "a\r\n\t\fb")]
    assert "control character" in refused("PatientComments=a\x1bb")
    assert "control character" in refused("PatientComments=\0a")
    assert "control character" in refused("PatientComments=a\0b")


def test_half_a_character_is_refused() -> None:
    for half in "\ud800\udcff\udfff":
        assert "not valid Unicode" in refused(f"PatientName={half}")


def test_backslashes_separate_and_are_no_part_of_a_value() -> None:
    assert "backslash" in refused('StudyDescription="a\\b"')
    with pytest.raises(BadQuery, match="backslash"):
        Query("STUDY", StudyDescription=["a\\b"])


# --- keywords


def test_an_unknown_keyword_is_refused_with_the_nearest() -> None:
    assert "did you mean StudyDate?" in refused("StudyDat=2020")


@pytest.mark.parametrize("text", ["", "Modality", "=CT", "~x", " ", "Modality CT=1"])
def test_what_is_no_condition(text: str) -> None:
    assert "not a condition" in refused(text)


SAMPLES = {
    **dict.fromkeys(values.WILD, "A"),
    **dict.fromkeys(values.NUMBERS, "1"),
    **{"DA": "20200615", "TM": "10", "DT": "2020", "UI": "1.2", "AS": "066Y", "AT": "00080060"},
}


def test_every_keyword_of_the_dictionary_is_searched_or_refused_by_name() -> None:
    """PS3.6, PS3.5 6.2: bytes, sequences and unknown VRs cannot be matched by value."""
    for vr, _, _, _, name in DicomDictionary.values():
        if not name:
            continue
        first = vr.split(" ")[0]
        if first in values.MATCHABLE:
            assert condition(f"{name}={SAMPLES[first]}").key.vr == first
        else:
            assert name in refused(f"{name}=A")
            assert first in refused(f"{name}=A") or "is a sequence" in refused(f"{name}=A")


# --- sequences: PS3.4 C.2.2.2.6


def test_an_attribute_in_a_sequence() -> None:
    asked = condition("RequestAttributesSequence.ScheduledProcedureStepID=X*")
    assert asked.keyword == "RequestAttributesSequence.ScheduledProcedureStepID"
    assert asked.column == "RequestAttributesSequence"
    assert asked.key.vr == "SH"
    assert condition("00400275.00400009=X*") == condition(str(asked)) == asked
    assert condition("Modality=CT").column == "Modality"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("RequestAttributesSequence=X", "RequestAttributesSequence.KEYWORD=VALUE"),
        ("RequestAttributesSequence.ScheduledProtocolCodeSequence=X", "is a sequence"),
        ("RequestAttributesSequence.ScheduledProtocolCodeSequence.CodeValue=X", "nested too deeply"),
        ("PixelData=X", "PixelData has VR OB"),
    ],
)
def test_what_cannot_be_asked_of_sequences_and_bytes(text: str, why: str) -> None:
    assert why in refused(text)


# --- whole queries


@pytest.mark.parametrize(
    ("text", "level"),
    [
        *(("patients", Level.PATIENT), ("PATIENT", Level.PATIENT), ("Studies", Level.STUDY)),
        *(("study", Level.STUDY), ("series", Level.SERIES), (Level.SERIES, Level.SERIES)),
    ],
)
def test_levels(text: str | Level, level: Level) -> None:
    assert read_level(text) is level
    assert Query(text).level is level


@pytest.mark.parametrize("text", ["INSTANCE", "instances", "image", "IMAGES"])
def test_instances_are_not_searched_yet(text: str) -> None:
    with pytest.raises(BadQuery, match="not searched yet"):
        Query(text)


@pytest.mark.parametrize("text", ["", "stud", "worklist", "PATIENTSS", "imagex"])
def test_unknown_levels(text: str) -> None:
    with pytest.raises(BadQuery, match="unknown level"):
        Query(text)


def test_conditions_by_name() -> None:
    by_name = Query("SERIES", Modality=["MR", "CT"], SeriesNumber=7, SliceThickness=1.5, StudyDate="2010-")
    by_text = Query("series", "StudyDate=2010-", "Modality=CT,MR", "SeriesNumber=7", "SliceThickness=1.5")
    assert by_name == by_text
    assert hash(by_name) == hash(by_text)
    assert Query("SERIES", SeriesNumber=[7, 8]) == Query("SERIES", "SeriesNumber=7,8")


def test_values_in_a_list_are_whole() -> None:
    assert Query("STUDY", StudyDescription=["a,b"]) == Query("STUDY", 'StudyDescription="a,b"')
    assert Query("STUDY", Modality=["*"]) == Query("STUDY", "Modality=*")
    assert Query("STUDY", Modality=['""']) == Query("STUDY", 'Modality=""')


@pytest.mark.parametrize("value", [None, True, [None], [["CT"]], b"CT", [], object()])
def test_what_is_no_value(value: Any) -> None:
    with pytest.raises(BadQuery, match=r"not a value: |leave it out"):
        Query("SERIES", Modality=value)


def test_a_keyword_is_given_once() -> None:
    with pytest.raises(BadQuery, match="StudyDate is given twice"):
        Query("STUDY", "StudyDate=2010-", "00080020=-2012")
    with pytest.raises(BadQuery, match=r"write several values as Modality=A,B"):
        Query("SERIES", "Modality=CT", Modality="MR")


def test_equal_questions_are_equal_queries() -> None:
    a = Query("STUDY", "StudyDate=2020", "PatientID=1")
    assert a == Query("STUDY", "PatientID=1", "StudyDate=2020.01.01-20201231")
    assert a != Query("SERIES", "PatientID=1", "StudyDate=2020")
    assert a != Query("STUDY", "PatientID=1")
    assert a != "STUDY"
    assert len({a, Query("study", "PatientID=1", "StudyDate=2020")}) == 1


def test_a_query_is_written_as_it_can_be_made() -> None:
    query = Query("STUDY", "PatientName=a,b", 'StudyDescription="x, ""y"""', "StudyDate=2020-")
    assert eval(repr(query)) == query  # noqa: S307
    assert repr(Query("SERIES")) == "Query('SERIES')"


# --- any text at all

ANY = st.text() | st.text('=~,"\\*?-.^+0123456789ABSTUDY \0\n', max_size=30)


@given(
    ANY,
    st.sampled_from(["", "PatientName=", "StudyDate=", "AcquisitionDateTime=", "StudyTime=", "LT~", "Rows="]),
)
def test_any_text_is_a_condition_or_refused(text: str, start: str) -> None:
    try:
        asked = condition(start + text)
    except BadQuery as error:
        assert str(error)  # noqa: PT017
    else:
        assert condition(str(asked)) == asked


@given(ANY)
def test_any_text_is_a_level_or_refused(text: str) -> None:
    try:
        assert Query(text).level in Level
    except BadQuery as error:
        assert "level" in str(error)  # noqa: PT017


@given(conditions())
def test_a_condition_is_written_as_it_is_read(asked: Condition) -> None:
    assert condition(str(asked)) == asked


@given(
    st.sampled_from(["StudyDescription", "PatientComments", "DataURL"]), st.lists(ANY, min_size=1, max_size=3)
)
def test_any_texts_in_a_list_are_whole_values(keyword: str, texts: list[str]) -> None:
    try:
        (asked,) = Query("STUDY", **{keyword: texts}).conditions
    except BadQuery:
        return
    assert condition(str(asked)) == asked
    assert len(asked.matches) <= len(texts)


def test_matches_are_written_as_dicom_writes_them() -> None:
    assert str(Match(Kind.RANGE, low="2020", high="")) == "2020-"
    assert str(Match(Kind.EMPTY)) == '""'
    assert str(Match(Kind.SINGLE, "a,b")) == "a,b"
    assert re.fullmatch(r"Modality=CT", str(condition("Modality=CT")))
