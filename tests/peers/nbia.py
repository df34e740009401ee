"""An NBIA server on loopback, with the manners of its REST API v1 and v4, and their twins that are not well.

What it does was read in NBIA's source, and in replies that were recorded: zero hits are an empty body, null
values are left out, dates have two forms, errors are plain text; v4 refuses parameters that it does not know,
v1 ignores them. As a program it serves collections of the Imaging Data Commons under NBIA's names:
``python tests/peers/nbia.py --collections LIDC-IDRI``.
"""

from __future__ import annotations

import argparse
import asyncio
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from aiohttp import web
from peers.loopback import RestServer, as_json
from peers.nbia_rows import Row, from_idc

BASE = "/nbia-api/services"
TARGET = re.compile(rf"{BASE}/(v1|v4)/(\w+)")

_PATIENT = "PatientName PatientSex PatientBirthDate EthnicGroup".split()
_STUDY = [
    *("StudyInstanceUID StudyDate StudyDescription AdmittingDiagnosesDescription StudyID PatientAge".split()),
    *("PatientID PatientName PatientBirthDate PatientSex EthnicGroup Collection SeriesCount".split()),
]
_SERIES = [
    *("SeriesInstanceUID StudyInstanceUID Modality ProtocolName SeriesDate SeriesDescription".split()),
    *("BodyPartExamined SeriesNumber Collection PatientID Manufacturer ManufacturerModelName".split()),
    *("SoftwareVersions ImageCount".split()),
]
_LICENCE = "LicenseName LicenseURI DataDescriptionURI FileSize StudyDesc StudyDate".split()

COLUMNS = {
    ("v1", "getPatient"): ["PatientId", *_PATIENT, "Collection"],
    ("v4", "getPatient"): [
        "PatientId",
        "PatientName",
        "PatientSex",
        "EthnicGroup",
        "Collection",
        "Authorized",
    ],
    ("v1", "getPatientStudy"): _STUDY,
    ("v4", "getPatientStudy"): [*_STUDY, "Authorized"],
    ("v1", "getSeries"): [*_SERIES, "TimeStamp"],
    ("v4", "getSeries"): [
        *_SERIES,
        "PatientSex",
        "PatientAge",
        "MaxSubmissionTimestamp",
        *_LICENCE,
        "Authorized",
    ],
}
_FILTERS = (
    "Collection PatientID StudyInstanceUID Modality BodyPartExamined Manufacturer ManufacturerModelName"
)
PARAMETERS = {
    "getCollectionValues": ["format"],
    "getModalityValues": ["Collection", "BodyPartExamined", "format"],
    "getBodyPartValues": ["Collection", "Modality", "format"],
    "getModalityValuesAndCounts": ["Collection", "BodyPartExamined"],
    "getBodyPartValuesAndCounts": ["Collection", "Modality"],
    "getPatient": ["format", "PatientId", "Collection"],
    "getPatientStudy": ["format", "Collection", "PatientID", "StudyInstanceUID"],
    "getSeries": ["format", *_FILTERS.split(), "SeriesInstanceUID"],
    "getSeriesMetadata": ["list", "format"],
    "getCollectionValuesAndCounts": ["format"],
    "getCollectionDescriptions": ["collectionName"],
    "getSOPInstanceUIDs": ["SeriesInstanceUID", "format"],
    "getImage": ["SeriesInstanceUID", "NewFileNames"],
    "getImageWithMD5Hash": ["SeriesInstanceUID"],
    "getSingleImage": ["SeriesInstanceUID", "SOPInstanceUID"],
}
_COLUMN_OF = {
    "PatientId": "PatientID",
    "ImageCount": "NumberOfSeriesRelatedInstances",
    "StudyDesc": "StudyDescription",
    "DataDescriptionURI": "SourceDOI",
    "LicenseName": "License",
}
_METADATA = {
    "Series UID": "SeriesInstanceUID",
    "Collection": "Collection",
    "Data Description URI": "SourceDOI",
    "Subject ID": "PatientID",
    "Study UID": "StudyInstanceUID",
    "Study Date": "StudyDate",
    "Series Description": "SeriesDescription",
    "Modality": "Modality",
    "SOP Class UID": "SOPClassUID",
    "Number of Images": "NumberOfSeriesRelatedInstances",
    "File Size": "FileSize",
    "Series Number": "SeriesNumber",
    "License Name": "License",
    "License URL": "LicenseURI",
}
_NUMBERS = frozenset({"SeriesNumber", "ImageCount", "FileSize"})


@dataclass
class NbiaServer(RestServer):
    """An NBIA archive of rows.

    versions             which versions are served; the others are 404, as a page of its web server
    token                wanted as bearer token from whoever sends one; without one everybody is a guest
    private              nobody is a guest
    asks_for_collection  v4's getPatientStudy insists on a collection, as its documentation says
    says_licences        getSeries of v4 says licence and size too
    by_uid               getSeries of v1 knows SeriesInstanceUID; older ones ignore it
    wrong_dates          dates that are none
    deaf                 its lists of values and patients heed no collection: a lying twin
    overcounts           so many more patients than there are are in each of its counts
    """

    rows: Sequence[Row] = ()
    versions: frozenset[str] = frozenset({"v1", "v4"})
    token: str = ""
    private: bool = False
    asks_for_collection: bool = False
    says_licences: bool = True
    by_uid: bool = False
    wrong_dates: bool = False
    deaf: bool = False
    overcounts: int = 0

    @property
    def url(self) -> str:
        """The place that the versions stand below."""
        return self.origin + BASE

    def answer(self, request: web.Request, form: Mapping[str, str]) -> web.Response:
        found = TARGET.fullmatch(request.path)
        if not found or found[1] not in self.versions:
            return web.Response(status=404, text="<html>Not found</html>", content_type="text/html")
        version, endpoint = found[1], found[2]
        refused = self._unauthorised(request) or self._refused(version, endpoint, request.query)
        if refused is not None:
            return refused
        if endpoint.lower() == "getseriesmetadata":
            return self._metadata(version, request, form)
        if endpoint in ("getCollectionValues", "getModalityValues", "getBodyPartValues"):
            return self._values(endpoint.removeprefix("get").removesuffix("Values"), request.query)
        if (version, endpoint) == ("v4", "getCollectionDescriptions"):
            return _listed(self._descriptions())
        if endpoint.endswith("ValuesAndCounts") and version == "v4":
            return self._counts(endpoint.removeprefix("get").removesuffix("ValuesAndCounts"), request.query)
        if (version, endpoint) in COLUMNS:
            return self._listing(version, endpoint, request.query)
        return web.Response(status=404, text="<html>Not found</html>", content_type="text/html")

    def _unauthorised(self, request: web.Request) -> web.Response | None:
        sent = request.headers.get("Authorization")
        if (sent is None and not self.private) or (self.token and sent == f"Bearer {self.token}"):
            return None
        return web.Response(status=401, text="Unauthorized: invalid token", content_type="text/plain")

    def _refused(self, version: str, endpoint: str, query: Mapping[str, str]) -> web.Response | None:
        if version == "v1":
            return None
        allowed = PARAMETERS.get(endpoint, [])
        wrong = next((name for name in query if name not in allowed), None)
        if wrong is not None:
            text = f"Invalid query parameter: '{wrong}'. Allowed parameters are: [{', '.join(allowed)}]"
            return web.Response(status=400, text=text)
        if endpoint == "getPatientStudy" and self.asks_for_collection and "Collection" not in query:
            return web.Response(status=400, text="Missing required parameter: Collection")
        return None

    def _matching(self, query: Mapping[str, str], known: Iterable[str]) -> list[Row]:
        heard = {k: v for k, v in query.items() if k in known and not (self.deaf and k == "Collection")}
        asked = {_COLUMN_OF.get(k, k): v.upper() for k, v in heard.items() if k != "format"}
        return [row for row in self.rows if all(row.get(k, "").upper() == v for k, v in asked.items())]

    def _values(self, of: str, query: Mapping[str, str]) -> web.Response:
        keyword = {"BodyPart": "BodyPartExamined"}.get(of, of)
        rows = self._matching(query, PARAMETERS[f"get{of}Values"])
        found = sorted({row.get(keyword, "") for row in rows})
        cut = (
            15 if of == "BodyPart" else None
        )  # as in the recorded replies; names of collections are whole there
        return _listed([{keyword: text[:cut]} if text else {} for text in found])

    def _counts(self, of: str, query: Mapping[str, str]) -> web.Response:
        """Patients, one for each collection and site, that have a series with the value (June 2026)."""
        rows = self._matching(query, PARAMETERS[f"get{of}ValuesAndCounts"])
        keyword = {"BodyPart": "BodyPartExamined"}.get(of, of)
        held: dict[str, set[tuple[str, ...]]] = {}
        for row in rows:
            value = row.get(keyword, "")
            patient = (row["Collection"], row.get("Site", ""), row["PatientID"])
            held.setdefault(value.upper() if of == "BodyPart" else value, set()).add(patient)
        told = {value: len(patients) + self.overcounts for value, patients in held.items() if value}
        return _listed([{of: value, "Count": count, "Authorized": 1} for value, count in told.items()])

    def _descriptions(self) -> list[dict[str, Any]]:
        """HTML and a DOI of the collections that have one."""
        dois = {r["Collection"]: r["SourceDOI"] for r in self.rows if r.get("SourceDOI")}
        return [
            {
                "id": number,
                "collectionName": name,
                "description": f"<p>Images of <b>{escape(name)}</b>, &lt;i&gt;not&lt;/i&gt; patients</p>",
                "descriptionURI": f"https://doi.org/{doi}",
                "collectionDescTimestamp": 1695410133,
                "licenseId": None,
            }
            for number, (name, doi) in enumerate(sorted(dois.items()), start=101)
        ]

    def _listing(self, version: str, endpoint: str, query: Mapping[str, str]) -> web.Response:
        known = PARAMETERS[endpoint] if version == "v4" else self._known_to_v1(endpoint)
        rows = self._matching(query, known)
        key = {"getPatient": ("Collection", "PatientID"), "getPatientStudy": ("StudyInstanceUID",)}
        if endpoint in key:
            rows = list({tuple(row.get(k) for k in key[endpoint]): row for row in reversed(rows)}.values())[
                ::-1
            ]
        columns = COLUMNS[version, endpoint]
        if not self.says_licences:
            columns = [c for c in columns if c not in ("LicenseName", "LicenseURI", "FileSize")]
        return _listed([self._written(version, row, columns) for row in rows])

    def _known_to_v1(self, endpoint: str) -> list[str]:
        unknown = {"PatientId"} | (set() if self.by_uid else {"SeriesInstanceUID"})
        return [name for name in PARAMETERS[endpoint] if name not in unknown]

    def _written(self, version: str, row: Row, columns: Iterable[str]) -> dict[str, Any]:
        told: dict[str, Any] = {}
        for column in columns:
            value = self._value(version, row, column)
            if value is not None:
                told[column] = value
        return told

    def _value(self, version: str, row: Row, column: str) -> Any:
        if column == "SeriesCount":
            study = row["StudyInstanceUID"]
            return sum(other["StudyInstanceUID"] == study for other in self.rows)
        if column == "Authorized":
            return 1
        text = row.get(_COLUMN_OF.get(column, column))
        if not text:
            return "" if column == "PatientName" else None
        if column in _NUMBERS:
            return int(text)
        if column == "DataDescriptionURI":
            return f"https://doi.org/{text}"
        return self.date(version, text) if column.endswith("Date") else text

    def date(self, version: str, text: str) -> str:
        """A date as a version writes it."""
        digits = re.sub(r"\D", "", text)
        year, month, day = digits[:4], digits[4:6], digits[6:]
        if self.wrong_dates:
            return f"{day}/{month}/{year[2:]}"
        return f"{year}-{month}-{day} 00:00:00.0" if version == "v1" else f"{month}-{day}-{year}"

    def _metadata(self, version: str, request: web.Request, form: Mapping[str, str]) -> web.Response:
        if version == "v4" and request.method != "POST":
            return web.Response(status=405, text="Method Not Allowed")
        given = form.get("list", "").split(",") if version == "v4" else [request.query["SeriesInstanceUID"]]
        rows = [row for row in self.rows if row["SeriesInstanceUID"] in given]
        return _listed([self._described(row) for row in rows])

    def _described(self, row: Row) -> dict[str, str]:
        told = {name: row[keyword] for name, keyword in _METADATA.items() if row.get(keyword)}
        told |= {"Study Date": self.date("v4", row["StudyDate"])} if row.get("StudyDate") else {}
        told |= {"Series Number": f"{float(row['SeriesNumber']):.6f}"} if row.get("SeriesNumber") else {}
        return told | {"Annotation Size": "0"}


def _listed(rows: list[dict[str, Any]]) -> web.Response:
    """Zero hits are an empty body."""
    return as_json(rows) if rows else web.Response(body=b"", content_type="application/json")


async def _serve(collections: Iterable[str], port: int) -> None:
    async with NbiaServer(rows=from_idc(collections), port=port) as server:
        print(server.url, f"{len(server.rows)} series", flush=True)
        await asyncio.Event().wait()


def main() -> None:
    """Serve collections of the Imaging Data Commons until interrupted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--collections", nargs="+", default=["LIDC-IDRI"])
    parser.add_argument("--port", type=int, default=0)
    given = parser.parse_args()
    asyncio.run(_serve(given.collections, given.port))


if __name__ == "__main__":
    main()
