"""Text files and tables, read within bounds: no line and no file is trusted to end."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePath
from typing import BinaryIO

from catalog.imports.rows import File, Options, Rejected
from catalog.problems import BadFile

TAB = "\t"
LONGEST = 1 << 20  # bytes of one line
WIDEST = 2000  # columns
UNENDED = "its last line has no end: is it cut off? If it is whole, say --unended"
UTF16 = "it is UTF-16; save it as UTF-8"


def label(file: File) -> str:
    """How a file is called in errors."""
    return file.name or PurePath(file.path).name or "the file"


def lines(file: File, options: Options) -> Iterator[str]:
    """The lines of a text file. Raises BadFile for a line without end or for bytes that are not text."""
    with file.open() as stream:
        for number, raw in enumerate(iter(lambda: stream.readline(LONGEST + 1), b""), 1):
            if len(raw) > LONGEST:
                raise BadFile(f"{label(file)}: line {number} is longer than {LONGEST:,} bytes")
            yield _decoded(raw, number, file, options.encoding)


def _decoded(raw: bytes, number: int, file: File, encoding: str) -> str:
    if number == 1 and is_utf16(raw):
        raise BadFile(f"{label(file)}: {UTF16}")
    try:
        text = raw.decode(encoding if number == 1 else encoding.removesuffix("-sig"))
    except UnicodeDecodeError as error:
        raise BadFile(
            f"{label(file)}: line {number} is not {encoding.removesuffix('-sig')} "
            f"(byte 0x{raw[error.start]:02x}); say what it is, as in --encoding latin-1"
        ) from error
    except LookupError as error:
        raise BadFile(f"unknown encoding {encoding!r}: write utf-8, latin-1, cp1252 ...") from error
    if number == 1 and "\0" in text:  # further down it is padding, or somebody's mistake in a value
        raise BadFile(f"{label(file)}: its first line holds NUL bytes; this is no text file")
    return text


@dataclass(frozen=True, slots=True)
class Table:
    """A table with a header: names as they are written, and `lines` of (line number, cells)."""

    names: list[str]
    lines: Iterator[tuple[int, list[str]] | Rejected]


def table(file: File, options: Options, delimiter: str = ",", skip: int = 0) -> Table:
    """A delimited table, after `skip` lines. Raises BadFile for one that has no usable header.

    Its lines raise BadFile where the table is damaged: cut off, or two tables in one file. A line with
    another number of cells than the header is rejected by itself.
    """
    text = lines(file, options)
    for _ in range(skip):
        next(text, "")
    cut = _Cut(text)
    reader = csv.reader(cut, delimiter=divider(options.delimiter) or delimiter, strict=True)
    header = _first(reader, cut, file)
    _usable(header, file)
    return Table(header, _rows(reader, header, file, skip, cut, options.unended))


def divider(said: str) -> str:
    """What divides columns, as the user says it: a character, or `tab`. Raises BadFile."""
    mark = {"tab": "\t", "\\t": "\t", "TAB": "\t"}.get(said, said)
    if len(mark) > 1 or mark in ('"', "\n", "\r"):
        raise BadFile(f"--delimiter {said!r}: write one character, or tab")
    return mark


def divided(mark: str) -> str:
    """What the user can say of a delimiter."""
    return f"its columns are divided by {mark!r}: say --delimiter {'tab' if mark == TAB else repr(mark)}"


class _Cut:
    """Passes lines on, and knows the last one, and whether it had an end."""

    def __init__(self, text: Iterator[str]) -> None:
        self._text = text
        self.line = ""
        self.ended = True

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        self.line = next(self._text)
        self.ended = self.line.endswith(("\n", "\r"))
        return self.line


def _first(reader: Iterator[list[str]], cut: _Cut, file: File) -> list[str]:
    try:
        found = next((row for row in reader if any(cell.strip() for cell in row)), None)
        why = "" if found is None or len(found) > 1 else "it has one column"
    except csv.Error as error:
        found, why = [], _why(error)
    other = divided_by(cut.line) if why else ""
    if other:
        raise BadFile(f"{label(file)}: {divided(other)}")
    if found == []:
        raise BadFile(f"{label(file)}: its header cannot be read: {why}")
    if found is None:
        raise BadFile(f"{label(file)}: it is empty")
    if found[0].lower().startswith("sep="):
        raise BadFile(f"{label(file)}: its first line is for spreadsheets only ({found[0]}): remove it")
    return [cell.strip() for cell in found]


def _why(error: csv.Error) -> str:
    said = str(error)
    return "a line end that is a CR alone: save it with usual line ends" if "new-line" in said else said


def _usable(header: list[str], file: File) -> None:
    if len(header) > WIDEST:
        raise BadFile(f"{label(file)}: it has {len(header):,} columns, which is more than {WIDEST:,}")
    folded = [name.lower() for name in header if name]
    twice = next((name for name in header if folded.count(name.lower()) > 1), None)
    if twice is not None:
        raise BadFile(f"{label(file)}: the column {twice!r} stands twice in its header")


def divided_by(line: str) -> str:
    """What divides the columns of a header that has no commas: a semicolon, a bar or a tab, or ""."""
    return next((mark for mark in ";|\t" if line.count(mark) > line.count(",")), "")


def _rows(
    reader: Iterator[list[str]], header: list[str], file: File, skip: int, cut: _Cut, unended: bool
) -> Iterator[tuple[int, list[str]] | Rejected]:
    width = len(header)
    while True:
        begin = _line(reader) + skip + 1
        try:
            row = next(reader, None)
        except csv.Error as error:
            number = _line(reader) + skip
            raise BadFile(
                f"{label(file)}: damaged at line {number} ({_why(error)}); is it cut off?"
            ) from error
        if row is None:
            if not (cut.ended or unended):
                raise BadFile(f"{label(file)}: {UNENDED}")
            return
        if not any(row):
            continue
        number, row = begin, _bare(row, width)
        if [cell.strip() for cell in row] == header:
            raise BadFile(f"{label(file)}: line {number} repeats the header: two tables in one file?")
        if len(row) == width:
            yield number, row
        elif len(row) < width and not cut.ended:
            raise BadFile(f"{label(file)}: it ends in the middle of line {number}: is it cut off?")
        else:
            yield Rejected(number, f"{len(row)} cells where the header has {width}", file.name)


def _bare(row: list[str], width: int) -> list[str]:
    """A line without the empty cells behind the last column, which some programs write."""
    return row if any(row[width:]) else row[:width]


def _line(reader: Iterator[list[str]]) -> int:
    return int(getattr(reader, "line_num", 0))


def is_utf16(beginning: bytes) -> bool:
    """Whether text begins with a byte order mark of UTF-16."""
    return beginning[:2] in (b"\xff\xfe", b"\xfe\xff")


def packed(beginning: bytes) -> str:
    """What a file is packed as, which is not unpacked here; "" for any other."""
    marks = {b"PK\3\4": "ZIP", b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ\0": "xz", b"7z\xbc\xaf": "7z"}
    tar = "tar" if beginning[257:262] == b"ustar" else ""
    return tar or next((name for mark, name in marks.items() if beginning.startswith(mark)), "")


def head(file: File, size: int = 65_536) -> bytes:
    """The beginning of a file."""
    stream: BinaryIO
    with file.open() as stream:
        return stream.read(size)


def with_commas(beginning: bytes, delimiter: str) -> bytes:
    """A table's beginning, its first two lines divided by commas; as it is where it is no such table."""
    names = [header_of(beginning, divider(delimiter), line) for line in (0, 1)]
    if len(names[0]) < 2:
        return beginning
    made = io.StringIO()
    csv.writer(made).writerows(names)
    return made.getvalue().encode()


def first_line(beginning: bytes) -> str:
    """The first line of a table's beginning; "" of what is no text."""
    line = beginning.split(b"\n", 1)[0]
    return "" if b"\0" in line or line[:1] in (b"{", b"[", b"<") else line.decode("utf-8", "replace")


def header_of(beginning: bytes, delimiter: str = ",", line: int = 0) -> list[str]:
    """The names in one line of a table's beginning, in lower case; [] if they cannot be read."""
    text = beginning.decode("utf-8-sig", "replace").lstrip("\r\n").splitlines()
    if len(text) <= line:
        return []
    try:
        return [cell.strip().lower() for cell in next(csv.reader([text[line]], delimiter=delimiter), [])]
    except csv.Error:
        return []
