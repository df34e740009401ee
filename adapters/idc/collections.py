"""The collections and analysis results of the IDC, with counts from the index itself."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from catalog.collection import Collection, Count
from catalog.evidence import Source

_COLUMNS = (
    "id", "title", "about", "conditions", "body_parts", "species", "program", "state", "updated",
    "licenses", "dois", "modalities", "patients", "studies", "series", "instances", "size_mb",
)  # fmt: skip

_COUNTED = """
    count(DISTINCT PatientID) AS patients, count(DISTINCT StudyInstanceUID) AS studies, count(*) AS series,
    sum(instanceCount) AS instances, sum(series_size_MB) AS size_mb, list(DISTINCT Modality) AS modalities,
    list(DISTINCT license_short_name) AS licenses, list(DISTINCT source_DOI) AS dois"""

_COLLECTIONS = f"""
    SELECT collection_id, collection_name, description, cancer_types, tumor_locations, species, program_id,
        status, updated, licenses, dois, counted.modalities, patients, studies, series, instances, size_mb
    FROM read_parquet($about) LEFT JOIN (
        SELECT collection_id, {_COUNTED} FROM read_parquet($index) GROUP BY ALL
    ) AS counted USING (collection_id) ORDER BY collection_id"""  # noqa: S608

_RESULTS = f"""
    SELECT analysis_result_id, analysis_result_title, description, NULL, NULL, NULL, NULL, NULL, updated,
        licenses, dois, counted.modalities, patients, studies, series, instances, size_mb
    FROM read_parquet($about) LEFT JOIN (
        SELECT analysis_result_id, {_COUNTED} FROM read_parquet($index) GROUP BY ALL
    ) AS counted USING (analysis_result_id) ORDER BY analysis_result_id"""  # noqa: S608


def read(db: Any, index: Path, name: str, version: str) -> list[Collection]:
    """Every collection, then every analysis result. Counts are those of the series in the index.

    Raises duckdb.Error where the files of the package are not what they were.
    """
    (as_of,) = db.execute(
        "SELECT max(version_timestamp) FROM read_parquet($about)",
        {"about": str(index.with_name("version_metadata_index.parquet"))},
    ).fetchone()
    source = Source("idc-index-data", f"Python package idc-index-data {version}", "", as_of)
    found: list[Collection] = []
    for file, sql in (("collections_index", _COLLECTIONS), ("analysis_results_index", _RESULTS)):
        paths = {"about": str(index.with_name(f"{file}.parquet")), "index": str(index)}
        rows = db.execute(sql, paths).fetchall()
        derived = file == "analysis_results_index"
        found += [_collection(dict(zip(_COLUMNS, r, strict=True)), name, source, derived) for r in rows]
    return found


def _collection(row: dict[str, Any], name: str, source: Source, derived: bool) -> Collection:
    numbers = {k: row[k] for k in ("patients", "studies", "series", "instances") if row[k] is not None}
    if row["size_mb"] is not None:
        numbers["size_gb"] = round(row["size_mb"] / 1000, 3)
    return Collection(
        archive=name,
        id=row["id"],
        title=row["title"] or row["id"],
        source=source,
        as_of=source.as_of,
        counts={k: Count.read(v) for k, v in numbers.items()},
        modalities=_sorted(row["modalities"]),
        body_parts=_split(row["body_parts"]),
        conditions=_split(row["conditions"]),
        species=_split(row["species"]),
        licenses=_sorted(row["licenses"]),
        dois=_sorted(row["dois"]),
        program=row["program"] or "",
        state=row["state"] or "",
        updated=row["updated"] or "",
        derived=derived,
        held_at=name,
        held_as="AnalysisResult" if derived else "Collection",
        about=" ".join((row["about"] or "").split()),
    )


def _split(text: str | None) -> tuple[str, ...]:
    return tuple(part.strip() for part in (text or "").split(",") if part.strip())


def _sorted(values: Iterable[str | None] | None) -> tuple[str, ...]:
    return tuple(sorted(v for v in values or () if v))
