"""Data elements in Implicit VR Little Endian (PS3.5 7.1.3), read and written without any I/O.

Every SCP must speak it (PS3.5 10.1), it is the form of every command set (PS3.7 6.3.1), and it is the
quickest to read: a tag, a length, a value. What is read comes from a stranger: every length is checked.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from broker.errors import Malformed

HEAD = struct.Struct("<4sI")
UNDEFINED = 0xFFFFFFFF
DEEPEST = 8  # sequences within sequences; an identifier needs one or two

ITEM = b"\xfe\xff\x00\xe0"
ITEM_END = b"\xfe\xff\x0d\xe0"
SEQUENCE_END = b"\xfe\xff\xdd\xe0"


def packed(tag: str) -> bytes:
    """Eight hexadecimal digits as the four bytes of a tag."""
    group, element = int(tag[:4], 16), int(tag[4:], 16)
    return struct.pack("<HH", group, element)


def written(tag: bytes, value: bytes, pad: bytes = b" ") -> bytes:
    """One element; a value of odd length is padded (PS3.5 7.1.1)."""
    even = value + pad if len(value) % 2 else value
    return HEAD.pack(tag, len(even)) + even


def elements(raw: bytes, start: int = 0, end: int | None = None) -> Iterator[tuple[bytes, int, int]]:
    """Tag, begin and end of every value between two places. Raises Malformed.

    The value of a sequence of undefined length ends before its delimiter.
    """
    at, end = start, len(raw) if end is None else end
    while at < end:
        tag, begin, stop, at = _element(raw, at, end, 0)
        yield tag, begin, stop


def items(raw: bytes, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Begin and end of every item of a sequence's value. Raises Malformed."""
    for tag, begin, stop in elements(raw, start, end):
        if tag == ITEM:
            yield begin, stop
        elif tag != SEQUENCE_END:
            raise Malformed("a sequence holds what is not an item", "bad_identifier")


def _element(raw: bytes, at: int, end: int, depth: int) -> tuple[bytes, int, int, int]:
    """Tag, begin and end of a value, and where the next element begins."""
    if at + 8 > end:
        raise Malformed("an element is cut short", "bad_identifier")
    tag, length = HEAD.unpack_from(raw, at)
    begin = at + 8
    if length != UNDEFINED:
        if begin + length > end:
            raise Malformed("an element is longer than its record", "bad_identifier")
        return tag, begin, begin + length, begin + length
    closing = ITEM_END if tag == ITEM else SEQUENCE_END
    stop = _delimiter(raw, begin, end, closing, depth + 1)
    return tag, begin, stop, stop + 8


def _delimiter(raw: bytes, at: int, end: int, closing: bytes, depth: int) -> int:
    """Where the delimiter of a value of undefined length begins."""
    if depth > DEEPEST:
        raise Malformed("sequences are nested too deeply", "bad_identifier")
    while at + 8 <= end:
        if raw[at : at + 4] == closing:
            return at
        at = _element(raw, at, end, depth)[3]
    raise Malformed("a sequence has no end", "bad_identifier")
