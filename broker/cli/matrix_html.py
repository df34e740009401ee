"""The matrix as one page: a grid in signs and colours, the evidence a click away, no request to any network.

Everything that is shown is text. The style and the script stand in the page, and its Content-Security-Policy
lets nothing else run or load (CSP level 2: hashes of inline style and script).
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from datetime import UTC, datetime
from html import escape
from importlib import resources
from importlib.metadata import version

from broker.cli.signs import DOUBTFUL, MARKS, MEANS, SIGNS, dated, mark, words
from broker.safe import line
from catalog.evidence import Evidence, Status
from catalog.matrix import Capability, Cell, Matrix, Row

LAYERS = {"survey": "Survey of August 2010", "today": "Archives of today", "own": "Your own archives"}


def page(matrix: Matrix) -> str:
    """The whole page, as HTML."""
    style, script = (_resource(name) for name in ("matrix.css", "matrix.js"))
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_policy(style, script)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>Medical-imaging archives: what is known</title>
<style>{style}</style>
</head>
<body>
{_head(matrix)}
{_controls(matrix)}
<main>
{"".join(_table(matrix.of(t), t) for t in ("archives", "software"))}
</main>
<div id="panel" role="dialog" aria-label="Evidence" hidden>
<button class="close" type="button" aria-label="Close">✕</button><div class="body"></div></div>
<section id="evidence"><h2>The evidence</h2>{"".join(_articles(matrix))}</section>
{_foot(matrix)}
<script>{script}</script>
</body>
</html>
"""


def _policy(style: str, script: str) -> str:
    """The page may run its own script and nothing else, and ask nobody for anything."""
    own = f"style-src '{_hash(style)}'; script-src '{_hash(script)}'"
    return f"default-src 'none'; {own}; base-uri 'none'; form-action 'none'"


def _resource(name: str) -> str:
    return resources.files("broker.page").joinpath(name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _text(text: str) -> str:
    """What an archive or a document said, as text and nothing else."""
    return escape(line(text))


def _link(url: str, title: str) -> str:
    """A link where the address is one of the web, else the title alone."""
    if not url.startswith(("https://", "http://")):
        return _text(title)
    return f'<a href="{_text(url)}" rel="noreferrer noopener">{_text(title)}</a>'


def _head(matrix: Matrix) -> str:
    archives = matrix.of("archives").rows
    known = sum(r.cell(c.id).lead.known for r in archives for c in matrix.of("archives").capabilities)
    counts = f"{len(archives)} archives, {known} answers"
    signs = [f'<li><span class="c {s}">{SIGNS[s]}</span>{_text(MEANS[s])}</li>' for s in Status]
    marks = [f"<li><b>{m}</b>{_text(what)}</li>" for m, what in MARKS.items()]
    return f"""<header><h1>Medical-imaging archives: what is known</h1>
<p>{counts}, each with its evidence: the sentence it rests on, its source and its date.
Most cells of the survey of 2010 are lost. They are unknown, which is not “no”.</p>
<p class="soft mouse">Point at a cell for its evidence; click or Enter keeps it, Escape closes.</p>
<p class="soft touch">Touch a cell for its evidence.</p>
<ul class="legend">{"".join(signs + marks)}</ul></header>"""


def _controls(matrix: Matrix) -> str:
    capabilities = matrix.of("archives").capabilities
    if not capabilities:
        return ""
    choices = "".join(f'<option value="{c.id}">{_text(c.label)}</option>' for c in capabilities)
    columns = "".join(f'<option value="{n}">{_text(c.label)}</option>' for n, c in enumerate(capabilities, 1))
    statuses = "".join(_chip("status", s, f"{SIGNS[s]} {MEANS[s].partition(',')[0]}") for s in Status)
    present = [layer for layer in LAYERS if any(r.layer == layer for r in matrix.of("archives").rows)]
    layers = "".join(_chip("layer", layer, LAYERS[layer], checked=True) for layer in present)
    return f"""<form class="controls" role="search">
<label><span class="label">Find</span><input type="search" name="words" placeholder="lung, REST, XNAT …"
autocomplete="off"></label>
<button class="toggle" type="button" aria-expanded="false">Filter and sort</button><div class="more">
<label><span class="label">Archives whose</span>
<select name="capability"><option value="">anything</option>{choices}</select></label>
<fieldset><legend>is</legend><div class="chips">{statuses}</div></fieldset>
<fieldset><legend>Show</legend><div class="chips">{layers}{_chip("written", "on", "words")}</div></fieldset>
<label><span class="label">Sort by</span><select name="sort">
<option value="-1">as listed</option><option value="0">name</option>{columns}</select></label>
</div>
<output aria-live="polite"></output>
</form>"""


def _chip(name: str, value: str, label: str, *, checked: bool = False) -> str:
    box = f'<input type="checkbox" name="{name}" value="{value}"{" checked" if checked else ""}>'
    return f"<label>{box}<span>{_text(label)}</span></label>"


def _table(matrix: Matrix, table: str) -> str:
    if not matrix.rows:
        return ""
    first = "Archive" if table == "archives" else "Software"
    heads = "".join(
        f'<th scope="col" role="columnheader" title="{_text(f"{c.label}: {c.about}")}">'
        f'<button type="button">{_text(c.short)}</button></th>'
        for c in matrix.capabilities
    )
    bodies = "".join(_body(matrix, layer) for layer in LAYERS if any(r.layer == layer for r in matrix.rows))
    title = "" if table == "archives" else "<h2>Archive software, as the survey saw it</h2>"
    return f"""{title}<div class="grid"><table class="{table}" role="table">
<caption class="out">{first} by capability</caption>
<thead role="rowgroup"><tr role="row"><th scope="col" role="columnheader">
<button type="button">{first}</button></th>{heads}</tr></thead>
{bodies}</table></div>"""


def _body(matrix: Matrix, layer: str) -> str:
    rows = [r for r in matrix.rows if r.layer == layer]
    width = len(matrix.capabilities) + 1
    group = ""
    if rows[0].table == "archives":
        head = f'<th colspan="{width}" role="columnheader">{LAYERS[layer]}</th>'
        group = f'<tr class="group" role="row">{head}</tr>'
    lines = "".join(_row(r, matrix.capabilities, n) for n, r in enumerate(rows))
    return f'<tbody role="rowgroup">{group}{lines}</tbody>'


def _row(row: Row, capabilities: Iterable[Capability], order: int) -> str:
    given = [(c, row.cell(c.id)) for c in capabilities]
    found = " ".join([row.id, row.institution, row.today.name, *(cell.lead.value for _, cell in given)])
    cells = "".join(_cell(row, c, cell) for c, cell in given)
    state = ""
    if row.table == "archives":
        gone = f" → {', '.join(row.today.successors)}" if row.today.successors else ""
        state = f'<span class="state">{_text(row.today.state + gone)}</span>'
    name = f'<a href="#{_ident(row)}"><span class="name">{_text(row.title)}</span>{state}</a>'
    return (
        f'<tr role="row" data-order="{order}" data-layer="{row.layer}" data-words="{_text(found)}">'
        f'<th scope="row" role="rowheader">{name}</th>{cells}</tr>'
    )


def _cell(row: Row, capability: Capability, cell: Cell) -> str:
    e = cell.lead
    look = f"c {e.status}" + (" doubtful" if mark(e) == DOUBTFUL else "")
    sup = f'<sup aria-hidden="true">{mark(e)}</sup>' if mark(e) else ""
    said = f"{capability.label}: {_status(e)}{f', {e.value}' if e.value else ''} ({dated(e)})"
    return (
        f'<td role="cell" data-capability="{capability.id}" data-status="{cell.status}">'
        f'<a class="{look}" href="#{_ident(row, capability)}" data-label="{_text(capability.short)}">'
        f'<span aria-hidden="true">{SIGNS[e.status]}</span>{sup}'
        f'<span class="word" aria-hidden="true">{_status(e)}</span>'
        f'<span class="out">{_text(said)}</span></a></td>'
    )


def _status(e: Evidence) -> str:
    return "unknown" if not e.known else MEANS[e.status]


def _ident(row: Row, capability: Capability | None = None) -> str:
    """The anchor of a row or a cell; names of the user's own archives may hold anything."""
    plain = "".join(c if c.isalnum() or c in "-_" else f".{ord(c):x}" for c in row.id)
    return f"{row.table}.{plain}" + (f".{capability.id}" if capability else "")


def _articles(matrix: Matrix) -> Iterable[str]:
    for row in matrix.rows:
        yield _about(row)
        for capability in matrix.capabilities:
            if capability.table == row.table:
                yield _article(row, capability, row.cell(capability.id))


def _about(row: Row) -> str:
    today = row.today
    told = {
        "Institution": row.institution,
        "Today": f"{today.state} ({today.as_of or 'undated'})" if row.table == "archives" else "",
        "Name today": today.name,
        "Software": today.software,
        "Interface": today.api,
        "Access": today.access,
        "Route": f"{row.route.how}. {row.route.why}" if row.route else "",
        "Note": " ".join(n for n in (row.note, today.note) if n),
    }
    lines = [f"<li><b>{name}</b>: {_text(text)}</li>" for name, text in told.items() if text]
    lines += [f"<li>{_link(today.url, today.url)}</li>"] if today.url else []
    lines += [f"<li>{_evidence(e)}</li>" for e in today.evidence]
    return (
        f'<article id="{_ident(row)}"><header><span class="soft">{_text(row.id)}</span>'
        f"<h3>{_text(row.title)}</h3></header><ul>{''.join(lines)}</ul></article>"
    )


def _article(row: Row, capability: Capability, cell: Cell) -> str:
    lead = cell.lead
    rest = [e for e in cell.evidence if e is not lead]
    items = "".join(f"<li>{_evidence(e, value=e is not lead)}</li>" for e in (lead, *rest))
    return (
        f'<article id="{_ident(row, capability)}"><header><span class="soft">{_text(row.title)}</span>'
        f'<h3>{_text(capability.label)}</h3><p class="answer">{_text(words(cell))}</p></header>'
        f"<ul>{items}</ul></article>"
    )


def _evidence(e: Evidence, *, value: bool = False) -> str:
    said = f"<div>{_text(e.value)}</div>" if value and e.value else ""
    quote = f"<blockquote>{_text(e.quote)}</blockquote>" if e.quote else ""
    note = f"<div>{_text(e.note)}</div>" if e.note else ""
    source = "" if e.source.id == "nobody" else f" · {_link(e.source.url, e.source.title)}"
    by = f" · {_text(e.by)}" if e.by else ""
    return f'{said}{quote}{note}<div class="from">{_text(dated(e))}{source}{by}</div>'


def _foot(matrix: Matrix) -> str:
    notes = "".join(f"<li>{_text(n)}</li>" for n in matrix.notes)
    made = f"imaging-broker {version('imaging-broker')}, {datetime.now(UTC):%Y-%m-%d}"
    asked = "No archive was asked for this page except where a cell is marked * (measured)."
    return f"<footer><h2>On the survey</h2><ul>{notes}</ul><p>{asked} Made by {_text(made)}.</p></footer>"
