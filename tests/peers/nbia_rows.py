"""What our NBIA server holds: fixture studies, or collections of the Imaging Data Commons by NBIA's names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from catalog.keywords import USUAL, Level, keyword

Row = Mapping[str, str]
"""One series with its study and patient: DICOM keyword -> text; LicenseURI and FileSize are NBIA's own."""

LICENCES = {
    "CC BY 3.0": (
        "Creative Commons Attribution 3.0 Unported License",
        "http://creativecommons.org/licenses/by/3.0/",
    ),
    "CC BY-NC 4.0": (
        "Creative Commons Attribution-NonCommercial 4.0 International License",
        "https://creativecommons.org/licenses/by-nc/4.0/",
    ),
    "CC BY 4.0": (
        "Creative Commons Attribution 4.0 International License",
        "https://creativecommons.org/licenses/by/4.0/",
    ),
}


def fixture_rows(archive: str = "b") -> list[Row]:
    """The fixture studies of an archive in three collections, as NBIA would keep them: without times."""
    from fixtures.dicom import truth

    gone = {"StudyTime", "AccessionNumber", "ReferringPhysicianName", "OperatorsName", "ModalitiesInStudy"}
    rows: list[Row] = []
    for held in truth()["archives"][archive]:
        for series in held["series"]:
            said = {k: v for k, v in {**held["study"], **series}.items() if isinstance(v, str) and v}
            rows.append({k: v for k, v in said.items() if k not in gone and "StudyRelated" not in k})
    return _of_one_patient([_collected(row) for row in rows])


def _of_one_patient(rows: Sequence[Row]) -> list[Row]:
    """NBIA keeps one record of a patient: the first one, of a collection and PatientID."""
    patients: dict[tuple[str, str], Row] = {}
    for row in rows:
        about = {k: v for k, v in row.items() if k in USUAL and USUAL[k].level is Level.PATIENT}
        patients.setdefault((row["Collection"], row["PatientID"]), about)
    return [{**row, **patients[row["Collection"], row["PatientID"]]} for row in rows]


def _collected(row: Row) -> Row:
    description = row.get("StudyDescription", "")
    collection, licence = ("Thorax-CT", "CC BY 3.0") if "CT" in description else ("Other_Cases", "")
    if description.startswith("MR"):
        collection, licence = "Brain MR (2)", "CC BY-NC 4.0"
    name, uri = LICENCES.get(licence, ("", ""))
    size = str(527_022 * int(row["NumberOfSeriesRelatedInstances"]))
    more = {"Collection": collection, "License": name, "LicenseURI": uri, "FileSize": size}
    more["SourceDOI"] = "10.7937/broker.fixtures"
    dates = {k: re.sub(r"\D", "", v) for k, v in row.items() if k.endswith("Date")}
    return {k: v for k, v in {**row, **more, **dates}.items() if v}


def known(rows: Iterable[Row]) -> dict[Level, list[dict[str, str]]]:
    """The rows as records of the three levels, as DICOM writes them: what an adapter should give of them."""
    series = [_as_dicom(row) for row in rows]
    return {
        Level.PATIENT: _once(series, Level.PATIENT, ("Collection", "PatientID")),
        Level.STUDY: _once(series, Level.STUDY, ("StudyInstanceUID",)),
        Level.SERIES: series,
    }


def _once(series: Iterable[Mapping[str, str]], level: Level, unique: tuple[str, ...]) -> list[dict[str, str]]:
    kept = [{k: v for k, v in row.items() if keyword(k).level <= level} for row in series]
    return [dict(row) for row in first(kept, unique)]


def _as_dicom(row: Row) -> dict[str, str]:
    told = {k: v for k, v in row.items() if k not in ("LicenseURI", "FileSize")}
    short = {name: licence for licence, (name, _) in LICENCES.items()}
    told |= {"License": short.get(row["License"], row["License"])} if "License" in row else {}
    return told | ({"SizeInMB": f"{int(row['FileSize']) / 1e6}"} if "FileSize" in row else {})


def idc_name(collection: str) -> str:
    """The id that the Imaging Data Commons gives to a collection of NBIA."""
    return re.sub(r"[^a-z0-9]+", "_", collection.lower()).strip("_")


def from_idc(collections: Iterable[str]) -> list[Row]:
    """The series of collections by NBIA's names, ``LIDC-IDRI``, from the Imaging Data Commons' index."""
    import duckdb
    import idc_index_data

    rows: list[Row] = []
    for collection in collections:
        found = duckdb.execute(
            f"""SELECT PatientID, PatientSex, PatientAge, StudyInstanceUID, replace(StudyDate, '-', '') AS
            StudyDate, StudyDescription, SeriesInstanceUID, Modality, BodyPartExamined, SeriesDescription,
            SeriesNumber, replace(SeriesDate, '-', '') AS SeriesDate, Manufacturer, ManufacturerModelName,
            instanceCount AS NumberOfSeriesRelatedInstances, license_short_name AS License,
            source_DOI AS SourceDOI, CAST(series_size_MB * 1000000 AS BIGINT) AS FileSize, SOPClassUID
            FROM read_parquet('{idc_index_data.IDC_INDEX_PARQUET_FILEPATH}')
            WHERE collection_id = ? AND analysis_result_id IS NULL
            ORDER BY PatientID, StudyInstanceUID, SeriesNumber""",
            [idc_name(collection)],
        )
        names = [column[0] for column in found.description or ()]
        for line in found.fetchall():
            row = {k: str(v) for k, v in zip(names, line, strict=True) if v is not None}
            name, uri = LICENCES.get(row.get("License", ""), (row.get("License", ""), ""))
            rows.append({**row, "Collection": collection, "License": name, "LicenseURI": uri})
    return rows


def first(rows: Sequence[Row], unique: tuple[str, ...]) -> list[Row]:
    """The first row of each combination of values."""
    return list({tuple(row.get(k) for k in unique): row for row in reversed(rows)}.values())[::-1]
