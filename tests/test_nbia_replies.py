"""What NBIA writes, read as DICOM: names, dates, licences."""

from __future__ import annotations

import pytest

from adapters.nbia.rows import date, said


@pytest.mark.parametrize(
    ("nbias", "dicom"),
    [
        ("2000-01-01 00:00:00.0", "20000101"),
        ("01-31-2000", "20000131"),
        ("20000131", "20000131"),
        ("31/01/00", "31/01/00"),
        ("", ""),
    ],
)
def test_dates(nbias: str, dicom: str) -> None:
    assert date(nbias) == dicom


def test_names_of_every_endpoint_mean_the_same() -> None:
    """As in replies that were recorded, of v1: getSeriesMetaData, getPatient."""
    record = {
        "Series UID": "1.2",
        "Data Description URI": "https://doi.org/10.7937/K9/TCIA.2016.7O02S9CY",
        "Subject ID": "P1",
        "Study Date": "08-29-2017",
        "Number of Images": "1",
        "File Size": "27844690",
        "License Name": "Creative Commons Attribution 3.0 Unported License",
        "License URL": "http://creativecommons.org/licenses/by/3.0/",
        "Annotation Size": "0",
        "Series Description": None,
    }
    assert said(record) == {
        "SeriesInstanceUID": "1.2",
        "SourceDOI": "10.7937/K9/TCIA.2016.7O02S9CY",
        "PatientID": "P1",
        "StudyDate": "20170829",
        "NumberOfSeriesRelatedInstances": "1",
        "SizeInMB": "27.84469",
        "License": "CC BY 3.0",
    }
    assert said({"PatientId": "P2", "PatientName": ""}) == {"PatientID": "P2", "PatientName": ""}


@pytest.mark.parametrize(
    ("licence", "short"),
    [
        ({"LicenseName": "TCIA Restricted License"}, "TCIA Restricted License"),
        ({"LicenseURI": "https://creativecommons.org/licenses/by-nc-sa/4.0/"}, "CC BY-NC-SA 4.0"),
        ({"LicenseURI": "https://creativecommons.org/publicdomain/zero/1.0/"}, "CC0"),
        ({"LicenseName": "Own", "LicenseURI": "https://example.org/terms"}, "Own"),
        ({"LicenseURI": "https://example.org/terms"}, "https://example.org/terms"),
    ],
)
def test_licences(licence: dict[str, str], short: str) -> None:
    assert said(licence) == {"License": short}
