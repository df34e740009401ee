"""`broker probe ARCHIVE`: ask a live archive what it really does, and keep that as evidence."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import timedelta

from broker import config
from broker.api import check_timeout
from broker.cli import INCOMPLETE, NOTHING, OK
from broker.errors import BadConfig, BadQuery
from broker.probing.probe import Change, Result, Watch
from broker.probing.syncing import sync
from broker.safe import line
from catalog import places
from catalog.probes import MATCHING, Found, record


def run(args: argparse.Namespace) -> int:
    """Ask, keep what came of it, print it. 0: all answered; 3: some did; 4: none did."""
    check_timeout(args.timeout)
    known = config.federation(args.config)
    asked = [config.not_retired(a) for a in config.chosen(known.archives, tuple(args.archive))]
    if known.audit is not None:
        known.audit.ready()
    results = gathered(
        sync(asked, pause=args.pause, timeout=args.timeout, audit=known.audit, watch=watching(args)), args
    )
    results.sort(key=lambda r: [a.name for a in asked].index(r.archive))
    if args.format == "json":
        print(json.dumps([plain(r) for r in results], ensure_ascii=False, indent=1))
    else:
        for result in results:
            _table(result)
    return code(results)


def gathered(results: AsyncIterator[Result], args: argparse.Namespace) -> list[Result]:
    """The results, each told on standard error as it comes. Raises BadConfig where nothing can be kept."""

    async def work() -> list[Result]:
        record(())  # nobody is asked for what cannot be kept
        found = []
        async with aclosing(results) as each:  # type: ignore[type-var]
            async for result in each:
                if result.error or not args.quiet:
                    _clear()
                    print(line(told(result)), file=sys.stderr)
                found.append(result)
        return found

    try:
        return asyncio.run(work())
    except OSError as error:
        file = error.filename or places.evidence()
        raise BadConfig(f"the evidence cannot be kept: {error.strerror} ({file})") from error


def watching(args: argparse.Namespace) -> Watch | None:
    """Progress on a terminal: the archive that is asked, and how many questions so far."""
    if args.quiet or not sys.stderr.isatty():
        return None

    def watch(archive: str, questions: int) -> None:
        sys.stderr.write(f"\r\x1b[K{line(archive)}: question {questions}")
        sys.stderr.flush()

    return watch


def _clear() -> None:
    if sys.stderr.isatty():
        sys.stderr.write("\r\x1b[K")


def told(r: Result) -> str:
    """One line for an archive that has ended."""
    if r.error is not None:
        reason = getattr(r.error, "reason", "config")
        return f"{r.archive}: not probed ({reason}) · {r.error}"
    new = sum(c.before is None for c in r.changes)
    changed = f"{len(r.changes) - new} changed, {new} new"
    return f"{r.archive}: {r.questions} questions · {len(r.found)} findings, {changed} · {r.seconds:.1f} s"


def code(results: list[Result]) -> int:
    """How far the archives answered, as an exit code."""
    well = [r.error is None for r in results]
    return OK if all(well) else INCOMPLETE if any(well) else NOTHING


def _table(result: Result) -> None:
    from broker.cli import printing

    if result.error is not None:
        return
    made = printing.table("Archive", "Capability", "About", "Status", "Found", "Note")
    for f in sorted(result.found, key=lambda f: f.capability == MATCHING):
        e = f.evidence
        made.add_row(*printing.cells(f.archive, f.capability, e.about, str(e.status), e.value, e.note))
    printing.show(made, printing.console())


def plain(result: Result) -> dict[str, object]:
    """One archive's result as data."""
    return {
        "archive": result.archive,
        "questions": result.questions,
        "seconds": round(result.seconds, 3),
        "error": None if result.error is None else str(result.error),
        "found": [_found(f) for f in result.found],
        "changes": [change(c) for c in result.changes if c.before is not None],
    }


def _found(f: Found) -> dict[str, str]:
    e = f.evidence
    said = {"capability": f.capability, "about": e.about, "status": str(e.status), "value": e.value}
    return said | {"note": e.note, "as_of": e.as_of, "by": e.by, "cite": e.source.title}


def change(c: Change) -> dict[str, str]:
    """One change as data."""
    now, before = c.found.evidence, c.before
    was = (str(before.status), before.value, before.as_of) if before else ("", "", "")
    names = ("archive", "capability", "about", "was", "was_value", "was_as_of", "now", "now_value", "as_of")
    told = (c.found.archive, c.found.capability, now.about, *was, str(now.status), now.value, now.as_of)
    return dict(zip(names, told, strict=True))


UNITS = {"d": "days", "h": "hours", "m": "minutes"}


def period(text: str) -> timedelta:
    """`7d`, `12h`, `30m` or `0` as a time. Raises BadQuery."""
    number, unit = text[:-1], text[-1:]
    if text == "0":
        return timedelta()
    if unit not in UNITS or not number.isdecimal() or len(number) > 5:
        raise BadQuery(f"--older-than {text!r}: write 7d, 12h, 30m or 0")
    return timedelta(**{UNITS[unit]: int(number)})
