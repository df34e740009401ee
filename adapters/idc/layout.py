"""How the IDC index lies in its table: one row a series, ordered by collection, patient and study."""

from __future__ import annotations

from dataclasses import replace

from adapters.tables.levels import Layout
from adapters.tables.sql import DUCKDB
from catalog import numbers
from catalog.keywords import Level

_IMAGES = 'CAST(sum(CAST("NumberOfSeriesRelatedInstances" AS BIGINT)) AS VARCHAR)'

LAYOUT = Layout(
    rows=dict.fromkeys(Level, "series"),
    groups={Level.PATIENT: (numbers.PATIENT,), Level.STUDY: (numbers.STUDY,)},
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
            "NumberOfPatientRelatedStudies": "CAST(count(DISTINCT _study) AS VARCHAR)",
            "NumberOfPatientRelatedSeries": "CAST(count(*) AS VARCHAR)",
            "NumberOfPatientRelatedInstances": _IMAGES,
        },
    },
    dialect=replace(DUCKDB, marked=True),
    order={Level.PATIENT: numbers.PATIENT, Level.STUDY: numbers.STUDY},
)
