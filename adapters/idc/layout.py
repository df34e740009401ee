"""How the IDC index lies in its table: one row a series, ordered by collection, patient and study."""

from __future__ import annotations

from dataclasses import replace

from adapters.tables.levels import Layout
from adapters.tables.sql import DUCKDB
from catalog.keywords import Level

_IMAGES = 'CAST(sum(CAST("NumberOfSeriesRelatedInstances" AS BIGINT)) AS VARCHAR)'

LAYOUT = Layout(
    rows=dict.fromkeys(Level, "series"),
    groups={Level.PATIENT: ('"Collection"', '"PatientID"'), Level.STUDY: ('"StudyInstanceUID"',)},
    counts={
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
    },
    dialect=replace(DUCKDB, marked=True),
    order={
        Level.PATIENT: '"Collection", "PatientID"',
        Level.STUDY: 'min("Collection"), min("PatientID"), "StudyInstanceUID"',
    },
)
