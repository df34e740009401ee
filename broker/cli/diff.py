"""`broker diff NAME`: what appeared, vanished and changed at each archive between two runs."""

from __future__ import annotations

import argparse
import dataclasses
import json

from broker.cli import INCOMPLETE, OK
from broker.cohorts.cohort import Cohort
from broker.cohorts.record import Difference
from broker.safe import line


def run(args: argparse.Namespace) -> int:
    """Print; the code is 3 where something is unknown. Raises BadQuery and BadConfig."""
    cohort = Cohort.open(args.name, args.folder)
    old, new = cohort.compared(args.since)
    found = cohort.diff(args.since)
    if args.format == "json":
        plain = {"format": "imaging-broker/diff/1", "name": cohort.name, "from": old, "to": new}
        told = [dataclasses.asdict(d) for d in found]
        around = cohort.circumstances(args.since)
        print(json.dumps({**plain, "circumstances": around, "archives": told}, ensure_ascii=False, indent=1))
    else:
        print(f"{cohort.name}: {old} to {new}")
        for name, (before, now) in cohort.circumstances(args.since).items():
            print(line(f"{name}: was {before or '(nothing)'}, is {now or '(nothing)'}"))
        for d in found:
            for text in _lines(d):
                print(line(text))
    return INCOMPLETE if any(d.unknown for d in found) else OK


def _lines(d: Difference) -> list[str]:
    appeared = "unknown" if "appeared" in d.unknown else f"{len(d.appeared):,}"
    vanished = "unknown" if "vanished" in d.unknown else f"{len(d.vanished):,}"
    counts = f"{len(d.changed):,} changed, {d.same:,} as before"
    head = f"{d.archive}: {appeared} appeared, {vanished} vanished, {counts}"
    lines = [head, *(f"  {what} is unknown: {why}" for what, why in d.unknown.items())]
    lines += [f"  not compared, in one run only: {', '.join(d.columns)}"] if d.columns else []
    lines += [f"  + {key}" for key in d.appeared]
    lines += [f"  - {key}" for key in d.vanished]
    for change in d.changed:
        for keyword, (old, new) in change.values.items():
            lines.append(f"  ~ {change.key} {keyword}: {_shown(old)} -> {_shown(new)}")
    return lines


def _shown(values: tuple[str, ...]) -> str:
    return ", ".join(v or '""' for v in values) or "(nothing)"
