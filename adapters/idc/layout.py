"""How the IDC index lies in its table: one row a series, ordered by collection, patient and study."""

from __future__ import annotations

from dataclasses import replace

from adapters.tables.levels import Layout
from adapters.tables.sql import DUCKDB
from catalog import numbers
from catalog.keywords import Level

_IMAGES = 'CAST(sum(CAST("NumberOfSeriesRelatedInstances" AS BIGINT)) AS VARCHAR)'


def _layout(study: str, patient: tuple[str, ...], in_order: str) -> Layout:
    return Layout(
        rows=dict.fromkeys(Level, "series"),
        groups={Level.PATIENT: patient, Level.STUDY: (study,)},
        same={
            Level.PATIENT: frozenset({"Collection", "PatientID"}),
            Level.STUDY: frozenset({"StudyInstanceUID"}),
        },
        counts={
            Level.STUDY: {
                "ModalitiesInStudy": DUCKDB.every('"Modality"'),
                "NumberOfStudyRelatedSeries": "CAST(count(*) AS VARCHAR)",
                "NumberOfStudyRelatedInstances": _IMAGES,
            },
            Level.PATIENT: {
                "NumberOfPatientRelatedStudies": f"CAST(count(DISTINCT {study}) AS VARCHAR)",
                "NumberOfPatientRelatedSeries": "CAST(count(*) AS VARCHAR)",
                "NumberOfPatientRelatedInstances": _IMAGES,
            },
        },
        dialect=replace(DUCKDB, marked=True),
        order={Level.PATIENT: ", ".join(patient), Level.STUDY: in_order},
    )


LAYOUT = _layout(numbers.STUDY, (numbers.PATIENT,), numbers.STUDY)
"""Of the sorted copy, in which studies and patients have numbers."""
PLAIN = _layout(
    '"StudyInstanceUID"',
    ('"Collection"', '"PatientID"'),
    'min("Collection"), min("PatientID"), "StudyInstanceUID"',
)
"""Of the index as it comes."""
