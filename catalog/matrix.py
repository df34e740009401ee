"""The matrix: archives and archive software by capabilities; every cell a list of evidence."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import TypeVar

from catalog.evidence import Basis, Confidence, Evidence, Source, Status, before, leading, until
from catalog.nearest import near

T = TypeVar("T")

TABLES = ("archives", "software")


class UnknownName(ValueError):
    """No such row or capability; the message names the nearest ones."""


@dataclass(frozen=True, slots=True)
class Capability:
    """A question that is asked of every row of a table. `about` says what is meant."""

    id: str
    label: str
    short: str
    about: str
    table: str


@dataclass(frozen=True, slots=True)
class Today:
    """What became of an archive: its state as a dated document says, and where its data went."""

    state: str = "unknown"
    as_of: str = ""
    name: str = ""
    url: str = ""
    successors: tuple[str, ...] = ()
    software: str = ""
    api: str = ""
    access: str = ""
    note: str = ""
    evidence: tuple[Evidence, ...] = ()


ADAPTER, CATALOG, RECORD, MATRIX = ROUTES = ("adapter", "catalog", "collection record", "matrix only")


@dataclass(frozen=True, slots=True)
class Route:
    """How a query reaches an archive: one of ROUTES.

    ask        archives of the federation that answer for it
    adapters   adapters that speak to it
    importers  kinds of files that `broker catalog import` takes
    files      which files those are
    why        why this way, in a sentence
    """

    how: str
    ask: tuple[str, ...] = ()
    adapters: tuple[str, ...] = ()
    importers: tuple[str, ...] = ()
    files: str = ""
    why: str = ""


@dataclass(frozen=True, slots=True)
class Cell:
    """What is known of one capability of one row: the evidence that leads, then the rest, as given."""

    row: str
    capability: str
    evidence: tuple[Evidence, ...]

    @property
    def lead(self) -> Evidence:
        """The evidence that answers for the cell."""
        found = leading(self.evidence)
        if found is None:
            raise ValueError(f"{self.row}: {self.capability} has no evidence")
        return found

    @property
    def status(self) -> Status:
        """What the cell says; unknown too where only evidence of uncertain place speaks."""
        return self.lead.status if self.lead.sure else Status.UNKNOWN

    def until(self, date: str) -> Cell:
        """The cell as it stood at the end of a date."""
        return replace(self, evidence=tuple(until(self.evidence, date)) or (_silent(f"Nothing by {date}."),))

    def changed(self, since: str) -> tuple[Evidence | None, Evidence] | None:
        """What led before a date and what leads now, if they say different things."""
        old, new = leading(before(self.evidence, since)), self.lead
        said = (old.status, old.value) if old else None
        return None if said == (new.status, new.value) or (old is None and not new.known) else (old, new)


@dataclass(frozen=True, slots=True)
class Row:
    """An archive, or a software, with its cells.

    layer   `survey` for a row of the survey, `today` for an archive that came later, `own` for one of the
            user's federation
    """

    id: str
    title: str
    table: str
    layer: str
    order: int
    cells: Mapping[str, tuple[Evidence, ...]]
    institution: str = ""
    note: str = ""
    column: int | None = None
    today: Today = field(default_factory=Today)
    route: Route | None = None

    def cell(self, capability: str) -> Cell:
        """One cell; one that was never filled is unknown, and says so."""
        return Cell(self.id, capability, self.cells.get(capability) or (_silent("Nothing is on record."),))


def _silent(why: str) -> Evidence:
    nobody = Source("nobody", "no source")
    return Evidence(Status.UNKNOWN, Basis.DOCUMENTATION, nobody, confidence=Confidence.UNKNOWN, note=why)


@dataclass(frozen=True, slots=True)
class Matrix:
    """Every row and every capability of both tables, in order; `notes` on the survey itself."""

    capabilities: tuple[Capability, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()

    def of(self, table: str) -> Matrix:
        """One table alone."""
        kept = tuple(c for c in self.capabilities if c.table == table)
        return replace(self, capabilities=kept, rows=tuple(r for r in self.rows if r.table == table))

    def row(self, name: str) -> Row:
        """The row of this id; of an archive and a program of one name the archive. Raises UnknownName."""
        return self.named(name)[0]

    def named(self, name: str) -> list[Row]:
        """The rows of a name, at most one in each table: an own archive may be called `xnat` too.

        Raises UnknownName.
        """
        meant = _named(name, {r.id: r for r in self.rows}, "archive")
        return sorted((r for r in self.rows if r.id == meant.id), key=lambda r: TABLES.index(r.table))

    def capability(self, name: str) -> Capability:
        """The capability of this id, or the only one whose id holds this. Raises UnknownName."""
        return _named(name, {c.id: c for c in self.capabilities}, "capability")

    def narrowed(self, rows: Sequence[str] = (), capabilities: Sequence[str] = ()) -> Matrix:
        """Only these rows and capabilities, in the order given. Raises UnknownName."""
        picked = tuple(r for name in rows for r in self.named(name)) if rows else self.rows
        tables = {r.table for r in picked}
        mine = replace(self, capabilities=tuple(c for c in self.capabilities if c.table in tables))
        shown = (
            tuple(c for name in capabilities for c in mine.meant(name)) if capabilities else mine.capabilities
        )
        if capabilities and not rows:
            picked = tuple(r for r in picked if r.table in {c.table for c in shown})
        return replace(self, rows=picked, capabilities=shown)

    def meant(self, name: str) -> list[Capability]:
        """The capabilities of this name, at most one in each table. Raises UnknownName."""
        found: list[Capability] = []
        for table in TABLES:
            with suppress(UnknownName):
                found.append(self.of(table).capability(name))
        return found or [self.capability(name)]

    def until(self, date: str) -> Matrix:
        """The matrix as it stood at the end of a date: no archive of today in 2010."""
        cells = ({c: r.cell(c).until(date).evidence for c in r.cells} for r in self.rows)
        rows = [replace(r, cells=own) for r, own in zip(self.rows, cells, strict=True)]
        old = [r for r in rows if r.layer == "survey" or any(e.known for e in chain(*r.cells.values()))]
        return replace(self, rows=tuple(old))

    def with_evidence(self, found: Mapping[str, Mapping[str, Iterable[Evidence]]]) -> Matrix:
        """With more evidence of archives laid over it: row id -> capability id -> evidence."""
        over = [r.table == "archives" and r.id in found for r in self.rows]
        rows = [_laid_over(r, found[r.id]) if own else r for r, own in zip(self.rows, over, strict=True)]
        return replace(self, rows=tuple(rows))


def _laid_over(row: Row, found: Mapping[str, Iterable[Evidence]]) -> Row:
    more = {name: (*row.cells.get(name, ()), *added) for name, added in found.items()}
    return replace(row, cells={**row.cells, **more})


def _named(name: str, known: Mapping[str, T], what: str) -> T:
    """The one that is meant by a name: exactly, or as the only one that begins with it or holds it."""
    asked = name.strip().lower().replace("-", "_").replace(" ", "_")
    plain = {k.lower().replace("-", "_"): v for k, v in known.items()}
    if asked in plain:
        return plain[asked]
    for likely in ([k for k in plain if k.startswith(asked)], [k for k in plain if asked in k]):
        if asked and len(likely) == 1:
            return plain[likely[0]]
    raise UnknownName(f"unknown {what} {name!r}{near(asked, known)}; known are {', '.join(known)}")
