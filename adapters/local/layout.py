"""How the holdings of an archive lie in its table: rows of series, of studies and patients without series.

Only the columns that the archive has are there. A study is known by its UID or by the archive's own key, a
patient by collection, issuer and PatientID.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from adapters.tables.levels import Layout
from adapters.tables.sql import DUCKDB, Dialect, escaped
from broker.meaning.values import folded
from catalog import numbers
from catalog.capability import Can, Kind
from catalog.holdings import Held, table
from catalog.keywords import Level, keyword

_TEXT = frozenset({Kind.SINGLE, Kind.ANY_OF, Kind.WILDCARD, Kind.CONTAINS, Kind.EMPTY})
_EXACT = frozenset({Kind.SINGLE, Kind.ANY_OF, Kind.EMPTY})
_DATE = frozenset({Kind.SINGLE, Kind.ANY_OF, Kind.RANGE, Kind.EMPTY})
_NAME = frozenset({Kind.WILDCARD, Kind.ANY_OF, Kind.CONTAINS})
_TEXTS = dict.fromkeys(("AE", "CS", "LO", "SH", "UC", "LT", "ST", "UT"), _TEXT)
_BY_VR = {"UI": _EXACT, "AS": _EXACT, "IS": _EXACT, "DS": _EXACT, "DA": _DATE, "PN": _NAME, **_TEXTS}

# the store keeps no empty text, and only columns whose values can all be read are asked there
_KEPT = ("{} IS NULL", True)
DIALECTS = {
    "duckdb": replace(
        DUCKDB,
        contains="contains(folded({}), ?)",
        lower="folded({})",
        prepared=folded,
        empty=_KEPT[0],
        readable=True,
    ),
    "postgres": Dialect(
        "read_number({})",
        "coalesce({} ~ '^ *[0-9]{{3}}[DWMY] *$', false)",
        "folded({}) LIKE ? ESCAPE '!'",
        "folded({})",
        lambda text: f"%{escaped(folded(text))}%",
        "string_agg(DISTINCT {0}, '\\' ORDER BY {0})",
        *_KEPT,
    ),
}
_INDEXED = (('"StudyInstanceUID"',), ('"StudyKey"',), ("_key",))
PATIENT = ("Collection", "IssuerOfPatientID", "PatientID")


def capabilities(held: Held | None) -> Can:
    """What can be asked of an archive's holdings. What is not in the form of its VR is checked here."""
    if held is None:
        return Can(levels=frozenset(Level), lists_all=True, cite="nothing is held")
    columns = held.columns
    computed = {k for counts in _counts(held, DUCKDB).values() for k in counts}
    return Can(
        levels=held.levels,
        matches={k: _BY_VR[keyword(k).vr] for k in columns if columns[k].regular and keyword(k).vr in _BY_VR},
        returns=frozenset(columns) | computed,
        lists_all=True,
        relational=True,
        lists=1000,
        stars=3,
        own_level=frozenset(computed),
        unknowns=True,
        cite="the catalog, by SQL",
    )


def missing(held: Held) -> Mapping[str, int]:
    """Keyword -> rows without a value: where there are none, and where every row is a series."""
    series = set(held.rows) == {Level.SERIES}
    counted = {k: 0 if c.filled else c.missing for k, c in held.columns.items() if c.filled or series}
    return {k: n for k, n in counted.items() if n is not None}


def layout(held: Held, dialect: str) -> Layout:
    """The table of an archive."""
    whole, levels = table(held.archive), set(held.rows)
    told = numbers.groups(held.columns)
    study, patient = told[numbers.STUDY], told.get(numbers.PATIENT, ('"PatientID"',))
    order = _order(held, study)
    if held.numbered:
        study, patient, order = (numbers.STUDY,), (numbers.PATIENT,), numbers.STUDY
    return Layout(
        rows={
            Level.SERIES: whole if levels == {Level.SERIES} else _some(whole, "_level = 3"),
            Level.STUDY: whole if Level.PATIENT not in levels else _some(whole, "_level > 1"),
            Level.PATIENT: _with_patient(held, whole),
        },
        groups={Level.STUDY: study, Level.PATIENT: patient},
        same={Level.STUDY: _study(held), Level.PATIENT: frozenset(PATIENT)},
        counts=_counts(held, DIALECTS[dialect]),
        order={Level.STUDY: order, Level.PATIENT: ", ".join(patient)},
        listed=frozenset({Level.STUDY} if dialect == "postgres" and study in _INDEXED else ()),
        dialect=replace(DIALECTS[dialect], marked=held.marked),
    )


def _some(whole: str, condition: str) -> str:
    return f"(SELECT * FROM {whole} WHERE {condition}) AS r"


def _with_patient(held: Held, whole: str) -> str:
    column = held.columns.get("PatientID")
    return whole if column and column.filled else _some(whole, '"PatientID" IS NOT NULL')


def _order(held: Held, study: tuple[str, ...]) -> str:
    first = [f'min("{k}")' for k in ("Collection", "PatientID") if k in held.columns]
    return ", ".join([*first, *study])


def _study(held: Held) -> frozenset[str]:
    """What all rows of a study say alike: what it is known by, where that is one thing."""
    told = {"StudyInstanceUID", "StudyKey"} & held.columns.keys()
    return frozenset(told if len(told) == 1 else ())


def _counts(held: Held, dialect: Dialect) -> Mapping[Level, Mapping[str, str]]:
    """What is computed of a group, unless the archive itself says it."""
    series = "CAST(nullif(count(*) FILTER (WHERE _level = 3), 0) AS VARCHAR)"
    studies = ["StudyInstanceUID", "StudyKey"]
    known = [f'"{k}"' for k in studies if k in held.columns]
    patient = {"NumberOfPatientRelatedSeries": series}
    study = {"NumberOfStudyRelatedSeries": series}
    if known:
        one = numbers.STUDY if held.numbered else f"nullif(coalesce({', '.join(known)}, ''), '')"
        patient["NumberOfPatientRelatedStudies"] = f"CAST(count(DISTINCT {one}) AS VARCHAR)"
    if "Modality" in held.columns:
        study["ModalitiesInStudy"] = dialect.every('"Modality"')
    images = held.columns.get("NumberOfSeriesRelatedInstances")
    if images and images.filled:
        total = 'CAST(CAST(sum(CAST("NumberOfSeriesRelatedInstances" AS NUMERIC)) AS BIGINT) AS VARCHAR)'
        study["NumberOfStudyRelatedInstances"] = patient["NumberOfPatientRelatedInstances"] = total
    found = {Level.SERIES: {}, Level.STUDY: study, Level.PATIENT: patient}
    return {
        level: {k: sql for k, sql in counts.items() if k not in held.columns}
        for level, counts in found.items()
    }
