"""Reads what ships in `catalog/data`: one file per archive, software and archive's collections.

The files are taken as they are, because `catalog.checking` is run over them by the tests and by
`broker matrix --check FOLDER` for whoever edits them.
"""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Iterable, Mapping
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from catalog.collection import Collection, Count
from catalog.evidence import Basis, Confidence, Evidence, Source, Status
from catalog.matrix import TABLES, Capability, Matrix, Route, Row, Today

Place = Path | Traversable


def data() -> Place:
    """The folder of the shipped files."""
    return resources.files("catalog").joinpath("data")


@functools.cache
def shipped_matrix() -> Matrix:
    """The matrix as it ships."""
    return read_matrix(data())


def read_matrix(folder: Place) -> Matrix:
    """The matrix of a folder: `capabilities.toml`, `sources.toml`, `archives/`, `software/`."""
    sources = read_sources(folder)
    columns = _toml(folder / "capabilities.toml")
    capabilities = tuple(Capability(table=t, **entry) for t in TABLES for entry in columns[t])
    rows = [_row(name, table, raw, sources) for table in TABLES for name, raw in _files(folder / table)]
    in_order = sorted(rows, key=lambda r: (TABLES.index(r.table), r.layer != "survey", r.order))
    return Matrix(capabilities, tuple(in_order), tuple(columns["survey"]["notes"]))


def read_sources(folder: Place) -> dict[str, Source]:
    """What is cited, by id."""
    return {name: Source(name, **entry) for name, entry in _toml(folder / "sources.toml").items()}


@functools.cache
def shipped_collections() -> tuple[Collection, ...]:
    """The collection records that ship."""
    return tuple(read_collections(data()))


def read_collections(folder: Place) -> Iterable[Collection]:
    """The records of a folder's `collections/`, archive by archive."""
    sources = read_sources(folder)
    for archive, raw in _files(folder / "collections"):
        for entry in raw["collections"]:
            yield _collection(archive, raw.get("held_at", ""), entry, sources)


def _collection(
    archive: str, held_at: str, entry: Mapping[str, Any], sources: Mapping[str, Source]
) -> Collection:
    counts = {k: Count.read(v) for k, v in entry.items() if k in Count.NAMES}
    own = _tupled({k: v for k, v in entry.items() if k not in counts})
    own["source"] = sources[entry["source"]]
    return Collection(archive=archive, held_at=held_at, counts=counts, **own)


def _files(folder: Place) -> list[tuple[str, dict[str, Any]]]:
    found = sorted(f.name for f in folder.iterdir() if f.name.endswith(".toml"))
    return [(name.removesuffix(".toml"), _toml(folder / name)) for name in found]


def _toml(file: Place) -> dict[str, Any]:
    return tomllib.loads(file.read_text(encoding="utf-8"))


def _row(name: str, table: str, raw: dict[str, Any], sources: Mapping[str, Source]) -> Row:
    cells = {c: tuple(_evidence(e, sources) for e in given) for c, given in raw.get("cells", {}).items()}
    for entry in raw.get("unknown", ()):
        cells |= dict.fromkeys(entry["capabilities"], (_lost(entry, sources),))
    route = raw.get("route")
    return Row(
        name,
        raw["title"],
        table,
        raw["layer"],
        raw["order"],
        cells,
        raw.get("institution", ""),
        raw.get("note", ""),
        raw.get("column"),
        _today(raw.get("today", {}), sources),
        Route(**_tupled(route)) if route else None,
    )


def _today(raw: dict[str, Any], sources: Mapping[str, Source]) -> Today:
    given = tuple(
        Evidence(
            Status.TEXT, Basis.DOCUMENTATION, sources[e["source"]], as_of=e["as_of"], quote=e.get("quote", "")
        )
        for e in raw.get("evidence", ())
    )
    return Today(**_tupled({k: v for k, v in raw.items() if k != "evidence"}), evidence=given)


def _tupled(raw: Mapping[str, Any]) -> dict[str, Any]:
    return {k: tuple(v) if isinstance(v, list) else v for k, v in raw.items()}


def _evidence(raw: dict[str, Any], sources: Mapping[str, Source]) -> Evidence:
    own = {
        "status": Status(raw["status"]),
        "kind": Basis(raw["kind"]),
        "confidence": Confidence(raw["confidence"]),
        "source": sources[raw["source"]],
    }
    return Evidence(**{**raw, **own})


def _lost(entry: dict[str, Any], sources: Mapping[str, Source]) -> Evidence:
    """A cell without a value: of the survey where the survey is cited, else not looked up."""
    cited = entry.get("source")
    kind = Basis.SURVEY if cited else Basis.DOCUMENTATION
    source = sources[cited] if cited else Source("nobody", "no source")
    as_of = source.as_of
    return Evidence(
        Status.UNKNOWN, kind, source, as_of=as_of, confidence=Confidence.UNKNOWN, note=entry["why"]
    )
