"""Cohorts as plain files: a query in JSON, and for each run a JSON record and the records as Parquet.

    NAME/cohort.json           the query, where it was asked, how
    NAME/runs/TIME.json        versions, times, reports, the hash of the result
    NAME/runs/TIME.parquet     one row a record: entity, archive, retrieved, unknown, and a column a keyword

A column is text; null is "said nothing", "" is "said that there is none". Columns named in `lists` of the run
are lists of texts, because some value is several; those in `sequences` are JSON.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from broker.adapter import as_value
from broker.answering.export import plain, report
from broker.cohorts.record import Record
from broker.errors import BadConfig
from broker.files import whole
from broker.matching import Value
from broker.report import Report, Status
from catalog import places

COHORT, RUN = "imaging-broker/cohort/1", "imaging-broker/run/1"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_OWN = ("entity", "archive", "retrieved", "unknown")


@dataclass(frozen=True, slots=True)
class Folder:
    """Where one cohort is kept."""

    name: str
    place: Path

    @classmethod
    def of(cls, name: str, folder: str | Path | None = None) -> Folder:
        """By name, in `folder` or the user's data directory. Raises BadConfig for what is no name."""
        if not _NAME.fullmatch(name):
            raise BadConfig(
                f"{name!r} is no name for a cohort: letters, digits, . _ - and at most 64 of them"
            )
        return cls(name, _home(folder) / name)

    @property
    def exists(self) -> bool:
        """Whether there is a cohort."""
        return (self.place / "cohort.json").is_file()

    def runs(self) -> list[str]:
        """The runs, oldest first."""
        return sorted(file.stem for file in (self.place / "runs").glob("*.json"))

    def cohort(self) -> dict[str, Any]:
        """The saved query. Raises BadConfig where there is none."""
        if not self.exists:
            known = ", ".join(names(self.place.parent)) or "none"
            raise BadConfig(f"no cohort {self.name!r} in {self.place.parent}; there are: {known}")
        return _read(self.place / "cohort.json", COHORT)

    def run(self, run: str) -> dict[str, Any]:
        """The record of one run. Raises BadConfig."""
        return _read(self.place / "runs" / f"{run}.json", RUN)

    def records(self, run: str) -> list[Record]:
        """What the archives said in a run. Raises BadConfig."""
        about = self.run(run)
        return list(_records(self.place / "runs" / f"{run}.parquet", about)) if about["records"] else []

    def save(self, cohort: Mapping[str, Any]) -> None:
        """Keep a query. Raises BadConfig."""
        try:
            (self.place / "runs").mkdir(parents=True, exist_ok=True, mode=0o700)
            _write(self.place / "cohort.json", {"format": COHORT, **cohort})
        except OSError as error:
            raise BadConfig(f"cohort {self.name}: {self.place}: {error.strerror}") from error

    def add(self, run: str, about: Mapping[str, Any], found: Sequence[Record]) -> None:
        """Keep a run: the records first, so that a run that can be seen is whole. Raises BadConfig."""
        place = self.place / "runs" / f"{run}.parquet"
        try:
            forms = _forms(found)
            if found:
                _parquet(place, found, forms)
            kinds = {
                kind: [k for k, form in forms.items() if form == kind] for kind in ("lists", "sequences")
            }
            _write(place.with_suffix(".json"), {"format": RUN, **about, "records": len(found), **kinds})
        except OSError as error:
            raise BadConfig(f"cohort {self.name}: {place}: {error.strerror}") from error


def names(folder: str | Path | None = None) -> list[str]:
    """The cohorts that are kept."""
    return sorted(file.parent.name for file in _home(folder).glob("*/cohort.json"))


def as_report(told: Mapping[str, Any]) -> Report:
    """A report from its form as data."""
    known = {f.name for f in fields(Report)}
    return Report(
        **{k: v for k, v in told.items() if k in known and k != "status"}, status=Status(told["status"])
    )


def as_data(told: Report) -> dict[str, Any]:
    """A report as data."""
    return report(told)


def _home(folder: str | Path | None) -> Path:
    return places.data("cohorts") if folder is None else Path(folder)


def _read(file: Path, form: str) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadConfig(f"{file}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise BadConfig(f"{file}: not JSON") from error
    if not isinstance(found, dict) or found.get("format") != form:
        raise BadConfig(f"{file}: not of the format {form}")
    return found


def _write(file: Path, content: Mapping[str, Any]) -> None:
    with whole(file, private=True) as stream:
        stream.write(json.dumps(content, ensure_ascii=False, indent=1).encode() + b"\n")


def _forms(found: Sequence[Record]) -> dict[str, str]:
    """How each keyword is kept: `texts`, `lists` where some value is several, or `sequences`."""
    forms: dict[str, str] = {}
    for record in found:
        for keyword, value in record.said.items():
            known = forms.setdefault(keyword, "texts")
            if isinstance(value, tuple) and known != "sequences":
                forms[keyword] = "lists" if all(isinstance(v, str) for v in value) else "sequences"
    return forms


def _cell(value: Value, form: str) -> object:
    if value is None or form == "texts":
        return value
    told = plain({"": value})[""]
    return (
        told
        if form == "lists" and isinstance(told, list)
        else [told]
        if form == "lists"
        else json.dumps(told)
    )


def _parquet(place: Path, found: Sequence[Record], forms: Mapping[str, str]) -> None:
    import duckdb

    types = {"entity": "VARCHAR", "archive": "VARCHAR", "retrieved": "DOUBLE", "unknown": "VARCHAR[]"}
    types |= {f"k{i}": "VARCHAR[]" if form == "lists" else "VARCHAR" for i, form in enumerate(forms.values())}
    given = ", ".join(f"{name}: '{kind}'" for name, kind in types.items())
    shown = ", ".join([*_OWN, *(f'k{i} AS "{keyword}"' for i, keyword in enumerate(forms))])
    with tempfile.TemporaryDirectory() as folder, duckdb.connect() as db:
        rows, made = Path(folder, "rows.json"), Path(folder, "rows.parquet")
        with rows.open("w", encoding="utf-8") as text:
            for record in found:
                own = [record.key, record.archive, record.retrieved, list(record.unknown)]
                cells = [_cell(record.said.get(k), form) for k, form in forms.items()]
                text.write(json.dumps(dict(zip(types, [*own, *cells], strict=True))) + "\n")
        source = f"read_json('{rows}', format='newline_delimited', columns={{{given}}})"
        query = f"SELECT {shown} FROM {source}"  # noqa: S608
        db.execute(f"COPY ({query}) TO '{made}' (FORMAT parquet, COMPRESSION zstd)")
        with whole(place, private=True) as stream:
            stream.write(made.read_bytes())


def _records(place: Path, about: Mapping[str, Any]) -> Iterator[Record]:
    import duckdb

    sequences = frozenset(about.get("sequences", ()))
    with duckdb.connect() as db:
        try:
            found = db.execute("SELECT * FROM read_parquet(?)", [str(place)])
            columns = [name for name, *_ in found.description or ()][len(_OWN) :]
            rows = found.fetchall()
        except duckdb.Error as error:
            raise BadConfig(f"{place}: cannot be read: {type(error).__name__}") from error
    for key, archive, retrieved, unknown, *cells in rows:
        said = {
            k: as_value(json.loads(v) if k in sequences else v)
            for k, v in zip(columns, cells, strict=True)
            if v is not None
        }
        yield Record(archive, key, said, retrieved, tuple(unknown))
