"""DICOM JSON into pages of values: the broker's decoder beside pydicom and beside a bare typed decode."""

from __future__ import annotations

import gc
import json
import time
import tracemalloc
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import duckdb
import idc_index_data
import msgspec
import pydicom

from adapters.dicomweb.adapter import QIDO
from adapters.dicomweb.dicomjson import Decoder
from adapters.idc import sorted_copy
from benchmarks.measure import Figure, Way, in_turn
from benchmarks.tables import Aim, Result, Table
from broker.plan import Wish, plan
from broker.query import Query
from catalog.keywords import keyword

ABOUT = (
    "Replies of 1,000 series each, made of real rows of the IDC index (a tenth of its patients), with names "
    "and numbers as hospitals add them, read into what a search keeps."
)
PAGE = 1000
FIELDS = plan(Query("series"), "peer", QIDO, Wish()).asks[0].fields
DECODER, FLOOR = "Decoder, kept", "typed decode, dropped, no gc"
PYDICOM, UNTYPED = "pydicom from_json, kept", "untyped decode, kept"


def run(*, quick: bool) -> Result:
    """Rows a second, then bytes a row."""
    pages = _pages(10 if quick else 100)
    count = PAGE * len(pages)
    result = Result("decode", ABOUT)
    floor = _floor()
    sample = pages[:2]
    ways: dict[str, Way] = {
        DECODER: _per_row(lambda: _kept(Decoder(FIELDS).page, pages), count),
        FLOOR: _per_row(lambda: _dropped(floor, pages), count),
        UNTYPED: _per_row(lambda: _kept(msgspec.json.decode, pages), count),
        PYDICOM: _per_row(lambda: _kept(_datasets, sample), PAGE * len(sample)),
    }
    runs = in_turn(ways, rounds=3 if quick else 9)
    held = {
        DECODER: _held(Decoder(FIELDS).page, pages),
        UNTYPED: _held(msgspec.json.decode, pages[:10]),
        PYDICOM: _held(_datasets, sample),
    }
    rows: list[list[str | Figure]] = []
    for way in ways:
        bytes_ = f"{held[way]:,.0f}" if way in held else "-"
        rows.append([way, runs.figure(way, "per_second"), runs.ratio(way, FLOOR), bytes_])
    size = sum(map(len, pages)) / count
    columns = ("way", "rows a second", "x typed decode", "bytes held a row")
    title = f"{count:,} series, {size:.0f} bytes of JSON a row, {len(FIELDS)} fields read"
    result.tables.append(Table(title, columns, rows, "pydicom: 2,000 of the rows."))
    result.aims = [
        Aim("times as fast as pydicom", runs.ratio(PYDICOM, DECODER).median, 30.0, least=True),
        Aim("time, of a bare typed decode", runs.ratio(DECODER, FLOOR).median, 2.2),
        Aim("held for each record", held[DECODER], 350.0, "bytes"),
    ]
    return result


def _per_row(work: Callable[[], object], rows: int) -> Way:
    def way() -> dict[str, float]:
        start = time.perf_counter()
        found = work()
        seconds = (time.perf_counter() - start) / rows
        del found
        return {"seconds": seconds, "per_second": 1 / seconds}

    return way


def _kept(read: Callable[[bytes], object], pages: Sequence[bytes]) -> list[object]:
    return [read(page) for page in pages]


def _dropped(floor: msgspec.json.Decoder[Any], pages: Sequence[bytes]) -> None:
    """Without garbage collection, as a floor has to be."""
    gc.disable()
    try:
        for page in pages:
            floor.decode(page)
    finally:
        gc.enable()


def _held(read: Callable[[bytes], object], pages: Sequence[bytes]) -> float:
    """Bytes of what stays in memory, for each row."""
    tracemalloc.start()
    try:
        kept = _kept(read, pages)
        return tracemalloc.get_traced_memory()[0] / (PAGE * len(kept))
    finally:
        tracemalloc.stop()


def _datasets(page: bytes) -> list[pydicom.Dataset]:
    return [pydicom.Dataset.from_json(row) for row in json.loads(page)]


class _Text(msgspec.Struct, gc=False):
    Value: list[str | None] = []


class _Number(msgspec.Struct, gc=False):
    Value: list[int | float | None] = []


class _Group(msgspec.Struct, gc=False):
    Alphabetic: str = ""


class _Name(msgspec.Struct, gc=False):
    Value: list[_Group] = []


def _floor() -> msgspec.json.Decoder[Any]:
    """What typed decoding costs at least: the same attributes, nothing made of them."""
    types = {"PN": _Name, "IS": _Number, "DS": _Number}
    keys = [keyword(f) for f in FIELDS if keyword(f).tag]
    fields = [(k.name, types.get(k.vr, _Text) | None, None) for k in keys]
    row = msgspec.defstruct("Row", fields, rename={k.name: k.tag for k in keys}, gc=False)
    return msgspec.json.Decoder(list[row])  # type: ignore[valid-type]


_REAL = (
    "PatientID", "PatientSex", "PatientAge", "StudyInstanceUID", "StudyDate", "StudyDescription",
    "SeriesInstanceUID", "Modality", "SeriesNumber", "SeriesDescription", "SeriesDate", "BodyPartExamined",
    "Manufacturer", "ManufacturerModelName", "NumberOfSeriesRelatedInstances",
)  # fmt: skip


def _pages(count: int) -> list[bytes]:
    """Replies as a server writes them."""
    parquet = Path(str(idc_index_data.IDC_INDEX_PARQUET_FILEPATH))
    listed = ", ".join(f'"{name}"' for name in _REAL)
    sql = (
        f'SELECT {listed} FROM ({sorted_copy.selection(parquet)}) WHERE hash("PatientID") % 10 = 0 '
        f'ORDER BY "Collection", "PatientID", "StudyInstanceUID", "SeriesInstanceUID" LIMIT {count * PAGE}'
    )
    with duckdb.connect() as db:
        rows = [_row(dict(zip(_REAL, row, strict=True))) for row in db.execute(sql).fetchall()]
    return [json.dumps(rows[i : i + PAGE], separators=(",", ":")).encode() for i in range(0, len(rows), PAGE)]


def _row(values: dict[str, str | None]) -> dict[str, object]:
    """A series as DICOM JSON, with what the public index does not hold."""
    number = int(values["StudyInstanceUID"][-4:].replace(".", "0")) if values["StudyInstanceUID"] else 0
    values = {
        **values,
        "StudyTime": f"{number % 24:02}{number % 60:02}{number % 59:02}",
        "AccessionNumber": f"A{number:07}",
        "ReferringPhysicianName": f"DOCTOR^{number % 90}",
        "PatientName": f"{values['PatientID']}^{number % 10}",
        "PatientBirthDate": f"19{number % 90 + 10}0101",
    }
    return {keyword(name).tag: _element(keyword(name).vr, value) for name, value in sorted(values.items())}


def _element(vr: str, value: str | None) -> dict[str, object]:
    if value is None or value == "":
        return {"vr": vr}
    if vr == "PN":
        return {"vr": vr, "Value": [{"Alphabetic": value}]}
    return {"vr": vr, "Value": [int(value) if vr == "IS" and value.isdigit() else value]}
