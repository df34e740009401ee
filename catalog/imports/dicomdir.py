"""DICOMDIR: the series that a directory lists (PS3.3 F). The files that it names are not opened."""

from __future__ import annotations

import warnings
from typing import Any

from catalog.imports.dicom import DICOMDIR
from catalog.imports.rows import File, Found, Options, Rejected, Row
from catalog.keywords import Level
from catalog.problems import BadFile

VERSION = 2
_UNDEFINED = 0xFFFFFFFF  # a length that is not said (PS3.5 7.1.1)


def fits(beginning: bytes) -> bool:
    """Whether it is a DICOMDIR (PS3.10 8)."""
    return beginning[128:132] == b"DICM" and DICOMDIR in beginning[132:700]


def read(files: list[File], options: Options) -> Found:
    """A row for each series that a DICOMDIR lists. The files that it names are not opened."""
    from pydicom import dcmread

    for file in files:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                with file.open() as stream:
                    yield from _listed(_tree(dcmread(stream), file.path), file.name)
            except BadFile:
                raise
            except Exception as error:
                why = type(error).__name__
                raise BadFile(f"{file.path}: the DICOMDIR cannot be read ({why}); is it cut off?") from error
        if options.progress:
            options.progress(1, 1)


def _tree(data: Any, place: str) -> list[Any]:
    """The directory records, each after what it belongs to, whatever their order in the file (PS3.3 F.2.2).

    Raises BadFile where some are missing, which pydicom passes over, or where they lead to nothing.
    """
    raw = data.get_item("DirectoryRecordSequence")
    if raw is None or len(raw.value or b"") < getattr(raw, "length", 0) < _UNDEFINED:
        raise BadFile(f"{place}: the DICOMDIR has not all of its records: is it cut off?")
    left = {int(record.seq_item_tell): record for record in data.DirectoryRecordSequence}
    found, waiting = [], [int(data.OffsetOfTheFirstDirectoryRecordOfTheRootDirectoryEntity)]
    while waiting:
        at = waiting.pop()
        if not at:
            continue
        if at not in left:
            raise BadFile(f"{place}: a record leads to where none is; import the folder itself")
        record = left.pop(at)
        found.append(record)
        waiting.append(int(record.OffsetOfTheNextDirectoryRecord))
        waiting.append(int(record.OffsetOfReferencedLowerLevelDirectoryEntity))
    if left:
        raise BadFile(f"{place}: nothing leads to {len(left):,} of its records; import the folder itself")
    return found


def _listed(records: list[Any], file: str) -> Found:
    """A row for each series, with what its study and its patient say, and how many instances follow it."""
    from catalog.imports.dicom_header import KEYWORDS, texts

    around: dict[str, dict[str, tuple[str, ...]]] = {}
    rows: list[tuple[int, dict[str, tuple[str, ...]], list[int]]] = []
    for number, record in enumerate(records, 1):
        kind = str(record.get("DirectoryRecordType", ""))
        said = {name: values for name in KEYWORDS if (values := texts(record, name))}
        if kind == "PATIENT":
            around = {kind: said}
        elif kind in ("STUDY", "SERIES"):
            around[kind] = said
            if kind == "SERIES":
                rows.append((number, {**around.get("PATIENT", {}), **around.get("STUDY", {}), **said}, []))
        elif rows:
            rows[-1][2].append(number)
    for number, told, instances in rows:
        if not told.get("SeriesInstanceUID"):
            yield Rejected(number, "a series without SeriesInstanceUID", file)
        else:
            count = str(len(instances))
            yield Row(Level.SERIES, {**told, "NumberOfSeriesRelatedInstances": count}, number, file)
