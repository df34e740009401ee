"""`broker search`: ask, show progress, print the answer, and end with a code that says how good it is."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from broker.answer import Answer
from broker.api import Session
from broker.cli import INCOMPLETE, NOTHING, OK, output
from broker.cli.asked import names, split
from broker.cli.progress import Progress
from broker.cli.together import never
from broker.errors import BadConfig, BadQuery
from broker.files import named
from broker.query import Query

TABLE_LIMIT = 100


def run(args: argparse.Namespace) -> int:
    """Ask and print. Raises BadQuery and BadConfig before anything is asked."""
    args.format = args.format or output.form_of(args.output)
    _possible(args)
    session = session_of(args)
    columns = output.columns_of(args.columns, session.query.level, names(args.field))
    required = names(args.require)
    _known(required, session)
    if args.format == "parquet" and not args.output and sys.stdout.isatty():
        raise BadQuery("parquet is not for a terminal; add --output FILE")
    if args.debug:
        logging.basicConfig(level=logging.DEBUG)
    with target(args.output) as stream:
        answer = asked(session, args.timeout, args.quiet)
        code = _code(answer, required, strict=args.strict)
        if code in (OK, INCOMPLETE) and not _withheld(answer, required, args.strict):
            output.write(answer, args.format, stream, columns)
    if not args.quiet:
        output.reports(answer, sys.stderr, withheld=_withheld(answer, required, args.strict))
        output.hints(answer, sys.stderr)
    return code


def _possible(args: argparse.Namespace) -> None:
    """Whether all that is asked for can be had at once. Raises BadQuery."""
    if args.format != "table":
        why = f"chooses the columns of a table; {args.format} holds every column (--field asks for one more)"
        never(args, "--columns", why=why)
    if args.format not in ("json", "ndjson"):
        why = f"orders the copies of an entity, and only json and ndjson name these, not {args.format}"
        never(args, "--prefer", why=why)


def session_of(args: argparse.Namespace) -> Session:
    """The question of a command line. Raises BadQuery and BadConfig."""
    level, texts = split(args.words, args.level)
    limit = args.limit
    if limit is None and getattr(args, "format", "") == "table":
        limit = TABLE_LIMIT
    return Session(
        Query(level, *texts),
        at=names(args.at),
        limit=None if limit == 0 else limit,
        order=getattr(args, "order", None),
        after=getattr(args, "after", None),
        fields=names(args.field),
        scan=args.scan,
        include_unknown=args.include_unknown,
        reveal=args.reveal,
        prefer=getattr(args, "prefer", None),
        config_file=args.config,
    )


def asked(session: Session, timeout: float, quiet: bool) -> Answer:
    """The answer, with progress on a terminal."""
    with Progress(session.names, not quiet and sys.stderr.isatty()) as progress:
        return asyncio.run(session.answer(timeout, progress.watch))


def _code(answer: Answer, required: list[str], *, strict: bool) -> int:
    if answer.complete:
        return OK
    if strict or answer.lacking(required):
        return INCOMPLETE
    return INCOMPLETE if answer.answered else NOTHING


def _withheld(answer: Answer, required: list[str], strict: bool) -> bool:
    return (strict and not answer.complete) or bool(answer.lacking(required))


def _known(required: list[str], session: Session) -> None:
    missing = [name for name in required if name not in session.names]
    if missing:
        raise BadConfig(
            f"--require {missing[0]}: it is not among the archives asked ({', '.join(session.names)})"
        )


@contextlib.contextmanager
def target(name: str | None) -> Iterator[IO[bytes]]:
    """Where the answer goes (`-`: standard output); a file appears whole, or not at all."""
    if name in (None, "-"):
        yield sys.stdout.buffer
        return
    with contextlib.ExitStack() as stack:
        try:
            stream = stack.enter_context(named(Path(name)))
        except OSError as error:
            raise BadConfig(f"--output {name}: {error.strerror}") from error
        yield stream
