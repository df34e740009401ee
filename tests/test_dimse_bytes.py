"""The bytes of DIMSE: pydicom and pynetdicom read what is written, and no bytes do more than fail."""

from __future__ import annotations

import contextlib
import tempfile
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.filewriter import write_dataset
from pydicom.uid import UID
from pynetdicom import dimse_messages
from pynetdicom import pdu as theirs
from pynetdicom import pdu_primitives as primitives
from pynetdicom.dsutils import decode
from pynetdicom.presentation import PresentationContext

from adapters.dimse import pdu
from adapters.dimse.contexts import offered
from adapters.dimse.elements import elements, packed, written
from adapters.dimse.get import Coming
from adapters.dimse.inbox import Inbox
from adapters.dimse.line import Peer
from adapters.dimse.rows import Decoder, identifier, shown
from adapters.dimse.stored import Command, command, meta
from adapters.shared.download import Budget, Files
from broker.errors import ArchiveError, Malformed
from broker.query import condition
from catalog.keywords import Level, keyword

FIELDS = (
    "StudyInstanceUID",
    "PatientName",
    "StudyDate",
    "ModalitiesInStudy",
    "NumberOfStudyRelatedSeries",
    "PatientComments",
    "Rows",
    "RequestAttributesSequence",
)


def encoded(**values: object) -> bytes:
    """A dataset as pydicom writes it, implicit little endian."""
    dataset = Dataset()
    for name, value in values.items():
        setattr(dataset, name, value)
    out = DicomBytesIO()
    out.is_implicit_VR, out.is_little_endian = True, True
    write_dataset(out, dataset)
    return out.getvalue()


def decoded(raw: bytes) -> Dataset:
    """A dataset as pydicom reads it."""
    return read_dataset(BytesIO(raw), is_implicit_VR=True, is_little_endian=True)


def item(**values: object) -> Dataset:
    """An item of a sequence."""
    made = Dataset()
    for name, value in values.items():
        setattr(made, name, value)
    return made


def test_a_question_reads_back() -> None:
    asked = [condition("PatientName=Иван*"), condition("StudyInstanceUID=1.2.3\\1.2.34")]
    raw = identifier(Level.STUDY, asked, FIELDS, "ISO_IR 192")
    keys = decoded(raw)
    assert keys.SpecificCharacterSet == "ISO_IR 192"
    assert keys.QueryRetrieveLevel == "STUDY"
    assert str(keys.PatientName) == "Иван*"
    assert list(keys.StudyInstanceUID) == ["1.2.3", "1.2.34"]
    assert [e.keyword for e in keys if e.keyword not in ("SpecificCharacterSet", "QueryRetrieveLevel")] == [
        k.name for k in sorted(map(keyword, FIELDS), key=lambda k: k.tag)
    ]
    tags = [e.tag for e in keys]
    assert tags == sorted(tags)
    assert "PatientName=Иван*" in shown(Level.STUDY, asked, FIELDS, "ISO_IR 192")


def test_a_record_reads_as_pydicom_reads_it() -> None:
    raw = encoded(
        SpecificCharacterSet="ISO_IR 192",
        StudyDate="20200615",
        ModalitiesInStudy=["CT", "PT"],
        PatientName="Yamada^Tarou=山田^太郎",
        StudyInstanceUID="1.2.3",
        NumberOfStudyRelatedSeries="12",
        PatientComments="a\\b ",
        Rows=512,
        RequestAttributesSequence=[item(ScheduledProcedureStepID="A1"), item(RequestedProcedureID="B")],
    )
    decoder = Decoder(FIELDS)
    expected = (
        "1.2.3",
        "Yamada^Tarou=山田^太郎",
        "20200615",
        ("CT", "PT"),
        "12",
        "a\\b",
        "512",
        ((("ScheduledProcedureStepID", "A1"),), (("RequestedProcedureID", "B"),)),
    )
    assert decoder.row(raw) == expected
    assert decoder.row(raw) == expected  # from memory
    assert decoder.mislabelled == 0


def test_absent_is_not_empty() -> None:
    assert Decoder(("StudyDate", "PatientID")).row(encoded(StudyDate="")) == ("", None)


def test_sequences_of_undefined_length() -> None:
    nested = (
        b"\xfe\xff\x00\xe0\xff\xff\xff\xff"
        + encoded(ScheduledProcedureStepID="A1")
        + b"\xfe\xff\r\xe0\0\0\0\0"
    )
    raw = b"\x40\x00\x75\x02\xff\xff\xff\xff" + nested + b"\xfe\xff\xdd\xe0\0\0\0\0"
    row = Decoder(("PatientID", "RequestAttributesSequence")).row(encoded(PatientID="7") + raw)
    assert row == ("7", ((("ScheduledProcedureStepID", "A1"),),))


@pytest.mark.parametrize(
    "charset",
    ["ISO_IR 100", "ISO_IR 144", "GB18030", "ISO_IR 192", ["", "ISO 2022 IR 87"]],
)
def test_texts_in_the_character_set_of_their_record(charset: str | list[str]) -> None:
    name = {"ISO_IR 100": "Müller", "ISO_IR 144": "Петрова", "GB18030": "王^小东"}.get(
        str(charset), "山田^太郎"
    )
    decoder = Decoder(("PatientName",))
    assert decoder.row(encoded(SpecificCharacterSet=charset, PatientName=name)) == (name,)
    assert decoder.row(encoded(SpecificCharacterSet="ISO_IR 192", PatientName="Ж")) == ("Ж",)
    assert decoder.mislabelled == 0


def test_a_wrong_label_is_counted_and_the_text_is_not_lost() -> None:
    decoder = Decoder(("PatientName",))
    raw = encoded(SpecificCharacterSet="ISO_IR 100", PatientName="Müller")
    assert decoder.row(raw.replace(b"ISO_IR 100", b"ISO_IR 192")) == ("Müller",)
    assert decoder.mislabelled == 1


@given(st.binary(max_size=300))
def test_no_bytes_do_more_than_fail(raw: bytes) -> None:
    with contextlib.suppress(Malformed):
        row = Decoder(FIELDS).row(raw)
        assert len(row) == len(FIELDS)
    with contextlib.suppress(Malformed):
        list(elements(raw))
    with contextlib.suppress(Malformed):
        pdu.reply(raw)
    with contextlib.suppress(ArchiveError):
        pdu.accepted(raw, "study")
    assert isinstance(pdu.rejection(raw), ArchiveError)


GOOD = encoded(PatientID="7", RequestAttributesSequence=[item(ScheduledProcedureStepID="A1")], Rows=1)


@given(st.integers(0, len(GOOD) - 1), st.integers(0, 255), st.integers(0, len(GOOD)))
def test_a_record_with_a_wrong_byte_or_a_missing_end(at: int, byte: int, cut: int) -> None:
    broken = (GOOD[:at] + bytes([byte]) + GOOD[at + 1 :])[:cut]
    with contextlib.suppress(Malformed):
        Decoder(FIELDS).row(broken)


def test_a_deep_sequence_ends() -> None:
    raw = b"\x40\x00\x75\x02\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff" * 5000
    with pytest.raises(Malformed, match="deep"):
        list(elements(raw))


def test_the_association_request_is_what_pynetdicom_reads() -> None:
    sent = theirs.A_ASSOCIATE_RQ()
    sent.decode(pdu.associate("US", "THEM", "study"))
    asked = sent.to_primitive()
    assert (asked.calling_ae_title.strip(), asked.called_ae_title.strip()) == ("US", "THEM")
    offered = {c.abstract_syntax: c.transfer_syntax for c in asked.presentation_context_definition_list}
    assert offered == {pdu.VERIFICATION: [pdu.IMPLICIT], pdu.FIND["study"]: [pdu.IMPLICIT]}
    assert asked.maximum_length_received == pdu.MAX_PDU


@pytest.mark.parametrize(
    ("extended", "relational", "combined"),
    [(b"\x01\x01\x01", True, True), (b"\x00\x01", False, True), (b"", False, False)],
)
def test_the_answer_of_pynetdicom_is_read(extended: bytes, relational: bool, combined: bool) -> None:
    find = pdu.FIND["study"]
    asked = theirs.A_ASSOCIATE_RQ()
    asked.decode(pdu.associate("US", "THEM", "study"))
    answered: Any = asked.to_primitive()
    results = [_context(n, sop) for n, sop in ((1, pdu.VERIFICATION), (3, find))]
    answered.presentation_context_definition_results_list = results
    longest, who = primitives.MaximumLengthNotification(), primitives.ImplementationClassUIDNotification()
    version = primitives.ImplementationVersionNameNotification()
    longest.maximum_length_received, who.implementation_class_uid = 30000, UID("1.2.3")
    version.implementation_version_name = "THEIRS_1"
    answered.user_information, answered.result = [longest, who, version], 0
    if extended:
        negotiated = primitives.SOPClassExtendedNegotiation()
        negotiated.sop_class_uid, negotiated.service_class_application_information = UID(find), extended
        answered.user_information.append(negotiated)
    sent = theirs.A_ASSOCIATE_AC()
    sent.from_primitive(answered)
    found = pdu.accepted(sent.encode(), "study")
    assert found.contexts == {pdu.VERIFICATION: 1, find: 3}
    assert (found.relational, found.combined) == (relational, combined)
    assert (found.implementation, found.largest) == ("THEIRS_1", 30000)


def _context(number: int, sop: str) -> PresentationContext:
    made = PresentationContext()
    made.context_id, made.abstract_syntax = number, UID(sop)
    made.transfer_syntax, made.result = [UID(pdu.IMPLICIT)], 0
    return made


def test_requests_are_what_pynetdicom_reads() -> None:
    raw = pdu.message(3, pdu.find_rq(pdu.FIND["study"], 7), b"\x08\x00\x52\x00\x00\x00\x00\x00", 1024)
    message = dimse_messages.DIMSEMessage()
    at = 0
    while at < len(raw):
        length = int.from_bytes(raw[at + 2 : at + 6], "big")
        data = theirs.P_DATA_TF()
        data.decode(raw[at : at + 6 + length])
        done = message.decode_msg(data.to_primitive())
        at += 6 + length
    assert done
    asked: Any = message.message_to_primitive()
    assert (asked.MessageID, asked.AffectedSOPClassUID) == (7, pdu.FIND["study"])


def response(status: int, data: bytes | None, number: int = 1, step: int = 16384) -> bytes:
    """A C-FIND-RSP as a server sends it."""
    command = pdu.command(
        "", 0x8020, ("00000120", number), ("00000800", 1 if data else pdu.NO_DATA), ("00000900", status)
    )
    return pdu.message(3, command, data, step)


@given(st.lists(st.binary(min_size=1, max_size=60), max_size=6), st.integers(1, 50), st.integers(7, 40))
def test_responses_arrive_whole_however_they_are_cut(records: list[bytes], chunk: int, step: int) -> None:
    raw = b"".join(response(0xFF00, record, step=step) for record in records) + response(0, None)
    inbox, found = Inbox(), []
    for at in range(0, len(raw), chunk):
        inbox.feed(raw[at : at + chunk])
        while (one := inbox.next()) is not None:
            found.append((one[0].status, one[1]))
    assert found == [*((0xFF00, record) for record in records), (0, None)]
    assert inbox.empty


@given(st.binary(max_size=200))
def test_no_stream_does_more_than_fail(raw: bytes) -> None:
    inbox = Inbox()
    inbox.feed(raw)
    with contextlib.suppress(ArchiveError):
        while inbox.next() is not None:
            pass


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (bytes([4, 0, 0xFF, 0xFF, 0xFF, 0xF0]), "bad_protocol"),
        (bytes([4, 0, 0, 0, 0, 6, 0, 0, 0, 1, 3, 3]), "bad_protocol"),
        (bytes([4, 0, 0, 0, 0, 6, 0, 0, 0, 99, 3, 3]), "bad_protocol"),
        (bytes([4, 0, 0, 0, 0, 8, 0, 0, 0, 4, 3, 2, 0, 0]), "bad_protocol"),
        (bytes([0x99, 0, 0, 0, 0, 0]), "bad_protocol"),
        (pdu.ABORTED, "dimse_abort"),
        (pdu.RELEASE, "dimse_abort"),
    ],
)
def test_what_has_no_place_in_a_conversation(raw: bytes, reason: str) -> None:
    inbox = Inbox()
    inbox.feed(raw)
    with pytest.raises(ArchiveError) as caught:
        inbox.next()
    assert caught.value.reason == reason


def test_a_record_may_not_be_endless() -> None:
    inbox = Inbox(most=1000)
    inbox.feed(response(0xFF00, bytes(5000)))
    with pytest.raises(ArchiveError) as caught:
        inbox.next()
    assert caught.value.reason == "too_large"


def test_what_is_proposed_for_c_get_is_what_pynetdicom_reads() -> None:
    sent = theirs.A_ASSOCIATE_RQ()
    ct, mr = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4"
    sent.decode(offered(Peer("here", 104, "THEM", "US"), [ct, mr]))
    asked: Any = sent.to_primitive()
    contexts = asked.presentation_context_definition_list
    assert contexts[0].abstract_syntax == pdu.GET["study"]
    assert [c.context_id for c in contexts] == list(range(1, 2 * len(contexts), 2))
    assert {c.abstract_syntax for c in contexts[1:]} == {ct, mr}
    assert all(len(c.transfer_syntax) == 1 for c in contexts)
    roles = [u for u in asked.user_information if isinstance(u, primitives.SCP_SCU_RoleSelectionNegotiation)]
    assert {(r.sop_class_uid, r.scu_role, r.scp_role) for r in roles} == {
        (ct, False, True),
        (mr, False, True),
    }


def test_the_commands_of_c_get_are_what_pynetdicom_reads_and_writes() -> None:
    asked, said = decode(BytesIO(pdu.get_rq("study", 7)), True, True), pdu.store_rsp("1.2.3", "1.2.3.4", 9)
    assert (asked.AffectedSOPClassUID, asked.CommandField, asked.MessageID) == (pdu.GET["study"], 0x0010, 7)
    told = decode(BytesIO(said), True, True)
    assert (told.CommandField, told.MessageIDBeingRespondedTo, told.Status) == (0x8001, 9, 0)
    assert (told.AffectedSOPClassUID, told.AffectedSOPInstanceUID) == ("1.2.3", "1.2.3.4")
    found = decode(BytesIO(pdu.get_identifier("1.2", "1.2.3", ["1.2.3.4", "1.2.3.5"])), True, True)
    assert (found.QueryRetrieveLevel, list(found.SOPInstanceUID)) == ("IMAGE", ["1.2.3.4", "1.2.3.5"])
    store = pdu.command("1.2.3", pdu.STORE_RQ, ("00000110", 5), ("00000800", 0), ("00001000", "1.2.3.4"))
    assert command(store) == Command(pdu.STORE_RQ, 5, True, "1.2.3", "1.2.3.4", 0, 0)


def test_the_file_meta_information_is_what_pydicom_reads(tmp_path: Path) -> None:
    told = Command(pdu.STORE_RQ, 5, True, "1.2.840.10008.5.1.4.1.1.2", "1.2.3.4", 0, 0)
    place = tmp_path / "one.dcm"
    place.write_bytes(meta(told, pdu.IMPLICIT) + written(packed("00100020"), b"ID"))
    read = dcmread(place)
    assert read.PatientID == "ID"
    names = ("MediaStorageSOPClassUID", "MediaStorageSOPInstanceUID", "TransferSyntaxUID")
    assert [read.file_meta[n].value for n in names] == [told.sop, told.instance, pdu.IMPLICIT]
    assert read.file_meta.FileMetaInformationGroupLength == len(meta(told, pdu.IMPLICIT)) - 144


@settings(deadline=None)
@given(st.binary(max_size=200), st.integers(0, 3), st.binary(max_size=60))
def test_any_fragments_of_c_get_end_in_an_error_of_ours(raw: bytes, control: int, more: bytes) -> None:
    with tempfile.TemporaryDirectory() as name, contextlib.suppress(ArchiveError):
        coming = Coming(Files(Path(name)), Budget(1000, 500, 60))
        with contextlib.closing(coming):
            for part, sign in ((raw, control), (more, 2), (raw, 3), (more, 0)):
                coming.take(part, sign, pdu.IMPLICIT)
