"""`broker rerun NAME`: ask a saved query again."""

from __future__ import annotations

import argparse
import asyncio

from broker.cli.live import wanted
from broker.cli.progress import Progress
from broker.cli.save import told
from broker.cohorts.cohort import Cohort


def run(args: argparse.Namespace) -> int:
    """Ask and keep. Raises BadQuery and BadConfig."""
    cohort = Cohort.open(args.name, args.folder, args.config)
    shown = cohort.session().names
    with Progress(shown, wanted(args)) as progress:
        asyncio.run(cohort.rerun_async(args.timeout, progress.watch))
    return told(cohort, args.quiet)
