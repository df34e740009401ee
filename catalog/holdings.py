"""The holdings of archives that have no interface of their own, kept where they can be searched.

One table for each archive, one row for each series (or study, or patient, where nothing finer is known), one
column for each DICOM keyword that the archive says anything of. `store_duckdb` keeps them in one file,
`store_postgres` in a PostgreSQL database; both promise the same:

- an import is whole or not at all, also when its process is killed;
- what was imported before is changed, not doubled: rows are known by their UID or by their archive's own key;
- every row says from which file and line it comes, and its source when it was read, by which reader;
- others read, undisturbed, what was there before, until the import is whole.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

from catalog.imports.rows import Left, Rejected, Row
from catalog.keywords import Level
from catalog.problems import BadFile, Missing

ARCHIVE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}")


@dataclass(frozen=True, slots=True)
class Source:
    """What an import reads: where it lies, what kind of file it is, its SHA-256, and the reader's version.

    `moved_from` is where it lay when it was imported before, if the user says so.
    """

    archive: str
    place: str
    kind: str
    version: int
    sha256: str = ""
    moved_from: str = ""


@dataclass(slots=True)
class Outcome:
    """What an import did, in rows.

    missing   rows that the same file gave earlier and does not give now; they stay unless replaced
    renamed   rows that the same files gave under other names, when another folder was imported; they go
    noted     rows of `unchanged` of which it is noted now that this file tells of them, or it alone
    moved     whether an earlier import is now known by another place
    rejected  what was not taken, with line and reason; the first KEPT of `refused`
    left      how many values were left out of rows that were taken
    why_left  why, with the line where that is first so, and in how many lines it is; the first KEPT reasons
    """

    added: int = 0
    changed: int = 0
    unchanged: int = 0
    missing: int = 0
    removed: int = 0
    renamed: int = 0
    noted: int = 0
    moved: bool = False
    refused: int = 0
    rejected: list[Rejected] = field(default_factory=list)
    left: int = 0
    why_left: dict[Left, tuple[Rejected, int]] = field(default_factory=dict)

    KEPT = 100_000

    def reject(self, what: Rejected) -> None:
        """Note a row that is not taken."""
        self.refused += 1
        if self.refused <= self.KEPT:
            self.rejected.append(what)

    def leave(self, what: Left, line: int, file: str) -> None:
        """Note a value that is left out."""
        self.left += 1
        first, times = self.why_left.get(what, (None, 0))
        if first or len(self.why_left) < self.KEPT:
            self.why_left[what] = first or Rejected(line, what.reason(), file), times + 1

    @property
    def touched(self) -> bool:
        """Whether there is anything to write."""
        return bool(self.added or self.changed or self.removed or self.renamed or self.noted or self.moved)


@dataclass(frozen=True, slots=True)
class Column:
    """What is true of all values of a keyword.

    filled   every row has one
    regular  each is a single value in the form of its VR, so that SQL compares it as DICOM does
    missing  how many rows have none; None in catalogs of before it was counted
    """

    filled: bool
    regular: bool
    missing: int | None = None


@dataclass(frozen=True, slots=True)
class Held:
    """What is held of one archive.

    rows      rows by level
    columns   what is said, by keyword
    patients  whether any row says whose it is
    as_of     day of the last import, YYYY-MM-DD
    cite      what was imported last
    marked    whether a column `_no_KEYWORD` says of each row that it has none: a database that keeps columns
              apart finds it there sooner than among long texts
    numbered  whether columns `_study` and `_patient` number studies and patients, as `numbers` says
    traced    whether each row names every file that told of it, which older versions did not note
    """

    archive: str
    rows: dict[Level, int]
    columns: dict[str, Column]
    patients: bool
    as_of: str = ""
    cite: str = ""
    marked: bool = False
    numbered: bool = False
    traced: bool = False

    @property
    def levels(self) -> frozenset[Level]:
        """Levels at which it can be asked."""
        found = {Level.SERIES} if self.rows.get(Level.SERIES) else set()
        if found or self.rows.get(Level.STUDY):
            found.add(Level.STUDY)
        if self.patients:
            found.add(Level.PATIENT)
        return frozenset(found)

    def plain(self) -> dict[str, Any]:
        """As data for JSON."""
        told = asdict(self)
        told["rows"] = {level.name: count for level, count in self.rows.items()}
        return told

    @classmethod
    def of(cls, told: dict[str, Any]) -> Held:
        """From data."""
        rows = {Level[name]: int(count) for name, count in told["rows"].items()}
        columns = {name: Column(**about) for name, about in told["columns"].items()}
        return cls(**{**told, "rows": rows, "columns": columns})


@dataclass(frozen=True, slots=True)
class Imported:
    """A source as the store remembers it: when (UTC, ISO), and how many rows it gave."""

    source: Source
    when: str
    rows: int
    rejected: int


class Reader(Protocol):
    """An open connection that only reads, always the same state. Parameters are `?`; raises StoreFault."""

    def held(self, archive: str) -> Held | None:
        """What is held of an archive in the state that it sees; None if nothing is."""
        ...

    def twin(self) -> Callable[[Callable[[], bool]], Reader]:
        """How to get another connection, in another thread, that sees the very same state.

        It is asked for after `held`, and got while this one is open; `gone` as for `Store.reader`.
        """
        ...

    def execute(self, text: str, values: Sequence[str] = ()) -> Any:
        """Begin a statement."""
        ...

    def fetchmany(self, size: int) -> list[tuple[Any, ...]]:
        """The next rows of it; none at its end."""
        ...

    def interrupt(self) -> None:
        """End, from another thread, whatever is under way."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


class Store(Protocol):
    """Where holdings are kept. Everything raises StoreFault where it cannot be used."""

    dialect: str

    def held(self) -> dict[str, Held]:
        """What is held, by archive; nothing where nothing was ever imported."""
        ...

    def sources(self) -> list[Imported]:
        """What was imported, in the order of imports."""
        ...

    def take(
        self, source: Source, found: Iterable[Row | Rejected], replace: bool = False, dry: bool = False
    ) -> Outcome:
        """Import rows: all of them or, if anything raises, none.

        With `replace`, the archive then holds exactly these. With `dry`, nothing is changed: the outcome says
        what would be.
        """
        ...

    def remove(self, archive: str) -> int:
        """Forget an archive; how many rows it had."""
        ...

    def take_back(self, archive: str, place: str) -> int:
        """Forget what was imported from one place; how many rows that were.

        Raises BadFile where another file told of one of them, for what that said is not kept apart.
        """
        ...

    def reader(self, gone: Callable[[], bool] = ...) -> Reader:
        """A connection to search with, in which `table(archive)` is to be found.

        Whatever it waits for ends soon after `gone` says that nobody waits for it.
        """
        ...


def holding(held: Mapping[str, Held], archive: str) -> Held:
    """What is held of an archive. Raises Missing where nothing is."""
    if archive not in held:
        raise Missing(f"the catalog holds nothing of {archive!r}; see broker catalog list")
    return held[archive]


def table(archive: str) -> str:
    """The table of an archive, as an SQL identifier."""
    return f'"rows_{named(archive)}"'


def named(archive: str) -> str:
    """The name of an archive, if it can be one. Raises BadFile."""
    if not ARCHIVE.fullmatch(archive):
        raise BadFile(
            f"{archive!r} is no name for an archive: write letters, digits, dots, dashes, at most 40"
        )
    return archive
