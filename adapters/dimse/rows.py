"""C-FIND identifiers into rows, and questions into identifiers (PS3.4 C.4.1.1.3), without any I/O.

A row of an answer is read in one pass over its bytes: a tag is looked up as four bytes, and a value that was
seen before (a modality, a date) is not decoded again. pydicom is only needed for texts beyond ASCII.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Sequence

from adapters.dimse.elements import HEAD, UNDEFINED, elements, items, packed, written
from broker.errors import Malformed
from broker.matching import Item, Value
from broker.meaning import values
from broker.meaning.charsets import decoded
from broker.query import Condition
from catalog.keywords import Keyword, Level, UnknownKeyword, keyword

CHARSET = packed("00080005")
_BINARY = {"US": "H", "SS": "h", "UL": "I", "SL": "i", "FL": "f", "FD": "d", "UV": "Q", "SV": "q"}
_OWN = frozenset({"SpecificCharacterSet", "QueryRetrieveLevel"})  # of the question, not of the record
_ASCII_ONLY = frozenset("AE AS CS DA DS DT IS TM UI UR".split())  # PS3.5 6.1.2.3: no other character set
MEMO = 5_000  # texts remembered for a column; then it starts anew

Column = Callable[[bytes, tuple[str, ...]], Value]


def identifier(level: Level, conditions: Iterable[Condition], fields: Iterable[str], charset: str) -> bytes:
    """A question as its identifier: conditions as keys with values, fields as keys without."""
    keys = {k.tag: (k.vr, "") for k in map(keyword, fields) if k.tag and k.name not in _OWN}
    keys |= {c.key.tag: (c.key.vr, value_of(c)) for c in conditions}
    keys["00080052"] = ("CS", level.name)
    if charset:
        keys["00080005"] = ("CS", charset)
    return b"".join(_key(tag, *keys[tag], charset) for tag in sorted(keys))


def of_instances(study: str, series: str) -> bytes:
    """The question for the instances of a series, at the IMAGE level (PS3.4 C.6.1.1.5)."""
    keys = {
        "00080016": ("UI", ""),
        "00080018": ("UI", ""),
        "00080052": ("CS", "IMAGE"),
        "0020000D": ("UI", study),
        "0020000E": ("UI", series),
    }
    return b"".join(_key(tag, *keys[tag], "") for tag in sorted(keys))


def shown(level: Level, conditions: Iterable[Condition], fields: Iterable[str], charset: str) -> str:
    """The same question for people: keys with values first, then the names of the others."""
    values_of = {c.keyword: value_of(c) for c in conditions}
    rest = [k.name for k in map(keyword, fields) if k.tag and k.name not in values_of and k.name not in _OWN]
    head = f"QueryRetrieveLevel={level.name}" + (f", SpecificCharacterSet={charset}" if charset else "")
    asked = "".join(f", {name}={value}" for name, value in values_of.items())
    return f"{head}{asked}; and {', '.join(rest)}" if rest else head + asked


def value_of(c: Condition) -> str:
    """The value of a condition as an identifier holds it; several only of UIDs (PS3.4 C.2.2.2.2)."""
    return "\\".join(str(m) for m in c.matches)


def _key(tag: str, vr: str, value: str, charset: str) -> bytes:
    # the plan sends nothing beyond ASCII where the character set is another one
    raw = value.encode("utf-8" if charset == "ISO_IR 192" else "ascii", "replace")
    return written(packed(tag), raw, b"\0" if vr == "UI" else b" ")


class Decoder:
    """Reads the identifiers that answer one question; `fields` are the columns of its rows.

    `mislabelled` counts rows with a text that does not fit its Specific Character Set; it was read as well
    as possible.
    """

    def __init__(self, fields: Sequence[str]) -> None:
        keys = [k for k in map(keyword, fields) if k.tag]
        self.fields = tuple(k.name for k in keys)
        self.mislabelled = 0
        self._columns = [self._column(k) for k in keys]
        self._at = {packed(k.tag): i for i, k in enumerate(keys)}
        self._memos: list[dict[bytes, Value]] = [{} for _ in keys]
        self._wrong = False

    def row(self, raw: bytes) -> tuple[Value, ...]:
        """One identifier as a row. Raises Malformed."""
        row: list[Value] = [None] * len(self.fields)
        charset: tuple[str, ...] = ()
        find, memos, head = self._at.get, self._memos, HEAD.unpack_from
        at, end, self._wrong = 0, len(raw), False
        while at < end:
            if end - at < 8:
                raise Malformed("a record is cut short", "bad_identifier")
            tag, length = head(raw, at)
            if length == UNDEFINED:
                return self._slowly(raw)
            begin, at = at + 8, at + 8 + length
            if at > end:
                raise Malformed("a value is longer than its record", "bad_identifier")
            if tag == CHARSET:
                charset = _charset(raw[begin:at])
            column = find(tag)
            if column is not None:
                value = raw[begin:at]
                memo = memos[column]
                known = memo.get(value)
                row[column] = known if known is not None else self._new(column, value, charset)
        self.mislabelled += self._wrong
        return tuple(row)

    def _slowly(self, raw: bytes) -> tuple[Value, ...]:
        """A record with a sequence of undefined length."""
        row: list[Value] = [None] * len(self.fields)
        charset: tuple[str, ...] = ()
        for tag, begin, end in elements(raw):
            if tag == CHARSET:
                charset = _charset(raw[begin:end])
            column = self._at.get(tag)
            if column is not None:
                row[column] = self._new(column, raw[begin:end], charset)
        self.mislabelled += self._wrong
        return tuple(row)

    def _new(self, column: int, raw: bytes, charset: tuple[str, ...]) -> Value:
        """A value that was not seen before; remembered where it means the same in every character set."""
        value = self._columns[column](raw, charset)
        if raw.isascii() and b"\x1b" not in raw:
            memo = self._memos[column]
            if len(memo) >= MEMO:
                memo.clear()
            memo[raw] = value
        return value

    def _column(self, key: Keyword) -> Column:
        if key.vr == "SQ":
            return self._sequence
        if key.vr in _BINARY:
            form = _BINARY[key.vr]
            return lambda raw, _: _numbers(raw, form)
        if key.vr == "AT":
            return lambda raw, _: _tags(raw)
        plain, whole = key.vr in _ASCII_ONLY, key.vr in values.KEEPS_BACKSLASH
        return lambda raw, charset: self._text(raw, () if plain else charset, whole=whole)

    def _text(self, raw: bytes, charset: tuple[str, ...], *, whole: bool) -> Value:
        if raw.isascii() and b"\x1b" not in raw:
            text = raw.decode("ascii")
        else:
            text, wrong = decoded(raw, charset)
            self._wrong = self._wrong or wrong
        if whole or "\\" not in text:
            return text.rstrip(" \0")
        return tuple(part.rstrip(" \0") for part in text.split("\\"))

    def _sequence(self, raw: bytes, charset: tuple[str, ...]) -> Value:
        """The items of a sequence; what has no public keyword is left out."""
        return tuple(self._item(raw, begin, end, charset) for begin, end in items(raw, 0, len(raw))) or ""

    def _item(self, raw: bytes, begin: int, end: int, charset: tuple[str, ...]) -> Item:
        found: list[tuple[str, Value]] = []
        for tag, start, stop in elements(raw, begin, end):
            key = _known(tag)
            if key is not None and key.vr != "SQ":
                found.append((key.name, self._column(key)(raw[start:stop], charset)))
        return tuple(found)


def _known(tag: bytes) -> Keyword | None:
    group, element = struct.unpack("<HH", tag)
    try:
        return keyword(f"{group:04X}{element:04X}")
    except UnknownKeyword:
        return None


def _charset(raw: bytes) -> tuple[str, ...]:
    """The terms of Specific Character Set; the first may be empty (PS3.3 C.12.1.1.2)."""
    return tuple(term.strip(" \0") for term in raw.decode("ascii", "replace").split("\\"))


def _numbers(raw: bytes, form: str) -> Value:
    size = struct.calcsize(f"<{form}")
    if len(raw) % size:
        raise Malformed("a number is cut short", "bad_identifier")
    texts = tuple(str(n) for n in struct.unpack(f"<{len(raw) // size}{form}", raw))
    return texts if len(texts) > 1 else texts[0] if texts else ""


def _tags(raw: bytes) -> Value:
    if len(raw) % 4:
        raise Malformed("a tag is cut short", "bad_identifier")
    pairs = struct.iter_unpack("<HH", raw)
    texts = tuple(f"{group:04X}{element:04X}" for group, element in pairs)
    return texts if len(texts) > 1 else texts[0] if texts else ""
