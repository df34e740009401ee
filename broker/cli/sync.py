"""`broker sync`: probe every archive whose last probe is old, and say what changed."""

from __future__ import annotations

import argparse
import json
import sys

from broker import config
from broker.api import check_timeout
from broker.cli import OK
from broker.cli.probe import change, code, gathered, period, plain, watching
from broker.errors import BadConfig
from broker.probing.probe import Result
from broker.probing.syncing import due, sync
from broker.safe import line
from catalog import places
from catalog.archives import Archive


def run(args: argparse.Namespace) -> int:
    """Ask, keep, and print what changed. 0: all that were asked answered; 3: some did; 4: none did."""
    check_timeout(args.timeout)
    known = config.federation(args.config)
    archives = known.archives
    named = config.chosen(archives, tuple(args.archive)) if args.archive else list(archives.values())
    wanted, fresh = _due([a for a in named if a.state != "retired"], args.older_than)
    if known.audit is not None:
        known.audit.ready()
    left = {name: f"probed {as_of}, not asked again" for name, as_of in fresh.items()}
    left |= {a.name: "retired, not asked" for a in named if a.state == "retired" and args.archive}
    for name, why in left.items() if not args.quiet else ():
        print(line(f"{name}: {why}"), file=sys.stderr)
    if not wanted:
        if args.format == "json":
            print("[]")
        return OK
    work = sync(
        wanted,
        at_once=args.at_once,
        pause=args.pause,
        timeout=args.timeout,
        audit=known.audit,
        watch=watching(args),
    )
    results = gathered(work, args)
    if args.format == "json":
        print(json.dumps([plain(r) for r in results], ensure_ascii=False, indent=1))
    else:
        _table(results)
    return code(results)


def _due(named: list[Archive], older_than: str) -> tuple[list[Archive], dict[str, str]]:
    """Whom to ask, and whom not again. Raises BadQuery, and BadConfig where the evidence cannot be read."""
    try:
        return due(named, period(older_than))
    except OSError as error:
        raise BadConfig(f"the evidence in {places.evidence()} cannot be read: {error.strerror}") from error


def _table(results: list[Result]) -> None:
    from broker.cli import printing

    changed = [change(c) for r in results for c in r.changes if c.before is not None]
    if changed:
        made = printing.table("Archive", "Capability", "About", "Before", "As of", "Now")
        for c in changed:
            was, now = f"{c['was']} {c['was_value']}", f"{c['now']} {c['now_value']}"
            cells = (c["archive"], c["capability"], c["about"], was, c["was_as_of"], now)
            made.add_row(*printing.cells(*cells))
        printing.show(made, printing.console())
    ended = [r for r in results if r.error is None]
    new = sum(c.before is None for r in ended for c in r.changes)
    print(
        f"{len(ended)} of {len(results)} archives probed: {len(changed)} statements changed, {new} are new; "
        "`broker matrix ARCHIVE --why` shows them"
    )
