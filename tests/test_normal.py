"""What a value means, beside what was written; what cannot be read is flagged, never guessed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.meaning.charsets import decoded, repaired
from broker.meaning.normal import CHARSET, UNREADABLE, Normal, normal

READ = [
    ("StudyDate", "20200622", "20200622"),
    ("StudyDate", "2020.06.22", "20200622"),
    ("StudyDate", "2020-06-22", "20200622"),
    ("StudyTime", "10:15:00", "101500"),
    ("PatientName", "SMITH^JOHN^^^", "SMITH^JOHN"),
    ("PatientName", "Yamada^Tarou=山田^太郎=", "Yamada^Tarou=山田^太郎"),
    ("PatientSex", "male", "M"),
    ("PatientSex", "Female", "F"),
    ("PatientAge", "066Y", "066Y"),
    ("PatientAge", "66y", "066Y"),
    ("PatientAge", "18 months", "018M"),
    ("PatientAge", "1200M", "100Y"),
    ("Modality", "MRI", "MR"),
    ("Modality", "ct", "CT"),
    ("BodyPartExamined", "Head and Neck", "HEADNECK"),
    ("BodyPartExamined", "ABDOMEN_PELVIS ", "ABDOMENPELVIS"),
    ("Manufacturer", "Siemens Healthineers", "SIEMENS"),
    ("Manufacturer", "GE MEDICAL SYSTEMS", "GE"),
    ("Manufacturer", "Nanox", "Nanox"),
    ("SeriesNumber", "007", "7"),
    ("SliceThickness", "1.50", "1.5"),
    ("StudyInstanceUID", "1.2.3\0", "1.2.3"),
    ("StudyDescription", " CHEST ", "CHEST"),
    ("StudyDescription", "", ""),
]


@pytest.mark.parametrize(("keyword", "raw", "value"), READ)
def test_what_can_be_read_has_one_form(keyword: str, raw: str, value: str) -> None:
    assert normal(keyword, raw) == Normal(value)
    assert normal(keyword, value) == Normal(value)


UNREAD = [
    ("PatientSex", "0000"),
    ("PatientSex", "6657"),
    ("PatientSex", "U"),
    ("PatientAge", "99"),
    ("PatientAge", "N-A"),
    ("StudyDate", "2020"),
    ("StudyDate", "20201399"),
    ("StudyTime", "2560"),
    ("SeriesNumber", "seven"),
    ("StudyInstanceUID", "no uid"),
    ("PatientName", "Petrov\ufffd"),
]


@pytest.mark.parametrize(("keyword", "raw"), UNREAD)
def test_what_cannot_be_read_is_kept_and_flagged(keyword: str, raw: str) -> None:
    assert normal(keyword, raw) == Normal(raw, UNREADABLE)


@given(st.sampled_from([k for k, _, _ in READ]), st.text(max_size=20))
def test_normalizing_twice_changes_nothing_more(keyword: str, raw: str) -> None:
    once = normal(keyword, raw)
    if once.flag != UNREADABLE:
        assert normal(keyword, once.value).value == once.value


BYTES = [
    ("Müller", "latin-1", ["ISO_IR 100"], False),
    ("Müller", "utf-8", ["ISO_IR 192"], False),
    ("Müller", "utf-8", [""], True),
    ("Müller", "latin-1", ["ISO_IR 192"], True),
    ("Müller", "latin-1", [], True),
    ("Иванов", "iso8859_5", ["ISO_IR 144"], False),
    ("王^小东", "gb18030", ["GB18030"], False),
    ("Yamada^Tarou=山田^太郎", "iso2022_jp", ["", "ISO 2022 IR 87"], False),
    ("SMITH^JOHN", "ascii", [], False),
]


@pytest.mark.parametrize(("text", "codec", "label", "wrong"), BYTES)
def test_bytes_by_their_label_and_past_a_wrong_one(
    text: str, codec: str, label: list[str], wrong: bool
) -> None:
    """PS3.3 C.12.1.1.2"""
    assert decoded(text.encode(codec), label) == (text, wrong)


def test_texts_that_somebody_decoded_wrongly() -> None:
    assert repaired("MÃ¼ller") == "Müller"
    assert repaired("Müller") == "Müller"
    assert repaired("山田") == "山田"
    escaped = "山田^太郎".encode("iso2022_jp").decode("latin-1")
    assert repaired(escaped) == "山田^太郎"
    assert normal("PatientName", "MÃ¼ller^Jörg".replace("ö", "Ã¶")) == Normal("Müller^Jörg", CHARSET)


@given(
    st.binary(max_size=40),
    st.sampled_from([[], ["ISO_IR 192"], ["", "ISO 2022 IR 87"], ["GB18030"], ["NONSENSE"]]),
)
def test_no_bytes_break_the_decoder(raw: bytes, label: list[str]) -> None:
    text, _ = decoded(raw, label)
    assert isinstance(text, str)
