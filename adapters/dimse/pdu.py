"""The DICOM upper layer and DIMSE as bytes (PS3.8 9.3, PS3.7 9.3), without any I/O.

The tests hold every one of them to pynetdicom. It is not used here: it opens an association in threads that
cannot be woken, and takes a third of a second to load.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from adapters.dimse.elements import elements, packed, written
from broker.errors import ArchiveError, Forbidden, Limited, Malformed, RefusedByArchive

VERIFICATION = "1.2.840.10008.1.1"
FIND = {"patient": "1.2.840.10008.5.1.4.1.2.1.1", "study": "1.2.840.10008.5.1.4.1.2.2.1"}
GET = {"patient": "1.2.840.10008.5.1.4.1.2.1.3", "study": "1.2.840.10008.5.1.4.1.2.2.3"}
IMPLICIT = "1.2.840.10008.1.2"
APPLICATION = "1.2.840.10008.3.1.1.1"
OURS = "2.25.240279031398831207774637567973042131502.1"  # implementation class UID
NAME = b"IMAGING_BROKER"  # implementation version name

AC, RJ, DATA, RELEASE_RQ, RELEASE_RP, ABORT = 2, 3, 4, 5, 6, 7
RELEASE = bytes([RELEASE_RQ, 0, 0, 0, 0, 4, 0, 0, 0, 0])
ABORTED = bytes([ABORT, 0, 0, 0, 0, 4, 0, 0, 0, 0])

FIXED = 74  # bytes of an A-ASSOCIATE-AC before its items
MAX_PDU = 65536  # what we tell others to send at most
MAX_REPLY = 1024 * 1024  # bytes of one record
SMALLEST, LARGEST = 1024, 65536  # bounds of what we send in one PDU, whatever the other side says

STORE_RQ, GET_RQ, FIND_RQ, ECHO_RQ, CANCEL_RQ, RSP = 0x0001, 0x0010, 0x0020, 0x0030, 0x0FFF, 0x8000
NO_DATA = 0x0101
PENDING = (0xFF00, 0xFF01)

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


def associate(calling: str, called: str, root: str) -> bytes:
    """An A-ASSOCIATE-RQ for C-ECHO and C-FIND, with relational queries (PS3.4 C.5.2.1)."""
    find = FIND[root].encode()
    relational = item(0x56, struct.pack(">H", len(find)) + find + b"\x01\x01")
    return proposal(calling, called, [(VERIFICATION, [IMPLICIT]), (FIND[root], [IMPLICIT])], relational)


def proposal(
    calling: str, called: str, contexts: Iterable[tuple[str, Iterable[str]]], more: bytes = b""
) -> bytes:
    """An A-ASSOCIATE-RQ (PS3.8 9.3.2).

    contexts  SOP classes with their transfer syntaxes; they are numbered 1, 3, 5 ...
    more      further items of the user information (PS3.7 annex D.3.3)
    """
    names = [title.encode("ascii").ljust(16) for title in (called, calling)]
    offered = []
    for number, (sop, syntaxes) in enumerate(contexts):
        each = b"".join(item(0x40, syntax.encode()) for syntax in syntaxes)
        offered.append(item(0x20, bytes([2 * number + 1, 0, 0, 0]) + item(0x30, sop.encode()) + each))
    about = item(0x51, struct.pack(">I", MAX_PDU)) + item(0x52, OURS.encode()) + item(0x55, NAME)
    items = [item(0x10, APPLICATION.encode()), *offered, item(0x50, about + more)]
    body = struct.pack(">HH16s16s32x", 1, 0, *names) + b"".join(items)
    return struct.pack(">BBI", 1, 0, len(body)) + body


def accepted(pdu: bytes, root: str) -> Negotiated:
    """What an A-ASSOCIATE-AC (PS3.8 9.3.3) agrees to.

    Raises RefusedByArchive where C-FIND is not in it, and Malformed.
    """
    if len(pdu) < FIXED:
        raise Malformed("its answer to the association request is cut short", "bad_protocol")
    contexts: dict[str, int] = {}
    about: list[tuple[int, bytes]] = []
    for kind, raw in items(pdu[FIXED:]):
        sop = {1: VERIFICATION, 3: FIND[root]}.get(raw[0]) if kind == 0x21 and len(raw) >= 4 else None
        if sop is not None and raw[2] == 0 and (0x40, IMPLICIT.encode()) in items(raw[4:]):
            contexts[sop] = raw[0]
        elif kind == 0x50:
            about += items(raw)
    if FIND[root] not in contexts:
        raise RefusedByArchive(f"it does not offer C-FIND at {root.capitalize()} Root", "not_supported")
    return _negotiated(contexts, about, FIND[root].encode())


def _negotiated(contexts: Mapping[str, int], about: list[tuple[int, bytes]], sop: bytes) -> Negotiated:
    """The user information of an A-ASSOCIATE-AC (PS3.8 annex D, PS3.7 annex D.3)."""
    told = dict(about)
    lengths = [(raw, 2 + int.from_bytes(raw[:2], "big")) for kind, raw in about if kind == 0x56]
    extended = next((raw[end:] for raw, end in lengths if raw[2:end].rstrip(b"\0 ") == sop), b"")
    return Negotiated(
        contexts,
        relational=extended[:1] == b"\x01",
        combined=extended[1:2] == b"\x01",
        implementation="".join(c for c in told.get(0x55, b"").decode("latin-1") if c.isprintable()).strip(),
        largest=bounded(int.from_bytes(told.get(0x51, b"")[:4], "big")),
    )


def item(kind: int, raw: bytes) -> bytes:
    return struct.pack(">BBH", kind, 0, len(raw)) + raw


def items(raw: bytes) -> list[tuple[int, bytes]]:
    """Type and value of every item; a transfer syntax may be padded, as some do. Raises Malformed."""
    found, at = [], 0
    while at < len(raw):
        end = at + 4 + int.from_bytes(raw[at + 2 : at + 4], "big")
        if at + 4 > len(raw) or end > len(raw):
            raise Malformed("an item of its answer is cut short", "bad_protocol")
        value = raw[at + 4 : end]
        found.append((raw[at], value.rstrip(b"\0 ") if raw[at] == 0x40 else value))
        at = end
    return found


def bounded(told: int) -> int:
    """How much to send in one PDU: 0 means that there is no limit (PS3.8 D.1)."""
    return max(SMALLEST, min(told or LARGEST, LARGEST))


_REASONS = {
    (1, 3): "it does not know our calling AE title: have it entered there, or set calling_ae_title",
    (1, 7): "it does not know the called AE title: set ae_title to its own",
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
    return command(sop, FIND_RQ, ("00000110", number), ("00000700", 0), ("00000800", 1))


def echo_rq(number: int) -> bytes:
    """The command set of a C-ECHO-RQ (PS3.7 9.3.5.1)."""
    return command(VERIFICATION, ECHO_RQ, ("00000110", number), ("00000800", NO_DATA))


def cancel_rq(number: int) -> bytes:
    """The command set of a C-CANCEL-RQ (PS3.7 9.3.2.3)."""
    return command("", CANCEL_RQ, ("00000120", number), ("00000800", NO_DATA))


def get_rq(root: str, number: int) -> bytes:
    """The command set of a C-GET-RQ (PS3.7 9.3.3.1)."""
    return command(GET[root], GET_RQ, ("00000110", number), ("00000700", 0), ("00000800", 1))


def get_identifier(study: str, series: str, instances: Iterable[str]) -> bytes:
    """The identifier of a C-GET (PS3.4 C.4.3.1.3): a series, or some of its instances."""
    wanted = "\\".join(instances)
    found = written(packed("00080018"), wanted.encode("ascii"), b"\0") if wanted else b""
    found += written(packed("00080052"), b"IMAGE" if wanted else b"SERIES")
    found += written(packed("0020000D"), study.encode("ascii"), b"\0")
    return found + written(packed("0020000E"), series.encode("ascii"), b"\0")


def store_rsp(sop: str, instance: str, number: int) -> bytes:
    """The command set of a C-STORE-RSP that says Success (PS3.7 9.3.1.2)."""
    more = (("00000120", number), ("00000800", NO_DATA), ("00000900", 0), ("00001000", instance))
    return command(sop, STORE_RQ | RSP, *more)


def command(sop: str, field: int, *rest: tuple[str, int | str]) -> bytes:
    """A command set (PS3.7 6.3.1): the affected SOP class, the command field, and numbers or UIDs by tag."""
    body = written(packed("00000002"), sop.encode("ascii"), b"\0") if sop else b""
    for tag, value in (("00000100", field), *rest):
        raw = value.encode("ascii") if isinstance(value, str) else struct.pack("<H", value)
        body += written(packed(tag), raw, b"\0")
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
