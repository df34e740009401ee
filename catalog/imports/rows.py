"""What a reader of a file gives: rows by DICOM keyword, and what it had to reject."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import BinaryIO

from catalog.keywords import Level

Values = Mapping[str, str | tuple[str, ...] | None]


@dataclass(frozen=True, slots=True)
class Row:
    """One entity as a file tells it: the finest that the file knows, with what is known of the coarser ones.

    level   what the row is: a series, a study without series, or a patient without studies
    values  DICOM keyword -> text as DICOM writes it, or several; absent or None where nothing is said
    line    line of the file, from 1; 0 where there are none
    file    its name below the folder that is imported
    apart   where its key is made of the name of a file, which another file may have too: what the user can do
            to tell the two apart
    left    values that are left out of it
    """

    level: Level
    values: Values
    line: int = 0
    file: str = ""
    apart: str = ""
    left: tuple[Left, ...] = ()


@dataclass(frozen=True, slots=True)
class Rejected:
    """What was not taken: where it stands and why."""

    line: int
    reason: str
    file: str = ""

    def text(self) -> str:
        """As a line for people."""
        where = " ".join([self.file] * bool(self.file) + [f"line {self.line}"] * bool(self.line))
        return f"{where or 'the file'}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Left:
    """A value that is left out of a row: what stands in a column, and has no meaning there."""

    column: str
    code: str

    def reason(self) -> str:
        """Why it is left out."""
        return f"{self.column} {self.code!r} has no meaning in the mapping"


@dataclass(frozen=True, slots=True)
class File:
    """A file to be read: its name below what is imported ("" if it is all of it), and how to open it.

    `path` is where it lies; `changed` is when it was, in nanoseconds.
    """

    name: str
    open: Callable[[], BinaryIO]
    size: int = 0
    path: str = ""
    changed: int = 0


Found = Iterator[Row | Rejected]

BY_FOLDER = "import the folder that both lie in, or say --collection NAME"
"""How files of one name are told apart where the names of their folders would do."""


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of a table: column -> keyword, constants by keyword, and the level of its rows.

    codes  what the codes in a column mean: column -> code -> value, None where it says nothing
    """

    columns: Mapping[str, str]
    constants: Mapping[str, str] = field(default_factory=dict)
    level: Level = Level.SERIES
    codes: Mapping[str, Mapping[str, str | None]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of file that can be imported.

    version   changes when the reader would give other rows for the same bytes
    archive   the archive that such files come from, where they all come from one
    fits      whether the beginning of a file is of this kind
    read      its rows; raises BadFile for a file that is damaged as a whole
    whole     whether a folder of such files is read at once, for they tell of each other
    unread    whether the name of a file tells enough, so that it may be a link to nothing
    """

    name: str
    about: str
    version: int
    fits: Callable[[bytes], bool]
    read: Callable[[list[File], Options], Found]
    archive: str = ""
    whole: bool = False
    unread: Callable[[str], bool] | None = None


@dataclass(frozen=True, slots=True)
class Options:
    """What the user says about what is imported.

    encoding, delimiter   of text files
    unended   tables whose last line has no end are whole, not cut off
    mapping   what the columns of a table of no known kind are
    progress  told how many files, of how many, are read
    """

    encoding: str = "utf-8-sig"
    delimiter: str = ""
    unended: bool = False
    mapping: Columns | None = None
    progress: Callable[[int, int], None] | None = None
