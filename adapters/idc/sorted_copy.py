"""A sorted copy of the IDC index in the user's cache, made once: 2 to 13 times faster to search.

The wheel's parquet is one row group in no useful order. The copy has DICOM's names and dates, is sorted by
collection, patient, study and series, and is replaced when the index or DuckDB changes. It is made by a
process of its own, so that sorting costs the search no memory.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

LAYOUT = 4
WAIT = 15.0  # seconds that a search waits for the copy
PATIENCE = 120.0  # seconds after which another process's unfinished copy is taken for dead

# DICOM keyword -> expression over the wheel's index
COLUMNS = {
    "Collection": "collection_id",
    "PatientID": "PatientID",
    "PatientSex": "PatientSex",
    "PatientAge": "PatientAge",
    "StudyInstanceUID": "StudyInstanceUID",
    "StudyDate": "replace(StudyDate, '-', '')",
    "StudyDescription": "StudyDescription",
    "SeriesInstanceUID": "SeriesInstanceUID",
    "Modality": "Modality",
    "SeriesNumber": "SeriesNumber",
    "SeriesDescription": "SeriesDescription",
    "SeriesDate": "replace(SeriesDate, '-', '')",
    "BodyPartExamined": "BodyPartExamined",
    "Manufacturer": "Manufacturer",
    "ManufacturerModelName": "ManufacturerModelName",
    "SOPClassUID": "SOPClassUID",
    "TransferSyntaxUID": "TransferSyntaxUID",
    "PhotometricInterpretation": "PhotometricInterpretation",
    "NumberOfSeriesRelatedInstances": "CAST(instanceCount AS VARCHAR)",
    "AnalysisResult": "analysis_result_id",
    "License": "license_short_name",
    "SourceDOI": "source_DOI",
    "DataURL": "series_aws_url",
    "SizeInMB": "CAST(series_size_MB AS VARCHAR)",
    "Version": "'v' || series_revised_idc_version",
}


def selection(parquet: Path) -> str:
    """The index as a query with DICOM's names."""
    columns = ", ".join(f'{sql} AS "{name}"' for name, sql in COLUMNS.items())
    return f"SELECT {columns} FROM read_parquet('{str(parquet).replace(chr(39), chr(39) * 2)}')"  # noqa: S608


def marked(parquet: Path) -> str:
    """The same, with a column `_no_KEYWORD` for each: whether no value can judge a condition on it."""
    from adapters.tables.sql import unknown
    from catalog.keywords import keyword

    marks = ", ".join(f'{unknown(keyword(name))} AS "_no_{name}"' for name in COLUMNS)
    return f"SELECT *, {marks} FROM ({selection(parquet)})"  # noqa: S608


def build(parquet: Path, target: Path) -> None:
    """Make the copy beside its place and move it there whole.

    Tables: `series`, and `missing`: of how many series a condition on a keyword is unknown.
    """
    import duckdb

    part = target.with_suffix(f".{os.getpid()}.part")
    order = '"Collection", "PatientID", "StudyInstanceUID", "SeriesInstanceUID"'
    try:
        with duckdb.connect(str(part), config={"memory_limit": "700MB"}) as db:
            db.execute(f"CREATE TABLE series AS {marked(parquet)} ORDER BY {order}")
            counts = ", ".join(f'count(*) FILTER ("_no_{c}") AS "{c}"' for c in COLUMNS)
            db.execute(
                f"CREATE TABLE missing AS UNPIVOT (SELECT {counts} FROM series) "  # noqa: S608
                "ON COLUMNS(*) INTO NAME keyword VALUE series"
            )
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def ensure(parquet: Callable[[], Path], version: str, stop: threading.Event) -> Path | None:
    """The copy's place, made now if need be; None where there can be none.

    That is: nowhere to write, being made by another process, not ready in `WAIT` seconds (a search has 30 and
    can do without), or `stop` was set while it was made.
    """
    import duckdb

    from catalog import places

    target = places.cache(f"idc-{version}-{LAYOUT}-duckdb{duckdb.__version__}.duckdb")
    if target.is_file():
        return target
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _alone(target.with_suffix(".lock")) as alone:
            if not alone:
                return None
            _run(parquet(), target, stop)
            _forget_others(target)
    except (OSError, subprocess.CalledProcessError):
        return None
    return target


def _run(parquet: Path, target: Path, stop: threading.Event) -> None:
    # -P: this folder must not shadow the standard library (it has an http.py)
    command = [sys.executable, "-P", __file__, str(parquet), str(target)]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as child:  # noqa: S603
        try:
            until = time.monotonic() + WAIT
            while child.poll() is None and time.monotonic() < until and not stop.wait(0.02):
                pass
            if child.returncode != 0:
                raise subprocess.CalledProcessError(child.returncode or 1, "sorted_copy")
        finally:
            child.kill()
            target.with_suffix(f".{child.pid}.part").unlink(missing_ok=True)


@contextlib.contextmanager
def _alone(lock: Path) -> Iterator[bool]:
    """Whether nobody else is making the copy; the lock of a process that died is taken over."""
    with contextlib.suppress(OSError):
        if time.time() - lock.stat().st_mtime > PATIENCE:
            lock.unlink()
    try:
        os.close(os.open(lock, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        yield False
        return
    try:
        yield True
    finally:
        lock.unlink(missing_ok=True)


def _forget_others(target: Path) -> None:
    for old in target.parent.glob("idc-*.duckdb"):
        if old != target:
            old.unlink(missing_ok=True)


if __name__ == "__main__":
    build(Path(sys.argv[1]), Path(sys.argv[2]))
