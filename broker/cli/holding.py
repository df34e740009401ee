"""`broker catalog show`: what is held under a name, and from which files and lines it comes."""

from __future__ import annotations

import argparse
import json
import sys

from broker.cli import NOTHING, OK
from broker.safe import line
from catalog.holdings import Store
from catalog.store_rows import MOST, Holding, Origin, holdings


def run(args: argparse.Namespace, store: Store, archive: str, name: str) -> int:
    """Print the rows. Raises StoreFault."""
    found = holdings(store, archive, name)
    if args.format == "json":
        print(json.dumps([one.plain() for one in found], ensure_ascii=False, indent=1))
    else:
        for one in found:
            _print(one)
    if not found:
        print(f"{archive} holds no UID, key or patient {line(name)}", file=sys.stderr)
    elif len(found) == MOST:
        print(f"the first {MOST:,} are shown; a search finds all", file=sys.stderr)
    return OK if found else NOTHING


def _print(one: Holding) -> None:
    print(one.level.name.lower())
    for origin in one.origins:
        print(f"  from {line(_told(origin))}")
    for keyword, value in sorted(one.values.items()):
        print(f"  {keyword}: {line(value)}")


def _told(origin: Origin) -> str:
    at = f" line {origin.line}" if origin.line else ""
    return (
        f"{origin.place}{at}, read {origin.when} as {origin.kind} (reader {origin.reader}), "
        f"SHA-256 {origin.sha256}"
    )
