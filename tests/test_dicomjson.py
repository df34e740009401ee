"""DICOM JSON (PS3.18 F.2): the usual page, the ill-formed record, the hostile reply."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from adapters.dicomweb.dicomjson import Decoder
from broker.errors import Malformed
from broker.meaning.joint import tests as together
from broker.query import condition

FIELDS = (
    "StudyInstanceUID",
    "PatientName",
    "ModalitiesInStudy",
    "SeriesNumber",
    "SliceThickness",
    "StudyDescription",
)
TAGS = ("0020000D", "00100010", "00080061", "00200011", "00180050", "00081030")


def read(*records: Any) -> Any:
    """A page of records."""
    return Decoder(FIELDS).page(json.dumps(list(records)).encode())


def record(**values: Any) -> dict[str, Any]:
    """A record with these values, by keyword; the VR is not looked at."""
    return {
        TAGS[FIELDS.index(k)]: {"vr": "UN", **({} if v is None else {"Value": v})} for k, v in values.items()
    }


def test_the_usual_record() -> None:
    page = read(
        record(
            StudyInstanceUID=["1.2.3"],
            PatientName=[{"Alphabetic": "Yamada^Tarou", "Ideographic": "山田^太郎"}],
            ModalitiesInStudy=["CT", "SR"],
            SeriesNumber=[7],
            SliceThickness=[1.5],
            StudyDescription=None,
        )
    )
    assert page.keywords == FIELDS
    assert page.rows == [("1.2.3", "Yamada^Tarou=山田^太郎", ("CT", "SR"), "7", "1.5", "")]


def test_absent_is_none_and_empty_is_empty() -> None:
    """PS3.18 F.2.5: an attribute without Value is empty; one that is not there is not said."""
    page = read(record(StudyInstanceUID=["1.2"], StudyDescription=[None], ModalitiesInStudy=["CT", None]))
    assert page.rows == [("1.2", None, ("CT", ""), None, None, "")]


def test_numbers_as_texts_and_texts_as_numbers() -> None:
    """Orthanc 1.20 gives DS as text; others give text VRs as numbers, which costs only speed."""
    page = read(record(SliceThickness=["1.50"], SeriesNumber=["007"], StudyDescription=[12]))
    assert page.rows == [(None, None, None, "007", "1.50", "12")]


def test_a_bad_record_costs_itself_only() -> None:
    good = record(StudyInstanceUID=["1.2"])
    page = read(good, record(StudyInstanceUID=[5]), "text", record(StudyDescription=[["x"]]), good)
    assert (len(page.rows), page.bad) == (2, 3)


def test_attributes_of_ours_are_no_columns() -> None:
    assert Decoder(("License", "StudyInstanceUID", "Collection")).fields == ("StudyInstanceUID",)


def test_the_same_as_pydicom_reads() -> None:
    data = Dataset()
    data.StudyInstanceUID, data.PatientName, data.SeriesNumber = "1.2.3", "SMITH^JOHN", 4
    data.ModalitiesInStudy, data.StudyDescription = ["CT", "PT"], ""
    (row,) = Decoder(FIELDS).page(f"[{data.to_json()}]".encode()).rows
    again = Dataset.from_json(data.to_json())
    assert row[:4] == (again.StudyInstanceUID, str(again.PatientName), ("CT", "PT"), str(again.SeriesNumber))


ITEM = {"00400009": {"vr": "SH", "Value": ["STEP1"]}, "00091001": {"vr": "LO", "Value": ["private"]}}


def test_items_of_a_sequence_are_judged_one_by_one() -> None:
    """PS3.4 C.2.2.2.6: every key of the item in the same item."""
    step, request = (
        "RequestAttributesSequence.ScheduledProcedureStepID",
        "RequestAttributesSequence.RequestedProcedureID",
    )
    other = {"00401001": {"vr": "SH", "Value": ["R2"]}}
    body = json.dumps(
        [{"00400275": {"vr": "SQ", "Value": [ITEM, other]}}, {"00400275": {"vr": "SQ"}}, {}]
    ).encode()
    page = Decoder(("RequestAttributesSequence",)).page(body)
    items = ((("ScheduledProcedureStepID", "STEP1"),), (("RequestedProcedureID", "R2"),))
    assert page.rows == [(items,), ("",), (None,)]
    asked: list[tuple[list[str], bool | None]] = [
        ([f"{step}=STEP1"], True),
        ([f"{request}=R2"], True),
        ([f"{step}=STEP2"], None),  # the other item does not say
        ([f"{step}=STEP1", f"{request}=R2"], None),
        ([f"{step}=STEP2", f"{request}=R3"], False),
    ]
    for texts, answer in asked:
        (test,) = together([condition(t) for t in texts])
        assert test.of({"RequestAttributesSequence": page.rows[0][0]}) is answer, texts


def test_a_sequence_that_is_none_is_a_bad_record() -> None:
    body = json.dumps(
        [{"00400275": {"vr": "SQ", "Value": [7]}}, {"00400275": {"vr": "SQ", "Value": [ITEM]}}]
    ).encode()
    page = Decoder(("RequestAttributesSequence",)).page(body)
    assert (len(page.rows), page.bad) == (1, 1)


BROKEN = [
    (b"", "bad_json"),
    (b"[", "bad_json"),
    (b"{}", "bad_shape"),
    (b'"x"', "bad_shape"),
    (b"[" * 100_000, "bad_json"),
]


@pytest.mark.parametrize(("body", "reason"), BROKEN, ids=[b[0][:8].decode() for b in BROKEN])
def test_what_is_no_list_of_records(body: bytes, reason: str) -> None:
    with pytest.raises(Malformed) as caught:
        Decoder(FIELDS).page(body)
    assert caught.value.reason == reason


def test_latin_1_is_read_and_flagged() -> None:
    body = json.dumps([record(StudyDescription=["Schädel"])], ensure_ascii=False).encode("latin-1")
    page = Decoder(FIELDS).page(body)
    assert (page.rows[0][5], page.notes) == ("Schädel", ("charset",))


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from([*TAGS, "Value", "vr", "x"]), inner, max_size=3)
    ),
    max_leaves=12,
)


@given(st.lists(st.dictionaries(st.sampled_from(TAGS), JSON, max_size=4), max_size=3))
def test_no_records_break_the_decoder(records: list[Any]) -> None:
    page = read(*records)
    assert len(page.rows) + page.bad == len(records)
    assert all(len(row) == len(FIELDS) for row in page.rows)


@given(st.binary(max_size=60))
def test_no_bytes_break_the_decoder(body: bytes) -> None:
    try:
        page = Decoder(FIELDS).page(body)
    except Malformed:
        return
    assert page.rows == [] or page.bad == 0
