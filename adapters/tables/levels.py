"""Questions to a table of series as SQL: series as they are, studies and patients as groups of series.

Where the series of one study disagree (651 studies of IDC v25 have several StudyDates), the study has all the
values. A condition on a finer attribute means "has at least one such series", all of them in the same series;
such an attribute then has the values of those series.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from adapters.tables import sql
from broker.adapter import Ask
from broker.query import Condition
from catalog.capability import Kind
from catalog.keywords import Level


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the rows are, and what makes an entity of them.

    rows    level -> the rows that tell of entities of this level: a table, or a query in parentheses
    groups  level -> SQL expressions, never NULL, that are equal for the rows of one entity
    same    level -> keywords of which all rows of an entity have the same value
    counts  level -> keyword -> SQL over a group, for what is computed
    order   level -> SQL of a steady order of groups
    listed  levels whose groups are better looked for as a list: an index finds the rows of each, and the
            database (PostgreSQL) would rather read all rows, for it cannot know how few groups there are
    """

    rows: Mapping[Level, str]
    groups: Mapping[Level, tuple[str, ...]]
    counts: Mapping[Level, Mapping[str, str]]
    order: Mapping[Level, str]
    dialect: sql.Dialect = sql.DUCKDB
    same: Mapping[Level, frozenset[str]] = field(default_factory=dict)
    listed: frozenset[Level] = frozenset()

    def group(self, level: Level) -> str:
        """What makes an entity, as a list."""
        return ", ".join(self.groups[level])

    def among(self, level: Level, text: str) -> str:
        """SQL of whether a row is of a group that has a row of which `text` is true."""
        found = self._found(level, text)
        if level in self.listed:
            return f"{self.group(level)} = ANY(ARRAY(SELECT DISTINCT {found}))"
        return f"({self.group(level)}) IN (SELECT {found})"

    def nested(self, level: Level, chain: Sequence[sql.Clause]) -> sql.Clause:
        """Groups with a row for each of these; each is only looked for among the groups of the next."""
        (first, values), *others = chain
        within = ""
        for text, _ in reversed(others):
            within = f" AND ({self.group(level)}) IN (SELECT {self._found(level, f'({text}){within}')})"
        return self.among(level, f"({first}){within}"), [*values, *(v for _, more in others for v in more)]

    def _found(self, level: Level, text: str) -> str:
        return f"{self.group(level)} FROM {self.rows[level]} WHERE {text}"


def statement(ask: Ask, layout: Layout) -> sql.Clause:
    """The SQL of a question and its parameters."""
    limit = f" LIMIT {ask.limit}" if ask.limit else ""
    if ask.level is Level.SERIES:
        text, values = sql.where(ask.conditions, ask.unknown, layout.dialect)
        return f"SELECT {_listed(ask.fields)} FROM {layout.rows[ask.level]} WHERE {text}{limit}", values
    rows, values = hits(ask, layout)
    text, more = among(ask, ask.unknown, layout)
    chosen = {c.keyword for c in finer(ask)}
    columns = ", ".join(_column(f, ask.level, f in chosen, layout) for f in ask.fields) or "NULL"
    group = layout.group(ask.level)
    tail = f"GROUP BY {group} ORDER BY {layout.order[ask.level]}"
    if limit:  # which groups, before all their values are put together
        text = f"({group}) IN (SELECT {group} FROM {layout.rows[ask.level]} WHERE {text} {tail}{limit})"
    return f"SELECT {columns} FROM {rows} WHERE {text} {tail}", values + more


def hits(ask: Ask, layout: Layout) -> sql.Clause:
    """The series, with `hit`: whether it satisfies the conditions on attributes finer than the question."""
    own = finer(ask)
    rows = layout.rows[ask.level]
    if not own:
        return rows, []
    text, values = sql.where(own, ask.unknown, layout.dialect)
    return f"(SELECT *, ({text}) AS hit FROM {rows}) AS h", values


def among(ask: Ask, unknown: bool, layout: Layout) -> sql.Clause:
    """The groups that satisfy the conditions: each coarse one in some row, all finer ones in one row."""
    coarse, own = [c for c in ask.conditions if c.key.level <= ask.level], finer(ask)
    plain = [] if unknown else [c for c in coarse if all(m.kind is not Kind.EMPTY for m in c.matches)]
    chain = [sql.clause(c, layout.dialect) for c in plain]
    if own:
        chain.append(sql.where(own, unknown, layout.dialect))
    parts = [_coarse(c, ask.level, unknown, layout) for c in coarse if c not in plain]
    if chain:
        parts.append(layout.nested(ask.level, chain))
    return " AND ".join(text for text, _ in parts) or "true", [v for _, values in parts for v in values]


def _coarse(c: Condition, level: Level, unknown: bool, layout: Layout) -> sql.Clause:
    """Groups of which some row satisfies a condition; with `unknown`, also those without any value.

    Empty is a group in which no row has a value.
    """
    group, rows = layout.group(level), layout.rows[level]
    told = tuple(m for m in c.matches if m.kind is not Kind.EMPTY)
    text, values = sql.clause(replace(c, matches=told), layout.dialect) if told else ("false", [])
    parts = [layout.among(level, text)] if told else []
    if len(told) < len(c.matches):
        empty = layout.dialect.empty.format(f'"{c.keyword}"')
        parts.append(f"({group}) NOT IN (SELECT {group} FROM {rows} WHERE NOT ({empty}))")
    if unknown:
        judged = f"NOT {sql.unknown(c.key, layout.dialect)}"
        parts.append(f"({group}) NOT IN (SELECT {group} FROM {rows} WHERE {judged})")
    return f"({' OR '.join(parts)})", values


def finer(ask: Ask) -> list[Condition]:
    """Conditions on attributes finer than the question."""
    return [c for c in ask.conditions if c.key.level > ask.level]


def _column(name: str, level: Level, hits: bool, layout: Layout) -> str:
    """One column of a group. A finer attribute with a condition on it shows the series that satisfy it."""
    if name in layout.counts[level]:
        return f'{layout.counts[level][name]} AS "{name}"'
    if f'"{name}"' in layout.groups[level]:
        return f'"{name}"'
    if name in layout.same.get(level, ()):
        return f'min("{name}") AS "{name}"'
    value = f'CASE WHEN hit THEN "{name}" END' if hits else f'"{name}"'
    return f'{layout.dialect.every(value)} AS "{name}"'


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(f'"{name}"' for name in names) or "NULL"
