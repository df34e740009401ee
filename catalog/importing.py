"""A file or folder into a store: recognized, read, and taken whole or not at all."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from catalog.holdings import Outcome, Source, Store, named
from catalog.imports import files as places
from catalog.imports.kinds import kind, recognized
from catalog.imports.rows import File, Found, Kind, Options, Rejected, Row
from catalog.problems import BadFile


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to import: from where, as which archive's, as which kind ("" for what the content says).

    collection  the collection of rows that name none
    replace     the archive then holds exactly these rows
    """

    place: Path
    archive: str = ""
    kind: str = ""
    collection: str = ""
    replace: bool = False


def import_into(store: Store, wanted: Wanted, options: Options) -> tuple[Source, Outcome]:
    """Import, and say what was done. Raises BadFile or StoreFault; then nothing was changed."""
    try:
        found, left = places.listed(wanted.place)
        chosen = kind(wanted.kind) if wanted.kind else recognized(found)
        archive = named(wanted.archive or chosen.archive or _unnamed(chosen))
        where = str(wanted.place.resolve())
        source = Source(archive, where, chosen.name, chosen.version, places.digest(found))
        rows: Found = itertools.chain(left, _rows(chosen, found, options))
        if wanted.collection:
            rows = _collected(rows, wanted.collection)
        return source, store.take(source, rows, wanted.replace)
    except OSError as error:
        raise BadFile(f"{error.filename or wanted.place}: it cannot be read: {error.strerror}") from error


def _unnamed(chosen: Kind) -> str:
    raise BadFile(f"whose is it? say --archive NAME, for files of kind {chosen.name!r} do not tell")


def _rows(chosen: Kind, found: list[File], options: Options) -> Found:
    """The rows of all files; each by itself where they do not tell of each other."""
    if chosen.whole:
        yield from chosen.read(found, options)
        return
    several = len(found) > 1
    for done, file in enumerate(found, 1):
        if several and not chosen.fits(_head(file)):
            yield Rejected(0, f"not of kind {chosen.name}", file.name)
        else:
            yield from chosen.read([file], options)
        if options.progress:
            options.progress(done, len(found))


def _head(file: File) -> bytes:
    with file.open() as stream:
        return stream.read(65_536)


def _collected(rows: Iterator[Row | Rejected], collection: str) -> Iterator[Row | Rejected]:
    for item in rows:
        if isinstance(item, Row) and not item.values.get("Collection"):
            yield replace(item, values={**item.values, "Collection": collection})
        else:
            yield item
