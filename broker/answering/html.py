"""Answers and reports as HTML, for notebooks. Everything that an archive said is escaped."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from html import escape
from typing import TYPE_CHECKING

from broker.answering.columns import ARCHIVES, SHOWN
from broker.answering.export import joined
from broker.report import Report
from broker.safe import line

if TYPE_CHECKING:
    from broker.answering.found import Found

ROWS = 20


class Reports(Sequence[Report]):
    """The reports of an answer, one per archive; a table in Jupyter, a line an archive elsewhere."""

    def __init__(self, reports: Sequence[Report]) -> None:
        self._reports = tuple(reports)

    def __len__(self) -> int:
        return len(self._reports)

    def __getitem__(self, index: int) -> Report:  # type: ignore[override]
        return self._reports[index]

    def __iter__(self) -> Iterator[Report]:
        return iter(self._reports)

    def __repr__(self) -> str:
        return "\n".join(line(r.line()) for r in self._reports)

    def _repr_html_(self) -> str:
        heads = ("archive", "status", "reason", "kept", "fetched", "unknown", "seconds", "detail")
        rows = (
            (
                r.archive,
                r.status.value,
                r.reason,
                f"{r.kept:,}" + (" and more" if r.more else ""),
                f"{r.fetched:,}",
                ", ".join(f"{k} {n:,}" for k, n in r.unknown.items()),
                f"{r.seconds:.2f}",
                r.detail,
            )
            for r in self._reports
        )
        return table(heads, rows)


def answer(found: Found) -> str:
    """The first entities by the usual columns, how many there are, and the reports."""
    shown = [(e, e.values) for e in found.entities[:ROWS]]
    columns = [
        c for c in SHOWN[found.query.level] if c == ARCHIVES or any(values.get(c) for _, values in shown)
    ]
    rows = (
        [", ".join(e.archives) if c == ARCHIVES else joined(values.get(c)) or "" for c in columns]
        for e, values in shown
    )
    left = len(found.entities) - len(shown)
    below = f"<p>and {left:,} more in this answer</p>" if left else ""
    title = f"<p>{escape(line(repr(found)[1:-1]))}</p>"
    return title + (table(columns, rows) if shown else "") + below + Reports(found.reports)._repr_html_()


def table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A table; what its cells say is escaped."""
    head = "".join(f"<th>{_text(h)}</th>" for h in heads)
    body = "".join(f"<tr>{''.join(f'<td>{_text(c)}</td>' for c in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _text(text: str) -> str:
    return escape(line(text))
