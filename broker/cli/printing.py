"""Tables for people: folded on a terminal, wide in a pipe, without blanks at their right."""

from __future__ import annotations

import sys

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from broker.safe import line

WIDE = 160  # columns where no terminal sets a width


def console() -> Console:
    """Standard output."""
    return Console(width=None if sys.stdout.isatty() else WIDE, highlight=False)


def table(*heads: str, whole: tuple[str, ...] = (), right: tuple[str, ...] = ()) -> Table:
    """A table with these heads; columns of `whole` are never folded, those of `right` hold numbers."""
    made = Table(box=SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for head in heads:
        side = "right" if head in right else "left"
        made.add_column(head, overflow="fold", no_wrap=head in whole, justify=side)  # type: ignore[arg-type]
    return made


def cells(*texts: str) -> tuple[Text, ...]:
    """Texts from archives, as cells that no escape sequence or markup comes out of."""
    return tuple(Text(line(text)) for text in texts)


def show(made: Table, to: Console) -> None:
    """Print it, and an empty line."""
    with to.capture() as caught:
        to.print(made)
    rows = [row.rstrip() for row in caught.get().splitlines()]
    sys.stdout.write("".join(f"{row}\n" for row in rows if row) + "\n")
    sys.stdout.flush()
