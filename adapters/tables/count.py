"""Counting in a table of series as SQL: entities in all, and by the values of an attribute.

A study or patient with several values of an attribute is counted once for each. Of attributes finer than the
question, only the series that satisfy its conditions say their values.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Container, Mapping
from typing import Any

from adapters.tables import sql
from adapters.tables.levels import Layout, among, finer, hits
from broker.adapter import Ask, Facet, Tally
from catalog.keywords import Level, keyword

Fetch = Callable[[str, list[str]], Awaitable[list[tuple[Any, ...]]]]


def able(facet: Facet, level: Level, columns: Container[str]) -> bool:
    """Whether entities of a level can be counted by it."""
    if facet.keyword == "ModalitiesInStudy":
        return level is Level.STUDY and "Modality" in columns
    return facet.keyword in columns and (not facet.years or keyword(facet.keyword).vr == "DA")


async def tally(
    fetch: Fetch, ask: Ask, facets: tuple[Facet, ...], layout: Layout, unknown: Mapping[str, int]
) -> Tally:
    """Entities in all and by each facet."""
    ((all_of_them,),) = await fetch(*total(ask, layout))
    groups = {f: _filled_up(await fetch(*grouped(ask, f, layout)), all_of_them) for f in facets}
    return Tally(all_of_them, groups, unknown)


def _filled_up(rows: list[tuple[Any, ...]], total: int) -> dict[str, int]:
    """Value -> entities; "" for those that have none."""
    found = {value: n for value, n in rows if value is not None}
    silent = total - sum(n for value, n in rows if value is None)
    return {**found, "": silent} if silent else found


def total(ask: Ask, layout: Layout) -> sql.Clause:
    """How many entities there are."""
    rows = layout.rows[ask.level]
    if ask.level is Level.SERIES:
        text, values = sql.where(ask.conditions, dialect=layout.dialect)
        return f"SELECT count(*) FROM {rows} WHERE {text}", values
    text, values = among(ask, False, layout)
    group = layout.group(ask.level)
    return f"SELECT count(*) FROM (SELECT DISTINCT {group} FROM {rows} WHERE {text}) AS c", values


def grouped(ask: Ask, facet: Facet, layout: Layout) -> sql.Clause:
    """A row for each value that is not empty: the value, and how many entities have it.

    One row with None says how many have any value at all.
    """
    value = _value(facet)
    if ask.level is Level.SERIES:
        text, values = sql.where(ask.conditions, dialect=layout.dialect)
        rows = f"SELECT {value} AS v FROM {layout.rows[ask.level]} WHERE ({text}) AND {_told(facet)}"
        return f"SELECT v, count(*) FROM ({rows}) AS c GROUP BY GROUPING SETS ((v), ())", values
    rows, values = hits(ask, layout)
    text, more = among(ask, False, layout)
    chosen = " AND hit" if finer(ask) and keyword(facet.keyword).level > ask.level else ""
    parts = [f"{g} AS g{i}" for i, g in enumerate(layout.groups[ask.level])]
    names = ", ".join(f"g{i}" for i in range(len(parts)))
    pairs = (
        f"SELECT DISTINCT {', '.join(parts)}, {value} AS v FROM {rows} "
        f"WHERE {text} AND {_told(facet)}{chosen}"
    )
    whole = f"SELECT NULL, count(*) FROM (SELECT DISTINCT {names} FROM pairs) AS c"
    each = "SELECT v, count(*) FROM pairs GROUP BY v"
    return f"WITH pairs AS ({pairs}) {each} UNION ALL {whole}", values + more


def _column(facet: Facet) -> str:
    return '"Modality"' if facet.keyword == "ModalitiesInStudy" else f'"{facet.keyword}"'


def _value(facet: Facet) -> str:
    column = f"trim({_column(facet)})"
    return f"substr({column}, 1, 4)" if facet.years else column


def _told(facet: Facet) -> str:
    return f"trim(coalesce({_column(facet)}, '')) <> ''"
