"""What a benchmark found: tables for people, aims met or missed, and notes. Written as text and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from benchmarks.measure import Figure, short


@dataclass(frozen=True, slots=True)
class Aim:
    """Something to reach: `measured` is to stay at or below `allowed` (at or above it where `least`)."""

    text: str
    measured: float
    allowed: float
    unit: str = "x"
    least: bool = False

    @property
    def met(self) -> bool:
        """Whether it was reached."""
        return self.measured >= self.allowed if self.least else self.measured <= self.allowed

    def cells(self) -> tuple[str, ...]:
        """The aim as a row of a table."""
        sign = "at least" if self.least else "at most"
        verdict = "met" if self.met else "MISSED"
        measured, allowed = (f"{short(n)} {self.unit}" for n in (self.measured, self.allowed))
        return self.text, measured, f"{sign} {allowed}", verdict


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of texts and figures under a title."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str | Figure]]
    note: str = ""


@dataclass(slots=True)
class Result:
    """One benchmark's tables, aims and notes."""

    name: str
    about: str
    tables: list[Table] = field(default_factory=list)
    aims: list[Aim] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def markdown(self) -> str:
        """The result to read."""
        parts = [f"## {self.name}\n\n{self.about}"]
        for table in self.tables:
            parts.append(f"### {table.title}\n\n{_grid(table.columns, table.rows)}")
            parts += [table.note] if table.note else []
        if self.aims:
            head = ("aim", "measured", "allowed", "")
            parts.append(f"### Aims\n\n{_grid(head, [aim.cells() for aim in self.aims])}")
        parts += ["\n".join(f"- {note}" for note in self.notes)] if self.notes else []
        return "\n\n".join(parts) + "\n"

    def data(self) -> dict[str, object]:
        """The result to compute with: every run of every figure."""
        return {
            "name": self.name,
            "about": self.about,
            "tables": [
                {
                    "title": t.title,
                    "columns": list(t.columns),
                    "rows": [[_cell(c) for c in row] for row in t.rows],
                    "note": t.note,
                }
                for t in self.tables
            ],
            "aims": [
                {
                    "text": a.text,
                    "measured": a.measured,
                    "allowed": a.allowed,
                    "unit": a.unit,
                    "least": a.least,
                    "met": a.met,
                }
                for a in self.aims
            ],
            "notes": self.notes,
        }


def _cell(cell: str | Figure) -> object:
    if isinstance(cell, str):
        return cell
    return {"median": cell.median, "runs": list(cell.runs)}


def _grid(columns: Sequence[str], rows: Sequence[Sequence[str | Figure]]) -> str:
    """A Markdown table whose columns also line up as plain text."""
    texts = [list(columns), *([c if isinstance(c, str) else c.text() for c in row] for row in rows)]
    widths = [max(len(row[i]) for row in texts) for i in range(len(columns))]
    lines = ["| " + " | ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) + " |" for row in texts]
    lines.insert(1, "|" + "|".join("-" * (w + 2) for w in widths) + "|")
    return "\n".join(lines)
