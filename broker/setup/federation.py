"""The form of a federation file, checked with pydantic: what a user wrote is never taken on trust."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from broker.errors import BadConfig
from catalog.nearest import near

NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"


class Auth(BaseModel):
    """How to log in; `password`, `token` and `value` are references such as `env:NAME`."""

    model_config = ConfigDict(extra="forbid", strict=True)

    kind: Literal["none", "basic", "bearer", "header", "netrc", "jsession"]
    username: str | None = None
    password: str | None = None
    token: str | None = None
    name: str | None = None
    value: str | None = None


class Entry(BaseModel):
    """One `[archives.NAME]` table; `adapter` may be left out where a shipped archive is changed."""

    model_config = ConfigDict(extra="forbid", strict=True)

    adapter: str | None = None
    title: str | None = None
    url: Annotated[str, Field(pattern=r"^[a-z][a-z0-9+.-]*://[^\s@]+$")] | None = None
    asked: bool | None = None
    trust: Literal["trusted", "public"] | None = None
    identified: bool | None = None
    distance: Annotated[float, Field(ge=0, strict=False)] | None = None
    state: Literal["embedded", "alive", "moved", "retired", "unknown"] | None = None
    as_of: str | None = None
    cite: str | None = None
    note: str | None = None
    auth: Auth | None = None
    options: dict[str, Any] | None = None
    network: dict[str, str | bool] | None = None
    limits: dict[str, int | float] | None = None


class Catalog(BaseModel):
    """The `[catalog]` table: where imported holdings are kept, in a file or in PostgreSQL."""

    model_config = ConfigDict(extra="forbid", strict=True)

    path: str | None = None
    url: Annotated[str, Field(pattern=r"^postgres(ql)?://([^\s:@/?]+@)?[^\s@?]+$")] | None = None
    password: str | None = None


class Links(BaseModel):
    """The `[links]` table: what is declared about identity."""

    model_config = ConfigDict(extra="forbid", strict=True)

    domains: list[list[str]] = []
    bridges: list[Annotated[list[str], Field(min_length=2, max_length=2)]] = []
    aliases: dict[str, str] = {}
    crosswalk: str | None = None


class Copies(BaseModel):
    """The `[copies]` table: which of several copies is preferred."""

    model_config = ConfigDict(extra="forbid", strict=True)

    prefer: Literal["order", "instances", "license", "nearest"] = "order"


class Trail(BaseModel):
    """The `[audit]` table: where queries are recorded, and whether nothing is asked without."""

    model_config = ConfigDict(extra="forbid", strict=True)

    file: str
    required: bool = False


class File(BaseModel):
    """A federation file."""

    model_config = ConfigDict(extra="forbid", strict=True)

    archives: dict[Annotated[str, Field(pattern=NAME)], Entry] = {}
    links: Links = Links()
    copies: Copies = Copies()
    audit: Trail | None = None
    catalog: Catalog = Catalog()


def checked(file: Path, raw: dict[str, Any]) -> tuple[dict[str, dict[str, Any]], File]:
    """The archives of a federation file, only what was set, and the whole file.

    Raises BadConfig naming file and field. Values are not repeated in errors: somebody may have
    written a secret there.
    """
    try:
        read = File.model_validate(raw)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"] if part != "[key]")
        more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
        raise BadConfig(f"{file}: {place}: {_plainly(first)}{more}") from None
    return {n: e.model_dump(exclude_none=True) for n, e in read.archives.items()}, read


_PLAINLY = {
    ("string_pattern_mismatch", "url"): "write it with its scheme and without a user name, as in "
    "https://pacs.example.org/dicom-web or dimse://pacs.example.org:104",
    ("string_pattern_mismatch", "[key]"): "a name has letters, digits, . _ - and no spaces",
}


_TABLES: dict[str | int, type[BaseModel]] = {
    **{"auth": Auth, "links": Links, "copies": Copies, "audit": Trail, "catalog": Catalog},
    **{1: File, 3: Entry},  # by the length of its place
}


def _plainly(error: ErrorDetails) -> str:
    """What is wrong, for people who do not know pydantic."""
    field = str(error["loc"][-1])
    if error["type"] == "extra_forbidden":
        known = _TABLES[
            str(error["loc"][-2]) if len(error["loc"]) in (2, 4) else len(error["loc"])
        ].model_fields
        return f"there is no such field; known are {', '.join(known)}{near(field, known)}"
    return _PLAINLY.get((error["type"], field), error["msg"].replace("Input should be", "must be"))
