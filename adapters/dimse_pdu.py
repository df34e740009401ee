"""The DICOM upper layer and DIMSE as bytes (PS3.8 9.3, PS3.7 9.3), without any I/O.

pynetdicom writes and reads what opens an association. What comes once a record is read here.
"""

from __future__ import annotations

import functools
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass

from adapters.dimse_elements import elements, packed, written
from broker.errors import ArchiveError, Forbidden, Limited, Malformed, RefusedByArchive

VERIFICATION = "1.2.840.10008.1.1"
FIND = {"patient": "1.2.840.10008.5.1.4.1.2.1.1", "study": "1.2.840.10008.5.1.4.1.2.2.1"}
IMPLICIT = "1.2.840.10008.1.2"
APPLICATION = "1.2.840.10008.3.1.1.1"
OURS = "2.25.240279031398831207774637567973042131502.1"  # implementation class UID

AC, RJ, DATA, RELEASE_RQ, RELEASE_RP, ABORT = 2, 3, 4, 5, 6, 7
RELEASE = bytes([RELEASE_RQ, 0, 0, 0, 0, 4, 0, 0, 0, 0])
RELEASED = bytes([RELEASE_RP, 0, 0, 0, 0, 4, 0, 0, 0, 0])
ABORTED = bytes([ABORT, 0, 0, 0, 0, 4, 0, 0, 0, 0])

FIXED = 74  # bytes of an A-ASSOCIATE-AC before its items
MAX_PDU = 65536  # what we tell others to send at most
MAX_REPLY = 1024 * 1024  # bytes of one record
SMALLEST, LARGEST = 1024, 65536  # bounds of what we send in one PDU, whatever the other side says

FIND_RQ, ECHO_RQ, CANCEL_RQ, RSP = 0x0020, 0x0030, 0x0FFF, 0x8000
NO_DATA = 0x0101

Command = Callable[[int], bytes]
"""The command set of a request, by its message number."""


@dataclass(frozen=True, slots=True)
class Negotiated:
    """What was agreed on when an association was opened.

    contexts        SOP class -> presentation context
    relational      relational queries are supported (PS3.4 C.5.2.1)
    combined        date and time ranges are matched as one interval there
    implementation  what the other side calls itself
    largest         bytes of a PDU that it takes
    """

    contexts: Mapping[str, int]
    relational: bool = False
    combined: bool = False
    implementation: str = ""
    largest: int = 16384


@dataclass(frozen=True, slots=True)
class Reply:
    """The command set of one response; `offending` are the tags that it complains of."""

    field: int
    message: int
    status: int
    has_data: bool
    offending: tuple[str, ...] = ()


@functools.cache
def loaded() -> Future[None]:
    """pynetdicom, being loaded in a thread that ends with it: it takes a third of a second, once."""
    future: Future[None] = Future()

    def load() -> None:
        try:
            import pynetdicom.pdu  # noqa: F401 - for those who come later
        except BaseException as error:  # noqa: BLE001 - raised where it is waited for
            future.set_exception(error)
        else:
            future.set_result(None)

    threading.Thread(target=load, name="dimse-loads", daemon=True).start()
    return future


@functools.lru_cache(maxsize=64)
def associate(calling: str, called: str, root: str) -> bytes:
    """An A-ASSOCIATE-RQ for C-ECHO and C-FIND, asking for relational queries (PS3.4 C.5.2.1)."""
    from pynetdicom import pdu_primitives as p
    from pynetdicom.pdu import A_ASSOCIATE_RQ
    from pynetdicom.presentation import build_context

    asked = p.A_ASSOCIATE()
    asked.application_context_name = APPLICATION
    asked.calling_ae_title, asked.called_ae_title = calling, called
    contexts = [build_context(sop, IMPLICIT) for sop in (VERIFICATION, FIND[root])]
    for number, context in enumerate(contexts):
        context.context_id = 2 * number + 1
    asked.presentation_context_definition_list = contexts
    longest, who, version = (
        p.MaximumLengthNotification(),
        p.ImplementationClassUIDNotification(),
        p.ImplementationVersionNameNotification(),
    )
    longest.maximum_length_received = MAX_PDU
    who.implementation_class_uid = OURS
    version.implementation_version_name = "IMAGING_BROKER"
    extended = p.SOPClassExtendedNegotiation()
    extended.sop_class_uid = FIND[root]
    extended.service_class_application_information = b"\x01\x01"
    asked.user_information = [longest, who, version, extended]
    sent = A_ASSOCIATE_RQ()
    sent.from_primitive(asked)
    return bytes(sent.encode())


def accepted(pdu: bytes, root: str) -> Negotiated:
    """What an A-ASSOCIATE-AC agrees to. Raises RefusedByArchive where C-FIND is not in it, and Malformed."""
    if len(pdu) < FIXED:
        raise Malformed("its answer to the association request is cut short", "bad_protocol")
    try:
        found = _accepted(pdu, FIND[root])
    except Exception as error:  # pynetdicom raises whatever a stranger's bytes lead to
        raise Malformed("its answer to the association request cannot be read", "bad_protocol") from error
    if FIND[root] not in found.contexts:
        raise RefusedByArchive(f"it does not offer C-FIND at {root.capitalize()} Root", "not_supported")
    return found


def _accepted(pdu: bytes, sop: str) -> Negotiated:
    from pynetdicom.pdu import A_ASSOCIATE_AC
    from pynetdicom.pdu_items import UserInformationItem

    reply = A_ASSOCIATE_AC()
    reply.decode(pdu)
    by_number = {1: VERIFICATION, 3: sop}
    contexts = {
        by_number[c.presentation_context_id]: int(c.presentation_context_id)
        for c in reply.presentation_context
        if c.result == 0 and c.presentation_context_id in by_number
    }
    about = next((i for i in reply.variable_items if isinstance(i, UserInformationItem)), None)
    if about is None:
        return Negotiated(contexts)
    extended = b"".join(
        i.service_class_application_information or b"" for i in about.ext_neg or [] if i.sop_class_uid == sop
    )
    return Negotiated(
        contexts,
        relational=extended[:1] == b"\x01",
        combined=extended[1:2] == b"\x01",
        implementation=str(about.implementation_version_name or ""),
        largest=_bounded(about.maximum_length or 0),
    )


def _bounded(told: int) -> int:
    """How much to send in one PDU: 0 means that there is no limit (PS3.8 D.1)."""
    return max(SMALLEST, min(told or LARGEST, LARGEST))


_REASONS = {
    (1, 3): "it does not know our calling AE title",
    (1, 7): "it does not know the called AE title",
    (1, 2): "it does not know the application context",
    (2, 2): "it does not speak this version of the protocol",
    (3, 1): "it is congested",
    (3, 2): "it has as many associations open as it allows",
}


def rejection(pdu: bytes) -> ArchiveError:
    """What an A-ASSOCIATE-RJ says (PS3.8 9.3.4), as an error: `Limited` where another try may succeed."""
    if len(pdu) < 10:
        return Malformed("its rejection is cut short", "bad_protocol")
    result, source, why = pdu[7:10]
    text = _REASONS.get((source, why), f"it gave no reason (source {source}, {why})")
    if result == 2:
        return Limited(f"it rejects the association for now: {text}", reason="assoc_rejected_transient")
    return Forbidden(f"it rejects the association: {text}", "assoc_rejected")


def message(context: int, command: bytes, data: bytes | None, largest: int) -> bytes:
    """A command set and its identifier as P-DATA-TF PDUs no larger than the other side takes."""
    parts = [*_cut(context, command, 1, largest)]
    if data is not None:
        parts += _cut(context, data, 0, largest)
    return b"".join(parts)


def _cut(context: int, raw: bytes, is_command: int, largest: int) -> Iterator[bytes]:
    step = largest - 6
    for at in range(0, max(len(raw), 1), step):
        part = raw[at : at + step]
        control = is_command | (2 if at + step >= len(raw) else 0)
        yield struct.pack(">BBIIBB", DATA, 0, len(part) + 6, len(part) + 2, context, control) + part


def find_rq(sop: str, number: int) -> bytes:
    """The command set of a C-FIND-RQ (PS3.7 9.3.2.1)."""
    return _command(sop, FIND_RQ, ("00000110", number), ("00000700", 0), ("00000800", 1))


def echo_rq(number: int) -> bytes:
    """The command set of a C-ECHO-RQ (PS3.7 9.3.5.1)."""
    return _command(VERIFICATION, ECHO_RQ, ("00000110", number), ("00000800", NO_DATA))


def cancel_rq(number: int) -> bytes:
    """The command set of a C-CANCEL-RQ (PS3.7 9.3.2.3)."""
    return _command("", CANCEL_RQ, ("00000120", number), ("00000800", NO_DATA))


def _command(sop: str, field: int, *rest: tuple[str, int]) -> bytes:
    body = written(packed("00000002"), sop.encode("ascii"), b"\0") if sop else b""
    for tag, number in (("00000100", field), *rest):
        body += written(packed(tag), struct.pack("<H", number))
    return written(packed("00000000"), struct.pack("<I", len(body))) + body


def reply(raw: bytes) -> Reply:
    """A command set that came. Raises Malformed."""
    found: dict[bytes, bytes] = {tag: raw[begin:end] for tag, begin, end in elements(raw)}
    field, number, status = (_short(found, tag) for tag in ("00000100", "00000120", "00000900"))
    has_data = _short(found, "00000800") != NO_DATA
    return Reply(field, number, status, has_data, tuple(_tags(found.get(packed("00000901"), b""))))


def _short(found: Mapping[bytes, bytes], tag: str) -> int:
    raw = found.get(packed(tag), b"")
    if len(raw) != 2:
        raise Malformed("a command is incomplete", "bad_protocol")
    return int.from_bytes(raw, "little")


def _tags(raw: bytes) -> Iterator[str]:
    for group, element in struct.iter_unpack("<HH", raw[: len(raw) // 4 * 4]):
        yield f"({group:04X},{element:04X})"
