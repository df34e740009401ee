"""The matrix on a terminal: in signs where it is wide, in words where it is narrow, and its evidence."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import replace

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from broker.cli import matrix_export, printing
from broker.cli.signs import STYLES, cited, dated, legend, sign, words
from broker.safe import line
from catalog.evidence import Evidence
from catalog.matrix import Capability, Cell, Matrix, Row

FEW = 3  # so many archives, or capabilities, are shown in words
LAYERS = {
    "survey": "The survey of August 2010",
    "today": "Archives of today",
    "own": "Your own archives",
}


def show(matrix: Matrix) -> None:
    """Both tables, one block for each layer."""
    to = printing.console()
    for table in ("archives", "software"):
        part = matrix.of(table)
        if not part.rows:
            continue
        if len(part.rows) <= FEW:
            printing.show(_side_by_side(part, {}), to)
        elif len(part.capabilities) <= FEW:
            printing.show(_listed(part), to)
        else:
            _grids(to, part, table)
    for text in legend():
        to.print(Text(text, style="dim"), soft_wrap=True)
    if sys.stdout.isatty():
        to.print(Text("--why shows the evidence; --format and --html FILE for other uses.", style="dim"))


def _grids(to: Console, matrix: Matrix, table: str) -> None:
    """A block for each layer, or several where its capabilities have no room beside each other."""
    numbered = printing.width(_grid(matrix, {}), to) > to.width
    heads = {c.id: str(n) for n, c in enumerate(matrix.capabilities, 1)} if numbered else {}
    for layer, title in LAYERS.items():
        rows = tuple(r for r in matrix.rows if r.layer == layer)
        if rows:
            name = f"{title}: software" if table == "software" else title
            to.print(Text(name, style="bold"))
            for block in _blocks(replace(matrix, rows=rows), heads, to):
                printing.show(block, to)
    for c in matrix.capabilities if heads else ():
        to.print(Text(f"{heads[c.id]:>3} {c.label}", style="dim"))
    if heads:
        to.print()


def _blocks(matrix: Matrix, heads: Mapping[str, str], to: Console) -> list[Table]:
    """As few grids as fit, with about as many columns each. No sign is ever cut: `…` is one of them."""
    columns, blocks = matrix.capabilities, list[Table]()
    for count in range(1, len(columns) + 1):
        each = -(-len(columns) // count)
        parts = [columns[i : i + each] for i in range(0, len(columns), each)]
        blocks = [_grid(replace(matrix, capabilities=part), heads) for part in parts]
        if all(printing.width(block, to) <= to.width for block in blocks):
            break
    return blocks


def _grid(matrix: Matrix, heads: Mapping[str, str]) -> Table:
    """Signs: a row for an archive, a column for a capability, headed by its short name or by `heads`."""
    made = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    made.add_column("Archive" if matrix.capabilities[0].table == "archives" else "Software", no_wrap=True)
    for c in matrix.capabilities:
        made.add_column(heads.get(c.id, c.short), justify="center", no_wrap=True)
    for row in matrix.rows:
        cells = [row.cell(c.id) for c in matrix.capabilities]
        made.add_row(Text(line(row.id)), *(Text(sign(c), style=STYLES[c.lead.status]) for c in cells))
    return made


def side_by_side(matrix: Matrix, marks: Mapping[str, str]) -> None:
    """Archives in words beside each other; `marks` stand before the capabilities."""
    printing.show(_side_by_side(matrix, marks), printing.console())


def _side_by_side(matrix: Matrix, marks: Mapping[str, str]) -> Table:
    """In words: a row for a capability, a column for an archive."""
    made = printing.table(*([""] if marks else []), "Capability", *(line(r.id) for r in matrix.rows))
    for c in matrix.capabilities:
        before = [Text(marks[c.id])] if marks else []
        made.add_row(*before, Text(c.label), *(_words(r.cell(c.id)) for r in matrix.rows))
    return made


def _listed(matrix: Matrix) -> Table:
    """In words: a row for an archive, a column for a capability."""
    made = printing.table("Archive", *(c.label for c in matrix.capabilities))
    for r in matrix.rows:
        made.add_row(Text(line(r.id)), *(_words(r.cell(c.id)) for c in matrix.capabilities))
    return made


def _words(cell: Cell) -> Text:
    date = f" ({cell.lead.as_of or 'undated'})" if cell.lead.known else ""
    return Text(line(words(cell) + date), style=STYLES[cell.lead.status])


def why(matrix: Matrix) -> None:
    """Every cell that is shown, with all its evidence."""
    to = printing.console()
    for row in matrix.rows:
        to.print(Text(line(f"{row.title} ({row.id})"), style="bold"), soft_wrap=True)
        for text in _about(row):
            to.print(Text(line(f"  {text}"), style="dim"), soft_wrap=True)
        capabilities = [c for c in matrix.capabilities if c.table == row.table]
        silent: dict[str, list[str]] = {}
        for capability in capabilities:
            cell = row.cell(capability.id)
            if cell.lead.known or cell.lead.value:
                _explain(to, capability, cell)
            else:
                silent.setdefault(_quoted(cell.lead), []).append(capability.label)
        for reason, labels in silent.items():
            to.print(Text(line(f"  unknown: {', '.join(labels)}")), soft_wrap=True)
            to.print(Text(line(f"      {reason}"), style="dim"), soft_wrap=True)


def _about(row: Row) -> list[str]:
    today = row.today
    name = f": {today.name}" if today.name else ""
    state = [f"today {today.state}{name} ({today.as_of or 'undated'})"] if row.table == "archives" else []
    return [*state, *([row.note] if row.note else []), *(_quoted(e) for e in today.evidence)]


def _explain(to: Console, capability: Capability, cell: Cell) -> None:
    to.print(Text(line(f"  {capability.label}: {words(cell)}")), soft_wrap=True)
    lead = cell.lead
    for e in (lead, *(e for e in cell.evidence if e is not lead)):
        said = "" if e is lead or not e.known else f"{e.value}; "
        to.print(Text(line(f"      {said}{_quoted(e)}"), style="dim"), soft_wrap=True)


def _quoted(e: Evidence) -> str:
    """The evidence in one line: where from, when, the words, the note, the source."""
    quote = f' "{e.quote}"' if e.quote else ""
    note = f" {e.note}" if e.note else ""
    by = f" [{e.by}]" if e.by else ""
    return f"{dated(e)}:{quote}{note} {cited(e)}{by}".rstrip().rstrip(":")


def changes(matrix: Matrix, since: str, form: str) -> None:
    """What says something else than it did before a date."""
    found = [
        (r, c, changed)
        for r in matrix.rows
        for c in matrix.capabilities
        if c.table == r.table and (changed := r.cell(c.id).changed(since)) is not None
    ]
    if form != "table":
        plain = [_change(*change) for change in found]
        text = json.dumps(plain, ensure_ascii=False, indent=1) + "\n" if form == "json" else ""
        sys.stdout.write(text or matrix_export.rows_as(form, plain, tuple(_CHANGE)))
        return
    made = printing.table("Archive", "Capability", f"Before {since}", "Since then")
    for r, c, (old, new) in found:
        before = f"{old.value or old.status} ({old.as_of or 'undated'})" if old else "nothing on record"
        made.add_row(*(Text(line(t)) for t in (r.id, c.label, before, f"{new.value} ({dated(new)})")))
    if found:
        printing.show(made, printing.console())
    print(f"{len(found)} cells say something else than before {since}", file=sys.stderr)


_CHANGE = ("archive", "capability", "before", "before_as_of", "now", "now_as_of", "kind", "source")


def _change(row: Row, capability: Capability, changed: tuple[Evidence | None, Evidence]) -> dict[str, str]:
    old, new = changed
    was = (old.value or str(old.status), old.as_of) if old else ("", "")
    values = (row.id, capability.id, *was, new.value, new.as_of, str(new.kind), cited(new))
    return dict(zip(_CHANGE, values, strict=True))
