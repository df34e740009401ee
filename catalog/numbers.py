"""Numbers that stand for studies and for patients in a table of series.

DuckDB compares a million short numbers sooner than as many UIDs, and finds them sorted. They mean nothing
outside of the table, and change with it.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping

STUDY, PATIENT = "_study", "_patient"


def groups(columns: Container[str]) -> dict[str, tuple[str, ...]]:
    """What makes a study, what makes a patient, where the columns tell: SQL that is equal for all their rows.

    Never NULL in rows that belong to a study, or to a patient.
    """
    told = [f'"{k}"' for k in ("StudyInstanceUID", "StudyKey") if k in columns]
    study = told[0] if len(told) == 1 else f"coalesce({', '.join(told)})" if told else "_key"
    issued = [f"coalesce(\"{k}\", '')" for k in ("Collection", "IssuerOfPatientID") if k in columns]
    return {STUDY: (study,)} | ({PATIENT: (*issued, '"PatientID"')} if "PatientID" in columns else {})


def counting(rows: str, groups: Mapping[str, tuple[str, ...]], columns: Container[str]) -> list[str]:
    """Statements that make a table of numbers for each kind of group, in the order of a list of them."""
    first = [f'min("{k}")' for k in ("Collection", "PatientID") if k in columns]
    orders = {name: ", ".join([*(first if name == STUDY else []), "g"]) for name in groups}
    return [
        f"CREATE TEMP TABLE {_table(name)} AS SELECT {_whole(of)} AS g, "  # noqa: S608
        f"CAST(row_number() OVER (ORDER BY {orders[name]}) AS INTEGER) AS n "
        f"FROM {rows} WHERE {of[-1]} IS NOT NULL GROUP BY g"
        for name, of in groups.items()
    ]


def numbered(rows: str, groups: Mapping[str, tuple[str, ...]], more: Iterable[str] = ()) -> str:
    """The rows with their numbers, and with more columns."""
    joins = [f"LEFT JOIN {_table(name)} ON {_table(name)}.g = {_whole(of)}" for name, of in groups.items()]
    numbers = [f"{_table(name)}.n AS {name}" for name in groups]
    return f"SELECT r.*, {', '.join([*more, *numbers])} FROM {rows} {' '.join(joins)}"  # noqa: S608


def done(groups: Iterable[str]) -> list[str]:
    """Statements that take the tables of numbers away."""
    return [f"DROP TABLE {_table(name)}" for name in groups]


def _table(name: str) -> str:
    return f"numbers{name}"


def _whole(of: tuple[str, ...]) -> str:
    """A group as one value."""
    return of[0] if len(of) == 1 else f"row({', '.join(of)})"
