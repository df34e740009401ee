"""What both stores say in SQL: an archive's columns, when a row has changed, what is true of a column."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from catalog.holdings import Column, Held
from catalog.keywords import Keyword, Level, keyword
from catalog.prepared import KEEPS_BACKSLASH

ORDER = ("Collection", "PatientID", "StudyInstanceUID", "StudyKey", "SeriesInstanceUID", "SeriesKey")

_FORMS = {"DA": "[0-9]{8}", "AS": "[0-9]{3}[DWMY]", "UI": "[0-9]+([.][0-9]+)*"}
_NUMBER = "[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)([Ee][+-]?[0-9]{1,3})?"
NUMERIC = frozenset({"IS", "DS", "SL", "SS", "SV", "UL", "US", "UV", "FL", "FD"})


def quoted(names: Iterable[str]) -> str:
    """Columns, as a list."""
    return ", ".join(f'"{name}"' for name in names)


def bound(text: str, values: Sequence[Any]) -> tuple[str, Sequence[Any] | None]:
    """A statement with `?` for its values as psycopg wants it."""
    return (text.replace("%", "%%").replace("?", "%s"), values) if values else (text, None)


def value(name: str, old: Iterable[str], staged: Iterable[str], sole: str) -> str:
    """A value after an import: what is said now, else what another file said. Tables `o` and `s`.

    `sole` is the SQL of whether only this very file has told of the row: then what it says no more is gone.
    """
    before = f'o."{name}"' if name in set(old) else "NULL"
    now = f's."{name}"' if name in set(staged) else "NULL"
    if name == "StudyKey":  # what is only derived does not replace what an archive said
        worse = f"{now} NOT LIKE '%|%' AND {before} LIKE '%|%'"
        kept = f"{now} LIKE 'derived: %' AND ({before} NOT LIKE 'derived: %' OR ({worse}))"
        return f"CASE WHEN NOT {sole} AND {kept} THEN {before} ELSE coalesce({now}, {before}) END"
    return f"CASE WHEN {sole} THEN {now} ELSE coalesce({now}, {before}) END"


def differs(names: Iterable[str], one: str, other: str) -> str:
    """Whether two rows say different things."""
    return " OR ".join(f'{one}."{n}" IS DISTINCT FROM {other}."{n}"' for n in names) or "false"


def facts(columns: Iterable[str], table: str, matches: str) -> str:
    """One row: rows of each level, rows with a patient, and for each column its values and irregular values.

    `matches` is a template for "column {0} matches the whole of expression {1}".
    """
    parts = [f'count(*) FILTER (WHERE "_level" = {level.value})' for level in Level]
    names = list(columns)
    parts.append('count("PatientID")' if "PatientID" in names else "0")
    for name in names:
        parts.append(f'count("{name}")')
        parts.append(f"count(*) FILTER (WHERE NOT ({_regular(keyword(name), matches)}))")
    return f"SELECT {', '.join(parts)} FROM {table}"


def _regular(key: Keyword, matches: str) -> str:
    column = f'"{key.name}"'
    form = _NUMBER if key.vr in NUMERIC else _FORMS.get(key.vr)
    if form is not None:
        return matches.format(column, form)
    return "true" if key.vr in KEEPS_BACKSLASH else f"strpos({column}, '\\') = 0"


def held(
    archive: str, columns: Iterable[str], told: tuple[Any, ...], as_of: str, cite: str, marked: bool
) -> Held:
    """What `facts` told. A column with values that cannot be read leaves some unknown: it is not filled."""
    levels, patients = told[: len(Level)], told[len(Level)]
    rows = {level: int(count) for level, count in zip(Level, levels, strict=True) if count}
    total, rest = sum(rows.values()), told[len(Level) + 1 :]
    about: Mapping[str, Column] = {
        name: Column(said == total and not irregular, not irregular, total - said)
        for name, said, irregular in zip(columns, rest[::2], rest[1::2], strict=True)
    }
    return Held(archive, rows, dict(about), bool(patients), as_of, cite, marked)
