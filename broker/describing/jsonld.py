"""A data set as JSON-LD: Croissant 1.0 (MLCommons), schema.org Dataset, and DCAT 3 (W3C)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from broker.answering.columns import Column
from broker.describing.facts import Facts

SCHEMA = "https://schema.org/"
DATA_TYPES = {"text": "sc:Text", "integer": "sc:Integer", "number": "sc:Float", "date": "sc:Date"}

_CR = (
    "citeAs column equivalentProperty extract field fileProperty fileObject fileSet format includes "
    "isLiveDataset jsonPath key md5 parentField path recordSet references regex repeated replace "
    "samplingRate separator source subField transform"
)


@dataclass(frozen=True, slots=True)
class DataFile:
    """The table of a data set: one row an entity. `name` is relative to the description."""

    name: str
    sha256: str
    size: int
    columns: Sequence[Column]


def croissant(about: Facts, file: DataFile) -> dict[str, Any]:
    """Croissant 1.0 (https://docs.mlcommons.org/croissant/docs/croissant-spec.html), a field a column."""
    fields = [_field(column, file.name) for column in file.columns]
    return {
        "@context": _context(),
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        **_common(about),
        "version": "1.0.0",
        "citeAs": "; ".join(f"https://doi.org/{doi}" for doi in about.dois) or about.description,
        "distribution": [
            {
                "@type": "cr:FileObject",
                "@id": file.name,
                "name": file.name,
                "contentUrl": file.name,
                "contentSize": f"{file.size} B",
                "encodingFormat": "application/x-parquet",
                "sha256": file.sha256,
            }
        ],
        "recordSet": [
            {
                "@type": "cr:RecordSet",
                "@id": "entities",
                "name": "entities",
                "description": f"One row a {about.level.name.lower()}.",
                "field": fields,
            }
        ],
    }


def _field(column: Column, file: str) -> dict[str, Any]:
    unit = f"; {column.unit}" if column.unit else ""
    return {
        "@type": "cr:Field",
        "@id": f"entities/{column.name}",
        "name": column.name,
        "description": f"{column.source}{unit}",
        "dataType": DATA_TYPES[column.type],
        "source": {"fileObject": {"@id": file}, "extract": {"column": column.name}},
    }


def _context() -> dict[str, Any]:
    """The context that the specification gives."""
    names: dict[str, Any] = {name: f"cr:{name}" for name in _CR.split()}
    return {
        "@language": "en",
        "@vocab": SCHEMA,
        "cr": "http://mlcommons.org/croissant/",
        "rai": "http://mlcommons.org/croissant/RAI/",
        "dct": "http://purl.org/dc/terms/",
        "sc": SCHEMA,
        **names,
        "conformsTo": "dct:conformsTo",
        "data": {"@id": "cr:data", "@type": "@json"},
        "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
        "examples": {"@id": "cr:examples", "@type": "@json"},
    }


def schema_org(about: Facts) -> dict[str, Any]:
    """A Dataset of schema.org (https://schema.org/Dataset)."""
    found = {"@context": SCHEMA, "@type": "Dataset", **_common(about)}
    parts = [{"@type": "Dataset", "name": name} for name in about.collections]
    return {
        **found,
        **_given(
            isBasedOn=[f"https://doi.org/{doi}" for doi in about.dois],
            temporalCoverage="/".join(about.dates) if about.dates else None,
            measurementTechnique=list(about.modalities),
            hasPart=parts,
            size=f"{about.megabytes:.1f} MB" if about.megabytes is not None else None,
        ),
    }


def dcat(about: Facts) -> dict[str, Any]:
    """A dcat:Dataset (https://www.w3.org/TR/vocab-dcat-3/)."""
    period = {"@type": "dct:PeriodOfTime"}
    if about.dates:
        for name, day in zip(("dcat:startDate", "dcat:endDate"), about.dates, strict=True):
            period[name] = {"@value": day, "@type": "xsd:date"}  # type: ignore[assignment]
    urls = [u for u in about.license_urls if u.startswith("https://")]
    return {
        "@context": {
            "dcat": "http://www.w3.org/ns/dcat#",
            "dct": "http://purl.org/dc/terms/",
            "xsd": "http://www.w3.org/2001/XMLSchema#",
        },
        "@type": "dcat:Dataset",
        "dct:title": about.name,
        "dct:description": about.description,
        "dct:issued": {"@value": about.made, "@type": "xsd:dateTime"},
        "dcat:keyword": [*about.modalities, *about.body_parts],
        **_given(
            **{
                "dct:license": [{"@id": url} for url in urls],
                "dct:rights": [name for name in about.license_urls if name not in urls],
                "dct:source": [{"@id": f"https://doi.org/{doi}"} for doi in about.dois],
                "dct:temporal": period if about.dates else None,
            }
        ),
    }


def _common(about: Facts) -> dict[str, Any]:
    return {
        "name": about.name,
        "description": about.description,
        "datePublished": about.made,
        **_given(
            url=f"https://doi.org/{about.dois[0]}" if len(about.dois) == 1 else None,
            license=about.license_urls,
            keywords=["medical imaging", "DICOM", *about.modalities, *about.body_parts],
        ),
    }


def _given(**values: Any) -> dict[str, Any]:
    """Only what there is; lists of one as they are, for both forms are JSON-LD."""
    return {name: value for name, value in values.items() if value not in (None, [])}
