"""DICOM files: the headers of a folder, by all cores, as one row for each series; and DICOMDIR.

Pixels are never read. What differs between the files of a series is kept with all its values.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from catalog.imports.rows import File, Found, Options, Rejected, Row
from catalog.keywords import USUAL, Level
from catalog.problems import BadFile

VERSION = 1
DICOMDIR = b"1.2.840.10008.1.3.10"
ALONE = 400  # files that one process reads faster than several begin
BATCH = 100  # files that a process reads at once
_UNDEFINED = 0xFFFFFFFF  # a length that is not said (PS3.5 7.1.1)
MANY = 30  # values of one attribute that a series may have; more say nothing
_MORE = (
    "ImageType",
    "MRAcquisitionType",
    "RepetitionTime",
    "EchoTime",
    "FlipAngle",
    "ConvolutionKernel",
    "KVP",
)
_NOT = frozenset({"SpecificCharacterSet", "ModalitiesInStudy", "SOPClassesInStudy"})
KEYWORDS = (
    *(k for k, key in USUAL.items() if key.tag and not k.startswith("NumberOf") and k not in _NOT),
    *_MORE,
)

Values = dict[str, tuple[str, ...]]
Read = tuple[str, Values | str]
"""A file's name, and what it says or why it cannot be read."""


def fits(beginning: bytes) -> bool:
    """Whether it has DICOM's prefix (PS3.10 7.1) and is no DICOMDIR."""
    return beginning[128:132] == b"DICM" and DICOMDIR not in beginning[132:700]


def fits_dicomdir(beginning: bytes) -> bool:
    """Whether it is a DICOMDIR (PS3.10 8)."""
    return beginning[128:132] == b"DICM" and DICOMDIR in beginning[132:700]


@dataclass(slots=True)
class _Series:
    """What the files of a series say."""

    file: str
    said: dict[str, dict[str, None]] = field(default_factory=dict)
    instances: set[str] = field(default_factory=set)


def read(files: list[File], options: Options) -> Found:
    """A row for each series; files that are not DICOM, or of no series, are rejected."""
    found: dict[str, _Series] = {}
    for done, (name, said) in enumerate(_headers(files), 1):
        if options.progress:
            options.progress(done, len(files))
        why = said if isinstance(said, str) else _added(found, name, said)
        if why:
            yield Rejected(0, why, name)
    for uid, series in found.items():
        several: dict[str, str | tuple[str, ...]] = {
            key: tuple(values) for key, values in series.said.items() if len(values) <= MANY
        }
        count = str(len(series.instances))
        yield Row(
            Level.SERIES,
            {**several, "SeriesInstanceUID": uid, "NumberOfSeriesRelatedInstances": count},
            0,
            series.file,
        )


def _added(found: dict[str, _Series], name: str, said: Values) -> str:
    """Add a file to its series; or why it has none."""
    uid = said.get("SeriesInstanceUID", ("",))[0]
    if not uid:
        return "no SeriesInstanceUID"
    series = found.setdefault(uid, _Series(name))
    study = said.get("StudyInstanceUID", ())
    known = series.said.get("StudyInstanceUID")
    if known is not None and tuple(known) != study:
        return f"its series is of another study in {series.file}"
    instance = said.get("SOPInstanceUID", (name,))[0]
    if instance in series.instances:
        return f"the same SOPInstanceUID again, as in {series.file}" if name else ""
    series.instances.add(instance)
    for key, values in said.items():
        if key not in ("SOPInstanceUID", "SeriesInstanceUID"):
            series.said.setdefault(key, {}).update(dict.fromkeys(values))
    return ""


def _headers(files: list[File]) -> Iterator[Read]:
    """Every file's header, in the order of the files."""
    pairs = [(file.name or Path(file.path).name, file.path) for file in files]
    workers = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if len(pairs) < ALONE or workers < 2:
        yield from _some(pairs)
        return
    batches = [pairs[at : at + BATCH] for at in range(0, len(pairs), BATCH)]
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        for batch in pool.map(_some, batches):
            yield from batch


def _some(pairs: Iterable[tuple[str, str]]) -> list[Read]:
    return [(name, _header(path)) for name, path in pairs]


def _header(path: str) -> Values | str:
    """What a file says, or why it cannot be read."""
    from pydicom import config, dcmread
    from pydicom.errors import InvalidDicomError

    config.settings.reading_validation_mode = config.IGNORE
    try:
        wanted: list[Any] = [*KEYWORDS, "SOPInstanceUID", "SpecificCharacterSet"]
        data = dcmread(path, stop_before_pixels=True, specific_tags=wanted)
        if data.file_meta.get("MediaStorageSOPClassUID") == DICOMDIR.decode():
            return "a DICOMDIR: the files themselves are read"
        said = {name: values for name in (*KEYWORDS, "SOPInstanceUID") if (values := texts(data, name))}
        syntax = data.file_meta.get("TransferSyntaxUID")
    except InvalidDicomError:
        return "not a DICOM file"
    except Exception as error:  # noqa: BLE001 - a damaged file can raise anything in a decoder
        return f"its header cannot be read ({type(error).__name__})"
    return {**said, "TransferSyntaxUID": (str(syntax),)} if syntax else said


def texts(data: Any, name: str) -> tuple[str, ...]:
    """The values of an attribute as DICOM writes them."""
    value = data.get(name)
    if value is None or value == "":
        return ()
    several = value if isinstance(value, list | tuple) or type(value).__name__ == "MultiValue" else [value]
    return tuple(text for item in several if (text := str(item).strip(" \0")))


def read_dicomdir(files: list[File], options: Options) -> Found:
    """A row for each series that a DICOMDIR lists. The files that it names are not opened."""
    import warnings

    from pydicom import dcmread

    for file in files:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                with file.open() as stream:
                    yield from _listed(_records(dcmread(stream), file.path), file.name)
            except BadFile:
                raise
            except Exception as error:
                why = type(error).__name__
                raise BadFile(f"{file.path}: the DICOMDIR cannot be read ({why}); is it cut off?") from error
        if options.progress:
            options.progress(1, 1)


def _records(data: Any, place: str) -> list[Any]:
    """The directory records. Raises BadFile where some are missing, which pydicom passes over."""
    raw = data.get_item("DirectoryRecordSequence")
    if raw is None or len(raw.value or b"") < getattr(raw, "length", 0) < _UNDEFINED:
        raise BadFile(f"{place}: the DICOMDIR has not all of its records: is it cut off?")
    return list(data.DirectoryRecordSequence)


def _listed(records: list[Any], file: str) -> Found:
    """Records stand in the order of the tree: patient, its studies, their series, their instances."""
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
