"""Studies as FHIR: a Bundle of ImagingStudy resources (R4, https://hl7.org/fhir/R4/imagingstudy.html).

Names of patients are never in it; a PatientID is, with the archive and collection within which it means one.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from typing import Any

from broker.answer import Answer
from broker.answering.columns import DATE, typed
from broker.errors import BadQuery
from broker.joining.entity import Entity
from broker.joining.words import listed
from broker.manifests.items import Item, items, web
from broker.matching import Value
from broker.meaning import values
from broker.safe import line
from catalog.archives import Archive
from catalog.keywords import Level

DCM = "http://dicom.nema.org/resources/ontology/DCM"
ABSENT = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"
CONNECTION = "http://terminology.hl7.org/CodeSystem/endpoint-connection-type"
_MOST = 2**31 - 1  # what positiveInt and unsignedInt can hold


def bundle(answer: Answer, archives: Mapping[str, Archive], made: str) -> dict[str, Any]:
    """The studies of an answer, with the series that it found. Raises BadQuery for an answer of patients.

    Studies without a valid UID are left out: FHIR has no other name for them.
    """
    if answer.query.level is Level.PATIENT:
        raise BadQuery("an ImagingStudy is a study: ask for studies or series instead of patients")
    parts: dict[str, list[Entity]] = {}
    for e in answer.series:
        uid = values.uid(_text(e.first("StudyInstanceUID")))
        if uid is not None and e.uid is not None:
            parts.setdefault(uid, []).append(e)
    given = zip(answer.studies, _items(answer, archives), strict=True)
    studies = [(e, item) for e, item in given if e.uid is not None]
    entries = [
        {"fullUrl": _name(e), "resource": _study(e, item, parts.get(e.uid or "", []))} for e, item in studies
    ]
    whole = {"resourceType": "Bundle", "type": "collection", "timestamp": made}
    return {**whole, "entry": entries} if entries else whole


def _name(e: Entity) -> str:
    """The same for the same study everywhere; the sides of a collision are told apart by their archives."""
    side = " " + " ".join(e.archives) if e.collision else ""
    return f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_OID, f'{e.uid}{side}')}"


def _items(answer: Answer, archives: Mapping[str, Archive]) -> list[Item]:
    from dataclasses import replace

    from broker.query import Query

    return items(replace(answer, query=Query(Level.STUDY), entities=answer.studies), archives)


def _study(e: Entity, item: Item, series: list[Entity]) -> dict[str, Any]:
    said = e.values
    shown = series if series else [e]
    modalities = dict.fromkeys(m for s in shown for m in _codes(s.values))
    base = next((address for copy in item.copies if (address := web(copy))), None)
    found: dict[str, Any] = {
        "resourceType": "ImagingStudy",
        "identifier": [{"system": "urn:dicom:uid", "value": f"urn:oid:{e.uid}"}],
        "status": "available",
        "modality": [{"system": DCM, "code": code} for code in modalities],
        "subject": _subject(e, said),
        "started": _day(said.get("StudyDate")),
        "numberOfSeries": _number(said.get("NumberOfStudyRelatedSeries")),
        "numberOfInstances": _number(said.get("NumberOfStudyRelatedInstances")),
        "description": _words(said.get("StudyDescription")),
        "series": [_series(s, s.values) for s in series],
    }
    if base is not None:
        found["contained"] = [_endpoint(base)]
        found["endpoint"] = [{"reference": "#wado"}]
    return {name: value for name, value in found.items() if value not in (None, [], "")}


def _series(e: Entity, said: Mapping[str, Value]) -> dict[str, Any]:
    codes = list(_codes(said))
    missing = {"extension": [{"url": ABSENT, "valueCode": "unknown"}]}
    body = _words(said.get("BodyPartExamined"))
    found: dict[str, Any] = {
        "uid": e.uid,
        "number": _number(said.get("SeriesNumber")),
        "modality": {"system": DCM, "code": codes[0]} if codes else missing,
        "description": _words(said.get("SeriesDescription")),
        "numberOfInstances": _number(said.get("NumberOfSeriesRelatedInstances")),
        "bodySite": {"display": body} if body else None,
        "started": _day(said.get("SeriesDate")),
    }
    return {name: value for name, value in found.items() if value not in (None, "")}


def _endpoint(base: str) -> dict[str, Any]:
    return {
        "resourceType": "Endpoint",
        "id": "wado",
        "status": "active",
        "connectionType": {"system": CONNECTION, "code": "dicom-wado-rs"},
        "payloadType": [{"text": "DICOM"}],
        "address": base,
    }


def _subject(e: Entity, said: Mapping[str, Value]) -> dict[str, Any]:
    """Whose study it is: an identifier within its archive and collection, or that nobody says."""
    patient = _words(said.get("PatientID"))
    if not patient:
        return {"display": "not said"}
    collection = _words(said.get("Collection"))
    within = f"{e.archives[0]}, collection {collection}" if collection else e.archives[0]
    return {"identifier": {"value": patient, "assigner": {"display": line(within)}}}


def _codes(said: Mapping[str, Value]) -> Iterable[str]:
    """Modalities as codes: no blanks within (FHIR's `code`)."""
    own = [v for k in ("Modality", "ModalitiesInStudy") for v in listed(said.get(k))]
    return dict.fromkeys(bare for v in own if (bare := line(v).strip()) and " " not in bare)


def _text(value: Value) -> str:
    return value if isinstance(value, str) else ""


def _words(value: Value) -> str:
    return line(", ".join(listed(value))).strip()


def _day(value: Value) -> str | None:
    day = typed(DATE, value)
    return str(day) if day is not None else None


def _number(value: Value) -> int | None:
    read = typed("integer", value)
    return read if isinstance(read, int) and 0 <= read <= _MOST else None
