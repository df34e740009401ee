"""What is known of archives, as a user has it: what ships, the own archives, what was measured here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from broker.config import federation
from broker.errors import BadConfig, BadQuery
from catalog import places, probes
from catalog.archives import Archive, shipped
from catalog.condition import BadCondition, Where
from catalog.evidence import Status
from catalog.matrix import ADAPTER, Matrix, Route, Row, Today, UnknownName
from catalog.nearest import near
from catalog.reading import shipped_matrix

Archives = Mapping[str, Archive]

WORDS = ("route", "state", "layer", "adapter")  # what a condition may name beside capabilities


@dataclass(frozen=True, slots=True)
class Knowledge:
    """The matrix, and what to tell people about the evidence that was measured here (and `more` lines)."""

    matrix: Matrix
    archives: Mapping[str, Archive]
    notes: tuple[str, ...] = ()
    more: int = 0


def knowledge(config_file: str | Path | None = None, evidence: Path | None = None) -> Knowledge:
    """Everything that is known. Raises BadConfig."""
    archives = federation(config_file).archives
    try:
        own = probes.recorded(evidence)
    except OSError as error:
        raise BadConfig(
            f"the evidence in {evidence or places.evidence()} cannot be read: {error.strerror}"
        ) from error
    found = own.by_cell()
    base = shipped_matrix()
    known = {r.id for r in base.rows if r.table == "archives"}
    mine = [
        n for n in dict.fromkeys((*archives, *found)) if n not in known and (n not in shipped() or n in found)
    ]
    rows = [own_row(n, archives.get(n), len(base.rows) + i) for i, n in enumerate(mine)]
    matrix = replace(base, rows=_before_software(base, rows)).with_evidence(found)
    file = evidence or places.evidence()
    damaged = [f"{file}:{line}: {why}" if line else f"{file}: {why}" for line, why in own.damaged]
    return Knowledge(matrix, archives, tuple(damaged), own.more)


def own_row(name: str, archive: Archive | None, order: int) -> Row:
    """A row for an archive of the user's federation, or one that only evidence knows."""
    if archive is None:
        return Row(name, name, "archives", "own", order, {})
    today = Today(archive.state, archive.as_of, url=archive.url, note=archive.note)
    route = Route(ADAPTER, (name,), (archive.adapter,), why="An archive of the federation.")
    return Row(name, archive.title or name, "archives", "own", order, {}, today=today, route=route)


def _before_software(base: Matrix, rows: Iterable[Row]) -> tuple[Row, ...]:
    archives = [r for r in base.rows if r.table == "archives"]
    return (*archives, *rows, *(r for r in base.rows if r.table != "archives"))


def conditions(texts: Iterable[str], matrix: Matrix) -> list[Where]:
    """Conditions on rows, each on a capability or one of WORDS. Raises BadQuery."""
    try:
        return [_meant(Where.read(text), matrix) for text in texts]
    except (BadCondition, UnknownName) as error:
        raise BadQuery(f"--where: {error}") from error


def _meant(where: Where, matrix: Matrix) -> Where:
    if where.name in WORDS:
        where.of_texts(["-"])  # a word is never a number
        return where
    try:
        return replace(where, name=matrix.of("archives").capability(where.name).id)
    except UnknownName as error:
        raise UnknownName(f"{error}, {', '.join(WORDS)}") from error


def _words(row: Row, name: str, archives: Archives) -> list[str]:
    """What a row has for one of WORDS; its state may be another one in the federation (embedded)."""
    route = row.route
    if name == "state":
        own = [archives[row.id].state] if row.id in archives else []
        return [row.today.state, *own]
    if name == "layer":
        return [row.layer]
    return [] if route is None else [route.how] if name == "route" else [*route.adapters]


def truth(row: Row, where: Where, archives: Archives) -> bool | None:
    """Whether a row satisfies a condition; None where nothing that is known decides it. Raises BadQuery."""
    try:
        if where.name in WORDS:
            return where.of_texts(_words(row, where.name, archives))
        return where.of_cell(row.cell(where.name))
    except BadCondition as error:
        raise BadQuery(f"--where: {error}") from error


def unheard(rows: Iterable[Row], where: Where, archives: Archives) -> str:
    """What to say of a condition for a value that nobody has; nothing where somebody has it."""
    if where.sign != "=":
        return ""
    if where.name in WORDS:
        known = {word: None for row in rows for word in _words(row, where.name, archives)}
        told = f"; known are {', '.join(known)}"
    else:
        cells = [row.cell(where.name) for row in rows]
        known, told = dict.fromkeys([*Status, *(cell.lead.value for cell in cells)]), ""
    folded = {word.casefold() for word in known}
    odd = next((value for value in where.values if value.casefold() not in folded), None)
    return "" if odd is None else f"{where}: of no archive is {odd!r} known{near(odd, known)}{told}"


def judged(rows: Iterable[Row], wheres: list[Where], archives: Archives) -> tuple[list[Row], list[Row]]:
    """Rows that satisfy every condition, and rows of which that is not known."""
    kept: list[Row] = []
    unknown: list[Row] = []
    for row in rows:
        answers = [truth(row, where, archives) for where in wheres]
        if False not in answers:
            (unknown if None in answers else kept).append(row)
    return kept, unknown
