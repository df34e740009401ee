"""`broker show UID`: every archive's word on one study or series, side by side, conflicts marked."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from broker.answer import Answer
from broker.answering.export import entity as plain
from broker.answering.export import joined, report
from broker.api import Session
from broker.cli import INCOMPLETE, NOTHING, OK
from broker.cli.asked import names
from broker.cli.output import report_lines
from broker.joining.entity import Entity
from broker.joining.link import reasons
from broker.joining.locations import locations
from broker.matching import Value
from broker.query import Query
from broker.safe import line

if TYPE_CHECKING:
    from rich.table import Table


def run(args: argparse.Namespace) -> int:
    """Ask for the UID as a study and as a series. Raises BadQuery and BadConfig."""
    queries = [Query("studies", StudyInstanceUID=args.uid), Query("series", SeriesInstanceUID=args.uid)]
    answers = asyncio.run(_ask([_session(q, args) for q in queries], args.timeout))
    found = [e for answer in answers for e in answer]
    if args.json:
        print(json.dumps(_document(args.uid, answers), ensure_ascii=False, indent=1))
    else:
        for e in found:
            _print(e)
        for answer in answers:
            report_lines(answer, sys.stderr)
        if not found:
            print(f"no study and no series {line(args.uid)}", file=sys.stderr)
    if all(a.complete for a in answers):
        return OK
    return INCOMPLETE if any(a.answered for a in answers) else NOTHING


def _session(query: Query, args: argparse.Namespace) -> Session:
    return Session(query, at=names(args.at), prefer=args.prefer, config_file=args.config)


async def _ask(sessions: list[Session], timeout: float) -> list[Answer]:
    return list(await asyncio.gather(*(s.answer(timeout) for s in sessions)))


def _document(uid: str, answers: list[Answer]) -> dict[str, object]:
    return {
        "uid": uid,
        "entities": [plain(e) for answer in answers for e in answer],
        "reports": [report(r) for answer in answers for r in answer.reports],
    }


def _print(e: Entity) -> None:
    from rich.text import Text

    from broker.cli import printing

    console = printing.console()
    title = f"{e.level.name} {e.key}" + (" — one side of a COLLISION, not fused" if e.collision else "")
    console.print(Text(line(title), style="bold"), soft_wrap=True)
    console.print(_table(e))
    for told in (*_collisions(e), *_links(e)):
        console.print(Text(line(told)), soft_wrap=True)
    for told in _copies(e):
        console.print(Text(line(told)))


def _table(e: Entity) -> Table:
    """A row for each keyword, a column for each archive."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    said, conflicts, normal = e.said, e.conflicts, e.normal
    made = Table(box=SIMPLE_HEAD, pad_edge=False)
    for head in ("", "Keyword", *said):
        made.add_column(line(head), overflow="fold")
    for keyword in sorted({k for own in said.values() for k in own}):
        mark = "‼" if keyword in e.collision else "≠" if keyword in conflicts else ""
        cells = [_cell(own.get(keyword), normal.get(a, {}).get(keyword)) for a, own in said.items()]
        made.add_row(*(Text(line(c)) for c in (mark, keyword, *cells)))
    return made


def _collisions(e: Entity) -> Iterator[str]:
    for keyword, by in e.collision.items():
        sides = ", ".join(f"{archive} says {joined(value)}" for archive, value in by.items())
        yield f"‼ {keyword}: {sides}"


def _links(e: Entity) -> Iterator[str]:
    for link in reasons(e):
        yield f"one by {link.by} ({link.tier}, rules {link.version}): {', '.join(link.archives)}"


def _copies(e: Entity) -> Iterator[str]:
    for copy in locations(e):
        parts = [
            f"there known as {copy.own_id}" if copy.own_id else "",
            f"version {copy.version}" if copy.version else "",
            f"{copy.instances:,} images" if copy.instances else "",
            f"{copy.megabytes:,.1f} MB" if copy.megabytes else "",
            copy.license,
            copy.url,
        ]
        yield f"copy at {copy.archive}: {', '.join(p for p in parts if p) or 'no more is said'}"


def _cell(value: Value, normal: Value) -> str:
    if value is None:
        return ""
    told = "(empty)" if value == "" else joined(value) or ""
    return told if normal is None else f"{told}  [{joined(normal)}]"
