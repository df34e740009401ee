"""DICOM JSON (PS3.18 F.2) into pages, fast where it is well formed and patient where it is not.

The usual page is decoded by msgspec straight into a type made for the keywords that were asked for. A page
that does not fit is read again record by record, and only records without a usable shape are lost, counted.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec

from broker.adapter import Page
from broker.errors import Malformed
from broker.matching import Item, Value
from broker.undisturbed import undisturbed
from catalog.keywords import Keyword, UnknownKeyword, keyword

_NUMBERS = frozenset({"IS", "DS", "FL", "FD", "SL", "SS", "SV", "UL", "US", "UV"})


class _Text(msgspec.Struct, gc=False):
    Value: Sequence[str | None] = ()


class _Number(msgspec.Struct, gc=False):
    Value: Sequence[int | float | str | None] = ()


class _Groups(msgspec.Struct, gc=False, omit_defaults=True):
    Alphabetic: str = ""
    Ideographic: str = ""
    Phonetic: str = ""


class _Name(msgspec.Struct, gc=False):
    Value: Sequence[_Groups | None] = ()


class _Sequence(msgspec.Struct, gc=False):
    Value: Sequence[dict[str, Any] | None] = ()


class Decoder:
    """Reads replies of one archive to one question: `fields` are the columns of its pages.

    Attributes that are ours and not DICOM's have no tag; an archive cannot send them.
    """

    def __init__(self, fields: tuple[str, ...]) -> None:
        self._keys = [k for k in map(keyword, fields) if k.tag]
        self.fields = tuple(k.name for k in self._keys)
        self._known: dict[str, str] = {}
        self._fast = _decoder(tuple((k.tag, k.vr) for k in self._keys))
        self._columns = [functools.partial(_reader(k), self._known) for k in self._keys]

    def page(self, body: bytes) -> Page:
        """One reply as a page. Raises Malformed when it is not a list of objects at all."""
        try:
            with undisturbed():
                return Page(self.fields, self._rows(self._fast.decode(body)))
        except msgspec.ValidationError:
            return self._patiently(body)
        except RecursionError as error:
            raise Malformed("the reply is nested too deeply", "bad_json") from error
        except (msgspec.DecodeError, UnicodeDecodeError):
            return self._mislabelled(body)
        except ValueError:  # inside a sequence
            return self._patiently(body)

    def _rows(self, found: list[Any]) -> list[tuple[Value, ...]]:
        """Column by column, for a column has one type."""
        if not found:
            return []
        elements = zip(*map(msgspec.structs.astuple, found), strict=True)
        columns = [read(column) for read, column in zip(self._columns, elements, strict=True)]
        return list(zip(*columns, strict=True))

    def _mislabelled(self, body: bytes) -> Page:
        """Bytes that are not UTF-8 although JSON must be: read as Latin-1, and flagged."""
        try:
            body.decode("utf-8")
        except UnicodeDecodeError:
            page = self.page(body.decode("latin-1").encode("utf-8"))
            page.notes = (*page.notes, "charset")
            return page
        raise Malformed("the reply is not JSON", "bad_json")

    def _patiently(self, body: bytes) -> Page:
        """Record by record; what has no study UID to stand on is counted as bad."""
        try:
            records = msgspec.json.decode(body)
        except UnicodeDecodeError:
            return self._mislabelled(body)
        except (msgspec.DecodeError, RecursionError) as error:
            raise Malformed("the reply is not JSON", "bad_json") from error
        if not isinstance(records, list):
            raise Malformed("the reply is not a list of records", "bad_shape")
        rows, bad = [], 0
        for record in records:
            row = self._lenient(record)
            if row is None:
                bad += 1
            else:
                rows.append(row)
        return Page(self.fields, rows, bad)

    def _lenient(self, record: object) -> tuple[Value, ...] | None:
        if not isinstance(record, dict):
            return None
        try:
            return tuple(_lenient(record.get(k.tag), k.vr) for k in self._keys)
        except ValueError:
            return None


@functools.lru_cache(maxsize=64)
def _decoder(columns: tuple[tuple[str, str], ...]) -> msgspec.json.Decoder[list[Any]]:
    """A decoder for records with these tags; every other attribute is skipped unread."""
    types = {"PN": _Name, "SQ": _Sequence, **dict.fromkeys(_NUMBERS, _Number)}
    fields = [(f"f{i}", types.get(vr, _Text) | None, None) for i, (_, vr) in enumerate(columns)]
    rename = {f"f{i}": tag or f"-{i}" for i, (tag, _) in enumerate(columns)}
    record = msgspec.defstruct("Record", fields, rename=rename, gc=False)
    return msgspec.json.Decoder(list[record])  # type: ignore[valid-type]


def _text_column(known: dict[str, str], column: Iterable[_Text | None]) -> list[Value]:
    """Values with repeated texts shared, so that a page of equal modalities holds one text."""
    share = known.setdefault
    return [
        share(v, v) if e is not None and len(e.Value) == 1 and (v := e.Value[0]) is not None else _rare(e)
        for e in column
    ]


def _number_column(known: dict[str, str], column: Iterable[_Number | None]) -> list[Value]:
    share = known.setdefault
    return [
        share(t := str(v), t)
        if e is not None and len(e.Value) == 1 and (v := e.Value[0]) is not None
        else _rare(e)
        for e in column
    ]


def _name_column(known: dict[str, str], column: Iterable[_Name | None]) -> list[Value]:
    share = known.setdefault
    return [
        share(t := _joined(v), t)
        if e is not None and len(e.Value) == 1 and (v := e.Value[0]) is not None
        else _rare(e)
        for e in column
    ]


def _sequence_column(known: dict[str, str], column: Iterable[_Sequence | None]) -> list[Value]:
    del known
    return [None if e is None else _items(e.Value) for e in column]


def _single_column(known: dict[str, str], column: Iterable[_Text | None]) -> list[Value]:
    """UIDs of series, none of which comes twice: there is nothing to share."""
    del known
    return [
        e.Value[0] if e is not None and len(e.Value) == 1 and e.Value[0] is not None else _rare(e)
        for e in column
    ]


def _reader(key: Keyword) -> Callable[[dict[str, str], Iterable[Any]], list[Value]]:
    if key.name == "SeriesInstanceUID":
        return _single_column
    return _READERS.get(key.vr, _text_column)


_READERS: dict[str, Callable[[dict[str, str], Iterable[Any]], list[Value]]] = {
    "PN": _name_column,
    "SQ": _sequence_column,
    **dict.fromkeys(_NUMBERS, _number_column),
}


def _items(given: Iterable[object]) -> Value:
    """The items of a sequence, each as pairs of keyword and value; what has no public keyword is left out.

    Raises ValueError for what is no item.
    """
    return tuple(_item(item) for item in given if item) or ""


def _item(item: object) -> Item:
    if not isinstance(item, dict):
        raise ValueError("an item of a sequence is not an object")  # noqa: TRY004 - one kind of bad record
    found: list[tuple[str, Value]] = []
    for tag, element in item.items():
        with contextlib.suppress(UnknownKeyword):
            key = keyword(tag)
            found.append((key.name, _lenient(element, key.vr)))
    return tuple(found)


def _rare(element: _Text | _Number | _Name | None) -> Value:
    """What is absent, empty, or has several values."""
    if element is None:
        return None
    items = tuple(
        _joined(v) if isinstance(v, _Groups) else "" if v is None else str(v) for v in element.Value
    )
    return items if len(items) > 1 else items[0] if items else ""


def _joined(name: _Groups) -> str:
    """The component groups as DICOM writes them (PS3.5 6.2.1.2)."""
    if not (name.Ideographic or name.Phonetic):
        return name.Alphabetic
    return f"{name.Alphabetic}={name.Ideographic}={name.Phonetic}".rstrip("=")


def _lenient(element: object, vr: str) -> Value:
    """One attribute of an ill-formed record. Raises ValueError where nothing can be made of it."""
    if element is None:
        return None
    if not isinstance(element, dict):
        raise ValueError("an attribute is not an object")  # noqa: TRY004 - one kind of bad record
    given = element.get("Value") or []
    if vr == "SQ":
        return _items(given if isinstance(given, list) else [given])
    items = [_lenient_item(item, vr) for item in (given if isinstance(given, list) else [given])]
    return tuple(items) if len(items) > 1 else items[0] if items else ""


def _lenient_item(item: object, vr: str) -> str:
    if item is None:
        return ""
    if isinstance(item, dict) and vr == "PN":
        groups = [item.get(g) for g in ("Alphabetic", "Ideographic", "Phonetic")]
        return "=".join(g if isinstance(g, str) else "" for g in groups).rstrip("=")
    if isinstance(item, str):
        return item
    if isinstance(item, int | float) and vr != "UI":
        return str(item)
    raise ValueError("a value has the wrong type")
