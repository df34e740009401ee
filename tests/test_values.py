"""How values are read, by VR (PS3.5 6.2)."""

from __future__ import annotations

from decimal import Decimal

import pytest

from broker.meaning import values

SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE


@pytest.mark.parametrize(
    ("written", "span"),
    [
        ("20200622", (20200622, 20200622)),
        ("2020.06.22", (20200622, 20200622)),  # ACR-NEMA, which PS3.5 6.2 asks to read
        ("2020-06-22", (20200622, 20200622)),
        (" 20200622 ", (20200622, 20200622)),
        ("20200622\0", (20200622, 20200622)),
        ("202002", (20200201, 20200229)),
        ("2020-02", (20200201, 20200229)),
        ("201902", (20190201, 20190228)),
        ("2020", (20200101, 20201231)),
        ("20200229", (20200229, 20200229)),
        ("00010101", (10101, 10101)),
        ("99991231", (99991231, 99991231)),
    ],
)
def test_a_date_or_a_part_of_one(written: str, span: values.Span) -> None:
    assert values.date(written) == span


@pytest.mark.parametrize(
    "written",
    [
        *("", "20190229", "20200631", "20201301", "20200001", "20200100", "202013", "202000", "00000101"),
        *(
            "2020.06-22",
            "2020.0622",
            "20",
            "2020062",
            "202006222",
            "2020*",
            "X2020",
            "\t2020",
            "２０２００６２２",
        ),
    ],
)
def test_what_is_no_date(written: str) -> None:
    assert values.date(written) is None


@pytest.mark.parametrize(
    ("written", "span"),
    [
        ("10", (10 * HOUR, 11 * HOUR - 1)),
        ("1015", (10 * HOUR + 15 * MINUTE, 10 * HOUR + 16 * MINUTE - 1)),
        ("101530", (10 * HOUR + 15 * MINUTE + 30 * SECOND, 10 * HOUR + 15 * MINUTE + 31 * SECOND - 1)),
        ("10:15:30 ", (10 * HOUR + 15 * MINUTE + 30 * SECOND, 10 * HOUR + 15 * MINUTE + 31 * SECOND - 1)),
        ("000000.5", (500_000, 599_999)),
        ("000000.000001", (1, 1)),
        ("00", (0, HOUR - 1)),
        ("000000", (0, SECOND - 1)),
        ("235959", (values.DAY - SECOND, values.DAY - 1)),
        ("235960", (values.DAY - SECOND, values.DAY - 1)),  # a leap second
        ("235960.25", (values.DAY - SECOND + 250_000, values.DAY - SECOND + 259_999)),
    ],
)
def test_a_time_is_a_period(written: str, span: values.Span) -> None:
    assert values.time(written) == span


@pytest.mark.parametrize(
    "written",
    [
        "",
        "1",
        "24",
        "2400",
        "1060",
        "101561",
        "10153",
        "1015.5",
        "101530.",
        "101530.1234567",
        "-10",
        "X10",
        "\t10",
    ],
)
def test_what_is_no_time(written: str) -> None:
    assert values.time(written) is None


NEW_YEAR = values.moment(20200101, 0)


@pytest.mark.parametrize(
    ("written", "first", "length"),
    [
        ("2020", 0, 366 * values.DAY),
        ("202001", 0, 31 * values.DAY),
        ("20200102", values.DAY, values.DAY),
        ("2020010110", 10 * HOUR, HOUR),
        ("202001011015", 10 * HOUR + 15 * MINUTE, MINUTE),
        ("20200101101530", 10 * HOUR + 15 * MINUTE + 30 * SECOND, SECOND),
        ("20200101000000.25", 250_000, 10_000),
        ("2020010110+0200", 8 * HOUR, HOUR),
        ("2020010110-0530", 15 * HOUR + 30 * MINUTE, HOUR),
        ("2020010114+1400", 0, HOUR),
        ("2020010100-1200", 12 * HOUR, HOUR),
    ],
)
def test_a_date_time_is_a_period_and_its_offset_counts(written: str, first: int, length: int) -> None:
    assert values.datetime(written) == (NEW_YEAR + first, NEW_YEAR + first + length - 1)


@pytest.mark.parametrize(
    "written",
    [
        *("", "20201301", "20200101102", "2020.5", "202001011015.5", "2020010125", "2020010110+02"),
        *(
            "2020010110+1401",
            "2020010110-1201",
            "2020010110+0260",
            "20200101101530.1234567",
            "X2020",
            "\t2020",
        ),
    ],
)
def test_what_is_no_date_time(written: str) -> None:
    assert values.datetime(written) is None


def test_whether_a_date_time_has_an_offset() -> None:
    assert values.zoned("2020010110+0000")
    assert values.zoned("2020010110-0500 ")
    assert not values.zoned("2020010110")
    for text in ("nonsense+0200", "X2020+0200", "\t2020+0200"):
        assert not values.zoned(text)


def test_moments_go_on_over_midnight() -> None:
    assert values.moment(20200301, 0) == values.moment(20200229, values.DAY - 1) + 1


@pytest.mark.parametrize("written", ["7", "007", "+7", " 7 ", "7\0", "7.0", "7.", "70E-1", "0.7e1", "7E0000"])
def test_numbers_of_one_value(written: str) -> None:
    assert values.number(written) == Decimal(7)


@pytest.mark.parametrize(
    "written",
    [
        "",
        "seven",
        "1_000",
        "NaN",
        "inf",
        "7-9",
        "0x7",
        "--7",
        "٧",
        "1e9999",
        ".",
        "1,5",
        "E5",
        "X7",
        "7X",
        "\t7",
    ],
)
def test_what_is_no_number(written: str) -> None:
    assert values.number(written) is None


def test_integers_have_no_fraction() -> None:
    assert values.integer("7.0") == 7
    assert values.integer("-12") == -12
    assert values.integer("7.5") is None
    assert values.integer("x") is None


def test_ages_have_three_digits_and_a_unit() -> None:
    assert [values.age(f"066{unit} ") for unit in "DWMY"] == ["066D", "066W", "066M", "066Y"]
    assert [values.age(text) for text in ("66Y", "066", "066y", "0066Y", "066 Y", "０66Y")] == [None] * 6
    assert [values.age(text) for text in ("\t066Y", "X066Y", "066YX")] == [None] * 3


def test_tags_in_both_spellings() -> None:
    assert values.tag("(0008,006a)") == values.tag("0008006A ") == "0008006A"
    for bad in ("0008", "0008006G", "\t00080060", "X00080060", "00080060X"):
        assert values.tag(bad) is None


def test_uids_and_their_padding() -> None:
    assert values.uid("1.2.840.10008\0") == values.uid(" 1.2.840.10008 ") == "1.2.840.10008"
    assert values.uid("1" * 64) == "1" * 64
    for bad in ("", "1" * 65, "1..2", ".1", "1.", "1.a", "1.2*", "1 .2", "\t1.2", "X1.2", "1.2X"):
        assert values.uid(bad) is None


def test_spaces_before_a_value_count_only_in_text() -> None:
    """PS3.5 6.2: LT, ST and UT keep leading spaces, nothing keeps trailing ones."""
    for vr in ("LT", "ST", "UT"):
        assert values.text(" a \0", vr) == " a"
        assert values.text(" X \0", vr) == " X"
    for vr in ("LO", "SH", "CS", "AE", "PN", "UC", "UR"):
        assert values.text(" a \0", vr) == "a"


def test_an_accent_is_one_with_its_letter() -> None:
    assert values.text("e\u0301", "LO") == values.composed("é") == "é"


def test_backslashes_separate_values_where_none_can_hold_one() -> None:
    """PS3.5 6.4."""
    assert values.parts("CT\\\\ MR\\ ", "CS") == ["CT", " MR"]
    for vr in ("LT", "ST", "UT", "UR"):
        assert values.parts("a\\b", vr) == ["a\\b"]
    assert values.parts(" \0", "LO") == []
    assert values.parts("X", "LO") == values.parts("X", "PN") == ["X"]


def test_a_name_of_separators_is_empty() -> None:
    assert values.parts("^^=^", "PN") == []
    assert values.parts("^^=^", "LO") == ["^^=^"]


def test_names_are_folded_group_by_group() -> None:
    """PS3.5 6.2.1: trailing separators say nothing, nor do spaces around a group."""
    assert values.name_groups("SMITH^John^^ = 山田^太郎 ") == ("smith^john", "山田^太郎")
    assert values.name_groups("STRAßE") == values.name_groups("strasse") == ("strasse",)
    assert values.name_groups("ΝΊΚΟΣ") == values.name_groups("νίκος")
    assert values.name_groups("Rene\u0301") == values.name_groups("RENÉ")
    assert values.name_groups("rené") != values.name_groups("rene")
    assert values.name_groups("Straße", values.lower) == ("straße",)
    assert values.name_groups("XAX=\tA", str) == ("XAX", "\tA")
    assert values.folded("Σ") == values.folded("ς") == values.folded("σ") == "σ"


def test_what_can_be_searched() -> None:
    """Every VR of PS3.5 6.2 but bytes and sequences."""
    searched = "AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST SV TM UC UI UL UR US UT UV"
    assert " ".join(sorted(values.MATCHABLE)) == searched
    assert " ".join(sorted(values.WILD)) == "AE CS LO LT PN SH ST UC UR UT"  # PS3.4 C.2.2.2.4
