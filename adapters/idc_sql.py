"""Questions to the IDC index as SQL: series as they are, studies and patients as groups of series.

Where the series of one study disagree (651 studies of v25 have several StudyDates), the study has all the
values. A condition on a finer attribute means "has at least one such series", all of them in the same series;
such an attribute then has the values of those series.
"""

from __future__ import annotations

from dataclasses import replace

from adapters import sql
from broker.adapter import Ask
from broker.query import Condition
from catalog.capability import Kind
from catalog.keywords import Level

_IMAGES = 'CAST(sum(CAST("NumberOfSeriesRelatedInstances" AS BIGINT)) AS VARCHAR)'
COUNTS = {
    Level.STUDY: {
        "ModalitiesInStudy": 'string_agg(DISTINCT "Modality", \'\\\' ORDER BY "Modality")',
        "NumberOfStudyRelatedSeries": "CAST(count(*) AS VARCHAR)",
        "NumberOfStudyRelatedInstances": _IMAGES,
    },
    Level.PATIENT: {
        "NumberOfPatientRelatedStudies": 'CAST(count(DISTINCT "StudyInstanceUID") AS VARCHAR)',
        "NumberOfPatientRelatedSeries": "CAST(count(*) AS VARCHAR)",
        "NumberOfPatientRelatedInstances": _IMAGES,
    },
}
GROUPS = {Level.PATIENT: ("Collection", "PatientID"), Level.STUDY: ("StudyInstanceUID",)}
_ORDER = {
    Level.PATIENT: '"Collection", "PatientID"',
    Level.STUDY: 'min("Collection"), min("PatientID"), "StudyInstanceUID"',
}

# every value of a group: one where they agree, else all of them
MACRO = (
    "CREATE TEMP MACRO every(x) AS CASE WHEN min(x) = max(x) THEN min(x) "
    "ELSE string_agg(DISTINCT x, '\\' ORDER BY x) END"
)


def statement(ask: Ask) -> sql.Clause:
    """The SQL of a question and its parameters. Grouped questions need `MACRO`."""
    limit = f" LIMIT {ask.limit}" if ask.limit else ""
    if ask.level is Level.SERIES:
        text, values = sql.where(ask.conditions, ask.unknown)
        return f"SELECT {_listed(ask.fields)} FROM series WHERE {text}{limit}", values  # noqa: S608
    rows, values = hits(ask)
    text, more = among(ask, ask.unknown)
    chosen = {c.keyword for c in finer(ask)}
    columns = ", ".join(_column(f, ask.level, f in chosen) for f in ask.fields)
    tail = f"GROUP BY {_listed(GROUPS[ask.level])} ORDER BY {_ORDER[ask.level]}{limit}"
    return f"SELECT {columns} FROM {rows} WHERE {text} {tail}", values + more  # noqa: S608


def unknowns(ask: Ask, filled: frozenset[str]) -> tuple[list[str], sql.Clause] | None:
    """How many entities no condition rules out, but some leave undecided.

    Keywords, and the SQL of a row with a count for each; None where nothing can be unknown, because every
    attribute with a condition is always `filled`.
    """
    open_ = [c for c in ask.conditions if c.keyword not in filled]
    doubtful = [c for c in open_ if all(m.kind is not Kind.EMPTY for m in c.matches)]
    if not doubtful:
        return None
    each, values = _doubts(ask, doubtful)
    names = [f"u{i}" for i in range(len(doubtful))]
    counts, some = ", ".join(f"count(*) FILTER ({u})" for u in names), " OR ".join(names)
    return [c.keyword for c in doubtful], (f"SELECT {counts} FROM ({each}) WHERE {some}", values)  # noqa: S608


def _doubts(ask: Ask, doubtful: list[Condition]) -> sql.Clause:
    """A row for every entity that no condition rules out, with `u0`, `u1` ...: what is unknown of it."""
    empty = [sql.unknown(c) for c in doubtful]
    if ask.level is Level.SERIES:
        columns = ", ".join(f"{e} AS u{i}" for i, e in enumerate(empty))
        # first what is cheap: hardly any row is left for the conditions themselves
        alone = doubtful if len(doubtful) == 1 else []
        rest = [c for c in ask.conditions if c not in alone]
        text, values = sql.where(rest, unknown=True)
        return f"SELECT {columns} FROM series WHERE ({' OR '.join(empty)}) AND {text}", values  # noqa: S608
    own = [" FILTER (hit)" if c.key.level > ask.level else "" for c in doubtful]
    columns = ", ".join(f"bool_and({e}){h} AS u{i}" for i, (e, h) in enumerate(zip(empty, own, strict=True)))
    rows, values = hits(Ask(ask.level, ask.conditions, unknown=True))
    text, open_ = among(ask, unknown=True)
    decided, sure = among(ask, unknown=False)
    group = _listed(GROUPS[ask.level])
    return (
        f"SELECT {columns} FROM {rows} WHERE {text} AND NOT ({decided}) GROUP BY {group}",  # noqa: S608
        values + open_ + sure,
    )


def hits(ask: Ask) -> sql.Clause:
    """The series, with `hit`: whether it satisfies the conditions on attributes finer than the question."""
    own = finer(ask)
    if not own:
        return "series", []
    text, values = sql.where(own, ask.unknown)
    return f"(SELECT *, ({text}) AS hit FROM series)", values  # noqa: S608


def among(ask: Ask, unknown: bool) -> sql.Clause:
    """The groups that satisfy the conditions: each coarse one in some row, all finer ones in one row."""
    group = _listed(GROUPS[ask.level])
    parts = [_coarse(c, group, unknown) for c in ask.conditions if c.key.level <= ask.level]
    own = finer(ask)
    if own:
        text, values = sql.where(own, unknown)
        parts.append((f"({group}) IN (SELECT {group} FROM series WHERE {text})", values))  # noqa: S608
    return " AND ".join(text for text, _ in parts) or "true", [v for _, values in parts for v in values]


def _coarse(c: Condition, group: str, unknown: bool) -> sql.Clause:
    """Groups of which some row satisfies a condition; with `unknown`, also those without any value.

    Empty is a group in which no row has a value.
    """
    told = tuple(m for m in c.matches if m.kind is not Kind.EMPTY)
    text, values = sql.clause(replace(c, matches=told)) if told else ("false", [])
    parts = [f"({group}) IN (SELECT {group} FROM series WHERE {text})"] if told else []  # noqa: S608
    if len(told) < len(c.matches):
        filled = f"coalesce(\"{c.keyword}\", '') <> ''"
        parts.append(f"({group}) NOT IN (SELECT {group} FROM series WHERE {filled})")  # noqa: S608
    if unknown:
        parts.append(f"({group}) NOT IN (SELECT {group} FROM series WHERE NOT {sql.unknown(c)})")  # noqa: S608
    return f"({' OR '.join(parts)})", values


def finer(ask: Ask) -> list[Condition]:
    """Conditions on attributes finer than the question."""
    return [c for c in ask.conditions if c.key.level > ask.level]


def _column(name: str, level: Level, hits: bool) -> str:
    """One column of a group. A finer attribute with a condition on it shows the series that satisfy it."""
    if name in COUNTS[level]:
        return f'{COUNTS[level][name]} AS "{name}"'
    if name in GROUPS[level]:
        return f'"{name}"'
    value = f'CASE WHEN hit THEN "{name}" END' if hits else f'"{name}"'
    return f'every({value}) AS "{name}"'


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(f'"{name}"' for name in names)
