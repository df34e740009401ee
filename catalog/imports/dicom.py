"""DICOM files: the headers of a folder, by all cores, as one row for each series.

Pixels are never read. What differs between the files of a series is kept with all its values.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import warnings
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from pathlib import Path

from catalog.imports.rows import File, Found, Options, Rejected, Row
from catalog.keywords import Level
from catalog.problems import BadFile

VERSION = 2
DICOMDIR = b"1.2.840.10008.1.3.10"
ALONE = 1000  # files that one process reads faster than several begin
BATCH = 200  # files that a process reads at once
MANY = 30  # values of one attribute that a series may have; more say nothing

Said = tuple[tuple[str, tuple[str, ...]], ...]
Same = tuple[Said, list[tuple[str, str]]]
"""What files say, as pairs of keyword and values; and those files, by name and SOPInstanceUID."""


def fits(beginning: bytes) -> bool:
    """Whether it has DICOM's prefix (PS3.10 7.1) and is no DICOMDIR."""
    return beginning[128:132] == b"DICM" and DICOMDIR not in beginning[132:700]


@dataclass(slots=True)
class _Series:
    """What the files of a series say: the first of them, its study, and all by SOPInstanceUID."""

    file: str
    study: tuple[str, ...]
    said: dict[str, dict[str, None]] = field(default_factory=dict)
    instances: dict[str, str] = field(default_factory=dict)

    def row(self, uid: str) -> Row:
        """The series as a row. An attribute with too many values is left out."""
        values: dict[str, str | tuple[str, ...]] = {
            key: tuple(told) for key, told in self.said.items() if len(told) <= MANY
        }
        values["SeriesInstanceUID"] = uid
        values["NumberOfSeriesRelatedInstances"] = str(len(self.instances))
        return Row(Level.SERIES, values, 0, self.file)


def read(files: list[File], options: Options) -> Found:
    """A row for each series; files that are not DICOM, or of no series, are rejected."""
    found: dict[str, _Series] = {}
    done = 0
    for count, alike, refused in _headers(files):
        yield from refused
        for said, members in alike:
            yield from _added(found, dict(said), members)
        done += count
        if options.progress:
            options.progress(done, len(files))
    for uid, series in found.items():
        yield series.row(uid)


def _added(
    found: dict[str, _Series], said: dict[str, tuple[str, ...]], members: Iterable[tuple[str, str]]
) -> Iterator[Rejected]:
    """Add files that say the same to their series; those that cannot be are rejected."""
    uid = said.pop("SeriesInstanceUID", ("",))[0]
    study = said.get("StudyInstanceUID", ())
    for name, instance in members:
        if not uid:
            yield Rejected(0, "no SeriesInstanceUID", name)
            continue
        series = found.setdefault(uid, _Series(name, study))
        if series.study != study:
            yield Rejected(0, f"its series is of another study in {series.file}", name)
        elif instance in series.instances:
            yield Rejected(0, f"the same SOPInstanceUID as {series.instances[instance]}", name)
        else:
            series.instances[instance] = name
            for key, values in said.items():
                series.said.setdefault(key, {}).update(dict.fromkeys(values))


Batch = tuple[int, list[Same], list[Rejected]]


def _headers(files: list[File]) -> Iterator[Batch]:
    """Every file's header, batch by batch in the order of the files."""
    pairs = [(file.name or Path(file.path).name, file.path) for file in files]
    batches = [pairs[at : at + BATCH] for at in range(0, len(pairs), BATCH)]
    workers = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if len(pairs) < ALONE or workers < 2:
        yield from map(_some, batches)
        return
    context = multiprocessing.get_context("spawn")
    try:
        with ProcessPoolExecutor(workers, context, _begun) as pool:
            yield from pool.map(_some, batches)
    except BrokenProcessPool as error:
        raise BadFile(
            "a process that reads headers was ended (not enough memory?); import the folders one by one"
        ) from error


def _begun() -> None:
    """A reading process leaves Ctrl-C to the one that began it, and ends with it, however that ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_too, daemon=True).start()


def _end_too() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _some(pairs: list[tuple[str, str]]) -> Batch:
    """The headers of some files, those that say the same together: a series says most things once."""
    from catalog.imports.dicom_header import header

    alike: dict[Said, list[tuple[str, str]]] = {}
    refused = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what is odd and can be read
        for name, path in pairs:
            said = header(path)
            if isinstance(said, str):
                refused.append(Rejected(0, said, name))
            else:
                instance = said.pop("SOPInstanceUID", (name,))[0]
                alike.setdefault(tuple(said.items()), []).append((name, instance))
    return len(pairs), list(alike.items()), refused
