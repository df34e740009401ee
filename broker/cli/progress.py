"""On the terminal, while archives answer: a line for each, with its state, records, pages and seconds."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from broker.cli.live import Drawing
from broker.run import Event, Records
from broker.safe import line

if TYPE_CHECKING:
    from rich.table import Table

LINES = 12  # archives that have a line of their own


@dataclass(slots=True)
class _State:
    """One archive's part so far. `left`: questions that it has not ended; `seconds` once there is none."""

    left: int
    state: str = "asked"
    records: int = 0
    pages: int = 0
    seconds: float | None = None


class Progress(Drawing):
    """A line for each archive, for all of its `questions` that are under way at once."""

    def __init__(self, names: Iterable[str], show: bool, questions: int = 1) -> None:
        self._states = {name: _State(questions) for name in names}
        super().__init__(show)

    def watch(self, event: Event) -> None:
        """Take an event in."""
        if isinstance(event, Records):
            own = self._states[event.source.archive]
            own.state, own.records, own.pages = "answering", own.records + len(event.page.rows), own.pages + 1
            own.seconds = None
            return
        own = self._states[event.report.archive]
        own.left -= 1
        if own.left <= 0:
            own.state, own.seconds = event.report.status.value, event.report.seconds

    def drawn(self) -> Table:
        """The lines: first who is awaited, then the others; what has no room is counted."""
        from rich.table import Table
        from rich.text import Text

        made = Table.grid(padding=(0, 2))
        ordered = sorted(self._states.items(), key=lambda item: item[1].seconds is not None)
        for name, own in ordered[:LINES]:
            took = self.seconds if own.seconds is None else own.seconds
            cells = (
                line(name),
                own.state,
                f"{own.records:,} records",
                f"{own.pages:,} pages",
                f"{took:.1f} s",
            )
            made.add_row(*(Text(cell, style=_STYLES.get(own.state, "")) for cell in cells))
        left = [own for _, own in ordered[LINES:]]
        if left:
            waiting = sum(own.seconds is None for own in left)
            made.add_row(
                f"and {len(left):,} more", f"{waiting:,} asked", f"{sum(o.records for o in left):,} records"
            )
        return made


_STYLES = {"ok": "green", "partial": "yellow", "failed": "red", "refused": "red", "skipped": "yellow"}
