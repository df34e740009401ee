"""`broker explain`: what would be asked where, checked here, or refused by name. Asks nobody."""

from __future__ import annotations

import argparse
import json

from broker.cli import OK
from broker.cli.search import session_of
from broker.planning.explanation import Explanation
from broker.safe import line


def run(args: argparse.Namespace) -> int:
    """Print the plan of every archive."""
    plans = session_of(args).explain()
    if args.format == "json":
        print(json.dumps([_plain(e) for e in plans], ensure_ascii=False, indent=1))
    else:
        _table(plans)
    return OK


def _table(plans: list[Explanation]) -> None:
    from rich.text import Text

    from broker.cli import printing

    console = printing.console()
    for e in plans:
        made = printing.table("Condition", "Where", "Sent", "Why")
        for s in e.plan.steps:
            sent = str(s.sent) if s.sent is not None else "-"
            made.add_row(*printing.cells(str(s.condition), s.where.value, sent, s.why))
        console.print(Text(line(_title(e)), style="bold"))
        if e.plan.steps:
            printing.show(made, console)
        for text in _below(e):
            console.print(Text(line(text)), soft_wrap=True)


def _title(e: Explanation) -> str:
    how = f"asked for {e.plan.level.name}" + (", grouped here" if e.plan.groups else "")
    return f"{e.archive}: {'NOT ASKED' if e.plan.refusal else how}"


def _below(e: Explanation) -> list[str]:
    notes = [f"refused: {e.plan.refusal}"] if e.plan.refusal else []
    if e.may_learn:
        notes.append(
            "a self-test of the archive comes first; if it passes, more is asked there than shown here"
        )
    return notes + [f"request: {r}" for r in e.requests]


def _plain(e: Explanation) -> dict[str, object]:
    steps = [
        {"condition": str(s.condition), "where": s.where.value, "sent": s.sent and str(s.sent), "why": s.why}
        for s in e.plan.steps
    ]
    return {
        "archive": e.archive,
        "level": e.plan.level.name,
        "grouped": e.plan.groups,
        "refusal": e.plan.refusal,
        "steps": steps,
        "requests": list(e.requests),
        "self_test_first": e.may_learn,
    }
