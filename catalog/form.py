"""The form of the files in `catalog/data`, as pydantic models: what may stand where, and what it means."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from catalog.collection import Count
from catalog.evidence import DATE, Basis, Confidence, Status

WORDS = 25  # the longest quote

Text = Annotated[str, Field(min_length=1)]


def _passed(text: str) -> str:
    """A date that there is, and that has come somewhere on Earth."""
    today = (datetime.now(UTC) + timedelta(hours=14)).date().isoformat()
    for part in text.split("/"):
        day = part[:10]
        if len(day) == len(today):
            date.fromisoformat(day)
        if day > today[: len(day)]:
            raise ValueError(f"{text} is in the future (today is {today})")
    return text


Date = Annotated[str, Field(pattern=rf"^({DATE.pattern})?$"), AfterValidator(_passed)]
Address = Annotated[str, Field(pattern=r"^https?://[^\s;]+$")]


class Form(BaseModel):
    """Nothing that is not known, nothing converted."""

    model_config = ConfigDict(extra="forbid", strict=True)


class SourceForm(Form):
    """A table of `sources.toml`."""

    title: Text
    as_of: Date
    url: Address | None = None


class Quoting(Form):
    """What cites a source, and perhaps quotes it."""

    source: Text
    as_of: Date
    quote: Text | None = None

    @field_validator("quote")
    @classmethod
    def _short(cls, quote: str | None) -> str | None:
        if quote and len(quote.split()) > WORDS:
            raise ValueError(f"a quote has at most {WORDS} words; this has {len(quote.split())}")
        return quote


class EvidenceForm(Quoting):
    """One `[[cells.CAPABILITY]]`."""

    status: Literal[tuple(map(str, Status))]  # type: ignore[valid-type]
    kind: Literal[tuple(map(str, Basis))]  # type: ignore[valid-type]
    confidence: Literal[tuple(map(str, Confidence))]  # type: ignore[valid-type]
    value: Text | None = None
    place: Literal["table", "prose"] | None = None
    note: Text | None = None

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.status != Status.UNKNOWN and not self.value:
            raise ValueError("value is missing; only an unknown cell may be without")
        if self.status in (Status.TEXT, Status.NUMBER) and self.confidence == Confidence.UNKNOWN:
            raise ValueError("confidence is unknown, but there is an answer")
        if (self.place is not None) != (self.kind == Basis.SURVEY):
            raise ValueError('place says where in the survey: it belongs to kind = "survey", and only there')
        return self


class UnknownForm(Form):
    """One `[[unknown]]`: capabilities of which nothing is known, and why."""

    why: Text
    capabilities: Annotated[list[Text], Field(min_length=1)]
    source: Text | None = None


class TodayForm(Form):
    """The table `[today]`."""

    state: Literal["alive", "moved", "retired", "unknown"]
    as_of: Date
    name: Text | None = None
    url: Address | None = None
    successors: list[Text] = []
    software: Text | None = None
    api: Text | None = None
    access: Text | None = None
    note: Text | None = None
    evidence: list[Quoting] = []

    @model_validator(mode="after")
    def _shown(self) -> Self:
        if self.state != "unknown" and not self.evidence:
            raise ValueError(f"state is {self.state!r}, but [[today.evidence]] says nothing")
        return self


class RouteForm(Form):
    """The table `[route]`."""

    how: Literal["adapter", "catalog", "collection record", "matrix only"]
    why: Text
    ask: list[Text] = []
    adapters: list[Text] = []
    importers: list[Text] = []
    files: Text | None = None

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.how == "adapter" and not (self.ask and self.adapters):
            raise ValueError("an adapter route needs ask and adapters")
        if self.how == "catalog" and not (self.importers and self.files):
            raise ValueError("a catalog route needs importers and files")
        return self


class SoftwareForm(Form):
    """A file of `software/`."""

    title: Text
    layer: Literal["survey", "today"]
    order: int
    note: Text | None = None
    unknown: list[UnknownForm] = []
    cells: dict[str, Annotated[list[EvidenceForm], Field(min_length=1)]] = {}


class ArchiveForm(SoftwareForm):
    """A file of `archives/`. `column`: its column in the table of the survey, if it had one."""

    today: TodayForm
    route: RouteForm
    institution: Text | None = None
    column: int | None = None


class CollectionForm(Quoting):
    """One `[[collections]]`; a count is a number or `"~5000"`, `">800"`, `"<300"`."""

    id: Text
    title: Text
    collections: int | str | None = None
    patients: int | str | None = None
    studies: int | str | None = None
    series: int | str | None = None
    instances: int | str | None = None
    images: int | str | None = None
    size_gb: float | str | None = None
    modalities: list[Annotated[str, Field(pattern=r"^[A-Z0-9]{2,16}$")]] = []
    techniques: list[Text] = []
    body_parts: list[Text] = []
    conditions: list[Text] = []
    species: list[Text] = []
    licenses: list[Text] = []
    dois: list[Annotated[str, Field(pattern=r"^10\.\d{4,}/\S+$")]] = []
    same_as: list[Annotated[str, Field(pattern=r"^[^/]+/.+$")]] = []
    derived: bool = False
    note: Text | None = None
    about: Text | None = None

    @field_validator(*Count.NAMES)
    @classmethod
    def _count(cls, given: Any) -> Any:
        if given is not None:
            Count.read(given)
        return given


class CollectionsForm(Form):
    """A file of `collections/`."""

    collections: Annotated[list[CollectionForm], Field(min_length=1)]
    held_at: Text | None = None


class FederatedForm(BaseModel):
    """An archive of `federation.toml`, as far as other files name it: the broker reads the rest."""

    adapter: Text
    as_of: Date = ""


class FederationForm(BaseModel):
    """The file `federation.toml`."""

    archives: dict[str, FederatedForm]


class CapabilityForm(Form):
    """One capability of `capabilities.toml`."""

    id: Annotated[str, Field(pattern=r"^[a-z][a-z_]*$")]
    label: Text
    short: Annotated[str, Field(max_length=10)]
    about: Text


class SurveyForm(Form):
    """What is to be said of the survey as a whole."""

    title: Text
    as_of: Date
    source: Text
    notes: list[Text]


class CapabilitiesForm(Form):
    """The file `capabilities.toml`."""

    survey: SurveyForm
    archives: list[CapabilityForm]
    software: list[CapabilityForm]
