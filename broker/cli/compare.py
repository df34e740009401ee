"""`broker compare A B`: archives, or archive programs, capability by capability."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence

from broker.cli import OK, matrix_export, matrix_table
from broker.cli.asked import names
from broker.cli.signs import words
from broker.cli.together import never
from broker.cli.unread import unread
from broker.errors import BadQuery
from broker.knowing.knowledge import knowledge
from catalog.evidence import Status
from catalog.matrix import TABLES, Capability, Matrix, UnknownName

SAME, DIFFERENT, UNDECIDED = "=", "≠", "?"


def run(args: argparse.Namespace) -> int:
    """Print the rows side by side. Raises BadQuery and BadConfig."""
    rows = names(args.rows)
    if len(set(rows)) < max(2, len(rows)):
        raise BadQuery(
            "compare needs two archives, or two archive programs, each once; `broker matrix` lists them"
        )
    if args.format != "table":
        evidence = f"broker matrix {' '.join(rows)} --format json"
        never(args, "--why", why=f"a comparison in {args.format} has no evidence; `{evidence}` has")
    known = knowledge(args.config)
    unread(known)
    try:
        matrix = _of_one_table(known.matrix, rows).narrowed(rows, names(args.capability))
    except UnknownName as error:
        raise BadQuery(str(error)) from error
    if args.format == "table":
        (matrix_table.why if args.why else _show)(matrix)
    else:
        sys.stdout.write(_exported(matrix, args.format))
    return OK


def _of_one_table(matrix: Matrix, rows: Sequence[str]) -> Matrix:
    """The table that has them all; of names that both have, archives. Raises BadQuery and UnknownName."""
    tables = [{r.table for r in matrix.named(name)} for name in rows]
    for table in TABLES:
        if all(table in own for own in tables):
            return matrix.of(table)
    raise BadQuery("an archive cannot be compared with a program: they are not asked the same questions")


def verdict(matrix: Matrix, capability: Capability) -> str:
    """Whether the rows say the same of a capability; undecided where one is unknown or uncertain.

    Answers in words are compared as they stand: two words for one thing count as different.
    """
    cells = [row.cell(capability.id) for row in matrix.rows]
    if any(cell.status is Status.UNKNOWN for cell in cells):
        return UNDECIDED
    plain = {(str(c.status), c.lead.value.casefold() if _in_words(c.status) else "") for c in cells}
    return SAME if len(plain) == 1 else DIFFERENT


def _in_words(status: Status) -> bool:
    return status in (Status.TEXT, Status.NUMBER)


def _show(matrix: Matrix) -> None:
    marks = {c.id: verdict(matrix, c) for c in matrix.capabilities}
    matrix_table.side_by_side(matrix, marks)
    counts = {m: list(marks.values()).count(m) for m in (SAME, DIFFERENT, UNDECIDED)}
    print(
        f"= {counts[SAME]} the same   ≠ {counts[DIFFERENT]} different   "
        f"? {counts[UNDECIDED]} undecided: unknown for at least one",
        file=sys.stderr,
    )


def _exported(matrix: Matrix, form: str) -> str:
    rows = [
        {"capability": c.label, "verdict": verdict(matrix, c)}
        | {r.id: words(r.cell(c.id)) for r in matrix.rows}
        for c in matrix.capabilities
    ]
    if form == "json":
        return json.dumps(rows, ensure_ascii=False, indent=1) + "\n"
    return matrix_export.rows_as(form, rows, ("capability", "verdict", *(r.id for r in matrix.rows)))
