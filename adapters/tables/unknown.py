"""What conditions leave undecided: entities that none rules out, while one is unknown for want of a value.

An answer without them is right only if it says how many they are. Counting them must not take longer than
finding the others, so what was counted once for all (`missing`) is not counted again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from adapters.tables import sql
from adapters.tables.levels import Layout, finer
from adapters.tables.worker import Connection, everything
from broker.adapter import Ask
from broker.query import Condition
from catalog.capability import Kind
from catalog.keywords import Level


def unknown(db: Connection, ask: Ask, missing: Mapping[str, int], layout: Layout) -> dict[str, int]:
    """How many entities are left out because a condition is unknown of them, by its keyword.

    `missing` says of how many rows a condition on a keyword is unknown, where that is known; where it is 0,
    of all the rows that there are.
    """
    told = dict.fromkeys((c.keyword for c in ask.conditions), 0)
    doubtful, statement = _doubtful(ask, missing), counting(ask, missing, layout)
    if statement is None:
        return told | {c.keyword: missing[c.keyword] for c in doubtful}
    (found,) = everything(db, *statement)
    return told | {c.keyword: n for c, n in zip(doubtful, found, strict=True)}


def counting(ask: Ask, missing: Mapping[str, int], layout: Layout) -> sql.Clause | None:
    """The statement that counts them; None where it takes none."""
    doubtful = _doubtful(ask, missing)
    known = ask.level is Level.SERIES and len(ask.conditions) == 1
    if not doubtful or (known and doubtful[0].keyword in missing):
        return None
    return (_series if ask.level is Level.SERIES else _groups)(ask, doubtful, layout)


def _doubtful(ask: Ask, missing: Mapping[str, int]) -> list[Condition]:
    return [c for c in ask.conditions if missing.get(c.keyword) != 0 and not _empty_too(c)]


def _empty_too(c: Condition) -> bool:
    """Whether a condition is satisfied by what has no value."""
    return any(m.kind is Kind.EMPTY for m in c.matches)


def _series(ask: Ask, doubtful: Sequence[Condition], layout: Layout) -> sql.Clause:
    """A count for each doubtful condition by itself: few rows lack the value, and an index may know them."""
    counts, values = [], list[str]()
    for one in doubtful:
        others = [c for c in ask.conditions if c is not one]
        possible, more = _possible(others, doubtful, layout.dialect)
        where = f"{sql.unknown(one.key, layout.dialect)} AND {possible}"
        counts.append(f"(SELECT count(*) FROM {layout.rows[ask.level]} WHERE {where})")
        values += more
    return f"SELECT {', '.join(counts)}", values


def _possible(
    conditions: Sequence[Condition], doubtful: Sequence[Condition], dialect: sql.Dialect
) -> sql.Clause:
    """Rows that none of the conditions rules out; of those that are not doubtful, an index may tell."""
    sure, first = sql.where((c for c in conditions if c not in doubtful), False, dialect)
    open_, more = sql.where((c for c in conditions if c in doubtful), True, dialect)
    return f"{sure} AND {open_}", first + more


def _groups(ask: Ask, doubtful: Sequence[Condition], layout: Layout) -> sql.Clause:
    """The same for studies or patients: groups that no condition rules out, without those that are surely in.

    Only groups are looked at in which some row lacks a value, and satisfies what it must.
    """
    group, rows, own = layout.group(ask.level), layout.rows[ask.level], finer(ask)
    coarse = [c for c in ask.conditions if c not in own]
    hit, hit_values = _possible(own, doubtful, layout.dialect)
    must, must_values = sql.where(own, False, layout.dialect)
    told = [_satisfied(c, layout.dialect) for c in coarse]
    lacking = " OR ".join(sql.unknown(c.key, layout.dialect) for c in doubtful)
    sure = [sql.where([c], False, layout.dialect) for c in coarse if c not in doubtful and not _empty_too(c)]
    within, values = layout.nested(ask.level, [*sure, (f"({hit}) AND ({lacking})", hit_values)])
    columns = [
        *(f"{text} AS s{i}" for i, (text, _) in enumerate(told)),
        *(f"bool_and({sql.unknown(c.key, layout.dialect)}) AS e{i}" for i, c in enumerate(coarse)),
        "bool_or(_must) AS must, bool_or(_hit) AS may",
        *(_left_open(c, i, coarse, layout.dialect) for i, c in enumerate(doubtful)),
    ]
    each = (
        f"SELECT {', '.join(columns)} FROM (SELECT *, ({hit}) AS _hit, ({must}) AS _must FROM {rows} "
        f"WHERE {within}) AS h GROUP BY {group}"
    )
    possible = " AND ".join(["may", *(f"(s{i} OR e{i})" for i in range(len(coarse)))])
    certain = " AND ".join(["coalesce(must, false)", *(f"s{i}" for i in range(len(coarse)))])
    counts = ", ".join(f"count(*) FILTER (WHERE u{i})" for i in range(len(doubtful)))
    values = [*_values(told), *hit_values, *must_values, *values]
    return f"SELECT {counts} FROM ({each}) AS d WHERE {possible} AND NOT ({certain})", values


def _satisfied(c: Condition, dialect: sql.Dialect) -> sql.Clause:
    """Whether a group satisfies a condition on an attribute of its own: in some row, or by having none."""
    valued = tuple(m for m in c.matches if m.kind is not Kind.EMPTY)
    text, values = sql.clause(replace(c, matches=valued), dialect) if valued else ("false", [])
    empty = dialect.empty.format(f'"{c.keyword}"')
    none = f" OR bool_and({empty})" if _empty_too(c) else ""
    return f"(coalesce(bool_or({text}), false){none})", values


def _left_open(c: Condition, i: int, coarse: Sequence[Condition], dialect: sql.Dialect) -> str:
    """Whether a condition is unknown of a group: of all its rows or, finer, of those that might satisfy."""
    which = "" if c in coarse else " FILTER (WHERE _hit)"
    return f"bool_and({sql.unknown(c.key, dialect)}){which} AS u{i}"


def _values(clauses: Sequence[sql.Clause]) -> list[str]:
    return [value for _, values in clauses for value in values]
