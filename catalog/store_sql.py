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


def clashing(
    archive: str, number: int, old: Iterable[str], staged: Iterable[str], columns: Iterable[str]
) -> str:
    """Staged rows with names of files for keys that meet other values, which only other sources gave.

    What several sources told of says more than each of them: there only what both say may differ.
    """
    before, now = set(old), set(staged)
    pairs = [(f's."{n}"' if n in now else "NULL", f'o."{n}"' if n in before else "NULL") for n in columns]
    all_ = " OR ".join(f"{a} IS DISTINCT FROM {b}" for a, b in pairs)
    both = " OR ".join(f"{a} <> {b}" for a, b in pairs if "NULL" not in (a, b)) or "false"
    return (
        "SELECT s._n, s._line, s._file, f.place, s._apart FROM staged s "
        f"JOIN {archive} o ON o._key = s._key JOIN sources f ON f.id = o._source "
        f"WHERE s._apart IS NOT NULL AND NOT {_gave('o', number)} "
        f"AND ((o._also IS NULL AND ({all_})) OR ({both}))"
    )


def renamed(archive: str, number: int) -> str:
    """Key and source of rows that other imports took from the very files that are staged, for other keys.

    Parameters: the place that is imported, the archive's name, the kind of file.
    """
    path = "{0} || CASE WHEN coalesce({1}, '') = '' THEN '' ELSE '/' || {1} END"
    here, there = path.format("CAST(? AS TEXT)", "s._file"), path.format("f.place", "o._file")
    return (
        f"WITH here AS (SELECT DISTINCT {here} AS path FROM staged s WHERE s._apart IS NOT NULL) "
        f"SELECT o._key, o._source FROM {archive} o JOIN sources f ON f.id = o._source "
        f"JOIN here h ON h.path = {there} LEFT JOIN staged s ON s._key = o._key "
        f"WHERE f.archive = ? AND f.kind = ? AND f.id <> {number} AND o._also IS NULL AND s._key IS NULL"
    )


def outdated(archive: str, number: int, old: Iterable[str]) -> str:
    """Keys of rows without UID or key of their own that only this source gave, and does not give now."""
    held = set(old)
    uid, own, study, visit = (
        f'o."{name}"' if name in held else "CAST(NULL AS TEXT)"
        for name in ("SeriesInstanceUID", "SeriesKey", "StudyInstanceUID", "StudyKey")
    )
    series = f"o._level = {Level.SERIES.value} AND {uid} IS NULL AND {own} IS NULL"
    derived = f"({visit} IS NULL OR {visit} LIKE 'derived: %')"
    studies = f"o._level = {Level.STUDY.value} AND {study} IS NULL AND {derived}"
    return (
        f"SELECT o._key FROM {archive} o LEFT JOIN staged s ON s._key = o._key WHERE s._key IS NULL "
        f"AND o._source = {number} AND o._also IS NULL AND (({series}) OR ({studies}))"
    )


def unused(archive: str, number: int) -> str:
    """Forget a source that no row comes from."""
    return (
        f"DELETE FROM sources WHERE id = {number} "
        f"AND NOT EXISTS (SELECT 1 FROM {archive} o WHERE {tells('o', number)})"
    )


def only(row: str, number: int) -> str:
    """Whether a source alone has told of a row."""
    return f"({row}._source = {number} AND {row}._also IS NULL AND {row}._same IS NULL)"


def valued(archive: str, number: int) -> str:
    """A row that has values of a source, if there is one."""
    return f"SELECT 1 FROM {archive} o WHERE {_gave('o', number)} LIMIT 1"


def shared(archive: str, number: int) -> str:
    """The sources of rows that have values of a source, and were told of by others too."""
    return (
        f"SELECT o._source, o._also, o._same FROM {archive} o WHERE {_gave('o', number)} "
        "AND (o._also IS NOT NULL OR o._same IS NOT NULL)"
    )


def unsaid(archive: str, number: int) -> tuple[str, ...]:
    """Forget a source, of which no row has values."""
    one = f"' {number}:0 '"
    return (
        f"UPDATE {archive} SET _same = nullif(trim(replace(' ' || _same || ' ', {one}, ' ')), '') "
        f"WHERE strpos(' ' || _same || ' ', {one}) > 0",
        f"DELETE FROM sources WHERE id = {number}",
    )


def tells(row: str, number: int) -> str:
    """Whether a source has told of a row."""
    return f"({_gave(row, number)} OR {_listed(f'{row}._same', number)})"


def _gave(row: str, number: int) -> str:
    """Whether a source has given values of a row."""
    return f"({row}._source = {number} OR {_listed(f'{row}._also', number)})"


def _listed(column: str, number: int) -> str:
    return f"strpos(' ' || coalesce({column}, ''), ' {number}:') > 0"


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


def held(archive: str, columns: Iterable[str], told: tuple[Any, ...], as_of: str, cite: str) -> Held:
    """What `facts` told. A column with values that cannot be read leaves some unknown: it is not filled."""
    levels, patients = told[: len(Level)], told[len(Level)]
    rows = {level: int(count) for level, count in zip(Level, levels, strict=True) if count}
    total, rest = sum(rows.values()), told[len(Level) + 1 :]
    about: Mapping[str, Column] = {
        name: Column(said == total and not irregular, not irregular, total - said)
        for name, said, irregular in zip(columns, rest[::2], rest[1::2], strict=True)
    }
    return Held(archive, rows, dict(about), bool(patients), as_of, cite)
