"""`broker candidates`: patients or studies that may be one by their description. Nothing is merged."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence
from typing import Any

from broker.answer import Answer
from broker.answering.candidates import require
from broker.answering.export import entity, report
from broker.api import Session
from broker.cli import INCOMPLETE, NOTHING, OK
from broker.cli.asked import names, split
from broker.cli.output import report_lines
from broker.errors import BadConfig, MissingExtra
from broker.joining.entity import Entity
from broker.joining.resemblance import Candidate
from broker.query import Query
from broker.safe import line

FORMAT = "imaging-broker/candidates/1"


def run(args: argparse.Namespace) -> int:
    """Ask, compare, print. Raises BadQuery and BadConfig before anything is asked."""
    try:
        require()
    except MissingExtra as error:
        raise BadConfig(str(error)) from error
    level, texts = split(args.words, args.level or (None if _named(args.words) else "patients"))
    session = Session(
        Query(level, *texts), at=names(args.at), limit=args.limit or None, fields=names(args.field),
        scan=args.scan, include_unknown=args.include_unknown, reveal=args.reveal, config_file=args.config,
    )  # fmt: skip
    answer = asyncio.run(session.answer(args.timeout))
    found = answer.candidates(least=args.least)
    if args.format == "json":
        print(json.dumps(_document(answer, found, args.least), ensure_ascii=False, indent=1))
    else:
        _table(found)
    if not args.quiet:
        report_lines(answer, sys.stderr)
    if answer.complete:
        return OK
    return INCOMPLETE if answer.answered else NOTHING


def _named(words: Sequence[str]) -> bool:
    return any("=" not in w and "~" not in w for w in words)


def _document(answer: Answer, found: Sequence[Candidate], least: float) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "level": answer.query.level.name,
        "least": least,
        "complete": answer.complete,
        "candidates": [_plain(c) for c in found],
        "reports": [report(r) for r in answer.reports],
    }


def _plain(candidate: Candidate) -> dict[str, Any]:
    return {
        "score": candidate.score,
        "weight": round(candidate.weight, 3),
        "one": entity(candidate.one),
        "other": entity(candidate.other),
        "reasons": [
            {name: getattr(r, name) for name in ("attribute", "agreement", "one", "other")}
            | {"weight": round(r.weight, 3)}
            for r in candidate.reasons
        ],
    }


def _table(found: Sequence[Candidate]) -> None:
    """A block for each pair: who, how likely, and why."""
    for candidate in found:
        print(line(f"{candidate.score:.4f}  {_who(candidate.one)}  ~  {_who(candidate.other)}"))
        for r in candidate.reasons:
            told = r.one if r.one == r.other else f"{r.one} / {r.other}"
            print(line(f"        {r.weight:+6.1f} bits  {r.attribute} {r.agreement}: {told}"))
    print(f"{len(found):,} candidates; none of them is merged", file=sys.stderr)


def _who(e: Entity) -> str:
    shown = e.values
    known = [
        v for k in ("Collection", "PatientID", "StudyInstanceUID") if isinstance(v := shown.get(k), str) and v
    ]
    return f"{', '.join(e.archives)}: {' '.join(known) or '(no identifier)'}"
