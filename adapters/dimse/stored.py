"""Command sets of C-GET and C-STORE as they come, and the file meta information of what is stored."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from adapters.dimse import pdu
from adapters.dimse.elements import elements, packed
from broker.errors import Malformed
from broker.meaning import values


@dataclass(frozen=True, slots=True)
class Command:
    """A command set (PS3.7 9.3.1, 9.3.3): a C-STORE request, or a response to C-GET.

    number  the Message ID, of a response that of what it answers;  failed  instances that could not be sent
    """

    field: int
    number: int
    has_data: bool
    sop: str
    instance: str
    status: int
    failed: int


def command(raw: bytes) -> Command:
    """Raises Malformed."""
    told = {tag: raw[begin:end] for tag, begin, end in elements(raw)}
    field = _short(told, "00000100")
    number = _short(told, "00000110" if field == pdu.STORE_RQ else "00000120")
    found = Command(
        field,
        number,
        _short(told, "00000800") != pdu.NO_DATA,
        _uid(told, "00000002"),
        _uid(told, "00001000"),
        0 if field == pdu.STORE_RQ else _short(told, "00000900"),
        int.from_bytes(told.get(packed("00001022"), b""), "little"),
    )
    if field == pdu.STORE_RQ and not (found.sop and found.instance):
        raise Malformed("a C-STORE names no valid SOP class or instance", "bad_protocol")
    return found


def _short(told: dict[bytes, bytes], tag: str) -> int:
    raw = told.get(packed(tag), b"")
    if len(raw) != 2:
        raise Malformed("a command is incomplete", "bad_protocol")
    return int.from_bytes(raw, "little")


def _uid(told: dict[bytes, bytes], tag: str) -> str:
    return values.uid(told.get(packed(tag), b"").decode("ascii", "replace").rstrip("\0 ")) or ""


def meta(told: Command, syntax: str) -> bytes:
    """What stands before the data set in a file (PS3.10 7.1): preamble, prefix, file meta information."""
    names = ((2, told.sop), (3, told.instance), (0x10, syntax), (0x12, pdu.OURS))
    body = struct.pack("<HH2sHI", 2, 1, b"OB", 0, 2) + b"\0\1"
    body += b"".join(_element(element, b"UI", text.encode("ascii"), b"\0") for element, text in names)
    body += _element(0x13, b"SH", pdu.NAME, b" ")
    return b"\0" * 128 + b"DICM" + _element(0, b"UL", struct.pack("<I", len(body)), b"") + body


def _element(element: int, vr: bytes, value: bytes, pad: bytes) -> bytes:
    even = value + pad * (len(value) % 2)
    return struct.pack("<HH2sH", 2, element, vr, len(even)) + even
