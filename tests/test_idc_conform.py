"""The IDC adapter passes the conformance suite on a small part of the real index."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import duckdb
import idc_index_data
import pytest

from adapters.idc import adapter as idc
from adapters.idc import sorted_copy
from adapters.idc.adapter import Idc
from adapters.idc.layout import LAYOUT
from broker.adapter import Adapter
from broker.conform import AdapterTests
from broker.errors import ArchiveError, Malformed, ServerFault
from catalog.keywords import USUAL, Level

WHOLE = Path(str(idc_index_data.IDC_INDEX_PARQUET_FILEPATH))
KEYS = {Level.PATIENT: ("Collection", "PatientID"), Level.STUDY: ("StudyInstanceUID",)}
ENDLESS = "SELECT i FROM range(1000000000) a(i), range(1000000000) b(j) WHERE i + j < 0"

Record = Mapping[str, Any]

# studies that bring trouble out: several dates, odd characters, empty values, a patient in two collections
CHOSEN = """
    SELECT StudyInstanceUID FROM (
      (SELECT StudyInstanceUID, 1 AS kind FROM part GROUP BY 1 HAVING count(DISTINCT StudyDate) > 1
        ORDER BY 1 LIMIT 1)
      UNION ALL (SELECT min(StudyInstanceUID), 2 FROM part WHERE SeriesDescription LIKE '%!%%' ESCAPE '!')
      UNION ALL (SELECT min(StudyInstanceUID), 3 FROM part WHERE SeriesDescription LIKE '%''%')
      UNION ALL (SELECT min(StudyInstanceUID), 4 FROM part WHERE coalesce(BodyPartExamined, '') = '')
      UNION ALL (SELECT min(StudyInstanceUID), 5 FROM part WHERE coalesce(PatientAge, '') = '')
      UNION ALL (SELECT min(StudyInstanceUID), 6 FROM part WHERE NOT regexp_full_match(
        coalesce(SeriesDescription, ''), '[ -~]*'))
      UNION ALL (SELECT min(StudyInstanceUID), 7 FROM part WHERE PatientID IN (
        SELECT PatientID FROM part GROUP BY 1 HAVING count(DISTINCT collection_id) = 2 ORDER BY 1 LIMIT 1)
        GROUP BY collection_id)
      UNION ALL (SELECT DISTINCT StudyInstanceUID, 8 FROM part WHERE collection_id = 'rider_pilot'
        ORDER BY 1 LIMIT 2)
    )"""


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dozen studies of the index, whole, as the wheel would have them."""
    place = tmp_path_factory.mktemp("idc") / "small.parquet"
    with duckdb.connect() as db:
        part = f"SELECT * FROM read_parquet('{WHOLE}')"
        few = f"{part} WHERE StudyInstanceUID IN (WITH part AS ({part}) {CHOSEN})"
        db.execute(f"COPY ({few}) TO '{place}' (FORMAT parquet)")
    return place


def read(place: Path) -> Mapping[Level, list[dict[str, Any]]]:
    """The records at each level, grouped here, by other means than the adapter's."""
    with duckdb.connect() as db:
        found = db.execute(sorted_copy.selection(place)).fetchall()
    series = [dict(zip(sorted_copy.COLUMNS, row, strict=True)) for row in found]
    return {
        Level.SERIES: series,
        Level.STUDY: [_group(Level.STUDY, rows) for rows in _by(series, KEYS[Level.STUDY])],
        Level.PATIENT: [_group(Level.PATIENT, rows) for rows in _by(series, KEYS[Level.PATIENT])],
    }


def _by(series: Iterable[Record], names: Sequence[str]) -> Iterable[list[Record]]:
    groups: defaultdict[tuple[Any, ...], list[Record]] = defaultdict(list)
    for record in series:
        groups[tuple(record[n] for n in names)].append(record)
    return groups.values()


def _group(level: Level, rows: list[Record]) -> dict[str, Any]:
    own = [k for k in sorted_copy.COLUMNS if USUAL[k].level <= level]
    values = {k: sorted({r[k] for r in rows} - {None}) for k in own}
    images = str(sum(int(r["NumberOfSeriesRelatedInstances"]) for r in rows))
    counts: Mapping[Level, dict[str, Any]] = {
        Level.STUDY: {
            "ModalitiesInStudy": sorted({r["Modality"] for r in rows}),
            "NumberOfStudyRelatedSeries": str(len(rows)),
            "NumberOfStudyRelatedInstances": images,
        },
        Level.PATIENT: {
            "NumberOfPatientRelatedStudies": str(len({r["StudyInstanceUID"] for r in rows})),
            "NumberOfPatientRelatedSeries": str(len(rows)),
            "NumberOfPatientRelatedInstances": images,
        },
    }
    assert counts[level].keys() == LAYOUT.counts[level].keys()
    return {**{k: v or None for k, v in values.items()}, **counts[level]}


class TestCopy(AdapterTests):
    """The sorted copy of a small index, seven rows a page."""

    names = KEYS
    asked = frozenset(["StudyDate", "Modality"])  # test_adapter_idc asks about all

    @pytest.fixture(autouse=True)
    def _index(self, small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.place, self.folder, self.patch = small, tmp_path, monkeypatch
        self.records = read(small)
        monkeypatch.setattr(idc_index_data, "IDC_INDEX_PARQUET_FILEPATH", small)
        monkeypatch.setattr(Idc, "sizes", (7, 7))
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    @asynccontextmanager
    async def archive(self) -> AsyncIterator[Adapter]:
        yield Idc(copy=True)

    @asynccontextmanager
    async def hanging(self) -> AsyncIterator[Adapter]:
        self.patch.setattr(idc, "statement", lambda ask, layout: (ENDLESS, []))
        yield Idc(copy=True)

    def failing(self) -> Sequence[tuple[type[ArchiveError], Any]]:
        return [(ServerFault, self._from("missing.parquet")), (Malformed, self._from("text.parquet"))]

    @asynccontextmanager
    async def _from(self, name: str) -> AsyncIterator[Adapter]:
        (self.folder / "text.parquet").write_text("no parquet " * 100)
        self.patch.setattr(idc_index_data, "IDC_INDEX_PARQUET_FILEPATH", self.folder / name)
        yield Idc(copy=False)
