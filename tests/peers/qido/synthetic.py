"""Synthetic archives of any size."""

from __future__ import annotations

from fixtures.dicom import Holding, Record


def synthetic(archive: int, studies: int) -> list[Holding]:
    """That many studies of two series each; those of different archives differ in every UID."""
    return [_synthetic_study(archive, number) for number in range(1, studies + 1)]


def _synthetic_study(archive: int, number: int) -> Holding:
    uid = f"2.25.{(archive + 1) * 10**6 + number}"
    modality = ("CT", "MR", "PT", "MG", "US")[number % 5]
    study: Record = {
        "StudyInstanceUID": uid,
        "PatientName": f"PATIENT^{number:05}",
        "PatientID": f"{archive:03}-{number:05}",
        "PatientSex": "FM"[number % 2],
        "StudyDate": f"{2000 + number % 20}{1 + number % 12:02}{1 + number % 28:02}",
        "StudyTime": f"{number % 24:02}{number % 60:02}00",
        "AccessionNumber": f"A{archive:03}{number:05}",
        "StudyDescription": f"{modality} study {number}",
        "ModalitiesInStudy": [modality, "SR"],
        "NumberOfStudyRelatedSeries": "2",
        "NumberOfStudyRelatedInstances": "101",
    }
    series = [(modality, "CHEST", "Axial", "100"), ("SR", "", "Report", "1")]
    keywords = ("Modality", "BodyPartExamined", "SeriesDescription", "NumberOfSeriesRelatedInstances")
    rows: list[Record] = []
    for n, told in enumerate(series, start=1):
        rows.append({"SeriesInstanceUID": f"{uid}.{n}", "SeriesNumber": str(n)})
        rows[-1].update(zip(keywords, told, strict=True))
    return {"study": study, "series": rows}
