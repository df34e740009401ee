"""`broker archives`: every archive that is known, how a query reaches it, and its state as a source says."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Mapping
from pathlib import Path

from broker.cli import OK
from broker.cli.together import only
from broker.cli.unread import unread
from broker.errors import BadConfig, BadQuery
from broker.knowing.knowledge import Knowledge, conditions, judged, knowledge, own_row, unheard
from broker.registry import adapters
from broker.safe import line
from catalog.archives import Archive
from catalog.matrix import ADAPTER, CATALOG, Row
from catalog.routes import commands

_ADD = (
    "--kind", "--url", "--option", "--limit", "--auth", "--set", "--unchecked", "--timeout", "--config",
)  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """Print archives; `*` marks those that are asked when a query names none. Raises BadQuery, BadConfig."""
    if args.words:
        return _verb(args)
    if args.pages:
        only(args, "--pages, which writes of all that ships", "--pages")
        return _pages(Path(args.pages))
    only(args, "the list of archives", "--where", "--include-unknown", "--format", "--config")
    known = knowledge(args.config)
    unread(known)
    wheres = conditions(args.where, known.matrix)
    rows = _rows(known)
    kept, unknown = judged(rows, wheres, known.archives)
    shown = kept + unknown if args.include_unknown else kept
    spoken = adapters()
    if args.format == "json":
        plain = [_plain(r, known.archives.get(r.id), spoken) for r in shown]
        print(json.dumps(plain, ensure_ascii=False, indent=1))
    else:
        _table(shown, known.archives, spoken)
    if not kept:
        print("no archive satisfies the conditions", file=sys.stderr)
        for text in filter(None, (unheard(rows, where, known.archives) for where in wheres)):
            print(line(text), file=sys.stderr)
    if unknown:
        names = ", ".join(r.id for r in unknown)
        left = "shown too" if args.include_unknown else "left out (--include-unknown shows them)"
        print(line(f"of {len(unknown)} archives a condition is not known, {left}: {names}"), file=sys.stderr)
    return OK


def _verb(args: argparse.Namespace) -> int:
    from broker.cli import archives_add, archives_check

    match args.words:
        case ["check", *names]:
            only(args, "archives check", "--reset", "--timeout", "--format", "--config")
            return archives_check.run(args, tuple(names))
        case ["add", name]:
            only(args, "archives add", *_ADD)
            return archives_add.run(args, name)
    told = (
        "write `check [ARCHIVE ...]` or `add NAME`; nothing for the list; `broker matrix ARCHIVE` shows one"
    )
    raise BadQuery(f"archives {' '.join(args.words)}: {told}")


def _rows(known: Knowledge) -> list[Row]:
    """The federation in its order, then every other row of the matrix."""
    rows = {r.id: r for r in known.matrix.rows if r.table == "archives"}
    federated = [rows.get(n) or own_row(n, a, len(rows)) for n, a in known.archives.items()]
    return [*federated, *(r for r in rows.values() if r.id not in known.archives)]


def _table(rows: list[Row], archives: Mapping[str, Archive], spoken: list[str]) -> None:
    if not rows:
        return
    from broker.cli import printing

    heads = ("", "Archive", "Route", "By", "State", "As of", "Title and note")
    made = printing.table(*heads, whole=("Archive", "Route", "As of"))
    for row in rows:
        a = archives.get(row.id)
        state, as_of = (a.state, a.as_of) if a else (row.today.state, row.today.as_of)
        as_of = as_of or ("" if state == "unknown" else "undated")
        about = row.title + (f": {a.note}" if a and a.note else "")
        cells = ("*" if a and a.asked else "", row.id, _how(row), _by(row, a, spoken), state, as_of, about)
        made.add_row(*printing.cells(*cells))
    printing.show(made, printing.console())
    print("* asked when a query names no archive; the others with --at NAME. State: as a dated source says,")
    print("  not as seen from here. `broker matrix ARCHIVE --why` shows what is known, and from where.")
    print("  import as KIND: `broker catalog import FILE --as KIND --archive ARCHIVE` (docs/archives).")


def _how(row: Row) -> str:
    return row.route.how if row.route else "matrix only"


def _by(row: Row, archive: Archive | None, spoken: list[str]) -> str:
    """What answers: an adapter that speaks to it, archives that stand for it, or files to import."""
    if archive and archive.state != "retired":
        return archive.adapter if archive.adapter in spoken else f"{archive.adapter} (no adapter installed)"
    route = row.route
    if route and route.how == ADAPTER:
        return f"--at {','.join(route.ask)}"
    if route and route.how == CATALOG:
        return f"import as {' or '.join(route.importers)}"
    return ""


def _plain(row: Row, a: Archive | None, spoken: list[str]) -> dict[str, object]:
    """Without `auth`: even references to secrets stay where they are."""
    known: dict[str, object] = {
        "name": row.id,
        "title": row.title,
        "layer": row.layer,
        "state": row.today.state,
        "as_of": row.today.as_of,
        "cite": "; ".join(e.source.title for e in row.today.evidence),
        "route": dataclasses.asdict(row.route) if row.route else None,
        "commands": commands(row.id, row.route) if row.route else [],
        "successors": row.today.successors,
        "asked": False,
    }
    if a is None:
        return known
    fields = {k: v for k, v in dataclasses.asdict(a).items() if k not in ("auth", "options")}
    own = {"adapter_installed": a.adapter in spoken, "auth_kind": a.auth.get("kind", "none")}
    return known | fields | own


def _pages(folder: Path) -> int:
    """Write the Markdown pages of what ships; other files of the folder are not touched."""
    from broker.cli.pages import pages

    try:
        folder.mkdir(parents=True, exist_ok=True)
        made = pages()
        for name, text in made.items():
            (folder / name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise BadConfig(f"--pages {folder}: {error.strerror}") from error
    print(f"wrote {len(made)} pages to {folder}", file=sys.stderr)
    return OK
