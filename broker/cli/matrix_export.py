"""The matrix for other programs: JSON, CSV (a line for each piece of evidence), Markdown."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from broker.cli.signs import words
from broker.safe import cell as safe_cell
from broker.safe import line
from catalog.evidence import Evidence
from catalog.matrix import Matrix, Row

_COLUMNS = (
    "table", "archive", "capability", "leads", "status", "value", "kind", "place", "as_of", "confidence",
    "source", "url", "quote", "note", "by",
)  # fmt: skip

_MARKUP = re.compile(r"([\\`*_\[\]<>|~&$#])")


def as_json(matrix: Matrix) -> str:
    """Everything, evidence included."""
    document = {
        "capabilities": [dataclasses.asdict(c) for c in matrix.capabilities],
        "rows": [_row(matrix, r) for r in matrix.rows],
        "notes": matrix.notes,
    }
    return json.dumps(document, ensure_ascii=False, indent=1) + "\n"


def _row(matrix: Matrix, row: Row) -> dict[str, Any]:
    plain = dataclasses.asdict(dataclasses.replace(row, cells={}))
    plain["today"]["evidence"] = [evidence(e) for e in row.today.evidence]
    own = [row.cell(c.id) for c in matrix.capabilities if c.table == row.table]
    plain["cells"] = {
        c.capability: {
            "status": c.status,
            "value": c.lead.value,
            "evidence": [evidence(e) for e in c.evidence],
        }
        for c in own
    }
    return plain


def evidence(e: Evidence) -> dict[str, str]:
    """One piece of evidence, flat, without what is empty."""
    plain = {f.name: str(getattr(e, f.name)) for f in dataclasses.fields(e) if f.name != "source"}
    return {k: v for k, v in plain.items() if v} | {"source": e.source.title, "url": e.source.url}


def as_csv(matrix: Matrix) -> str:
    """A line for each piece of evidence; `leads` marks the one that answers for the cell."""
    rows = []
    for r in matrix.rows:
        for c in (c for c in matrix.capabilities if c.table == r.table):
            cell = r.cell(c.id)
            for e in cell.evidence:
                own = {
                    "table": r.table,
                    "archive": r.id,
                    "capability": c.id,
                    "leads": str(e is cell.lead).lower(),
                }
                rows.append(own | evidence(e))
    return rows_as("csv", rows, _COLUMNS)


def as_markdown(matrix: Matrix) -> str:
    """A table for each of the two tables: a row for each capability, a column for each archive."""
    blocks = []
    for table in ("archives", "software"):
        part = matrix.of(table)
        if part.rows:
            rows = [
                {"": c.label, **{r.id: words(r.cell(c.id)) for r in part.rows}} for c in part.capabilities
            ]
            blocks.append(rows_as("markdown", rows, ("", *(r.id for r in part.rows))))
    return "\n".join(blocks)


def rows_as(form: str, rows: Iterable[Mapping[str, str]], columns: Sequence[str]) -> str:
    """Rows as CSV or as a Markdown table; what is missing is empty."""
    if form == "markdown":
        lines = [columns, ["---"] * len(columns), *([r.get(c, "") for c in columns] for r in rows)]
        return "".join(f"| {' | '.join(map(_plain, cells))} |\n" for cells in lines)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([safe_cell(r.get(c, "")) for c in columns] for r in rows)
    return text.getvalue()


def _plain(text: str) -> str:
    return text if text == "---" else markdown(text)


def markdown(text: str) -> str:
    """Text that no Markdown reader takes for markup, on one line."""
    return _MARKUP.sub(r"\\\1", line(text))


WRITERS: dict[str, Callable[[Matrix], str]] = {"json": as_json, "csv": as_csv, "markdown": as_markdown}
