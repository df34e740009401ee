"""What conditions leave undecided: entities that none rules out, while one is unknown for want of a value.

An answer without them is right only if it says how many they are. Counting them must not take longer than
finding the others, so what was counted once for all (`missing`) is not counted again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from adapters.tables import sql
from adapters.tables.count import Fetch
from adapters.tables.levels import Layout, among, hits
from broker.adapter import Ask
from broker.query import Condition
from catalog.capability import Kind
from catalog.keywords import Level


async def unknown(fetch: Fetch, ask: Ask, missing: Mapping[str, int], layout: Layout) -> dict[str, int]:
    """How many entities are left out because a condition is unknown of them, by its keyword.

    `missing` says of how many rows a condition on a keyword is unknown, where that is known; where it is 0,
    of all the rows that there are.
    """
    told = dict.fromkeys((c.keyword for c in ask.conditions), 0)
    doubtful = [c for c in ask.conditions if missing.get(c.keyword) != 0 and not _empty_too(c)]
    if not doubtful:
        return told
    if ask.level is Level.SERIES and len(ask.conditions) == 1 and doubtful[0].keyword in missing:
        return {doubtful[0].keyword: missing[doubtful[0].keyword]}
    (counts,) = await fetch(*(_series if ask.level is Level.SERIES else _groups)(ask, doubtful, layout))
    return told | {c.keyword: n for c, n in zip(doubtful, counts, strict=True)}


def _empty_too(c: Condition) -> bool:
    """Whether a condition is satisfied by what has no value."""
    return any(m.kind is Kind.EMPTY for m in c.matches)


def _series(ask: Ask, doubtful: Sequence[Condition], layout: Layout) -> sql.Clause:
    """A count for each doubtful condition by itself: few rows lack the value, and an index may know them."""
    certain = [c for c in ask.conditions if c not in doubtful]
    counts, values = [], list[str]()
    for one in doubtful:
        sure, first = sql.where(certain, False, layout.dialect)
        open_, more = sql.where((c for c in doubtful if c is not one), True, layout.dialect)
        where = f"{sql.unknown(one.key, layout.dialect)} AND {sure} AND {open_}"
        counts.append(f"(SELECT count(*) FROM {layout.rows[ask.level]} WHERE {where})")
        values += first + more
    return f"SELECT {', '.join(counts)}", values


def _groups(ask: Ask, doubtful: Sequence[Condition], layout: Layout) -> sql.Clause:
    """The same for studies or patients: of the groups that no condition rules out, those not surely in."""
    finer = [" FILTER (WHERE hit)" if c.key.level > ask.level else "" for c in doubtful]
    empty = [f"bool_and({sql.unknown(c.key, layout.dialect)})" for c in doubtful]
    names = [f"u{i}" for i in range(len(doubtful))]
    columns = ", ".join(f"{e}{f} AS {u}" for e, f, u in zip(empty, finer, names, strict=True))
    counts = ", ".join(f"count(*) FILTER (WHERE {u})" for u in names)
    rows, values = hits(Ask(ask.level, ask.conditions, unknown=True), layout)
    possible, open_ = among(ask, True, layout)
    decided, sure = among(ask, False, layout)
    each = (
        f"SELECT {columns} FROM {rows} WHERE {possible} AND NOT ({decided}) "
        f"GROUP BY {layout.group(ask.level)}"
    )
    return f"SELECT {counts} FROM ({each}) AS d", values + open_ + sure
