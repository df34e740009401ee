"""Query files for movescu and getscu: identifiers of a C-MOVE or C-GET (PS3.4 C.4.2.1.4) as DICOM files."""

from __future__ import annotations

import re
from pathlib import Path

from broker.manifests.forms import Manifest, Move, moves


def write(made: Manifest, folder: Path) -> list[Path]:
    """A file for each study and archive, `ARCHIVE/NNNNN.dcm`, and `moves.csv`. Raises OSError.

    `movescu -S -aec AET -aem ME HOST PORT FOLDER/ARCHIVE/*.dcm` asks for all of them in one association.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "moves.csv").write_text(made.text, encoding="utf-8")
    numbers: dict[str, int] = {}
    files = []
    for move in moves(made):
        name = re.sub(r"[^A-Za-z0-9._-]", "_", move.archive).lstrip(".") or "archive"
        numbers[name] = numbers.get(name, 0) + 1
        place = folder / name / f"{numbers[name]:05}.dcm"
        place.parent.mkdir(exist_ok=True)
        _file(move, place)
        files.append(place)
    return files


def _file(move: Move, place: Path) -> None:
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian

    query = Dataset()
    query.QueryRetrieveLevel = "SERIES" if move.series else "STUDY"
    query.StudyInstanceUID = move.study
    if move.series:
        query.SeriesInstanceUID = list(move.series)
    query.file_meta = FileMetaDataset()
    query.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    query.save_as(place, enforce_file_format=False, implicit_vr=False, little_endian=True)
