"""On the terminal, while archives answer: a line for each, with its state, records, pages and seconds."""

from __future__ import annotations

import time
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING

from broker.run import Event, Records
from broker.safe import line

if TYPE_CHECKING:
    from rich.live import Live
    from rich.table import Table

LINES = 12  # archives that have a line of their own


@dataclass(slots=True)
class _State:
    """One archive's part so far. `seconds` once it has ended."""

    state: str = "asked"
    records: int = 0
    pages: int = 0
    seconds: float | None = None


class Progress:
    """Lines on standard error, gone when the answer is there. Silent unless `show`."""

    def __init__(self, names: list[str], show: bool) -> None:
        self._states = {name: _State() for name in names}
        self._start = time.monotonic()
        self._live: Live | None = None
        if show:
            from rich.console import Console
            from rich.live import Live

            console = Console(stderr=True, highlight=False)
            self._live = Live(
                console=console, get_renderable=self.table, transient=True, refresh_per_second=8
            )

    def __enter__(self) -> Progress:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def watch(self, event: Event) -> None:
        """Take an event in."""
        if isinstance(event, Records):
            own = self._states[event.source.archive]
            own.state, own.records, own.pages = "answering", own.records + len(event.page.rows), own.pages + 1
            return
        own = self._states[event.report.archive]
        own.state, own.seconds = event.report.status.value, event.report.seconds

    def table(self) -> Table:
        """The lines: first who is awaited, then the others; what has no room is counted."""
        from rich.table import Table
        from rich.text import Text

        made = Table.grid(padding=(0, 2))
        ordered = sorted(self._states.items(), key=lambda item: item[1].seconds is not None)
        for name, own in ordered[:LINES]:
            took = time.monotonic() - self._start if own.seconds is None else own.seconds
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
