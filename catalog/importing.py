"""A file or folder into a store: recognized, read, and taken whole or not at all."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from catalog.holdings import Outcome, Source, Store, named
from catalog.imports import csv_mapped, text
from catalog.imports import files as places
from catalog.imports.kinds import kind, recognized
from catalog.imports.rows import File, Found, Kind, Options, Rejected, Row
from catalog.problems import BadFile


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to import: from where, as which archive's, as which kind ("" for what the content says).

    collection  the collection of rows that name none
    replace     the archive then holds exactly these rows
    dry         nothing is changed: the outcome says what would be
    moved_from  where what is imported lay when it was imported before
    others      archives that are asked in another way, with the adapter: of them nothing is imported
    """

    place: Path
    archive: str = ""
    kind: str = ""
    collection: str = ""
    replace: bool = False
    dry: bool = False
    moved_from: str = ""
    others: Mapping[str, str] = field(default_factory=dict)


def import_into(store: Store, wanted: Wanted, options: Options) -> tuple[Source, Outcome]:
    """Import, and say what was done. Raises BadFile or StoreFault; then nothing was changed."""
    try:
        found, left = places.listed(wanted.place)
        _unpacked(found)
        chosen = kind(wanted.kind) if wanted.kind else recognized(found, options.delimiter)
        if chosen.unread:
            found, left = places.with_unread(found, left, chosen.unread)
        archive = named(wanted.archive or chosen.archive or _unnamed(chosen))
        if archive in wanted.others:
            how = f"is an archive with the adapter {wanted.others[archive]!r}"
            raise BadFile(f"{archive} {how}; give another --archive")
        where = places.shown(str(wanted.place.resolve()))
        before = places.shown(str(Path(wanted.moved_from).resolve())) if wanted.moved_from else ""
        source = Source(archive, where, chosen.name, chosen.version, places.digest(found), before)
        rows: Found = itertools.chain(left, _rows(chosen, found, options))
        if wanted.collection:
            rows = _collected(rows, wanted.collection)
        with _hinted(found, chosen, options):
            return source, store.take(source, rows, wanted.replace, wanted.dry)
    except OSError as error:
        raise BadFile(f"{error.filename or wanted.place}: it cannot be read: {error.strerror}") from error


def _unpacked(found: list[File]) -> None:
    """Raises BadFile for a file that is packed: what is in it may be anything, of any size."""
    how = text.packed(text.head(found[0])) if len(found) == 1 else ""
    if how:
        raise BadFile(f"{text.label(found[0])}: it is packed ({how}): unpack it, and import what was in it")


@contextlib.contextmanager
def _hinted(found: list[File], chosen: Kind, options: Options) -> Iterator[None]:
    """An error of a file that looks like another kind says which."""
    try:
        yield
    except BadFile as error:
        other = _looks(found, options)
        if other in (None, chosen):
            raise
        raise BadFile(f"{error}; by its content it is {other.about}: --as {other.name}") from error


def _looks(found: list[File], options: Options) -> Kind | None:
    try:
        return recognized(found, options.delimiter)
    except BadFile:
        return None


def _unnamed(chosen: Kind) -> str:
    raise BadFile(f"whose is it? say --archive NAME, for files of kind {chosen.name!r} do not tell")


def _rows(chosen: Kind, found: list[File], options: Options) -> Found:
    """The rows of all files; each by itself where they do not tell of each other."""
    if chosen.whole:
        yield from chosen.read(found, options)
        return
    several = len(found) > 1
    for done, file in enumerate(found, 1):
        if several and not _fits(chosen, file, options):
            yield Rejected(0, f"not of kind {chosen.name}", file.name)
        else:
            yield from chosen.read([file], options)
        if options.progress:
            options.progress(done, len(found))


def _fits(chosen: Kind, file: File, options: Options) -> bool:
    """Whether a file of a folder is of the kind, with what the user says of its columns."""
    beginning = text.head(file)
    if options.delimiter:
        beginning = text.with_commas(beginning, options.delimiter)
    if options.mapping:
        mark = "," if options.delimiter else csv_mapped.delimiter(file)
        return bool(
            {name.strip().lower() for name in options.mapping.columns} & set(text.header_of(beginning, mark))
        )
    return chosen.fits(beginning)


def _collected(rows: Iterator[Row | Rejected], collection: str) -> Iterator[Row | Rejected]:
    for item in rows:
        if isinstance(item, Row) and not item.values.get("Collection"):
            keys = _prefixed(item, collection) if item.apart else {}
            yield replace(item, values={**item.values, **keys, "Collection": collection})
        else:
            yield item


def _prefixed(row: Row, collection: str) -> dict[str, str]:
    """Keys that are names of files, of which each collection may have the same."""
    keys = ((name, row.values.get(name)) for name in ("StudyKey", "SeriesKey"))
    return {name: f"{collection}/{key}" for name, key in keys if key}
