"""What is drawn on a terminal while something runs, on standard error, and gone at the end."""

from __future__ import annotations

import abc
import argparse
import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.live import Live


def wanted(args: argparse.Namespace) -> bool:
    """Whether somebody sees it: on a terminal, and not asked to be quiet."""
    return not args.quiet and sys.stderr.isatty()


class Drawing(abc.ABC):
    """A context manager that draws itself again and again, `rate` times a second. Silent unless `show`."""

    rate = 8

    def __init__(self, show: bool) -> None:
        self._start = time.monotonic()
        self._live: Live | None = None
        if show:
            from rich.console import Console
            from rich.live import Live

            console = Console(stderr=True, highlight=False)
            self._live = Live(
                console=console, get_renderable=self.drawn, transient=True, refresh_per_second=self.rate
            )

    @abc.abstractmethod
    def drawn(self) -> RenderableType:
        """It, as it stands."""

    @property
    def seconds(self) -> float:
        """Since it began."""
        return time.monotonic() - self._start

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()
