"""Conditions as SQL, meaning what `broker.matching` means. Shared by adapters that hold tables.

Values travel as parameters, never in the text. What DuckDB and PostgreSQL write differently stands in a
`Dialect`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from broker.meaning.values import folded
from broker.query import Condition, Match
from catalog.capability import Kind
from catalog.keywords import Keyword

NUMERIC = frozenset({"IS", "DS"})

Clause = tuple[str, list[str]]


@dataclass(frozen=True, slots=True)
class Dialect:
    """What databases write differently, as templates over a column.

    number    its value as a number, or NULL
    age       whether it is an age string
    contains  whether it holds a parameter, in any case
    lower     in lower case, for names
    prepared  what is done with the text that `contains` looks for
    several   all the different values of a group, in order, with backslashes between; NULL where none is
    empty     whether it has no value
    readable  every value that there is can be read as its VR says, so that only what is empty is unknown
    marked    a column `_no_KEYWORD` says of each row whether no value can judge a condition on the keyword
    """

    number: str
    age: str
    contains: str
    lower: str
    prepared: Callable[[str], str]
    several: str
    empty: str = "coalesce({}, '') = ''"
    readable: bool = False
    marked: bool = False

    def every(self, column: str) -> str:
        """SQL of the value that a group has, or of all of them."""
        several = self.several.format(column)
        return f"CASE WHEN min({column}) = max({column}) THEN min({column}) ELSE {several} END"


DUCKDB = Dialect(
    number="TRY_CAST({} AS DECIMAL(38, 10))",
    age="regexp_full_match(coalesce({}, ''), ' *[0-9]{{3}}[DWMY] *')",
    contains="contains(lower({}), lower(?))",
    lower="lower({})",
    prepared=str,
    # string_agg(DISTINCT ...) makes DuckDB keep a table for each column: half as fast
    several="nullif(array_to_string(list_sort(list_distinct(list({}))), '\\'), '')",
)


def where(conditions: Iterable[Condition], unknown: bool = False, dialect: Dialect = DUCKDB) -> Clause:
    """All of the conditions: a boolean expression and its parameters.

    With `unknown`, also where a condition is not false but has no value to judge.
    """
    parts = [_or_unknown(c, dialect) if unknown else clause(c, dialect) for c in conditions]
    text = " AND ".join(sql for sql, _ in parts) or "true"
    return text, [value for _, values in parts for value in values]


def _or_unknown(c: Condition, dialect: Dialect) -> Clause:
    text, values = clause(c, dialect)
    return f"({text} OR {unknown(c.key, dialect)})", values


def unknown(key: Keyword, dialect: Dialect = DUCKDB) -> str:
    """Where no value can judge a condition: there is none, or none that `broker.meaning.values` reads."""
    if dialect.marked:
        return f'"_no_{key.name}"'
    column = f'"{key.name}"'
    if dialect.readable:
        return f"({dialect.empty.format(column)})"
    if key.vr in NUMERIC:
        return f"({dialect.number.format(column)} IS NULL)"
    if key.vr == "AS":
        return f"(NOT {dialect.age.format(column)})"
    return f"({dialect.empty.format(column)})"


def clause(c: Condition, dialect: Dialect = DUCKDB) -> Clause:
    """One condition: any one of its values."""
    column = f'"{c.keyword}"'
    singles = [m.text for m in c.matches if m.kind is Kind.SINGLE]
    if len(singles) == len(c.matches) > 1 and c.key.vr not in NUMERIC:
        return f"{column} IN ({', '.join('?' * len(singles))})", singles
    parts = [_FORMS[m.kind](column, c.key.vr, m, dialect) for m in c.matches]
    text = " OR ".join(sql for sql, _ in parts)
    return f"({text})" if len(parts) > 1 else text, [v for _, values in parts for v in values]


def _single(column: str, vr: str, m: Match, dialect: Dialect) -> Clause:
    if vr in NUMERIC:
        return f"{dialect.number.format(column)} = {dialect.number.format('?')}", [m.text]
    return f"{column} = ?", [m.text]


def _wildcard(column: str, vr: str, m: Match, dialect: Dialect) -> Clause:
    text = escaped(m.text).replace("*", "%").replace("?", "_")
    if vr == "PN":  # in any case, as names are judged here
        return f"{dialect.lower.format(column)} LIKE ? ESCAPE '!'", [folded(text)]
    return f"{column} LIKE ? ESCAPE '!'", [text]


def escaped(text: str) -> str:
    """Text in which LIKE ... ESCAPE '!' finds no wildcards."""
    for mark in "!%_":
        text = text.replace(mark, f"!{mark}")
    return text


def _contains(column: str, vr: str, m: Match, dialect: Dialect) -> Clause:  # noqa: ARG001
    return dialect.contains.format(column), [dialect.prepared(m.text)]


def _range(column: str, vr: str, m: Match, dialect: Dialect) -> Clause:  # noqa: ARG001
    ends = [(sign, end) for sign, end in ((">=", m.low), ("<=", m.high)) if end]
    return " AND ".join(f"{column} {sign} ?" for sign, _ in ends), [end for _, end in ends]


def _empty(column: str, vr: str, m: Match, dialect: Dialect) -> Clause:  # noqa: ARG001
    return dialect.empty.format(column), []


_FORMS: dict[Kind, Callable[[str, str, Match, Dialect], Clause]] = {
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
