"""`broker get NAME | QUERY --output DIR`: the instances themselves; only what is not here yet."""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path

from broker.answer import Answer
from broker.api import Session
from broker.cli import INCOMPLETE, NOTHING, OK
from broker.cli.fetching import Fetching
from broker.cli.live import wanted
from broker.cli.manifest import answered
from broker.cli.output import report_lines
from broker.cli.progress import Progress
from broker.getting.fetch import Fetch
from broker.getting.report import Fetched
from broker.safe import line


def run(args: argparse.Namespace) -> int:
    """Ask, then fetch. Raises BadQuery and BadConfig."""
    with_progress = wanted(args)

    async def ask(session: Session) -> Answer:
        with Progress(session.names, with_progress) as progress:
            return await session.answer(args.timeout, progress.watch)

    async def work(answer: Answer) -> Fetched:
        found = await Fetch.of(answer, args.prefer, args.config, ask)
        with Fetching(found.targets, with_progress):
            return await found.into(Path(args.output), verify=args.verify)

    made = asyncio.run(work(answered(args)))
    if not args.quiet:
        for answer in made.answers:
            report_lines(answer, sys.stderr)
        for text in made.lines():
            print(line(text), file=sys.stderr)
    return _code(made)


def _code(made: Fetched) -> int:
    """0 where all of it is here; 3 where it is not, 4 where nothing is here."""
    if made.complete:
        return OK
    some = any(t.here for t in made.targets) if made.targets else any(a.answered for a in made.answers)
    return INCOMPLETE if some else NOTHING
