"""Tables of XNAT's REST interface: `{"ResultSet": {"Result": [...], "totalRecords": "N"}}`, all values texts.

The end of such a reply is put together without escaping, and written in the character set of the server's
Java (XNAT 1.8 `JSONTableRepresentation`): a table whose JSON cannot be read is asked for once more as CSV.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from adapters.shared.http import turn
from adapters.xnat.session import XnatSession
from broker.errors import Malformed

Rows = Sequence[dict[str, str]]


class _ResultSet(msgspec.Struct):
    rows: list[dict[str, str]] = msgspec.field(name="Result")
    total: str | int | None = msgspec.field(name="totalRecords", default=None)


class _Reply(msgspec.Struct):
    found: _ResultSet = msgspec.field(name="ResultSet")


_READER = msgspec.json.Decoder(_Reply)
_LENIENT = msgspec.json.Decoder(dict[str, dict[str, Any]])


@dataclass(slots=True)
class Table:
    """A listing as it came: rows of texts, "" where there is no value. `notes` say what was odd about it."""

    rows: Rows
    notes: list[str] = field(default_factory=list)
    _keys: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._keys = {key.lower(): key for key in self.rows[0]} if self.rows else {}

    def key(self, column: str) -> str | None:
        """Under which name a column came back: a path in lower case; one of the session may be shortened."""
        wanted = column.lower()
        short = wanted.removeprefix("xnat:imagesessiondata/")
        return self._keys.get(wanted) or self._keys.get(short)

    def has(self, columns: Sequence[str]) -> None:
        """Check that every column came back. XNAT drops those that it does not know without a word.

        Raises Malformed with the first that is missing.
        """
        missing = [c for c in columns if self.rows and self.key(c) is None]
        if missing:
            raise Malformed(f"the column {missing[0]} was asked for and did not come back", "bad_columns")


async def table(session: XnatSession, target: str) -> Table:
    """A listing. `target` has its query and no `format`. Raises ArchiveError."""
    body = await session.get(f"{target}&format=json")
    if not body:
        raise Malformed("it answered nothing at all, which is how it hides an error", "empty_body")
    async with turn():
        try:
            return _from_json(body)
        except msgspec.DecodeError as error:
            whole = body.rstrip().endswith(b"}}")
            if not whole:
                raise Malformed("its table is cut short, or is not JSON", "bad_json") from error
    body = await session.get(f"{target}&format=csv", "text/csv")
    async with turn():
        return _from_csv(body)


def _from_json(body: bytes) -> Table:
    """Raises msgspec.DecodeError for what is not JSON, and Malformed for another shape."""
    text, notes = _decoded(body)
    try:
        found = _READER.decode(text).found
    except msgspec.ValidationError:
        found = _plain(text)
    rows = found.rows
    if found.total is not None and str(found.total) != str(len(rows)):
        raise Malformed(f"it says {found.total} rows and sent {len(rows)}", "short_table")
    return Table(rows, notes)


def _from_csv(body: bytes) -> Table:
    text, notes = _decoded(body)
    if not text.endswith("\n"):
        raise Malformed("its table is cut short", "bad_csv")
    try:
        head, *lines = list(csv.reader(io.StringIO(text))) or [[]]
    except csv.Error as error:
        raise Malformed("its table is no CSV", "bad_csv") from error
    if any(len(line) != len(head) for line in lines):
        raise Malformed("the rows of its table have different lengths", "bad_csv")
    return Table([dict(zip(head, line, strict=True)) for line in lines], [*notes, "read_as_csv"])


def _decoded(body: bytes) -> tuple[str, list[str]]:
    """UTF-8, or else Latin-1, which the server's Java may be set to."""
    try:
        return body.decode("utf-8"), []
    except UnicodeDecodeError:
        return body.decode("latin-1"), ["latin-1"]


def _plain(text: str) -> _ResultSet:
    """A table whose values are not all texts, as XNAT promises they are. Raises Malformed for no table."""
    try:
        told = _LENIENT.decode(text)["ResultSet"]
        rows = [{k: _text(v) for k, v in row.items()} for row in told["Result"]]
        return _ResultSet(rows, told.get("totalRecords"))
    except (msgspec.ValidationError, KeyError, TypeError, AttributeError) as error:
        raise Malformed("it answered something that is not a table") from error


def _text(value: object) -> str:
    if isinstance(value, dict | list):
        raise TypeError("a value of a table is neither text nor number")
    return "" if value is None else str(value)
