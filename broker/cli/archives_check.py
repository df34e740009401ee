"""`broker archives check`: is each archive there, and since when."""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import json
import time
from collections.abc import Sequence

from broker import config
from broker.admitting.checks import Checked, History, check
from broker.admitting.pauses import Pauses, Standing, key_of
from broker.api import check_timeout
from broker.cli import INCOMPLETE, NOTHING, OK


def run(args: argparse.Namespace, names: tuple[str, ...]) -> int:
    """Ask, keep what came of it, print it. 0: all answered; 3: some did; 4: none did."""
    check_timeout(args.timeout)
    known = config.federation(args.config).archives
    asked = config.chosen(known, names) if names else [a for a in known.values() if a.state != "retired"]
    pauses = Pauses()
    if args.reset:
        for archive in asked:
            pauses.reset(archive.name)
    found = History().add(asyncio.run(check(asked, args.timeout)))
    for made in found:
        if made.ok:
            pauses.answered(made.key)
    resting = {key_of(a): s for a in asked for s in pauses.all() if s.archive == a.name}
    if args.format == "json":
        print(json.dumps([_plain(m, resting.get(m.key)) for m in found], ensure_ascii=False, indent=1))
    else:
        table(found, resting)
    return OK if all(m.ok for m in found) else INCOMPLETE if any(m.ok for m in found) else NOTHING


def table(found: Sequence[Checked], resting: dict[str, Standing]) -> None:
    """The checks as a table on standard output."""
    from broker.cli import printing

    heads = ("Archive", "There", "Speaks", "Log-in", "Seconds", "So since", "Why not")
    made = printing.table(*heads, whole=("Seconds", "So since"))
    for one in found:
        there = "yes" if one.ok else f"no ({one.reason})"
        cells = [one.archive, there, one.speaks, one.credentials, f"{one.seconds:.2f}", moment(one.since)]
        made.add_row(*printing.cells(*cells, _why(one, resting.get(one.key))))
    printing.show(made, printing.console())


def _why(one: Checked, standing: Standing | None) -> str:
    pause = f" (left alone until {moment(standing.until)})" if standing and standing.until else ""
    return one.detail + pause


def moment(at: float) -> str:
    """A time for people, in UTC."""
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(at))


def _plain(made: Checked, standing: Standing | None) -> dict[str, object]:
    return {
        **dataclasses.asdict(made),
        "failures": standing.failures if standing else 0,
        "left_alone_until": standing.until if standing and standing.until else None,
    }
