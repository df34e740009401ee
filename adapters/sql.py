"""Conditions as SQL for DuckDB, meaning what `broker.matching` means. Shared by adapters that hold tables.

Values travel as parameters, never in the text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from broker.query import Condition, Match
from catalog.capability import Kind

NUMERIC = frozenset({"IS", "DS"})

Clause = tuple[str, list[str]]


def where(conditions: Iterable[Condition], unknown: bool = False) -> Clause:
    """All of the conditions: a boolean expression and its parameters.

    With `unknown`, also where a condition is not false but has no value to judge.
    """
    parts = [_or_unknown(c) if unknown else clause(c) for c in conditions]
    text = " AND ".join(sql for sql, _ in parts) or "true"
    return text, [value for _, values in parts for value in values]


def _or_unknown(c: Condition) -> Clause:
    text, values = clause(c)
    return f"({text} OR {unknown(c)})", values


def unknown(c: Condition) -> str:
    """Where no value can judge a condition: there is none, or none that `broker.meaning.values` reads."""
    column = f'"{c.keyword}"'
    if c.key.vr in NUMERIC:
        return f"(TRY_CAST({column} AS DECIMAL(38, 10)) IS NULL)"
    if c.key.vr == "AS":
        return f"(NOT regexp_full_match(coalesce({column}, ''), ' *[0-9]{{3}}[DWMY] *'))"
    return f"(coalesce({column}, '') = '')"


def clause(c: Condition) -> Clause:
    """One condition: any one of its values."""
    column = f'"{c.keyword}"'
    singles = [m.text for m in c.matches if m.kind is Kind.SINGLE]
    if len(singles) == len(c.matches) > 1 and c.key.vr not in NUMERIC:
        return f"{column} IN ({', '.join('?' * len(singles))})", singles
    parts = [_FORMS[m.kind](column, c.key.vr, m) for m in c.matches]
    text = " OR ".join(sql for sql, _ in parts)
    return f"({text})" if len(parts) > 1 else text, [v for _, values in parts for v in values]


def _single(column: str, vr: str, m: Match) -> Clause:
    if vr in NUMERIC:
        return f"TRY_CAST({column} AS DECIMAL(38, 10)) = TRY_CAST(? AS DECIMAL(38, 10))", [m.text]
    return f"{column} = ?", [m.text]


def _wildcard(column: str, vr: str, m: Match) -> Clause:  # noqa: ARG001
    text = m.text
    for mark in "!%_":
        text = text.replace(mark, f"!{mark}")
    return f"{column} LIKE ? ESCAPE '!'", [text.replace("*", "%").replace("?", "_")]


def _contains(column: str, vr: str, m: Match) -> Clause:  # noqa: ARG001
    return f"contains(lower({column}), lower(?))", [m.text]


def _range(column: str, vr: str, m: Match) -> Clause:  # noqa: ARG001
    ends = [(sign, end) for sign, end in ((">=", m.low), ("<=", m.high)) if end]
    return " AND ".join(f"{column} {sign} ?" for sign, _ in ends), [end for _, end in ends]


def _empty(column: str, vr: str, m: Match) -> Clause:  # noqa: ARG001
    return f"coalesce({column}, '') = ''", []


_FORMS: dict[Kind, Callable[[str, str, Match], Clause]] = {
    Kind.SINGLE: _single,
    Kind.WILDCARD: _wildcard,
    Kind.CONTAINS: _contains,
    Kind.RANGE: _range,
    Kind.EMPTY: _empty,
}


def shown(clause_: Clause) -> str:
    """The SQL with its parameters in place, to be read by people."""
    text, values = clause_
    for value in values:
        text = text.replace("?", "'" + value.replace("'", "''").replace("?", "\0") + "'", 1)
    return text.replace("\0", "?")
