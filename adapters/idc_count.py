"""Counting in the IDC index as SQL: entities in all, and by the values of an attribute.

A study or patient with several values of an attribute is counted once for each. Of attributes finer than the
question, only the series that satisfy its conditions say their values.
"""

from __future__ import annotations

from adapters import sql
from adapters.idc_copy import COLUMNS
from adapters.idc_sql import GROUPS, among, finer, hits
from broker.adapter import Ask, Facet
from catalog.keywords import Level, keyword


def able(facet: Facet, level: Level) -> bool:
    """Whether entities of a level can be counted by it."""
    if facet.keyword == "ModalitiesInStudy":
        return level is Level.STUDY
    return facet.keyword in COLUMNS and (not facet.years or keyword(facet.keyword).vr == "DA")


def total(ask: Ask) -> sql.Clause:
    """How many entities there are."""
    if ask.level is Level.SERIES:
        text, values = sql.where(ask.conditions)
        return f"SELECT count(*) FROM series WHERE {text}", values  # noqa: S608
    text, values = among(ask, unknown=False)
    group = ", ".join(f'"{name}"' for name in GROUPS[ask.level])
    return f"SELECT count(*) FROM (SELECT DISTINCT {group} FROM series WHERE {text})", values  # noqa: S608


def grouped(ask: Ask, facet: Facet) -> sql.Clause:
    """A row for each value that is not empty: the value, and how many entities have it.

    One row with None says how many have any value at all.
    """
    value = _value(facet)
    if ask.level is Level.SERIES:
        text, values = sql.where(ask.conditions)
        rows = f"SELECT {value} AS v FROM series WHERE ({text}) AND {_told(facet)}"  # noqa: S608
        return f"SELECT v, count(*) FROM ({rows}) GROUP BY GROUPING SETS ((v), ())", values  # noqa: S608
    rows, values = hits(ask)
    text, more = among(ask, unknown=False)
    chosen = " AND hit" if finer(ask) and keyword(facet.keyword).level > ask.level else ""
    group = ", ".join(f'"{name}"' for name in GROUPS[ask.level])
    pairs = (
        f"SELECT DISTINCT {group}, {value} AS v FROM {rows} "  # noqa: S608
        f"WHERE {text} AND {_told(facet)}{chosen}"
    )
    counted = f"SELECT v, count(*) FROM pairs GROUP BY v UNION ALL SELECT NULL, count(*) FROM (SELECT DISTINCT {group} FROM pairs)"  # noqa: S608, E501
    return f"WITH pairs AS ({pairs}) {counted}", values + more


def _column(facet: Facet) -> str:
    return '"Modality"' if facet.keyword == "ModalitiesInStudy" else f'"{facet.keyword}"'


def _value(facet: Facet) -> str:
    column = f"trim({_column(facet)})"
    return f"substr({column}, 1, 4)" if facet.years else column


def _told(facet: Facet) -> str:
    return f"trim(coalesce({_column(facet)}, '')) <> ''"
