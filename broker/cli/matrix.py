"""`broker matrix`: what is known of archives and archive software, cell by cell, with its evidence."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from broker.cli import BAD_CONFIG, OK, matrix_export, matrix_table
from broker.cli.asked import names
from broker.cli.together import never, only
from broker.cli.unread import unread
from broker.errors import BadConfig, BadQuery
from broker.knowing.knowledge import knowledge
from catalog.evidence import DATE
from catalog.matrix import Matrix, UnknownName


def run(args: argparse.Namespace) -> int:
    """Print the matrix, or the part asked for. Raises BadQuery and BadConfig."""
    _possible(args)
    if args.check:
        return _check(Path(args.check))
    known = knowledge(args.config)
    unread(known)
    matrix = _asked(known.matrix, args)
    if not matrix.rows:
        print(f"nothing was on record of that by {args.as_of}", file=sys.stderr)
    if args.html:
        from broker.cli import matrix_html

        _write(Path(args.html), matrix_html.page(matrix))
    elif args.changed_since:
        matrix_table.changes(matrix, _date(args.changed_since), args.format)
    elif args.format != "table":
        sys.stdout.write(matrix_export.WRITERS[args.format](matrix))
    elif args.why:
        matrix_table.why(matrix)
    else:
        matrix_table.show(matrix)
    return OK


def _possible(args: argparse.Namespace) -> None:
    """Whether all that is asked for can be had at once. Raises BadQuery."""
    if args.check:
        only(args, "--check, which reads the files of a folder", "--check")
        if args.rows:
            raise BadQuery(f"--check {args.check} checks all of the folder; leave {' '.join(args.rows)} out")
    if args.html:
        why = "not together with --html: the page shows every cell with its evidence; leave one out"
        never(args, "--format", "--why", "--changed-since", why=why)
    if args.changed_since:
        never(
            args, "--why", why="not together with --changed-since, which shows what was said before and now"
        )
    if args.format == "markdown":
        never(args, "--why", why="there is no room for evidence in Markdown; json and csv hold it")


def _asked(matrix: Matrix, args: argparse.Namespace) -> Matrix:
    """The rows, capabilities and date of a command line. Raises BadQuery."""
    matrix = matrix.of(args.table) if args.table else matrix
    try:
        narrow = matrix.narrowed(names(args.rows), names(args.capability))
    except UnknownName as error:
        raise BadQuery(str(error)) from error
    return narrow.until(_date(args.as_of)) if args.as_of else narrow


def _date(text: str) -> str:
    if DATE.fullmatch(text) is None or "/" in text:
        raise BadQuery(f"{text!r} is not a date: write 2010, 2010-08 or 2010-08-16")
    return text


def _check(folder: Path) -> int:
    """For whoever edits the files: every problem with its file and line."""
    from broker.registry import adapters
    from catalog.checking import check

    if not (folder / "capabilities.toml").is_file():
        raise BadConfig(f"--check {folder}: no capabilities.toml there; name a folder like catalog/data")
    problems = check(folder, adapters())
    for problem in problems:
        print(problem, file=sys.stderr)
    print(f"{len(problems)} problems" if problems else "no problem", file=sys.stderr)
    return BAD_CONFIG if problems else OK


def _write(file: Path, text: str) -> None:
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise BadConfig(f"--html {file}: {error.strerror}") from error
    print(f"wrote {file} ({len(text.encode()) / 1000:,.0f} kB)", file=sys.stderr)
