"""`broker catalog`: import files into the store of holdings, list and show them, forget an archive."""

from __future__ import annotations

import argparse
import contextlib
import csv
import io
import itertools
import json
import shlex
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import IO

from broker.cli import INCOMPLETE, OK, holding
from broker.cli.together import never, only
from broker.config import Federation, federation
from broker.errors import BadConfig, BadInput, BadQuery
from broker.files import named
from broker.safe import cell, line
from catalog.holdings import Imported, Outcome, Source, Store
from catalog.imports.files import shown
from catalog.imports.rows import Columns, Options, Rejected
from catalog.problems import BadFile, StoreFault, Unrecognized

SHOWN = 20  # rejected rows on the terminal
_TEXTS = ("archive", "kind", "collection", "delimiter", "moved_from", "from_place")  # empty if not given


def run(args: argparse.Namespace) -> int:
    """What the words say. Raises BadInput for a file that cannot be imported, BadConfig for the store."""
    for name in _TEXTS:
        setattr(args, name, getattr(args, name) or "")
    _possible(args)
    known = federation(args.config)
    try:
        store = known.catalog.open()
        match args.words:
            case ["import", place]:
                return _import(args, Path(place), known, store)
            case ["list"] | []:
                return _list(args, store)
            case ["show", archive, name]:
                return holding.run(args, store, archive, name)
            case ["remove", archive]:
                print(f"{archive}: {_removed(store, archive, args.from_place):,} rows forgotten")
                return OK
    except BadFile as error:
        raise BadInput(str(error)) from error
    except StoreFault as error:
        raise BadConfig(str(error)) from error
    words = " ".join(args.words)
    raise BadQuery(f"catalog {words}: write import FILE-OR-FOLDER, list, show ARCHIVE NAME or remove ARCHIVE")


def _possible(args: argparse.Namespace) -> None:
    """Whether all that is asked for can be had at once. Raises BadQuery."""
    verb = args.words[0] if args.words else "list"
    if verb == "import":
        never(args, "--format", why="of `list` and `show`; an import is told in words")
        never(args, "--from", why="of `remove`")
        if args.mapping and args.kind not in ("", "csv"):
            raise BadQuery(
                f"--as {args.kind}: --mapping is for tables, of kind csv; leave one of the two out"
            )
        return
    archive = "name the archive without --archive: show ARCHIVE NAME, or remove ARCHIVE"
    never(args, "--archive", why=archive if verb in ("show", "remove") else "list shows every archive")
    own = "--from" if verb == "remove" else "--format"
    only(args, f"catalog {verb}", own, "--quiet", "--config")


def _removed(store: Store, archive: str, place: str) -> int:
    """Forget all of an archive, or what was imported from one place; how many rows."""
    if not place:
        return store.remove(archive)
    known = {told.source.place for told in store.sources() if told.source.archive == archive}
    return store.take_back(archive, place if place in known else shown(str(Path(place).resolve())))


def _import(args: argparse.Namespace, place: Path, known: Federation, store: Store) -> int:
    from catalog.importing import Wanted, import_into

    columns = _mapping(args)
    wanted = Wanted(
        place, args.archive, args.kind, args.collection, args.replace, args.dry_run, args.moved_from,
        {name: entry.adapter for name, entry in known.archives.items() if entry.adapter != "local"},
    )  # fmt: skip
    show = not args.quiet and sys.stderr.isatty()
    with _rejects(args.rejected) as rejects, _Progress(show) as progress:
        options = Options(args.encoding, args.delimiter, args.unended, columns, progress.watch)
        try:
            source, outcome = import_into(store, wanted, options)
        except Unrecognized as error:
            if _propose(place, options, args):
                raise BadFile(f"{place}: what its columns are must be said: a proposal is printed") from error
            raise
        if rejects is not None:
            _write(rejects, [*outcome.rejected, *_left(outcome)])
    _told(source, outcome, args)
    return INCOMPLETE if outcome.refused or outcome.left else OK


def _mapping(args: argparse.Namespace) -> Columns | None:
    from catalog.imports.mapping import mapping

    if not args.mapping:
        return None
    args.kind = args.kind or "csv"
    return mapping(Path(args.mapping))


def _propose(place: Path, options: Options, args: argparse.Namespace) -> bool:
    """For a table with columns that nobody knows: a mapping to begin with, on standard output.

    Raises BadFile where it is a table that is damaged where it begins.
    """
    from catalog.imports import csv_mapped, proposal, text
    from catalog.imports.files import listed

    found, _ = listed(place)
    if len(found) != 1 or not text.first_line(text.head(found[0])):
        return False
    table = text.table(found[0], options, csv_mapped.delimiter(found[0]))
    if len(table.names) < 2:
        return False
    some = itertools.islice((line[1] for line in table.lines if isinstance(line, tuple)), proposal.LOOKED_AT)
    told = proposal.proposed(table.names, list(some))
    print("# a proposal: correct it, save it as mapping.toml, and say")
    print(f"# {line(shlex.join(_again(place, args)))}")
    print(told)
    return True


def _again(place: Path, args: argparse.Namespace) -> list[str]:
    """The command with a mapping."""
    words = ["broker", "catalog", "import", str(place), "--archive", args.archive or "NAME"]
    words += ["--mapping", "mapping.toml", *["--unended"] * args.unended]
    if args.delimiter:
        words += ["--delimiter", args.delimiter]
    return words if args.encoding == "utf-8-sig" else [*words, "--encoding", args.encoding]


def _told(source: Source, outcome: Outcome, args: argparse.Namespace) -> None:
    parts = [f"{outcome.added:,} new", f"{outcome.changed:,} changed", f"{outcome.unchanged:,} as before"]
    if outcome.renamed:
        parts.append(f"{outcome.renamed:,} had another name")
    if outcome.removed:
        parts.append(f"{outcome.removed:,} removed")
    elif outcome.missing:
        parts.append(f"{outcome.missing:,} of an earlier import no longer in the file, kept (--replace)")
    if outcome.left:
        parts.append(f"{outcome.left:,} value{'s' * (outcome.left > 1)} left out")
    print(f"{source.archive}: {', '.join(parts)} ({source.kind}: {line(source.place)})")
    if args.dry_run:
        print("that is what would be; nothing was changed (--dry-run)")
    _listed("rejected", outcome.rejected, outcome.refused, args)
    _listed("left out", _left(outcome), len(outcome.why_left), args)


def _listed(what: str, found: list[Rejected], number: int, args: argparse.Namespace) -> None:
    for one in found[:SHOWN]:
        print(line(f"{what}: {one.text()}"), file=sys.stderr)
    if number > SHOWN and not args.rejected:
        print(f"{what}: {number - SHOWN:,} more; --rejected FILE lists them", file=sys.stderr)


def _left(outcome: Outcome) -> list[Rejected]:
    """Each reason for which values were left out, where that is first so."""
    return [
        replace(
            first, reason=f"{first.reason}: left out in {times:,} row{'s' * (times > 1)}, this is the first"
        )
        for first, times in outcome.why_left.values()
    ]


@contextlib.contextmanager
def _rejects(place: str | None) -> Iterator[IO[bytes] | None]:
    """Where rejected rows go. Raises BadInput where that cannot be written, before anything is imported."""
    with contextlib.ExitStack() as stack:
        try:
            stream = stack.enter_context(named(Path(place))) if place else None
        except OSError as error:
            raise BadInput(f"--rejected {place}: cannot be written: {error.strerror}") from error
        yield stream


def _write(stream: IO[bytes], rejected: list[Rejected]) -> None:
    text = io.StringIO(newline="")
    rows = csv.writer(text)
    rows.writerow(("file", "line", "reason"))
    rows.writerows((cell(r.file), r.line, cell(r.reason)) for r in rejected)
    stream.write(text.getvalue().encode())


def _list(args: argparse.Namespace, store: Store) -> int:
    held, sources = store.held(), store.sources()
    if args.format == "json":
        told = {name: about.plain() | {"sources": _sources(name, sources)} for name, about in held.items()}
        print(json.dumps(told, ensure_ascii=False, indent=1))
        return OK
    for name, about in held.items():
        rows = ", ".join(f"{n:,} {level.name.lower()} rows" for level, n in about.rows.items())
        print(f"{name}: {rows}, as of {about.as_of}")
        for s in _sources(name, sources):
            rows = f"{s['rows']:,} rows, {s['rejected']:,} rejected"
            print(f"  {s['when']}  {s['kind']}  {rows}  {line(str(s['place']))}")
    if not held:
        print("nothing was imported yet: broker catalog import FILE-OR-FOLDER")
    return OK


def _sources(archive: str, sources: list[Imported]) -> list[dict[str, object]]:
    return [
        {
            "place": s.source.place,
            "kind": s.source.kind,
            "reader": s.source.version,
            "sha256": s.source.sha256,
        }
        | {"when": s.when, "rows": s.rows, "rejected": s.rejected}
        for s in sources
        if s.source.archive == archive
    ]


class _Progress:
    """A line on the terminal while files are read."""

    def __init__(self, show: bool) -> None:
        self._show = show

    def __enter__(self) -> _Progress:
        return self

    def __exit__(self, *error: object) -> None:
        if self._show:
            sys.stderr.write("\r\x1b[K")

    def watch(self, done: int, total: int) -> None:
        """So many files are read."""
        if self._show and (done % 50 == 0 or done == total):
            sys.stderr.write(f"\r{done:,} of {total:,} files")
            sys.stderr.flush()
