"""`broker save NAME`: ask, and keep the query with what it found."""

from __future__ import annotations

import argparse
import asyncio
import sys

from broker.api import Session
from broker.cli import INCOMPLETE, NOTHING, OK
from broker.cli.asked import names, split
from broker.cli.live import wanted
from broker.cli.progress import Progress
from broker.cohorts.cohort import Cohort
from broker.cohorts.store import as_report
from broker.query import Query
from broker.safe import line


def run(args: argparse.Namespace) -> int:
    """Ask and keep. Raises BadQuery and BadConfig before anything is asked."""
    level, texts = split(args.words, args.level)
    query = Query(level, *texts)
    options = {
        "fields": names(args.field),
        "limit": args.limit or None,
        "scan": args.scan,
        "include_unknown": args.include_unknown,
        "reveal": args.reveal,
    }
    at = names(args.at)
    shown = Session(query, at=at, config_file=args.config).names
    with Progress(shown, wanted(args)) as progress:
        made = Cohort.save_async(
            args.name, query, at, args.folder, args.config, args.timeout, progress.watch, **options
        )
        cohort = asyncio.run(made)
    return told(cohort, args.quiet)


def told(cohort: Cohort, quiet: bool) -> int:
    """Say what the latest run was, and how far it can be trusted."""
    about = cohort.run()
    reports = [as_report(r) for r in about["reports"]]
    if not quiet:
        for report in reports:
            print(line(report.line()), file=sys.stderr)
    more = ", more exist" if about["more"] else ""
    print(
        f"{cohort.name}: {about['total']:,} {cohort.query.level.name} entities{more}, run {cohort.runs[-1]}"
    )
    print(about["hash"])
    if about["complete"]:
        return OK
    print("broker: the run is INCOMPLETE; it is kept, with what each archive reported", file=sys.stderr)
    return INCOMPLETE if any(r.answered for r in reports) else NOTHING
