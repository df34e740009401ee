"""On the terminal, while instances come: how many, how fast, and how long it may still take."""

from __future__ import annotations

import time
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING

from broker.getting.target import State, Target

if TYPE_CHECKING:
    from rich.live import Live


class Fetching:
    """One line on standard error, gone at the end. Silent unless `show`."""

    def __init__(self, found: Sequence[Target], show: bool) -> None:
        self._found = found
        self._start = time.monotonic()
        self._live: Live | None = None
        if show:
            from rich.console import Console
            from rich.live import Live

            console = Console(stderr=True, highlight=False)
            self._live = Live(console=console, get_renderable=self.text, transient=True, refresh_per_second=4)

    def __enter__(self) -> Fetching:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def watch(self, target: Target) -> None:
        """Something changed; the line is drawn when its time has come."""

    def text(self) -> str:
        """The line as it stands."""
        return progress(self._found, time.monotonic() - self._start)


def progress(found: Sequence[Target], seconds: float) -> str:
    """Series and instances that are here, bytes a second, and the time left at the pace so far.

    The time left counts instances; series of which nobody says how many they have are taken for average ones.
    """
    ended = sum(t.state is not State.WAITING for t in found)
    came, size, here = (sum(getattr(t, name) for t in found) for name in ("came", "size", "here"))
    said = [t.expected for t in found if t.expected is not None]
    whole = round(sum(said) / len(said) * len(found)) if said else 0
    parts = [f"{ended:,} of {len(found):,} series", f"{here:,}{f' of {whole:,}' if whole else ''} instances"]
    parts.append(f"{size / 1e6 / max(seconds, 0.001):,.1f} MB/s")
    if came and whole > here:
        left = (whole - here) * seconds / came
        parts.append(f"{int(left // 60)}:{int(left % 60):02} left")
    return " · ".join(parts)
