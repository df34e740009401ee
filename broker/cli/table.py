"""An answer as a table for people."""

from __future__ import annotations

import io
import os
import sys
from typing import IO

from broker.answer import Answer
from broker.entity import Entity
from broker.export import joined
from broker.safe import line
from catalog.keywords import Level

USUAL: dict[Level, tuple[str, ...]] = {
    Level.PATIENT: (
        "Collection", "PatientID", "PatientName", "PatientSex", "NumberOfPatientRelatedStudies", "archives",
    ),
    Level.STUDY: (
        "Collection", "PatientID", "StudyDate", "ModalitiesInStudy", "StudyDescription",
        "NumberOfStudyRelatedSeries", "StudyInstanceUID", "archives",
    ),
    Level.SERIES: (
        "Collection", "PatientID", "StudyDate", "Modality", "BodyPartExamined", "SeriesDescription",
        "NumberOfSeriesRelatedInstances", "License", "StudyInstanceUID", "SeriesInstanceUID", "archives",
    ),
}  # fmt: skip

_HEADS = {
    "NumberOfPatientRelatedStudies": "Studies",
    "NumberOfStudyRelatedSeries": "Series",
    "NumberOfSeriesRelatedInstances": "Images",
    "ModalitiesInStudy": "Modalities",
    "BodyPartExamined": "BodyPart",
    "archives": "Archives",
}
_WIDE = 400  # columns where no terminal sets a width: nothing is folded in a pipe


def write(answer: Answer, stream: IO[bytes], columns: tuple[str, ...]) -> None:
    """The table; columns that no archive filled are left out."""
    if not answer.entities:
        return
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    rows = [[_shown(e, c) for c in columns] for e in answer.entities]
    filled = [i for i in range(len(columns)) if any(row[i] for row in rows)]
    made = Table(box=SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for i in filled:
        name = columns[i]
        uid = name.endswith("UID")
        made.add_column(
            _HEADS.get(name, name), no_wrap=uid or not _long(name), overflow="ellipsis" if uid else "fold",
            justify="right" if _HEADS.get(name) in ("Images", "Series", "Studies") else "left",
        )  # fmt: skip
    for row in rows:
        made.add_row(*(Text(row[i]) for i in filled))
    terminal = sys.stdout.isatty() and stream is sys.stdout.buffer
    text = io.StringIO()
    width = None if terminal else int(os.environ.get("COLUMNS", _WIDE))
    Console(file=text, width=width or _terminal_width(), force_terminal=terminal, highlight=False).print(made)
    lines = (row.rstrip() for row in text.getvalue().splitlines())
    stream.write("".join(f"{row}\n" for row in lines if row).encode())


def _terminal_width() -> int:
    import shutil

    return shutil.get_terminal_size((120, 24)).columns


def _long(name: str) -> bool:
    return name.endswith(("Description", "Name"))


def _shown(e: Entity, column: str) -> str:
    if column == "archives":
        return ", ".join(e.archives)
    mark = " ‼" if column in e.collision else " ≠" if column in e.conflicts else ""
    return line((joined(e.first(column)) or "") + mark).replace("\\", "/") if column in e.values else ""
