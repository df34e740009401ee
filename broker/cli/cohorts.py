"""`broker cohorts`: the saved queries and their runs."""

from __future__ import annotations

import argparse
import json

from broker.cli import OK
from broker.cohorts.store import Folder, names
from broker.safe import line


def run(args: argparse.Namespace) -> int:
    """Print every cohort. Raises BadConfig where one cannot be read."""
    found = []
    for name in names(args.folder):
        folder = Folder.of(name, args.folder)
        found.append({"name": name, **folder.cohort()["query"], "runs": folder.runs()})
    if args.format == "json":
        print(json.dumps(found, ensure_ascii=False, indent=1))
        return OK
    if not found:
        print("no cohort was saved yet: broker save NAME QUERY")
    for c in found:
        runs = f"{len(c['runs'])} runs, last {c['runs'][-1]}" if c["runs"] else "no run"
        print(line(f"{c['name']}: {c['level'].lower()} {' '.join(c['conditions'])} ({runs})"))
    return OK
