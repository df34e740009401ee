"""One import in a transaction: rows are staged, compared with what is held, and written where they differ.

The SQL is what DuckDB and PostgreSQL have in common; how rows come in and are written is each store's own.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import replace as changed
from datetime import UTC, datetime
from typing import IO, Any

from catalog import store_sql as sql
from catalog.holdings import Held, Outcome, Source, table
from catalog.imports.rows import Rejected, Row
from catalog.prepared import Preparing
from catalog.problems import BadFile

TABLES = (
    "CREATE TABLE IF NOT EXISTS archives (name TEXT PRIMARY KEY, about TEXT)",
    "CREATE TABLE IF NOT EXISTS sources (id INTEGER, archive TEXT, place TEXT, kind TEXT, version INTEGER, "
    'sha256 TEXT, imported_at TEXT, "rows" BIGINT, rejected BIGINT)',
)
ABOUT = "SELECT name, about FROM archives ORDER BY name"
SOURCES = (
    'SELECT archive, place, kind, version, sha256, imported_at, "rows", rejected FROM sources ORDER BY id'
)
STAGED = {
    "_n": "BIGINT",
    "_key": "UUID",
    "_level": "SMALLINT",
    "_line": "INTEGER",
    "_file": "TEXT",
    "_apart": "TEXT",
}
# _also: earlier sources, whose values it has too; _same: sources that said nothing new
OWN = "_key UUID, _level SMALLINT, _source INTEGER, _line INTEGER, _file TEXT, _also TEXT, _same TEXT"


class Taking(ABC):
    """The steps of an import. `staged` holds its rows once each, `compared` what becomes of them.

    In `compared`, `_change` is 0 where a row is as it was, 1 where it says other things, 2 where it is new.
    """

    def __init__(self, source: Source, keywords: Sequence[str], outcome: Outcome) -> None:
        self.source, self.keywords, self.outcome = source, keywords, outcome
        self.table = table(source.archive)
        self.traced = False

    @abstractmethod
    def all(self, text: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Every row of a statement, [] for one that gives none."""

    @abstractmethod
    def load(self) -> None:
        """Make and fill the table `staged` from spooled rows: columns STAGED and the keywords."""

    @abstractmethod
    def columns(self) -> list[str]:
        """The columns of the archive's table."""

    @abstractmethod
    def write(self, number: int, old: Sequence[str], columns: Sequence[str], replace: bool) -> None:
        """Bring `compared` into the archive's table; with `replace`, remove what is not staged."""

    matches = ""  # template: column {0} matches the whole of expression {1}
    marked = False  # whether `write` also makes columns `_no_KEYWORD`
    numbered = False  # whether `write` also numbers studies and patients

    def take(self, replace: bool) -> None:
        """All of the steps; the caller begins and commits."""
        for made in TABLES:
            self.all(made)
        self._alike()
        self.load()
        self._repeated()
        self._begin(replace)
        number = self._number()
        old = [name for name in self.columns() if not name.startswith("_")]
        columns = list(dict.fromkeys([*old, *self.keywords]))
        if not replace:
            self._clashing(number, old, columns)
            self._renamed(number)
            self._outdated(number, old)
        self._compare(number, old, columns, replace)
        self._count(number, replace)
        if self.outcome.touched:
            self._placed(number, replace)
            self.write(number, old, columns, replace)
            self._remember(number, columns)

    def _begin(self, replace: bool) -> None:
        """The archive's table, and whether its rows name all files that told of them."""
        self.all(f"CREATE TABLE IF NOT EXISTS {self.table} ({OWN})")
        if "_same" not in self.columns():
            self.all(f"ALTER TABLE {self.table} ADD COLUMN _same TEXT")
        empty = not self.all(f"SELECT 1 FROM {self.table} LIMIT 1")
        self.traced = replace or empty or self.was_traced()

    def was_traced(self) -> bool:
        """Whether they did until now: older versions left out files that said nothing new."""
        told = self.all("SELECT about FROM archives WHERE name = ?", [self.source.archive])
        return bool(told) and Held.of(json.loads(told[0][0])).traced

    def _alike(self) -> None:
        """Raises BadFile for a name that differs in case only from one that is held: tables would be one."""
        said = [self.source.archive] * 2
        held = self.all("SELECT name FROM archives WHERE lower(name) = lower(?) AND name <> ?", said)
        if held:
            raise BadFile(f"the catalog holds {held[0][0]}: say --archive {held[0][0]}, or another name")

    def _repeated(self) -> None:
        """Rows that a file gives twice: once is enough, and a contradiction is not settled here."""
        self.all(
            "CREATE TEMP TABLE again AS SELECT _key, min(_n) AS _first FROM staged GROUP BY _key "
            "HAVING count(*) > 1"
        )
        if not self.all("SELECT 1 FROM again LIMIT 1"):
            return
        told = self.all(
            f"SELECT r._line, r._file, s._line, s._file, {sql.differs(self.keywords, 'r', 's')} "
            "FROM again a JOIN staged r ON r._key = a._key AND r._n <> a._first "
            "JOIN staged s ON s._n = a._first ORDER BY r._n"
        )
        for line, file, first, elsewhere, other in told:
            here = f"line {first}" if first else "something before"
            where = elsewhere if elsewhere != file else here
            how = "with other values" if other else "the same again"
            self.outcome.reject(Rejected(line, f"it tells of what {where} tells of, {how}", file))
        self.all(
            "DELETE FROM staged WHERE _n IN (SELECT r._n FROM again a JOIN staged r "
            "ON r._key = a._key AND r._n <> a._first)"
        )

    def _number(self) -> int:
        """The number of this source: that of an earlier import of the same file, or the next."""
        here, before = self.known(self.source.place), self._before()
        if here and before and not self.all(sql.valued(self.table, here[0][0])):
            self.forget(here[0][0])  # it only said the same, before it was said that it was moved
        elif here and before:
            raise BadFile(
                f"{self.source.moved_from}: it was imported from both places; leave out --moved-from"
            )
        self.outcome.moved = bool(before)
        known = before or here or self.all("SELECT coalesce(max(id), 0) + 1 FROM sources")
        return int(known[0][0])

    def known(self, place: str) -> list[tuple[Any, ...]]:
        """The number of what was imported from a place, if anything was."""
        said = [self.source.archive, place]
        return self.all("SELECT id FROM sources WHERE archive = ? AND place = ?", said)

    def forget(self, number: int) -> None:
        """Forget a source, of which no row has values."""
        for statement in sql.unsaid(self.table, number):
            self.all(statement)

    def _before(self) -> list[tuple[Any, ...]]:
        """The number of the import of what lay elsewhere before, if the user says so."""
        before = self.source.moved_from
        found = self.known(before) if before else []
        if before and not found and not self.known(self.source.place):
            raise BadFile(
                f"nothing of {self.source.archive} was imported from {before}; see broker catalog list"
            )
        return found

    def _clashing(self, number: int, old: Sequence[str], columns: Sequence[str]) -> None:
        """Reject rows whose key is a file's name, where another file gave the same name with other values."""
        if not self.all("SELECT 1 FROM staged WHERE _apart IS NOT NULL LIMIT 1"):
            return
        found = sql.clashing(self.table, number, old, self.keywords, columns)
        told = self.all(f"{found} ORDER BY s._n")
        for _, line, file, place, apart in told:
            why = f"{place} gave the same name, with other values"
            self.outcome.reject(
                Rejected(line, f"{why}; if it lies here now, say --moved-from {place}, else {apart}", file)
            )
        if told:
            self.all(f"DELETE FROM staged WHERE _n IN (SELECT c._n FROM ({found}) c)")
            if not self.all("SELECT 1 FROM staged LIMIT 1"):
                raise BadFile(f"no row can be taken: {self.outcome.rejected[0].text()}")

    def _renamed(self, number: int) -> None:
        """Forget what the same files gave under other names, when another folder was imported."""
        said = [self.source.place, self.source.archive, self.source.kind]
        found = sql.renamed(self.table, number)
        gone = self.all(found, said)
        self.outcome.renamed = len(gone)
        if gone:
            self.all(f"DELETE FROM {self.table} WHERE _key IN (SELECT c._key FROM ({found}) c)", said)
        for source in {source for _, source in gone}:
            self.all(sql.unused(self.table, source))

    def _outdated(self, number: int, old: Sequence[str]) -> None:
        """Forget what only this file said of what nothing names, and says no more: it would be doubled."""
        gone = sql.outdated(self.table, number, old)
        self.outcome.removed = int(self.all(f"SELECT count(*) FROM ({gone}) g")[0][0])
        if self.outcome.removed:
            self.all(f"DELETE FROM {self.table} WHERE _key IN ({gone})")

    def _compare(self, number: int, old: Sequence[str], columns: Sequence[str], replace: bool) -> None:
        sole = "true" if replace else f"(o._source = {number} AND o._also IS NULL)"
        now = {n: sql.value(n, old, self.keywords, sole) for n in columns}
        before = {n: f'o."{n}"' if n in old else "NULL" for n in columns}
        changed = " OR ".join(f"{now[n]} IS DISTINCT FROM {before[n]}" for n in columns)
        same = "CAST(NULL AS TEXT)" if replace else "o._same"
        untold = f"NOT {sql.tells('o', number)}"
        if replace:
            untold = f"NOT {sql.only('o', number)}" if self.was_traced() else "true"
        also = f"CASE WHEN NOT {sole} THEN concat_ws(' ', o._also, o._source || ':' || o._line) END"
        values = "".join(f', {value} AS "{name}"' for name, value in now.items())
        kind = "TABLE" if self.all(f"SELECT 1 FROM {self.table} LIMIT 1") else "VIEW"  # all of them are new
        self.all(
            f"CREATE TEMP {kind} compared AS SELECT s._key, s._level, s._line, s._file, "
            f"{also} AS _also, {same} AS _same, {untold} AS _untold, "
            f"CASE WHEN o._key IS NULL THEN 2 WHEN {changed} THEN 1 ELSE 0 END AS _change"
            f"{values} FROM staged s LEFT JOIN {self.table} o ON o._key = s._key"
        )

    def _count(self, number: int, replace: bool) -> None:
        told = self.all(
            "SELECT _change, count(*), count(*) FILTER (WHERE _untold) FROM compared GROUP BY _change"
        )
        counts = {change: count for change, count, _ in told}
        self.outcome.unchanged = counts.get(0, 0)
        self.outcome.noted = sum(untold for change, _, untold in told if change == 0)
        self.outcome.changed, self.outcome.added = counts.get(1, 0), counts.get(2, 0)
        gone = f"FROM {self.table} o LEFT JOIN staged s ON o._key = s._key WHERE s._key IS NULL"
        self.outcome.missing = int(self.all(f"SELECT count(*) {gone} AND o._source = {number}")[0][0])
        if replace:
            self.outcome.removed = int(self.all(f"SELECT count(*) {gone}")[0][0])

    def _placed(self, number: int, replace: bool) -> None:
        """Where rows stand now that say what they said. What replaces all is where all comes from."""
        here = "_line = c._line, _file = nullif(c._file, '')"
        sets = f"_source = {number}, _also = NULL, _same = NULL, {here}" if replace else here
        other = "t._line IS DISTINCT FROM c._line OR t._file IS DISTINCT FROM nullif(c._file, '')"
        self.all(
            f"UPDATE {self.table} AS t SET {sets} FROM compared c WHERE c._key = t._key AND c._change = 0 "
            f"AND {'true' if replace else f't._source = {number} AND ({other})'}"
        )
        if self.outcome.noted and not replace:
            self.all(
                f"UPDATE {self.table} AS t SET _same = concat_ws(' ', t._same, '{number}:0') FROM compared c "
                "WHERE c._key = t._key AND c._change = 0 AND c._untold"
            )
        if replace:
            self.all("DELETE FROM sources WHERE archive = ?", [self.source.archive])

    def _remember(self, number: int, columns: Sequence[str]) -> None:
        s, now = self.source, datetime.now(UTC).isoformat(timespec="seconds")
        rows = self.outcome.added + self.outcome.changed + self.outcome.unchanged
        self.all(f"DELETE FROM sources WHERE id = {number}")
        self.all(
            "INSERT INTO sources VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [number, s.archive, s.place, s.kind, s.version, s.sha256, now, rows, self.outcome.refused],
        )
        self.describe(columns, now, f"{s.kind}: {s.place}")

    def describe(self, columns: Sequence[str], when: str, cite: str) -> None:
        """Note what is held now; `when` is the time of the last import, `cite` what it was of."""
        name = self.source.archive
        (told,) = self.all(sql.facts(columns, self.table, self.matches))
        about = sql.held(name, columns, told, when[:10], cite)
        about = changed(about, marked=self.marked, numbered=self.numbered, traced=self.traced)
        self.all("DELETE FROM archives WHERE name = ?", [name])
        self.all("INSERT INTO archives VALUES (?, ?)", [name, json.dumps(about.plain())])


def spool(out: IO[bytes], found: Iterator[Row | Rejected], outcome: Outcome) -> list[str]:
    """The rows as JSON, a line each; the keywords in them. Raises BadFile where none can be taken."""
    import msgspec

    preparing, encode, taken = Preparing(), msgspec.json.Encoder().encode, 0
    for row in found:
        item = preparing.ready(row) if isinstance(row, Row) else row
        if isinstance(item, Rejected):
            outcome.reject(item)
            continue
        key, level, line, file, apart, values = item
        taken += 1
        told = {"_n": taken, "_key": key, "_level": level, "_line": line, "_file": file, **values}
        if apart:
            told["_apart"] = apart
        out.write(encode(told) + b"\n")
        for left in row.left if isinstance(row, Row) else ():
            outcome.leave(left, line, file)
    if not taken:
        first = outcome.rejected[0] if outcome.rejected else None
        raise BadFile(f"no row can be taken: {first.text() if first else 'there is none in it'}")
    return list(preparing.keywords)
