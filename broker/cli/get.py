"""`broker get NAME | QUERY --output DIR`: the instances themselves; only what is not here yet."""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from broker import config
from broker.admission import Admission
from broker.answer import Answer
from broker.cli import INCOMPLETE, NOTHING, OK
from broker.cli.fetching import Fetching
from broker.cli.live import wanted
from broker.cli.manifest import answered
from broker.cli.output import report_lines
from broker.cli.search import asked
from broker.config import Federation
from broker.errors import BadConfig
from broker.getting import report
from broker.getting.expand import questions
from broker.getting.run import get
from broker.getting.store import Store
from broker.getting.target import Source, State, Target, targets
from broker.manifests.items import Item, items
from broker.pauses import Pauses
from broker.registry import adapter_for
from broker.safe import line
from catalog.keywords import Level


def run(args: argparse.Namespace) -> int:
    """Ask, then fetch. Raises BadQuery and BadConfig."""
    start = time.monotonic()
    known = config.federation(args.config)
    answers = [answered(args)]
    found = items(answers[0], known.archives, args.prefer)
    if found and found[0].level is Level.STUDY:
        answers += [asked(s, args.timeout, args.quiet) for s in questions(found, args.config)]
        found = [i for answer in answers[1:] for i in items(answer, known.archives, args.prefer)]
    sources = _sources(found, known)
    chosen, left = targets(found, sources)
    folder = Path(args.output)
    store = Store(folder)
    try:
        with Fetching(chosen, wanted(args)):
            asyncio.run(get(chosen, sources, store, thoroughly=args.verify))
        report.write(folder, chosen, left)
    except OSError as error:
        raise BadConfig(f"--output {folder}: {error.strerror or error}") from error
    finally:
        store.close()
    return _told(answers, chosen, left, args.quiet, time.monotonic() - start)


def _sources(found: Sequence[Item], known: Federation) -> dict[str, Source]:
    """The archives of some items that instances can be fetched from."""
    pauses, made = Pauses(), {}
    for name in dict.fromkeys(copy.archive for item in found for copy in item.copies):
        archive = known.archives.get(name)
        source = None
        if archive is not None:
            source = Source.of(adapter_for(archive), Admission.of(archive, pauses, known.audit))
        if source is not None:
            made[name] = source
    return made


def _told(
    answers: Sequence[Answer],
    found: Sequence[Target],
    left: Mapping[str, Sequence[Item]],
    quiet: bool,
    seconds: float,
) -> int:
    """What became of it; 3 where it is not all, 4 where nothing is here."""
    if not quiet:
        for answer in answers:
            report_lines(answer, sys.stderr)
        for text in report.lines(found, left, seconds):
            print(line(text), file=sys.stderr)
    asked_well = all(answer.complete for answer in answers)
    if asked_well and not left and all(t.state is State.COMPLETE for t in found):
        return OK
    if found:
        return INCOMPLETE if any(t.here for t in found) else NOTHING
    return INCOMPLETE if any(answer.answered for answer in answers) else NOTHING
