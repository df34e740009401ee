"""The pages of `docs/archives`: one for each archive and a table of all. Made from the data, never edited."""

from __future__ import annotations

from broker.cli.matrix_export import markdown, rows_as
from broker.cli.signs import dated, legend, words
from catalog.collection import Collection, Count
from catalog.evidence import Evidence
from catalog.matrix import Capability, Matrix, Route, Row
from catalog.reading import shipped_collections, shipped_matrix
from catalog.routes import commands

_MADE = "<!-- Made by `broker archives --pages docs/archives` from catalog/data. Do not edit here. -->"
_MANY = 25  # collections of one archive that are listed


def pages() -> dict[str, str]:
    """File name -> text."""
    matrix = shipped_matrix()
    archives = matrix.of("archives")
    made = {f"{r.id}.md": _archive(r, archives) for r in archives.rows}
    made["software.md"] = _software(matrix.of("software"))
    return {"README.md": _index(archives, matrix.notes), **made}


def _index(matrix: Matrix, notes: tuple[str, ...]) -> str:
    rows = [
        {
            "Archive": f"[{markdown(r.title)}]({r.id}.md)",
            "Route": r.route.how if r.route else "",
            "Today": markdown(f"{r.today.state} ({r.today.as_of or 'undated'})"),
            "layer": r.layer,
        }
        for r in matrix.rows
    ]
    parts = [_MADE, "# The archives", _INTRO]
    for layer, title in (("survey", "The survey of August 2010"), ("today", "Archives of today")):
        mine = [r for r in rows if r["layer"] == layer]
        parts += [f"## {title}", _linked(mine, ("Archive", "Route", "Today"))]
    parts += ["## What is to be known of the survey", "\n".join(f"- {markdown(n)}" for n in notes)]
    parts.append("The second table of the survey, on archive software: [software.md](software.md).")
    return "\n\n".join(parts) + "\n"


_INTRO = """What is known of each archive, from where and of when. No archive was asked for these pages: what
one is like today is what a dated document says. The route is how a query reaches it:

- **adapter**: it is asked, or those that took it over;
- **catalog**: it has no interface, so lists that it exports are imported and searched here;
- **collection record**: only data sets as a whole are known (`broker collections`);
- **matrix only**: there is nothing to search, and the page says why."""


def _linked(rows: list[dict[str, str]], columns: tuple[str, ...]) -> str:
    lines = [columns, ("---",) * len(columns), *(tuple(r[c] for c in columns) for r in rows)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _archive(row: Row, matrix: Matrix) -> str:
    parts = [_MADE, f"# {markdown(row.title)}"]
    if row.institution and row.institution not in row.title:
        parts.append(markdown(row.institution))
    if row.note:
        parts.append(markdown(row.note))
    parts += ["## How a query reaches it", _route(row.id, row.route)] if row.route else []
    parts += ["## Today", _today(row)]
    records = [c for c in shipped_collections() if c.archive == row.id]
    if records:
        parts += ["## Collections", _records(records)]
    parts += ["## Capabilities", _cells(row, matrix.capabilities)]
    return "\n\n".join(parts) + "\n"


def _route(archive: str, route: Route) -> str:
    lines = [f"**{route.how}**. {markdown(route.why)}"]
    if route.ask:
        lines.append(f"Asked as: {', '.join(f'`--at {name}`' for name in route.ask)}.")
    if route.adapters:
        lines.append(f"Adapters: {', '.join(f'`{name}`' for name in route.adapters)}.")
    if route.importers:
        kinds = " or ".join(f"`--as {name}`" for name in route.importers)
        lines.append(f"Imported by `broker catalog import` with {kinds}: {markdown(route.files)}.")
    return "\n".join([*lines, "", "```sh", *commands(archive, route), "```"])


def _today(row: Row) -> str:
    today = row.today
    told = {
        "State": f"{today.state}, {today.as_of or 'undated'}",
        "Name": today.name,
        "Software": today.software,
        "Interface": today.api,
        "Access": today.access,
        "Note": today.note,
    }
    lines = [f"- {name}: {markdown(text)}" for name, text in told.items() if text]
    lines += [f"- Address: <{today.url}>"] if today.url else []
    lines += (
        [f"- Taken over by: {', '.join(f'[{s}]({s}.md)' for s in today.successors)}"]
        if today.successors
        else []
    )
    return "\n".join([*lines, *(f"- {_evidence(e)}" for e in today.evidence)])


def _records(records: list[Collection]) -> str:
    rows = [
        {
            "Collection": c.title,
            "Counts": ", ".join(f"{c.counts[n]} {n}" for n in Count.NAMES if n in c.counts),
            "As of": c.as_of or "undated",
            "Note": c.note,
        }
        for c in records[:_MANY]
    ]
    more = len(records) - len(rows)
    end = f"\nAnd {more} more: `broker collections --at {records[0].archive}`.\n" if more else ""
    return (rows_as("markdown", rows, tuple(rows[0])) + end).rstrip()


def _cells(row: Row, capabilities: tuple[Capability, ...]) -> str:
    known = [c for c in capabilities if row.cell(c.id).lead.known]
    lines = [_cell(row, c) for c in known]
    silent: dict[str, list[str]] = {}
    for c in capabilities:
        if c not in known:
            silent.setdefault(row.cell(c.id).lead.note, []).append(c.label)
    lines += [f"- Unknown: {markdown(', '.join(names))}. {markdown(why)}" for why, names in silent.items()]
    return "\n".join([*lines, "", *(markdown(text) for text in legend())])


def _cell(row: Row, capability: Capability) -> str:
    cell = row.cell(capability.id)
    lines = [f"- **{markdown(capability.label)}**: {markdown(words(cell))}"]
    lines += [
        f"  - {'' if e is cell.lead else markdown(e.value) + ': '}{_evidence(e)}" for e in cell.evidence
    ]
    return "\n".join(lines)


def _evidence(e: Evidence) -> str:
    title = markdown(e.source.title)
    source = f"[{title}](<{e.source.url}>)" if e.source.url else title
    quote = f", “{markdown(e.quote)}”" if e.quote else ""
    note = f" {markdown(e.note)}" if e.note else ""
    return f"{markdown(dated(e))}: {source}{quote}.{note}"


def _software(matrix: Matrix) -> str:
    parts = [_MADE, "# Archive software, as the survey of August 2010 saw it"]
    for row in matrix.rows:
        parts += [f"## {markdown(row.title)}", _cells(row, matrix.capabilities)]
    return "\n\n".join(parts) + "\n"
