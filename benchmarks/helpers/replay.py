"""A C-FIND server in a process of its own that answers every question with the same studies, from memory."""

from __future__ import annotations

import multiprocessing
import socket
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset

HOST = "127.0.0.1"
NAMES = (
    "SMITH^JOHN",
    "Müller^Jörg",
    "Иванов^Иван",
    "DOE^JANE",
    "王^小东",
    "GARCIA^MARIA",
    "LEE^ANN",
    "KIM^BO",
)
MODALITIES = ("CT", "MR", "US", "CR")


def record(number: int) -> Dataset:
    """A study, made by rule."""
    made = Dataset()
    made.SpecificCharacterSet = "ISO_IR 192"
    made.StudyDate, made.StudyTime = f"20{number % 24:02}{number % 12 + 1:02}{number % 28 + 1:02}", "101530.5"
    made.AccessionNumber, made.StudyID = f"A{number:07}", str(number)
    made.Modality = made.ModalitiesInStudy = MODALITIES[number % len(MODALITIES)]
    made.ReferringPhysicianName = "HOUSE^GREGORY"
    made.StudyDescription = f"{made.Modality} Thorax {number % 40}"
    made.PatientName = f"{NAMES[number % len(NAMES)]} {number // 3}"
    made.PatientID, made.PatientBirthDate = f"P{number // 3:06}", f"19{number % 90 + 10}0105"
    made.PatientSex, made.PatientAge = "FM"[number % 2], f"0{number % 90 + 10}Y"
    made.StudyInstanceUID, made.SeriesInstanceUID = f"2.25.{number + 1}", f"2.25.{number + 1}.1"
    made.NumberOfStudyRelatedSeries, made.NumberOfStudyRelatedInstances = "1", "1"
    return made


@contextmanager
def replaying(count: int) -> Iterator[int]:
    """The port of a server with so many studies."""
    import pynetdicom.pdu  # noqa: F401 - not in the first association

    listening = socket.create_server((HOST, 0))
    answers = _answers(count)
    running = multiprocessing.get_context("fork").Process(
        target=_serve, args=(listening, answers), daemon=True
    )
    running.start()
    port = listening.getsockname()[1]
    listening.close()
    try:
        yield port
    finally:
        running.kill()
        running.join()


def _answers(count: int) -> Mapping[int, bytes]:
    """The whole answer, for each presentation context that a client may use."""
    pending, last = _command(0xFF00, 1), _command(0, 0x0101)
    parts = [part for n in range(count) for part in ((pending, 3), (_encoded(record(n)), 2))] + [(last, 3)]
    return {n: b"".join(_pdu(raw, control, n) for raw, control in parts) for n in (1, 3)}


def _serve(listening: socket.socket, answers: Mapping[int, bytes]) -> None:
    while True:
        connection, _ = listening.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with connection:
            _talk(connection, answers)


def _talk(connection: socket.socket, answers: Mapping[int, bytes]) -> None:
    """An association of one question, and its release."""
    connection.sendall(_accept(_read(connection)))
    while True:
        pdu = _read(connection)
        if not pdu or pdu[0] == 7:
            return
        if pdu[0] == 5:
            connection.sendall(bytes([6, 0, 0, 0, 0, 4, 0, 0, 0, 0]))
            return
        if not pdu[11] & 1 and pdu[11] & 2:  # the end of the identifier
            connection.sendall(answers[pdu[10]])


def _read(connection: socket.socket) -> bytes:
    head = _exactly(connection, 6)
    return head + _exactly(connection, int.from_bytes(head[2:6], "big")) if head else b""


def _exactly(connection: socket.socket, size: int) -> bytes:
    found = b""
    while len(found) < size:
        part = connection.recv(size - len(found))
        if not part:
            return b""
        found += part
    return found


def _accept(request: bytes) -> bytes:
    """Takes the first presentation context that is C-FIND, in the first transfer syntax it offers."""
    from pynetdicom.pdu import A_ASSOCIATE_AC, A_ASSOCIATE_RQ
    from pynetdicom.pdu_primitives import ImplementationClassUIDNotification, MaximumLengthNotification
    from pynetdicom.presentation import PresentationContext

    asked = A_ASSOCIATE_RQ()
    asked.decode(request)
    primitive: Any = asked.to_primitive()
    results = []
    for offered in primitive.presentation_context_definition_list:
        taken = PresentationContext()
        taken.context_id, taken.abstract_syntax = offered.context_id, offered.abstract_syntax
        implicit = "1.2.840.10008.1.2" in offered.transfer_syntax
        taken.transfer_syntax, taken.result = ["1.2.840.10008.1.2"], 0 if implicit else 4
        results.append(taken)
    primitive.presentation_context_definition_results_list = results
    longest, who = MaximumLengthNotification(), ImplementationClassUIDNotification()
    longest.maximum_length_received, who.implementation_class_uid = 65536, "2.25.1"
    primitive.user_information = [longest, who]
    primitive.result = 0
    sent = A_ASSOCIATE_AC()
    sent.from_primitive(primitive)
    return bytes(sent.encode())


def _command(status: int, data: int) -> bytes:
    made = Dataset()
    made.CommandField, made.MessageIDBeingRespondedTo = 0x8020, 1
    made.AffectedSOPClassUID = "1.2.840.10008.5.1.4.1.2.2.1"
    made.CommandDataSetType, made.Status = data, status
    body = _encoded(made)
    return struct.pack("<HHII", 0, 0, 4, len(body)) + body


def _encoded(made: Dataset) -> bytes:
    out = DicomBytesIO()
    out.is_implicit_VR, out.is_little_endian = True, True
    write_dataset(out, made)
    return out.getvalue()


def _pdu(raw: bytes, control: int, context: int) -> bytes:
    return struct.pack(">BBIIBB", 4, 0, len(raw) + 6, len(raw) + 2, context, control) + raw
