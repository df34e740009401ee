"""The published form of an answer, as pydantic models: for validation, and as JSON Schema.

`broker schema` prints the schema; `AnswerModel.model_validate_json` reads what `--format json` wrote.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from broker.answering.export import FORMAT

Item = dict[str, Any]
Text = str | list[str] | list[Item] | None


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid")


class QueryModel(_Model):
    """The question: conditions as the query language writes them."""

    level: Literal["PATIENT", "STUDY", "SERIES"]
    conditions: list[str]
    limit: int | None


class LocationModel(_Model):
    """One copy and what its archive says of it; `retrieved` is seconds since the epoch."""

    archive: str
    own_id: str = Field(description="the archive's own identifier, empty where it names none")
    version: str = Field(description="which state of the data it is, empty where the archive does not say")
    url: str
    instances: int | None
    megabytes: float | None
    license: str
    retrieved: float


class LinkModel(_Model):
    """Why records of several archives are one (docs/identity.md)."""

    tier: Literal["T0", "T1", "T1c", "T2", "T3"]
    archives: list[str]
    by: str = Field(description="what joined them: a keyword, a value, or the crosswalk")
    version: str = Field(description="the version of the rules")


class EntityModel(_Model):
    """One patient, study or series, and every archive's word on it."""

    level: Literal["PATIENT", "STUDY", "SERIES"]
    uid: str | None = Field(description="DICOM UID; null for patients and for what has no valid one")
    archives: list[str] = Field(description="archives that know it, by precedence")
    values: dict[str, Text] = Field(description="keyword -> value to show, by precedence of the archives")
    said: dict[str, dict[str, Text]] = Field(description="archive -> keyword -> value as the archive said it")
    normal: dict[str, dict[str, Text]] = Field(
        description="archive -> keyword -> value in DICOM's own form, where the archive wrote it otherwise"
    )
    unreadable: dict[str, list[str]] = Field(description="archive -> keywords whose value cannot be read")
    conflicts: dict[str, dict[str, Text]] = Field(
        description="keyword -> archive -> value, where they differ"
    )
    collision: dict[str, dict[str, Text]] = Field(
        description="keyword -> archive -> value: why this is one side of a collision, and was not fused"
    )
    unknown: dict[str, list[str]] = Field(
        description="archive -> conditions that its record leaves undecided"
    )
    links: list[LinkModel] = Field(description="why several archives' records are one")
    locations: list[LocationModel] = Field(description="every copy, the preferred one first")
    records: int = Field(ge=1, description="records that were joined")


class ReportModel(_Model):
    """One archive's part in the answer."""

    archive: str
    status: Literal["ok", "partial", "failed", "skipped", "refused"]
    reason: str = Field(description="short stable word, empty where there is nothing to say")
    detail: str
    level: str = Field(description="level at which it was asked, empty if it was not")
    asked: list[str]
    checked: list[str]
    refused: list[str]
    fetched: int = Field(ge=0)
    kept: int = Field(ge=0)
    unknown: dict[str, int] = Field(description="records left out, or flagged, for want of a usable value")
    untold: list[str] = Field(description="asked there; how many records leave them undecided is not known")
    broken: dict[str, int]
    bad: int = Field(ge=0)
    notes: list[str]
    more: bool
    via: str
    first: float | None
    seconds: float


class AnswerModel(_Model):
    """The whole answer."""

    format: Literal["imaging-broker/answer/1"]
    query: QueryModel
    complete: bool = Field(description="every archive answered completely")
    more: bool = Field(description="more entities exist than are listed")
    total: int = Field(ge=0, description="entities in all; at least so many where `exact` is false")
    exact: bool
    next: str | None = Field(description="cursor of the next page of an ordered answer (--after)")
    entities: list[EntityModel]
    reports: list[ReportModel]


def json_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of an answer."""
    schema = AnswerModel.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": f"urn:{FORMAT}", **schema}
