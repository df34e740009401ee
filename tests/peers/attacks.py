"""What an attacker, or a broken proxy, answers: HTTP and DIMSE that no honest archive speaks, by name."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from peers.faults import Fault, Wire, canned, http

from adapters.dimse import pdu
from adapters.dimse.elements import packed, written

KIND = "application/dicom+json"
STUDY = b'[{"0020000D":{"vr":"UI","Value":["1.2.3"]}}]'
CHUNKED = f"HTTP/1.1 200 OK\r\nContent-Type: {KIND}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()


@dataclass(frozen=True)
class Attack:
    """A fault, what must be said of it, and how many records of it may be kept.

    reason  where it depends on the machine what comes first, one of several words
    """

    name: str
    fault: Callable[[], Fault]
    status: str
    reason: str
    kept: int = 0


def _ever(unit: bytes, head: bytes = b"") -> Callable[[], Fault]:
    """After `head`, the same for ever."""

    async def play(wire: Wire) -> None:
        await wire.request()
        wire.writer.write(head)
        while True:
            wire.writer.write(unit)
            await wire.writer.drain()

    return lambda: play


def _said(raw: bytes) -> Callable[[], Fault]:
    return lambda: canned(raw, close=True)


def _body(body: bytes, *headers: str) -> Callable[[], Fault]:
    return lambda: canned(http("200 OK", body, KIND, *headers))


def _moved(location: str) -> Callable[[], Fault]:
    return lambda: canned(http("302 Found", b"", "text/plain", f"Location: {location}"))


def _length(length: str, body: bytes = STUDY, more: str = "") -> Callable[[], Fault]:
    return _said(
        f"HTTP/1.1 200 OK\r\nContent-Type: {KIND}\r\nContent-Length: {length}\r\n{more}\r\n".encode() + body
    )


def _value(text: bytes) -> bytes:
    return b'[{"0020000D":{"vr":"UI","Value":["1.2.3"]},"00201208":{"vr":"IS","Value":[' + text + b"]}}]"


def _deflate_bomb() -> Fault:
    return canned(http("200 OK", zlib.compress(b" " * 300_000_000, 9), KIND, "Content-Encoding: deflate"))


COOKIES = [f"Set-Cookie: c{n}={'v' * 100}" for n in range(60)]

EITHER = "timeout or too_large"

HTTP = [
    Attack(
        "interim replies for ever", _ever(b"HTTP/1.1 100 Continue\r\n\r\n" * 99), "failed", "bad_protocol"
    ),
    Attack("headers for ever", _ever(b"X: y\r\n" * 99, b"HTTP/1.1 200 OK\r\n"), "failed", "bad_protocol"),
    Attack("trailers for ever", _ever(b"X: y\r\n" * 99, CHUNKED + b"0\r\n"), "failed", "bad_protocol"),
    Attack("a chunk extension for ever", _ever(b"a=b;" * 999, CHUNKED + b"1;"), "failed", "timeout"),
    Attack("chunks of one byte for ever", _ever(b"1\r\n \r\n" * 99, CHUNKED), "failed", EITHER),
    Attack("a chunk of 2^64 bytes", _said(CHUNKED + b"F" * 16 + b"\r\n" + STUDY), "failed", "truncated_body"),
    Attack("a chunk of -5 bytes", _said(CHUNKED + b"-5\r\n" + STUDY), "failed", "bad_protocol"),
    Attack("a chunk of zz bytes", _said(CHUNKED + b"zz\r\n" + STUDY), "failed", "bad_protocol"),
    Attack("a length of -1", _length("-1"), "failed", "bad_protocol"),
    Attack("a length of 10^22", _length("9" * 22), "failed", "bad_protocol"),
    Attack("two lengths", _length("2", more="Content-Length: 44\r\n"), "failed", "bad_protocol"),
    Attack(
        "a length and chunks", _length("2", more="Transfer-Encoding: chunked\r\n"), "failed", "bad_protocol"
    ),
    Attack("a length that is too short", _length("2", b"[]" + STUDY), "failed", "bad_protocol"),
    Attack("204 with a body", _said(http("204 No Content", STUDY, KIND)), "failed", "bad_protocol"),
    Attack("206, a part", _said(http("206 Partial Content", STUDY, KIND)), "failed", "http_206"),
    Attack("101, another protocol", _said(http("101 Switching Protocols")), "failed", "http_101"),
    Attack("HTTP/0.9", _said(STUDY), "failed", "bad_protocol"),
    Attack("HTTP/2", _said(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), "failed", "bad_protocol"),
    Attack("NaN", _body(_value(b"NaN")), "failed", "bad_json"),
    Attack("a number beyond all bounds", _body(_value(b"1e999")), "failed", "bad_json"),
    Attack("a number of 5,000 digits", _body(_value(b"9" * 5000)), "failed", "bad_json"),
    Attack("UTF-16", _body(STUDY.decode().encode("utf-16")), "failed", "bad_json"),
    Attack("half a surrogate pair", _body(_value(rb'"\ud800"')), "failed", "bad_json"),
    Attack("a UID that is an object", _body(STUDY.replace(b'"1.2.3"', b"{}")), "partial", "bad_records=1"),
    Attack("two JSON texts", _body(STUDY * 2), "failed", "bad_json"),
    Attack("to nowhere", _moved(""), "failed", "redirect_refused"),
    Attack("to a script", _moved("javascript:alert(1)"), "failed", "redirect_refused"),
    Attack(
        "to a user at another host", _moved("http://127.0.0.1@evil.invalid/"), "failed", "redirect_refused"
    ),
    Attack("to what is no address", _moved("http://[::1"), "failed", "redirect_refused"),
    Attack("sixty cookies", _body(STUDY, *COOKIES), "ok", "", 1),
    Attack("a cookie of control characters", _body(STUDY, "Set-Cookie: a\x1b[31mb=c"), "ok", "", 1),
    Attack("a bomb of deflate", lambda: _deflate_bomb(), "failed", "too_large"),
    Attack("brotli that is none", _body(STUDY, "Content-Encoding: br"), "failed", "bad_protocol"),
]


def accepting() -> bytes:
    """An A-ASSOCIATE-AC for C-ECHO (context 1) and C-FIND (context 3)."""
    syntax = pdu.item(0x40, pdu.IMPLICIT.encode())
    contexts = b"".join(pdu.item(0x21, bytes([number, 0, 0, 0]) + syntax) for number in (1, 3))
    items = pdu.item(0x10, pdu.APPLICATION.encode()) + contexts
    items += pdu.item(0x50, pdu.item(0x51, struct.pack(">I", 16384)))
    body = struct.pack(">HH16s16s32x", 1, 0, b"A", b"B") + items
    return unit(pdu.AC, body)


def unit(kind: int, body: bytes = b"") -> bytes:
    """A PDU."""
    return struct.pack(">BBI", kind, 0, len(body)) + body


def response(status: int, data: bytes | None = None, context: int = 3, number: int = 1) -> bytes:
    """A C-FIND-RSP."""
    has = 1 if data else pdu.NO_DATA
    command = pdu.command("", 0x8020, ("00000120", number), ("00000800", has), ("00000900", status))
    return pdu.message(context, command, data, 16384)


def scp(*said: bytes | Iterable[bytes]) -> Callable[[], Fault]:
    """A server that agrees to the association and answers the first question so."""

    async def play(wire: Wire) -> None:
        await _received(wire)
        wire.writer.write(accepting())
        await _received(wire)
        await _received(wire)
        for part in said:
            for raw in (part,) if isinstance(part, bytes) else part:
                wire.writer.write(raw)
                await wire.writer.drain()
        await wire.reader.read()

    return lambda: play


async def _received(wire: Wire) -> None:
    head = await wire.reader.readexactly(6)
    await wire.reader.readexactly(int.from_bytes(head[2:], "big"))


def _ceaseless(raw: bytes) -> Iterator[bytes]:
    while True:
        yield raw * 100


RECORD = written(packed("0020000D"), b"1.2.3", b"\0")
FIRST, SECOND, END = response(0xFF00, RECORD), response(0xFF00, RECORD.replace(b"3", b"4")), response(0)
OPEN = struct.pack("<HHI", 0x0040, 0x0275, 0xFFFFFFFF) + b"\xfe\xff\x00\xe0\xff\xff\xff\xff"
PRIVATE = struct.pack("<HHI", 0x0021, 0x0010, 20) + b"\xff" * 20

DIMSE = [
    Attack("success with a record", scp(FIRST, response(0, RECORD)), "partial", "bad_protocol", 1),
    Attack("more after success", scp(FIRST + END + SECOND + END), "partial", "bad_protocol", 1),
    Attack("in an unknown context", scp(response(0xFF00, RECORD, 99), END), "failed", "bad_protocol"),
    Attack("in the context of C-ECHO", scp(response(0xFF00, RECORD, 1), END), "failed", "bad_protocol"),
    Attack("to another question", scp(response(0xFF00, RECORD, number=9), END), "failed", "bad_protocol"),
    Attack("pending without a record", scp(response(0xFF00), END), "failed", "bad_protocol"),
    Attack("PDUs of no bytes for ever", scp(_ceaseless(unit(4))), "failed", "timeout"),
    Attack("fragments of no bytes for ever", scp(_ceaseless(unit(4, b"\0\0\0\2\3\1"))), "failed", "timeout"),
    Attack("a PDU of no bytes", scp(unit(4), FIRST, END), "ok", "", 1),
    Attack("the association accepted twice", scp(accepting(), FIRST, END), "failed", "bad_protocol"),
    Attack("rejected after all", scp(unit(3, b"\0\1\1\1")), "failed", "bad_protocol"),
    Attack("released in the middle", scp(FIRST, pdu.RELEASE), "partial", "dimse_abort", 1),
    Attack("an abort without a reason", scp(FIRST, unit(7)), "partial", "dimse_abort", 1),
    Attack("half a PDU", scp(FIRST, b"\x04\0\0\0"), "partial", "timeout", 1),
    Attack("sequences that never end", scp(response(0xFF00, OPEN * 99), END), "partial", "bad_records=1"),
    Attack("private garbage", scp(response(0xFF00, RECORD + PRIVATE), END), "ok", "", 1),
    Attack("a status of nobody", scp(FIRST, response(0xFF02)), "partial", "dimse_FF02", 1),
]
