"""An answer as a table for people."""

from __future__ import annotations

import io
import shutil
import sys
from collections.abc import Iterator
from typing import IO

from broker.answer import Answer
from broker.answering.columns import SHOWN
from broker.answering.export import joined
from broker.joining.entity import Entity
from broker.safe import line

_HEADS = {
    "NumberOfPatientRelatedStudies": "Studies",
    "NumberOfStudyRelatedSeries": "Series",
    "NumberOfSeriesRelatedInstances": "Images",
    "ModalitiesInStudy": "Modalities",
    "BodyPartExamined": "BodyPart",
    "archives": "Archives",
}
HEADED = {head.lower(): name for name, head in _HEADS.items()}
"""Keyword (or `archives`) by the head of its column, in small letters."""

_NUMBERS = ("Images", "Series", "Studies")
_DRAWN = 1000  # rows that a terminal may get with folded texts
_WIDE = 400  # columns where no terminal sets a width: nothing is folded in a pipe
_FOLDED = 24  # columns that a long text should have
_LEAST = 12  # columns that it needs
_SPARE = (
    "StudyInstanceUID",
    "NumberOfSeriesRelatedInstances",
    "NumberOfStudyRelatedSeries",
    "BodyPartExamined",
    "StudyDate",
    "License",
)


def write(answer: Answer, stream: IO[bytes], columns: tuple[str, ...]) -> None:
    """The table; columns that no archive filled are left out, and on a narrow terminal some more, by name.

    Where what names a row has no room either, the rows are told one below the other: nothing is cut.
    """
    if not answer.entities:
        return
    terminal = sys.stdout.isatty() and stream is sys.stdout.buffer
    width = shutil.get_terminal_size((120, 24)).columns if terminal else _WIDE
    cells = {c: [_shown(e, c) for e in answer.entities] for c in columns}
    filled = {c: own for c, own in cells.items() if any(own)}
    shown = _fitted(filled, width, usual=columns in SHOWN.values())
    few = terminal and len(answer.entities) <= _DRAWN
    told = few and _room(shown, _LEAST) > width
    shown = filled if told else shown
    for row in _drawn(shown, width, told).splitlines() if few else _plain(shown):
        if row.strip():
            stream.write(f"{row.rstrip()}\n".encode())
    hidden = [_HEADS.get(c, c) for c in filled if c not in shown]
    if hidden:
        stream.write(
            f"(no room for {', '.join(hidden)}: widen the terminal, or choose with --columns)\n".encode()
        )


def _plain(shown: dict[str, list[str]]) -> Iterator[str]:
    """What `_drawn` draws, without colour and folding: rich takes half an hour for a million rows."""
    from rich.cells import cell_len

    heads = [_HEADS.get(name, name) for name in shown]
    widths = [max(map(cell_len, [head, *own])) for head, own in zip(heads, shown.values(), strict=True)]
    right = [head in _NUMBERS for head in heads]

    def padded(text: str, width: int, right: bool) -> str:
        space = " " * (width - cell_len(text))
        return space + text if right else text + space

    yield " " + "   ".join(map(padded, heads, widths, right))
    yield " " + "─" * (sum(widths) + 3 * len(widths) - 3)
    for row in zip(*shown.values(), strict=True):
        yield " " + "   ".join(map(padded, row, widths, right))


def _drawn(shown: dict[str, list[str]], width: int, told: bool) -> str:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from broker.cli import printing

    made = Table(box=SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for name in shown:
        head, number = _HEADS.get(name, name), _HEADS.get(name) in _NUMBERS
        made.add_column(
            head,
            no_wrap=not _long(name),
            min_width=_LEAST if _long(name) else None,
            overflow="fold",
            justify="right" if number else "left",
        )
    for row in zip(*shown.values(), strict=True):
        made.add_row(*map(Text, row))
    text = io.StringIO()
    to = Console(file=text, width=width, force_terminal=True, highlight=False)
    to.print(printing.told(made) if told else made)
    return text.getvalue()


def _fitted(cells: dict[str, list[str]], width: int, usual: bool) -> dict[str, list[str]]:
    """Where they are too wide: UIDs by their ends, then without the columns that are missed least."""
    if _room(cells) <= width:
        return cells
    shown = {c: [_ends(v) for v in own] if c.endswith("UID") else own for c, own in cells.items()}
    spare = [c for c in _SPARE if c != "StudyInstanceUID" or "SeriesInstanceUID" in cells]
    for name in spare if usual else ():
        if _room(shown) > width and len(shown) > 3:
            shown.pop(name, None)
    return shown


def _room(cells: dict[str, list[str]], folded: int = _FOLDED) -> int:
    """Columns of a terminal that a table takes; long texts may be folded, to so many columns."""
    from rich.cells import cell_len

    widths = ((c, max(map(cell_len, [_HEADS.get(c, c), *own]))) for c, own in cells.items())
    return sum((min(w, folded) if _long(c) else w) + 3 for c, w in widths)


def _ends(uid: str) -> str:
    """A UID by its beginning and its end, which is what tells it from others."""
    return uid if len(uid) <= 20 else f"{uid[:6]}…{uid[-12:]}"


def _long(name: str) -> bool:
    return name.endswith(("Description", "Name"))


def _shown(e: Entity, column: str) -> str:
    if column == "archives":
        return ", ".join(e.archives)
    mark = " ‼" if column in e.collision else " ≠" if column in e.conflicts else ""
    return line((joined(e.first(column)) or "") + mark).replace("\\", "/") if column in e.values else ""
