"""Checks the files of a data folder against their form and each other; a problem has its file and line."""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError

from catalog import form
from catalog.imports.kinds import KINDS
from catalog.nearest import near

Where = tuple[str | int, ...]
Model = type[BaseModel] | TypeAdapter[Any]

_HEADER = re.compile(r"\s*(\[\[?)\s*([^\[\]]+?)\s*\]\]?\s*(#.*)?")
_KEY = re.compile(r"\s*([A-Za-z0-9_-]+|\"[^\"]*\")\s*=")


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong in a file, at a line (from 1)."""

    file: Path
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.text}"


@dataclass(frozen=True, slots=True)
class _File:
    """A file that was read: its values, and the line of each."""

    path: Path
    values: Mapping[str, Any]
    lines: Mapping[Where, int]

    def problem(self, where: Where, text: str) -> Problem:
        """The problem at the line of the innermost value that has one."""
        near = next((where[:n] for n in range(len(where), 0, -1) if where[:n] in self.lines), ())
        place = ".".join(str(part) for part in where)
        return Problem(self.path, self.lines.get(near, 1), f"{place}: {text}" if place else text)


def check(folder: Path, adapters: Collection[str] = ()) -> list[Problem]:
    """Everything that is wrong with a data folder; an empty list if it can ship.

    `adapters` are those that there are; without them, the adapters of routes are not looked at.
    """
    problems: list[Problem] = []
    files: dict[str, _File] = {}
    for name, model in _expected(folder):
        read = _read(folder / name, model)
        problems += read[1]
        if read[0] is not None:
            files[name] = read[0]
    if not problems:
        problems = [*_among(files), *_reached(files, adapters)]
    return sorted(problems, key=lambda p: (str(p.file), p.line))


def _expected(folder: Path) -> Iterator[tuple[str, Model]]:
    yield "capabilities.toml", form.CapabilitiesForm
    yield "sources.toml", TypeAdapter(dict[str, form.SourceForm])
    yield "federation.toml", form.FederationForm
    kinds: dict[str, Model] = {
        "archives": form.ArchiveForm,
        "software": form.SoftwareForm,
        "collections": form.CollectionsForm,
    }
    for kind, model in kinds.items():
        for file in sorted((folder / kind).glob("*.toml")):
            yield f"{kind}/{file.name}", model


def _read(path: Path, model: Model) -> tuple[_File | None, list[Problem]]:
    try:
        text = path.read_text(encoding="utf-8")
        values = tomllib.loads(text)
    except OSError as error:
        return None, [Problem(path, 1, f"cannot be read: {error.strerror}")]
    except UnicodeDecodeError as error:
        return None, [Problem(path, 1, f"not UTF-8: byte {error.start}")]
    except RecursionError:
        return None, [Problem(path, 1, "nested too deeply")]
    except tomllib.TOMLDecodeError as error:
        line = re.search(r"at line (\d+)", str(error))
        return None, [Problem(path, int(line[1]) if line else text.count("\n") + 1, f"not TOML: {error}")]
    file = _File(path, values, _lines(text))
    try:
        (model.model_validate if isinstance(model, type) else model.validate_python)(values)
    except ValidationError as error:
        found = error.errors(include_url=False)
        return None, [file.problem(e["loc"], e["msg"].removeprefix("Value error, ")) for e in found]
    return file, []


def _lines(text: str) -> dict[Where, int]:
    """Where each table and each value begins: path -> line. Enough of TOML for the files of this folder."""
    lines: dict[Where, int] = {}
    seen: Counter[Where] = Counter()
    table: Where = ()
    for number, line in enumerate(text.splitlines(), 1):
        header, key = _HEADER.fullmatch(line), _KEY.match(line)
        if header:
            table = tuple(part.strip().strip('"') for part in header[2].split("."))
            if header[1] == "[[":
                seen[table] += 1
                table = (*table, seen[table] - 1)
            lines[table] = number
        elif key:
            lines[(*table, key[1].strip('"'))] = number
    return lines


def _among(files: Mapping[str, _File]) -> Iterator[Problem]:
    """What can only be seen between files."""
    capabilities, sources = files["capabilities.toml"].values, files["sources.toml"]
    columns = {t: [c["id"] for c in capabilities[t]] for t in ("archives", "software")}
    rows = {name.partition("/")[2].removesuffix(".toml") for name in files if name.startswith("archives/")}
    cited = {capabilities["survey"]["source"]}
    for name, file in files.items():
        kind = name.partition("/")[0]
        if kind in columns:
            yield from _complete(file, columns[kind])
        if kind == "archives":
            yield from _successors(file, rows)
        if kind == "collections":
            yield from _records(file, name, rows)
        if "/" in name:
            for where, source in _citations(file.values):
                cited.add(source)
                if source not in sources.values:
                    yield file.problem(where, f"unknown source {source!r}: it is not in {sources.path.name}")
    for unused in sorted(set(sources.values) - cited):
        if not unused.startswith("survey-"):
            yield sources.problem((unused,), "nothing cites this source")


def _complete(file: _File, columns: list[str]) -> Iterator[Problem]:
    """Every capability once: with evidence, or among the unknown ones."""
    given: list[tuple[Where, str]] = [(("cells", name, 0), name) for name in file.values.get("cells", {})]
    for n, entry in enumerate(file.values.get("unknown", ())):
        given += [(("unknown", n, "capabilities"), name) for name in entry["capabilities"]]
    times = Counter(name for _, name in given)
    for where, name in given:
        if name not in columns:
            yield file.problem(where, f"unknown capability {name!r}")
        elif times[name] > 1:
            yield file.problem(where, f"{name!r} stands here more than once")
    for name in columns:
        if name not in times:
            yield file.problem((), f"{name!r} is missing: give it a cell, or list it under [[unknown]]")


def _successors(file: _File, rows: set[str]) -> Iterator[Problem]:
    for name in file.values["today"].get("successors", ()):
        if name not in rows:
            yield file.problem(("today", "successors"), f"no archive {name!r}")


def _records(file: _File, name: str, rows: set[str]) -> Iterator[Problem]:
    archive = name.partition("/")[2].removesuffix(".toml")
    if archive not in rows:
        yield file.problem((), f"no archive {archive!r}")
    seen: set[str] = set()
    for n, entry in enumerate(file.values["collections"]):
        if entry["id"] in seen:
            yield file.problem(("collections", n, "id"), f"{entry['id']!r} stands here more than once")
        seen.add(entry["id"])
        for ref in entry.get("same_as", ()):
            if ref.partition("/")[0] not in rows:
                yield file.problem(("collections", n, "same_as"), f"no archive {ref.partition('/')[0]!r}")


def _reached(files: Mapping[str, _File], adapters: Collection[str]) -> Iterator[Problem]:
    """Whether there is what routes and records name: archives to ask, adapters, and kinds of files."""
    federated, there = files["federation.toml"].values["archives"], "archive of federation.toml"
    for file in files.values():
        route, held_at = file.values.get("route", {}), file.values.get("held_at")
        yield from _unknown(file, ("route", "importers"), route.get("importers", ()), "importer", KINDS)
        yield from _unknown(file, ("route", "ask"), route.get("ask", ()), there, federated)
        yield from _unknown(file, ("held_at",), [held_at] if held_at else (), there, federated)
        if adapters:
            yield from _unknown(file, ("route", "adapters"), route.get("adapters", ()), "adapter", adapters)


def _unknown(
    file: _File, where: Where, names: Iterable[str], what: str, known: Collection[str]
) -> Iterator[Problem]:
    for name in names:
        if name not in known:
            yield file.problem(where, f"no {what} {name!r}{near(name, known)}")


def _citations(values: Any, where: Where = ()) -> Iterator[tuple[Where, str]]:
    if isinstance(values, dict):
        for key, value in values.items():
            if key == "source":
                yield (*where, key), value
            else:
                yield from _citations(value, (*where, key))
    elif isinstance(values, list):
        for n, value in enumerate(values):
            yield from _citations(value, (*where, n))
