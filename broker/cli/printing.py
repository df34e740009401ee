"""Tables for people: folded on a terminal, wide in a pipe, without blanks at their right.

Where a terminal is too narrow for the columns of a table, its rows are told one below the other: no column is
left out or cut.
"""

from __future__ import annotations

import sys

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group
from rich.measure import Measurement
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from broker.safe import line

WIDE = 160  # columns where no terminal sets a width
READABLE = 14  # characters below which words are no longer read in a column


class _Screen(Console):
    """A console that leaves it to the command what a reader who has gone means for its exit code."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


def console(wide: int = WIDE) -> Console:
    """Standard output; `wide`: how wide where no terminal says it."""
    return _Screen(width=None if sys.stdout.isatty() else wide, highlight=False)


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
    """Print it, and an empty line; row by row where its columns have no room."""
    fits = width(made, to) <= to.width or _least(made, to) <= to.width
    with to.capture() as caught:
        to.print(made if fits else told(made))
    rows = [row.rstrip() for row in caught.get().splitlines()]
    sys.stdout.write("".join(f"{row}\n" for row in rows if row) + "\n")
    sys.stdout.flush()


def width(made: Table, to: Console) -> int:
    """How wide a table is where nothing of it is folded."""
    return Measurement.get(to, to.options.update(width=10_000), made).maximum


def _least(made: Table, to: Console) -> int:
    """How wide it must be to be read."""
    wide = to.options.update(width=10_000)
    needed = 0
    for column in made.columns:
        widest = max(Measurement.get(to, wide, text).maximum for text in (column.header, *column.cells))
        needed += (widest if column.no_wrap else min(widest, READABLE)) + 3
    return needed


def told(made: Table) -> Group:
    """Row by row: what it is about in the first line, then what its columns say of it."""
    heads = [str(column.header) for column in made.columns]
    first = next(i for i, head in enumerate(heads) if head) + 1
    parts: list[Text | Padding] = []
    for row in zip(*(column.cells for column in made.columns), strict=True):
        texts = [text if isinstance(text, Text) else Text(str(text)) for text in row]
        parts.append(Text(" ".join(str(text) for text in texts[:first] if text), style="bold"))
        pairs = zip(heads[first:], texts[first:], strict=True)
        parts += [Padding(Text.assemble(f"{head}: ", text), (0, 0, 0, 2)) for head, text in pairs if text]
    return Group(*parts)
