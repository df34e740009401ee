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
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import duckdb

LAYOUT = 5
WAIT = 15.0  # seconds that a search waits for the copy
KEPT = 7  # days that the copy of another version stays
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


def numbered(db: duckdb.DuckDBPyConnection, parquet: Path) -> str:
    """The same, with numbers of studies and patients, which it counts."""
    from catalog import numbers

    rows, of = f"({marked(parquet)}) AS r", numbers.groups(COLUMNS)
    for statement in numbers.counting(rows, of, COLUMNS):
        db.execute(statement)
    return numbers.numbered(rows, of)


def build(parquet: Path, target: Path) -> None:
    """Make the copy beside its place and move it there whole.

    Tables: `series`, and `missing`: of how many series a condition on a keyword is unknown.
    """
    import duckdb

    part = target.with_suffix(f".{os.getpid()}.part")
    order = '"Collection", "PatientID", "StudyInstanceUID", "SeriesInstanceUID"'
    try:
        with duckdb.connect(str(part), config={"memory_limit": "700MB"}) as db:
            db.execute(f"CREATE TABLE series AS {numbered(db, parquet)} ORDER BY {order}")
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
    can do without; a later one finds it), or `stop` was set while it was made.
    """
    import duckdb

    from catalog import places

    target = places.cache(f"idc-{version}-{LAYOUT}-duckdb{duckdb.__version__}.duckdb")
    if target.is_file():
        return target
    lock = target.with_suffix(".lock")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if not _locked(lock):
            return None
        try:
            return target if _run(parquet(), target, lock, stop) else None
        except BaseException:
            lock.unlink(missing_ok=True)
            raise
    except OSError:
        return None


def _run(parquet: Path, target: Path, lock: Path, stop: threading.Event) -> bool:
    """Make it in another process; whether it is ready. Where that takes long, the process goes on alone."""
    # -P: this folder must not shadow the standard library (it has a collections.py)
    command = [sys.executable, "-P", __file__, str(parquet), str(target), str(lock)]
    nothing = subprocess.DEVNULL  # whoever reads what we write must not wait for that process too
    child = subprocess.Popen(command, stdin=nothing, stdout=nothing, stderr=nothing, start_new_session=True)  # noqa: S603
    until = time.monotonic() + WAIT
    while child.poll() is None and time.monotonic() < until and not stop.wait(0.02):
        pass
    _LATE[:] = [late for late in _LATE if late.poll() is None]
    if child.returncode is None and not stop.is_set():
        _LATE.append(child)
        return False
    if child.returncode != 0:
        child.kill()
        child.wait()
        target.with_suffix(f".{child.pid}.part").unlink(missing_ok=True)
        lock.unlink(missing_ok=True)
    return child.returncode == 0


_LATE: list[subprocess.Popen[bytes]] = []  # those that go on alone, to be asked whether they have ended


def _locked(lock: Path) -> bool:
    """Whether nobody else is making the copy; the lock of a process that died is taken over."""
    with contextlib.suppress(OSError):
        if time.time() - lock.stat().st_mtime > PATIENCE:
            lock.unlink()
    try:
        os.close(os.open(lock, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False
    return True


def _forget_others(target: Path) -> None:
    """Copies of other versions that were made long ago, and what was left half-made."""
    for pattern, days in (("idc-*.duckdb", KEPT), ("idc-*.part", 1)):
        for old in target.parent.glob(pattern):
            if old != target and time.time() - old.stat().st_mtime > days * 86_400:
                old.unlink(missing_ok=True)


def main(parquet: Path, target: Path, lock: Path) -> None:
    """Make the copy and let go of the lock, whatever happens."""
    try:
        build(parquet, target)
        _forget_others(target)
    finally:
        lock.unlink(missing_ok=True)


if __name__ == "__main__":
    main(*(Path(given) for given in sys.argv[1:]))
