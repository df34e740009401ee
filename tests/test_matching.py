"""What a condition means: every rule and example of docs/matching.md, each with its clause of PS3.4."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from strategies import KEYWORDS, conditions, near

from broker.errors import BadQuery
from broker.matching import Column, Memo, Truth, Value, compiled, pattern, truth
from broker.meaning.periods import spelled, within
from broker.query import Condition, condition
from catalog.capability import Kind

UNKNOWN = None


# --- the examples


@pytest.mark.parametrize(
    ("keyword", "query", "record", "answer"),
    [
        ("PatientID", "pid-1", "PID-1", False),
        ("PatientName", "smith^j*", "SMITH^JOHN", True),
        ("PatientName", "山田*", "Yamada^Tarou=山田^太郎=やまだ^たろう", True),
        ("AccessionNumber", "B_0*", "BX01", False),
        ("StudyDescription", "*CHEST*", "CT CHEST W/O", True),
        ("StudyDate", "20200601-20200630", "2020.06.22", True),
        ("StudyDate", "20200615", "", UNKNOWN),
        ("StudyInstanceUID", "1.2.3\\", "1.2.34", False),
    ],
)
def test_the_examples(keyword: str, query: str, record: str, answer: Truth) -> None:
    assert truth(keyword, query, record) is answer


@pytest.mark.parametrize("query", ["2020*", "20201231-20200101"])
def test_the_examples_of_bad_queries(query: str) -> None:
    with pytest.raises(BadQuery):
        truth("StudyDate", query, "20200615")


# --- unknown: PS3.4 C.2.2.1.2


@pytest.mark.parametrize("value", [None, "", " ", "\0", (), ("",), ("", " ")])
@pytest.mark.parametrize(
    "text", ["Modality=CT", "PatientName=a*", "StudyDate=2020", "SeriesNumber=1", "Modality~c"]
)
def test_without_a_value_nothing_is_known(text: str, value: Value) -> None:
    assert compiled(condition(text))(value) is UNKNOWN


@pytest.mark.parametrize(
    ("keyword", "query", "value"),
    [
        ("StudyDate", "20200615", "mid June"),
        ("StudyTime", "10", "ten"),
        ("AcquisitionDateTime", "2020", "20201340"),
        ("SeriesNumber", "1", "one"),
        ("SliceThickness", "1.5", "1,5"),
        ("StudyInstanceUID", "1.2", "1.2.x"),
        ("PatientAge", "066Y", "66"),
        ("SelectorAttribute", "00080060", "Modality"),
    ],
)
def test_of_a_value_that_cannot_be_read_nothing_is_known(keyword: str, query: str, value: str) -> None:
    assert truth(keyword, query, value) is UNKNOWN


# --- single values: PS3.4 C.2.2.2.1


@pytest.mark.parametrize(
    "keyword", ["PatientID", "Modality", "StudyDescription", "StationAETitle", "PatientComments"]
)
def test_letters_of_another_case_are_other_letters(keyword: str) -> None:
    assert truth(keyword, "AB", "AB") is True
    assert truth(keyword, "AB", "Ab") is False
    assert truth(keyword, "AB", "ABC") is False


@pytest.mark.parametrize("record", ["AB ", " AB", "AB\0", " AB \0"])
def test_padding_is_not_significant(record: str) -> None:
    """PS3.5 6.2."""
    assert truth("PatientID", "AB", record) is True
    assert truth("PatientID", " AB ", record) is True
    assert truth("PatientID", "A*B", record) is True


def test_spaces_before_text_are_significant() -> None:
    """PS3.5 6.2, of LT, ST and UT."""
    assert truth("PatientComments", "x", " x") is False
    assert truth("PatientComments", " x", " x ") is True
    assert truth("PatientComments", "?x", " x ") is True
    assert truth("PatientComments", " x*", " xy") is True
    assert compiled(condition("PatientComments~ x"))(" x") is True
    assert compiled(condition("PatientComments~ x"))("x") is False


def test_an_accent_is_composed_first() -> None:
    assert truth("StudyDescription", "é", "e\u0301") is True
    assert truth("StudyDescription", "e\u0301", "é") is True
    assert truth("StudyDescription", "?", "e\u0301") is True
    assert truth("StudyDescription", "e*", "e\u0301") is False


def test_no_value_at_all() -> None:
    assert truth("PatientID", "1", None) is UNKNOWN
    assert truth("PatientID", "*", None) is True


def test_one_of_several_values_suffices() -> None:
    record = ("CT", "", "PT")
    assert truth("ModalitiesInStudy", "PT", record) is True
    assert truth("ModalitiesInStudy", "MR", record) is False
    assert truth("ModalitiesInStudy", "MR,CT", record) is True
    assert truth("ModalitiesInStudy", "P*", record) is True
    assert truth("ModalitiesInStudy", "PT", "CT\\PT") is True


def test_text_may_hold_a_backslash() -> None:
    """PS3.5 6.4: LT, ST, UT and UR have one value."""
    assert truth("PatientComments", "a\\b", "a\\b") is True
    assert truth("PatientComments", "a\\b", ("x", "a\\b")) is True
    assert truth("PatientComments", "b", "a\\b") is False


def test_unknown_among_several_values() -> None:
    assert truth("StudyDate", "20200615", ("soon", "20200615")) is True
    assert truth("StudyDate", "20200615", ("20200616", "soon")) is UNKNOWN
    assert truth("StudyDate", "20200615", ("20200616", "20200617")) is False


# --- lists of UIDs: PS3.4 C.2.2.2.2


def test_uids() -> None:
    assert truth("StudyInstanceUID", "1.2.3", "1.2.3\0") is True
    assert truth("StudyInstanceUID", " 1.2.3\0", "1.2.3") is True
    assert truth("StudyInstanceUID", "1.2.3\\1.2.4", "1.2.4") is True
    assert truth("StudyInstanceUID", "1.2.3,1.2.4", "1.2.5") is False
    assert truth("StudyInstanceUID", "1.2.3", "1.2.30") is False


# --- universal: PS3.4 C.2.2.2.3


@pytest.mark.parametrize("value", [None, "", "CT", ("CT", "MR"), ()])
@pytest.mark.parametrize("query", ["", "*"])
def test_universal_matches_everything_absent_values_too(query: str, value: Value) -> None:
    assert compiled(condition(f"Modality={query}"))(value) is True


# --- wildcards: PS3.4 C.2.2.2.4


@pytest.mark.parametrize(
    ("query", "record", "answer"),
    [
        ("A*", "A", True),
        ("A*", "BA", False),
        ("*A", "BA", True),
        ("*A", "AB", False),
        ("A*A", "A", False),
        ("A*A", "AA", True),
        ("AB*BA", "ABA", False),
        ("AB*BA", "ABBA", True),
        ("A?C", "ABC", True),
        ("A?C", "AC", False),
        ("A?C", "ABBC", False),
        ("?", "A", True),
        ("?*", "A", True),
        ("*A*B*", "XAXBX", True),
        ("*A*B*", "XBXAX", False),
        ("*AB*AB*AB", "ABAB", False),
        ("*AB*AB*AB", "ABxABxAB", True),
        ("*A?*?B", "xAB", False),
        ("*A?*?B", "xA12B", True),
        ("*AB", "AAB", True),
        ("a*", "ABC", False),
        ("A*C", "A\nC", True),
        ("A*", "A\n", True),
        ("A?B", "A\nB", True),
        ("A", "A\n", False),
    ],
)
def test_stars_and_question_marks(query: str, record: str, answer: bool) -> None:
    assert truth("StudyDescription", query, record) is answer


@pytest.mark.parametrize("mark", [*"%_[].^$|()+{}#&~-", "\\d", "[A-Z]", "a|b"])
def test_no_other_character_is_special(mark: str) -> None:
    """As it would be in SQL LIKE, GLOB or a regular expression."""
    assert truth("PatientComments", f"{mark}?", f"{mark}A") is True
    assert truth("PatientComments", f"{mark}?", "XA") is False
    assert truth("PatientComments", mark, mark) is True


@given(st.text("ab*?", max_size=12), st.text("ab", max_size=12))
def test_wildcards_match_as_they_are_defined(query: str, record: str) -> None:
    def by_definition(q: str, r: str) -> bool:
        if not q:
            return not r
        if q[0] == "*":
            return any(by_definition(q[1:], r[n:]) for n in range(len(r) + 1))
        return bool(r) and q[0] in ("?", r[0]) and by_definition(q[1:], r[1:])

    assert (pattern(query).match(record) is not None) == by_definition(query.replace("**", "*"), record)


def test_a_wicked_pattern_ends() -> None:
    """Were it matched by going back, the sun would be gone first."""
    query = "*a" * 40 + "*b"
    assert truth("StudyDescription", query, "a" * 10_000) is False
    assert truth("StudyDescription", query, "a" * 10_000 + "b") is True


# --- contains: ours


def test_contains_in_any_case_and_any_value() -> None:
    asked = compiled(condition("SeriesDescription~Flair"))
    assert asked("Ax T2 FLAIR fs") is True
    assert asked(("T1", "flair")) is True
    assert asked("T2") is False
    assert compiled(condition("SeriesDescription~straße"))("Bergstrasse 1") is True
    assert compiled(condition("SeriesDescription~STRASSE"))("Bergstraße 1") is True
    assert compiled(condition("SeriesDescription~E\u0301"))("rené") is True


def test_contains_knows_no_wildcards_and_keeps_inner_spaces() -> None:
    assert compiled(condition("SeriesDescription~a*b"))("xa*bx") is True
    assert compiled(condition("SeriesDescription~a*b"))("axb") is False
    assert compiled(condition("SeriesDescription~a "))("a b") is True
    assert compiled(condition("SeriesDescription~a "))("b a ") is False


# --- person names: PS3.4 C.2.2.2.1, PS3.5 6.2.1


@pytest.mark.parametrize(
    ("query", "record", "answer"),
    [
        ("SMITH^JOHN", "Smith^John", True),
        ("SMITH^JOHN", "SMITH^JOHN^^^", True),
        ("SMITH^JOHN^^", "SMITH^JOHN", True),
        ("SMITH", "SMITH^JOHN", False),
        ("SMITH^JOHN", "SMITH JOHN", False),
        ("SMITH^*", "SMITH", True),
        ("SMITH^*", "SMITHERS^JOHN", False),
        ("SMITH*", "SMITHERS^JOHN", True),
        ("SMITH^*^DR", "SMITH", False),
        ("SMITH^^?", "SMITH", False),
        ("*^JOHN", "SMITH^JOHN", True),
        ("SMITH^J?HN", "smith^john", True),
        ("tarou", "Yamada^Tarou=山田^太郎", False),
        ("yamada^tarou", "Yamada^Tarou=山田^太郎", True),
        ("山田^太郎", "Yamada^Tarou=山田^太郎", True),
        ("やまだ*", "Yamada^Tarou=山田^太郎=やまだ^たろう", True),
        ("=山田*", "Yamada^Tarou=山田^太郎", True),
        ("=Yamada*", "Yamada^Tarou=山田^太郎", False),
        ("Yamada*=山田*", "Yamada^Tarou=山田^太郎", True),
        ("Yamada*=田*", "Yamada^Tarou=山田^太郎", False),
        ("Yamada*=山田*", "Yamada^Tarou", False),
        ("Yamada*==や*", "Yamada^Tarou=山田^太郎=やまだ^たろう", True),
        ("=*", "Yamada^Tarou", False),
        ("=*", "Yamada^Tarou=山田", True),
        ("?=?", "a=b=c", True),
        ("Yamada^Tarou*", "Yamada=Tarou", False),
        ("A B", " A B = C", True),
        ("RENE\u0301", "René", True),
        ("RENE", "René", False),  # accents are folded only for fuzzy matching
        ("STRASSE", "Straße", True),
        ("STRASSE*", "Straße^Jo", True),
        ("STRA?E", "Straße", True),
        ("STRA??E", "Straße", True),
        ("GROS*", "Groß", True),
        ("ß?E", "ßßE", True),
        ("A=ß?E", "a=ßßE", True),
        ("A^B^?", "A^B", False),
        ("A^B^??", "A^B", False),
        ("ΝΙΚΟΣ", "νικος", True),
        ("SMITH\0", "SMITH", True),
    ],
)
def test_names(query: str, record: str, answer: bool) -> None:
    assert truth("PatientName", query, record) is answer


@pytest.mark.parametrize("record", ["^^^^", "=", "^=^", " ^ "])
def test_a_name_of_separators_is_no_name(record: str) -> None:
    assert truth("PatientName", "SMITH", record) is UNKNOWN
    assert truth("PatientName", "?*", record) is UNKNOWN
    assert truth("PatientName", '""', record) is True


def test_contains_in_names() -> None:
    asked = compiled(condition("PatientName~mith^j"))
    assert asked("SMITH^JOHN") is True
    assert asked("SMITH=JOHN") is False


# --- ranges: PS3.4 C.2.2.2.5


@pytest.mark.parametrize(
    ("query", "record", "answer"),
    [
        ("20200601-20200630", "20200601", True),
        ("20200601-20200630", "20200630", True),
        ("20200601-20200630", "20200531", False),
        ("20200601-20200630", "20200701", False),
        ("20200601-", "20200601", True),
        ("20200601-", "20200531", False),
        ("-20200601", "20200601", True),
        ("-20200601", "20200602", False),
        ("202006", "20200630", True),
        ("2020", "20191231", False),
        ("20200615", "20200615 ", True),
        ("20200615", "20200616", False),
        ("20200615", "202006", UNKNOWN),
        ("20200615", "202007", False),
        ("202006", "2020", UNKNOWN),
        ("2020", "202006", True),
        ("20200615,20200617", "20200617", True),
    ],
)
def test_dates(query: str, record: str, answer: Truth) -> None:
    assert truth("StudyDate", query, record) is answer


@pytest.mark.parametrize(
    ("query", "record", "answer"),
    [
        ("10", "100000", True),
        ("10", "105959.999999", True),
        ("10", "110000", False),
        ("10", "095959.999999", False),
        ("10", "10", True),
        ("1015", "10", UNKNOWN),
        ("1000-1800", "180059", True),  # a shorter time is a period: 18:00:00 to 18:00:59.999999
        ("1000-1800", "180100", False),
        ("1000-1800", "09:59:59", False),
        ("1000-1800", "10:15:00", True),
        ("1000-", "235959", True),
        ("-1000", "000000", True),
        ("-1000", "100100", False),
        ("235959", "235960", True),  # a leap second
        ("23", "235960.5", True),
        ("00", "235960", False),
    ],
)
def test_times(query: str, record: str, answer: Truth) -> None:
    assert truth("StudyTime", query, record) is answer


@pytest.mark.parametrize(
    ("query", "record", "answer"),
    [
        ("2020", "20200615101500", True),
        ("20200615", "20200615101500.5", True),
        ("20200615101500", "20200615", UNKNOWN),
        ("2020-2021", "20211231235959.999999", True),
        ("2020-2021", "20220101", False),
        ("2020010110-", "2020010110", True),
        ("-2020010110", "2020010111", False),
        # C.2.2.2.5.3: an offset is taken into account
        ("2020010112+0200", "2020010110+0000", True),
        ("2020010112+0200", "2020010112+0000", False),
        ("2020010112+0200", "2020010105-0500", True),
        ("2020010100+0000-2020010123+0000", "2020010201+0200", True),
        ("2020010100+0000-2020010123+0000", "2020010202+0100", False),
        # without one, nobody knows the time zone
        ("2020010112+0200", "2020010112", UNKNOWN),
        ("2020010112", "2020010112+0200", UNKNOWN),
        ("2020010100+0000-", "2020010105", UNKNOWN),
        ("-2020010100+0000", "2019123120", UNKNOWN),
        ("2020+0000", "20200615", True),
        ("2020+0000", "20210101", UNKNOWN),
        ("2020+0000", "20210103", False),
        ("20200615-", "20200616150000+0000", True),
        ("20200615-", "20200615130000+0000", UNKNOWN),
        ("20200615-", "20200614090000+0000", False),
    ],
)
def test_date_times(query: str, record: str, answer: Truth) -> None:
    assert truth("AcquisitionDateTime", query, record) is answer


@pytest.mark.parametrize(
    ("limits", "answer"),
    [
        *(((0, 9), True), ((0, 10), True), ((None, 9), True), ((0, None), True), ((None, None), True)),
        *(((1, 10), None), ((0, 8), None), ((9, 20), None), ((-9, 0), None), ((3, 4), None)),
        *(((10, 20), False), ((-9, -1), False), ((10, None), False), ((None, -1), False)),
    ],
)
def test_a_period_inside_across_and_outside(limits: tuple[int | None, int | None], answer: Truth) -> None:
    assert within((0, 9), limits) is answer


# --- numbers: CP-2305


@pytest.mark.parametrize("record", ["7", "007", "+7", " 7 ", "7.0", "70E-1"])
def test_numbers_are_compared_by_value(record: str) -> None:
    assert truth("SeriesNumber", "7", record) is True
    assert truth("SeriesNumber", "-7", record) is False
    assert truth("SeriesNumber", "6,7", record) is True


def test_decimals_are_compared_by_value() -> None:
    assert truth("SliceThickness", "1.5", "1.50") is True
    assert truth("SliceThickness", "1.5", "1.51") is False
    assert truth("ImagePositionPatient", "-3", ("1.0", "2", "-3.00")) is True


def test_ages_and_tags() -> None:
    assert truth("PatientAge", "066Y", "066Y ") is True
    assert truth("PatientAge", "012M", "001Y") is False
    assert truth("SelectorAttribute", "0008006a", "(0008,006A)") is True
    assert truth("SelectorAttribute", "0008006a", "0008006B") is False


# --- empty values: PS3.4 C.2.2.2.7


@pytest.mark.parametrize(
    "keyword", ["Modality", "StudyDate", "PatientName", "SeriesNumber", "StudyInstanceUID"]
)
def test_the_empty_value(keyword: str) -> None:
    for value in (None, "", " \0", (), ("", " ")):
        assert compiled(condition(f'{keyword}=""'))(value) is True
    assert truth(keyword, '""', "1") is False
    assert truth(keyword, '""', ("", "1")) is False


def test_empty_or_a_value() -> None:
    asked = compiled(condition('Modality="",CT'))
    assert [asked(value) for value in (None, "", "CT", "MR", ("MR", "CT"))] == [True, True, True, False, True]


# --- what holds for all


@given(st.data())
def test_a_star_matches_everything(data: st.DataObject) -> None:
    asked = data.draw(conditions())
    value = data.draw(near(asked))
    assert compiled(condition(f"{asked.keyword}=*"))(value) is True


@given(st.data())
def test_a_list_is_the_union_of_its_members(data: st.DataObject) -> None:
    asked = data.draw(conditions())
    assume(not asked.universal)
    value = data.draw(near(asked))
    members = [compiled(Condition(asked.key, (m,)))(value) for m in asked.matches]
    whole = compiled(asked)(value)
    assert (whole is True) == (True in members)
    assert (whole is False) == all(member is False for member in members)


@given(st.data())
def test_ranges_include_their_ends(data: st.DataObject) -> None:
    asked = data.draw(conditions(("DA", "TM")))
    assume(not asked.universal)
    ends = [(end, side) for m in asked.matches for side, end in enumerate((m.low, m.high)) if end]
    for end, side in ends:
        first_or_last = spelled(asked.key.vr, end, side)
        whole = asked.key.vr == "DA" or "." in first_or_last
        assert compiled(asked)(first_or_last if whole else f"{first_or_last}.000000") is True


@given(st.data())
def test_a_value_matches_itself(data: st.DataObject) -> None:
    asked = data.draw(conditions())
    for m in asked.matches:
        if m.kind is Kind.SINGLE:
            assert compiled(asked)(m.text) is True


@given(st.data())
def test_a_column_gives_the_same_answers(data: st.DataObject) -> None:
    asked = data.draw(conditions())
    records = data.draw(st.lists(near(asked), max_size=5))
    column = Column(asked)
    assert [column[r] for r in records * 2] == [compiled(asked)(r) for r in records * 2]


def test_a_column_does_not_grow_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Memo, "LIMIT", 3)
    column = Column(condition("PatientID=1"))
    for n in range(10):
        assert column[str(n)] is (n == 1)
        assert len(column) <= 3
    assert column["9"] is False


def test_a_column_asks_once() -> None:
    asked: list[Value] = []

    def test(value: Value) -> Truth:
        asked.append(value)
        return None

    memo = Memo(test)
    assert [memo["a"], memo["a"], memo[None], memo[None]] == [None] * 4
    assert asked == ["a", None]


@pytest.mark.parametrize("keyword", sorted(KEYWORDS.values()))
def test_truth_takes_lists_of_any_kind(keyword: str) -> None:
    text = {"PatientAge": "066Y", "SelectorAttribute": "00080060", "SeriesInstanceUID": "1.2"}.get(
        keyword, "10"
    )
    text = "2020" if keyword in ("StudyDate", "AcquisitionDateTime") else text
    assert truth(keyword, text, [text]) is truth(keyword, text, (text, "")) is True
