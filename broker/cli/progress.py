"""One line on the terminal while archives answer: who is done, who is awaited, how much came."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING

from broker.run import Event, Records

if TYPE_CHECKING:
    from rich.status import Status


class Progress:
    """A line on standard error, gone when the answer is there. Silent unless `show`."""

    def __init__(self, names: list[str], show: bool) -> None:
        self._counts = dict.fromkeys(names, 0)
        self._waiting = list(names)
        self._status: Status | None = None
        if show:
            from rich.console import Console

            self._status = Console(stderr=True).status(self._text())

    def __enter__(self) -> Progress:
        if self._status is not None:
            self._status.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._status is not None:
            self._status.stop()

    def watch(self, event: Event) -> None:
        """Take an event in."""
        if isinstance(event, Records):
            self._counts[event.source.archive] += len(event.page.rows)
        elif event.report.archive in self._waiting:
            self._waiting.remove(event.report.archive)
        if self._status is not None:
            self._status.update(self._text())

    def _text(self) -> str:
        total = sum(self._counts.values())
        shown = ", ".join(self._waiting[:6]) + (" ..." if len(self._waiting) > 6 else "")
        return f"{total:,} records; waiting for {shown or 'nobody'}"
