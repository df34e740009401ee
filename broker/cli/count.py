"""`broker count` and `broker facets`: how many, and how sure that is."""

from __future__ import annotations

import argparse
import asyncio
import csv
import json
import sys
from collections.abc import Sequence

from broker.answering.counts import ARCHIVE, USUAL, Count, Counted, FacetCounts
from broker.answering.export import report
from broker.api import Session
from broker.cli import INCOMPLETE, NOTHING, OK
from broker.cli.asked import names, split
from broker.cli.live import wanted
from broker.cli.progress import Progress
from broker.cli.together import never
from broker.counting import Counter, Watch
from broker.errors import BadQuery
from broker.query import Query
from broker.report import Report
from broker.safe import cell, line

NO_VALUE = "(no value)"


def run(args: argparse.Namespace) -> int:
    """Count and print. Raises BadQuery and BadConfig before anything is asked."""
    _possible(args)
    by = names(args.by) or (list(USUAL) if args.verb == "facets" else [])
    counters = [Counter(_session(query, args), by, args.exact, args.check) for query in _queries(args)]
    with Progress(counters[0].session.names, wanted(args), len(counters)) as progress:
        found = asyncio.run(_all(counters, args.timeout, progress.watch))
    _PRINTERS[args.format](found, args)
    if not args.quiet:
        for told in found:
            for own in told.reports:
                print(line(_line(own, told)), file=sys.stderr)
    if all(told.complete for told in found):
        return OK
    return INCOMPLETE if any(told.answered for told in found) else NOTHING


def _possible(args: argparse.Namespace) -> None:
    """Whether all that is asked for can be had at once. Raises BadQuery."""
    if args.format != "table":
        never(args, "--top", why=f"shortens tables; {args.format} holds every value")
    elif args.verb == "count" and not args.by:
        never(args, "--top", why="no facets are asked for: add --by FACET, or use broker facets")
    if args.top < 0:
        raise BadQuery(f"--top {args.top}: write how many values are shown, or 0 for all")


def _queries(args: argparse.Namespace) -> list[Query]:
    """One level where it is named, else all of them: "how many patients, studies, series"."""
    given = args.level is not None or any("=" not in w and "~" not in w for w in args.words)
    level, texts = split(args.words, args.level)
    if given or args.verb == "facets" or args.by:
        return [Query(level, *texts)]
    return [Query(each, *texts) for each in ("patients", "studies", "series")]


def _session(query: Query, args: argparse.Namespace) -> Session:
    return Session(
        query,
        at=names(args.at),
        scan=args.scan,
        reveal=args.reveal,
        config_file=args.config,
    )


async def _all(counters: Sequence[Counter], timeout: float, watch: Watch) -> list[Counted]:
    return list(await asyncio.gather(*(c.counted(timeout, watch) for c in counters)))


def _line(own: Report, told: Counted) -> str:
    how = "" if own.archive in told.there else " · listed and checked here"  # its notes say "counted there"
    return f"{told.query.level.name}: {own.line()}{how}" if own.answered else own.line()


def _json(found: Sequence[Counted], args: argparse.Namespace) -> None:
    del args
    print(
        json.dumps(
            {"format": "imaging-broker/counts/1", "counts": [_plain(c) for c in found]},
            ensure_ascii=False,
            indent=1,
        )
    )


def _plain(told: Counted) -> dict[str, object]:
    return {
        "level": told.query.level.name,
        "conditions": [str(c) for c in told.query.conditions],
        "total": _number(told.total),
        "archives": {archive: _number(count) for archive, count in told.archives.items()},
        "counted_there": list(told.there),
        "facets": {
            name: {
                "untold": list(facet.untold),
                "groups": [
                    {"value": g.value, **_number(g.count), "archives": dict(g.archives)} for g in facet
                ],
            }
            for name, facet in told.facets.items()
        },
        "complete": told.complete,
        "reports": [report(r) for r in told.reports],
    }


def _number(count: Count) -> dict[str, object]:
    return {"kind": count.kind, "low": count.low, "high": count.high}


def _csv(found: Sequence[Counted], args: argparse.Namespace) -> None:
    del args
    rows = csv.writer(sys.stdout, lineterminator="\n")
    rows.writerow(["level", "facet", "value", "kind", "low", "high"])
    for told in found:
        level = told.query.level.name
        rows.writerow([level, "", "", *_cells(told.total)])
        for name, facet in told.facets.items():
            rows.writerows([level, cell(name), cell(line(g.value)), *_cells(g.count)] for g in facet)


def _cells(count: Count) -> list[object]:
    return [count.kind, count.low, "" if count.high is None else count.high]


def _table(found: Sequence[Counted], args: argparse.Namespace) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    from broker.cli import printing

    made = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
    archives = list(dict.fromkeys(a for told in found for a in told.archives))
    made.add_column("")
    for head in ("Count", *(map(line, archives) if len(archives) > 1 else ())):
        made.add_column(head, justify="right")
    for told in found:
        own = [str(told.archives[a]) for a in archives] if len(archives) > 1 else []
        made.add_row(_LEVELS[told.query.level.name], str(told.total), *own)
    console = printing.console(200)
    console.print(made)
    for told in found:
        for facet in told.facets.values():
            console.print()
            console.print(_facet(facet, archives, args.top))


_LEVELS = {"PATIENT": "patients", "STUDY": "studies", "SERIES": "series"}


def _facet(facet: FacetCounts, archives: list[str], top: int) -> object:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    made = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
    made.add_column(line(facet.name), overflow="fold")
    several = archives if len(archives) > 1 and facet.name.lower() != ARCHIVE else []
    for head in ("Count", *map(line, several)):
        made.add_column(head, justify="right")
    shown = facet.groups[: top or None]
    for g in shown:
        own = [f"{g.archives.get(a, 0):,}" for a in several]
        made.add_row(Text(line(g.value) or NO_VALUE), str(g.count), *own)
    if len(shown) < len(facet):
        made.add_row(f"({len(facet) - len(shown):,} more values: --top 0)", "", *[""] * len(several))
    if facet.untold:
        made.caption = line(f"not told by {', '.join(facet.untold)}")
    return made


_PRINTERS = {"json": _json, "csv": _csv, "table": _table}
