"""Which kinds of files can be imported, and of which kind a file is, by its content."""

from __future__ import annotations

from collections import Counter

from catalog.imports import csv_mapped, text
from catalog.imports.rows import File, Kind
from catalog.problems import BadFile

LOOKED_AT = 200  # files of a folder that are looked into

KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind(
            "csv",
            "any table, by a mapping of its columns",
            csv_mapped.VERSION,
            csv_mapped.fits,
            csv_mapped.read,
        ),
    )
}


def kind(name: str) -> Kind:
    """A kind by its name. Raises BadFile with those that are known."""
    if name not in KINDS:
        raise BadFile(f"unknown kind {name!r}; known are {', '.join(KINDS)}")
    return KINDS[name]


def recognized(files: list[File]) -> Kind:
    """The kind of a file, or the one kind of a folder. Raises BadFile where none, or several, fit."""
    found: Counter[str] = Counter()
    for file in _looked_at(files):
        name = _of(file)
        if name:
            found[name] += 1
    if not found:
        raise Unrecognized(
            f"{_what(files)}: nothing that is known by its content; say --as {'|'.join(KINDS)}"
        )
    if len(found) > 1:
        told = ", ".join(f"{name} ({n})" for name, n in found.most_common())
        raise BadFile(f"{_what(files)}: files of several kinds: {told}; say which with --as")
    return KINDS[next(iter(found))]


class Unrecognized(BadFile):
    """What a file is cannot be told from its content."""


def _what(files: list[File]) -> str:
    return files[0].path if len(files) == 1 else f"{len(files):,} files"


def _of(file: File) -> str:
    beginning = text.head(file)
    if text.is_utf16(beginning):
        raise BadFile(f"{file.path}: {text.UTF16}")
    return next((k.name for k in KINDS.values() if k.fits(beginning)), "")


def _looked_at(files: list[File]) -> list[File]:
    """Some from everywhere."""
    step = max(1, len(files) // LOOKED_AT)
    return files[::step]
