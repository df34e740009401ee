"""Where rows of the holdings come from: the file, its line and its SHA-256, when it was read and by what."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from catalog.holdings import Held, Reader, Store, holding, table
from catalog.keywords import OWN_KEYS, Level
from catalog.store_sql import quoted

NAMES = (*(level.uid for level in reversed(Level)), *OWN_KEYS.values())
MOST = 1000  # rows of one name

_SOURCES = "SELECT id, place, kind, version, sha256, imported_at FROM sources WHERE archive = ?"


@dataclass(frozen=True, slots=True)
class Origin:
    """A file that told of a row: its place, the line (0: it has none), and what read it when (UTC, ISO)."""

    place: str
    line: int
    kind: str
    reader: int
    sha256: str
    when: str


@dataclass(frozen=True, slots=True)
class Holding:
    """A row: its level, what it says, and the files that told of it.

    First those whose values it has, the latest first; then those that said nothing else when they were read.
    """

    level: Level
    values: dict[str, str]
    origins: list[Origin]

    def plain(self) -> dict[str, Any]:
        """As data for JSON."""
        origins = [asdict(origin) for origin in self.origins]
        return {"level": self.level.name, "values": self.values, "from": origins}


def holdings(store: Store, archive: str, name: str) -> list[Holding]:
    """The rows that a UID, a key or a PatientID names, at most MOST. Raises Missing where nothing is held."""
    held = holding(store.held(), archive)
    db = store.reader()
    try:
        db.execute(_SOURCES, [archive])
        sources = {int(row[0]): row[1:] for row in db.fetchmany(1_000_000)}
        return [_holding(row, list(held.columns), sources) for row in _rows(db, held, name)]
    finally:
        db.close()


def _rows(db: Reader, held: Held, name: str) -> list[tuple[Any, ...]]:
    named = [key for key in NAMES if key in held.columns]
    if not named:
        return []
    where = " OR ".join(f'"{key}" = ?' for key in named)
    same = "_same" if held.traced else "NULL"
    columns = f"_level, _source, _line, _file, _also, {same}, {quoted(held.columns)}"
    db.execute(
        f"SELECT {columns} FROM {table(held.archive)} WHERE {where} ORDER BY _level, _key LIMIT {MOST}",
        [name] * len(named),
    )
    return db.fetchmany(MOST)


def _holding(row: tuple[Any, ...], columns: list[str], sources: dict[int, tuple[Any, ...]]) -> Holding:
    level, source, line, file, also, same, *said = row
    earlier = [part.split(":") for part in reversed(f"{same or ''} {also or ''}".split())]
    found = [_origin(sources, source, line, file or "")]
    found += [_origin(sources, int(number), int(at), "") for number, at in earlier]
    values = {key: str(value) for key, value in zip(columns, said, strict=True) if value is not None}
    return Holding(Level(level), values, list(dict.fromkeys(o for o in found if o is not None)))


def _origin(sources: dict[int, tuple[Any, ...]], number: int, line: int, file: str) -> Origin | None:
    if number not in sources:
        return None
    place, kind, version, sha256, when = sources[number]
    return Origin(f"{place}/{file}" if file else place, int(line or 0), kind, version, sha256 or "", when)
