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
from catalog.matrix import ADAPTER, Matrix, Route, Row, Today, UnknownName
from catalog.reading import shipped_matrix

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


def truth(row: Row, where: Where) -> bool | None:
    """Whether a row satisfies a condition; None where nothing that is known decides it. Raises BadQuery."""
    route = row.route
    words = {"route": [route.how] if route else [], "state": [row.today.state], "layer": [row.layer]}
    words["adapter"] = [*route.adapters] if route else []
    try:
        if where.name in words:
            return where.of_texts(words[where.name])
        return where.of_cell(row.cell(where.name))
    except BadCondition as error:
        raise BadQuery(f"--where: {error}") from error


def judged(rows: Iterable[Row], wheres: list[Where]) -> tuple[list[Row], list[Row]]:
    """Rows that satisfy every condition, and rows of which that is not known."""
    kept: list[Row] = []
    unknown: list[Row] = []
    for row in rows:
        answers = [truth(row, where) for where in wheres]
        if False not in answers:
            (unknown if None in answers else kept).append(row)
    return kept, unknown
