"""`broker archives`: the federation, and what is known of each archive's state."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys

from broker.cli import OK
from broker.config import federation
from broker.errors import BadQuery
from broker.registry import adapters
from broker.safe import line
from catalog.archives import Archive


def run(args: argparse.Namespace) -> int:
    """Print every archive; `*` marks those that are asked when a query names none."""
    if args.words:
        return _verb(args)
    archives = list(federation(args.config).archives.values())
    spoken = adapters()
    if args.format == "json":
        print(json.dumps([_plain(a, spoken) for a in archives], ensure_ascii=False, indent=1))
    else:
        _table(archives, spoken)
    return OK


def _verb(args: argparse.Namespace) -> int:
    from broker.cli import archives_add, archives_check

    match args.words:
        case ["check", *names]:
            return archives_check.run(args, tuple(names))
        case ["add", name]:
            return archives_add.run(args, name)
    raise BadQuery(f"archives {' '.join(args.words)}: write `check [ARCHIVE ...]` or `add NAME`")


def _table(archives: list[Archive], spoken: list[str]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    made = Table(box=SIMPLE_HEAD, pad_edge=False)
    for head in ("", "Archive", "Kind", "State", "As of", "Title and note"):
        made.add_column(head, overflow="fold")
    for a in archives:
        kind = a.adapter if a.adapter in spoken else f"{a.adapter} (no adapter installed)"
        about = a.title + (f": {a.note}" if a.note else "")
        cells = ("*" if a.asked else "", a.name, kind, a.state, a.as_of, about)
        made.add_row(*(Text(line(c)) for c in cells))
    Console(width=None if sys.stdout.isatty() else 160, highlight=False).print(made)
    print("* asked when a query names no archive; the others with --at NAME. State: as a dated source says,")
    print("  not as seen from here.")


def _plain(a: Archive, spoken: list[str]) -> dict[str, object]:
    """Without `auth`: even references to secrets stay where they are."""
    fields = {k: v for k, v in dataclasses.asdict(a).items() if k not in ("auth", "options")}
    return {**fields, "adapter_installed": a.adapter in spoken, "auth_kind": a.auth.get("kind", "none")}
