"""Answers in a notebook: frames with documented columns, tables that escape what archives said."""

from __future__ import annotations

import asyncio
import datetime
import re
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import duckdb
import pandas
import polars
import pyarrow
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import broker
from adapters.rows import Rows
from broker.answering.columns import DATE, INTEGER, NUMBER, column, known, markdown, typed
from broker.answering.counts import Count
from broker.errors import BadQuery, MissingExtra
from catalog.keywords import USUAL, Level

MINE: list[dict[str, Any]] = [
    {
        "SeriesInstanceUID": "1.1",
        "StudyInstanceUID": "1",
        "StudyDate": "20200615",
        "SeriesNumber": "7",
        "SizeInMB": "1.5",
        "Collection": "LIDC-IDRI",
        "Modality": "CT",
        "SeriesDescription": "<script>alert(1)</script>",
    },
    {
        "SeriesInstanceUID": "1.2",
        "StudyInstanceUID": "1",
        "StudyDate": ["20200615", "20200616"],
        "SeriesNumber": "seven",
        "SizeInMB": "9e999",
        "Collection": "",
        "Modality": "CT",
        "SeriesDescription": "\x1b[31m",
    },
]
OTHER = [{"SeriesInstanceUID": "1.1", "Collection": "lidc_idri", "StudyDate": "2020", "Modality": "CT"}]


@pytest.fixture
def answer() -> broker.Answer:
    """Two archives with one series in common."""
    mine, other = Rows("mine", MINE, Level.SERIES), Rows("<b>", OTHER, Level.SERIES)
    return broker.search("series", at=[mine, other])


def test_one_table_in_three_libraries(answer: broker.Answer) -> None:
    arrow, frame, other = answer.to_arrow(), answer.to_pandas(), answer.to_polars()
    assert arrow.column_names == list(frame.columns) == other.columns
    assert arrow.column_names[-2:] == ["archives", "untyped"]
    assert (len(arrow), len(frame), len(other)) == (2, 2, 2)
    assert arrow.to_pylist() == other.to_dicts()
    assert arrow.schema.field("SizeInMB").metadata[b"unit"] == b"MB (10**6 bytes)"
    assert frame["SeriesNumber"].sum() == 7
    assert frame["StudyDate"].dt.year.tolist()[0] == 2020
    assert other["StudyDate"].to_list() == [datetime.date(2020, 6, 15), None]


def test_what_does_not_fit_a_type_is_null_and_named(answer: broker.Answer) -> None:
    first, second = answer.to_arrow().to_pylist()
    assert first["untyped"] is None
    assert (second["StudyDate"], second["SeriesNumber"], second["SizeInMB"]) == (None, None, None)
    assert set(second["untyped"].split("\\")) == {"StudyDate", "SeriesNumber", "SizeInMB"}


@settings(deadline=None)
@given(
    st.text(max_size=20) | st.from_regex(r"[+-]?[0-9]{1,30}(\.[0-9]{1,5})?([eE][0-9]{1,3})?", fullmatch=True)
)
def test_no_text_breaks_a_type(text: str) -> None:
    whole, real, day = (typed(kind, text) for kind in (INTEGER, NUMBER, DATE))
    pyarrow.array([whole], pyarrow.int64())
    assert real is None or abs(float(str(real))) != float("inf")
    assert day is None or isinstance(day, datetime.date)
    if text.isascii() and text.isdigit() and len(text) <= 12:
        assert whole == int(text)


def test_an_answer_of_nothing_is_a_frame_too() -> None:
    nothing = broker.search("series", "Modality=XA", at=[Rows("mine", MINE, Level.SERIES)])
    assert nothing.to_arrow().num_rows == len(nothing.to_pandas()) == len(nothing.to_polars()) == 0


def test_parquet_has_the_same_types(answer: broker.Answer, tmp_path: Path) -> None:
    from broker.cli import output

    file = tmp_path / "a.parquet"
    with file.open("wb") as stream:
        output.write(answer, "parquet", stream, ())
    assert pandas.read_parquet(file)["SeriesNumber"].sum() == 7
    assert polars.read_parquet(file).to_dicts() == answer.to_arrow().to_pylist()
    with duckdb.connect() as db:
        types = {name: kind for name, kind, *_ in db.execute(f"DESCRIBE SELECT * FROM '{file}'").fetchall()}
    assert (types["StudyDate"], types["SeriesNumber"], types["SizeInMB"]) == ("DATE", "BIGINT", "DOUBLE")


@pytest.mark.parametrize(
    ("method", "module"), [("to_pandas", "pandas"), ("to_polars", "polars"), ("to_arrow", "pyarrow")]
)
def test_a_missing_library_is_named_with_its_extra(
    method: str, module: str, answer: broker.Answer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtra, match=rf"{module} is not installed: pip install 'imaging-broker\["):
        getattr(answer, method)()


def test_html_is_escaped(answer: broker.Answer) -> None:
    whole = answer._repr_html_() + answer.report._repr_html_()
    assert "<script>" not in whole
    assert "&lt;script&gt;alert(1)" in whole
    assert "\x1b" not in whole
    assert "&lt;b&gt;" in whole
    assert set(re.findall(r"</?(\w+)>", whole)) == {"p", "table", "thead", "tbody", "tr", "th", "td"}


def test_words_are_honest(answer: broker.Answer) -> None:
    assert repr(answer) == "<Answer: 2 SERIES entities, complete>"
    assert repr(answer.report).splitlines()[0].startswith("mine: ok · 2 kept of 2")
    assert [r.archive for r in answer.report] == ["mine", "<b>"]


def test_collections_are_those_that_were_named(answer: broker.Answer) -> None:
    found = {c.name: (c.archives, c.entities) for c in answer.collections}
    assert found == {"LIDC-IDRI": (("mine",), 1), "lidc_idri": (("<b>",), 1)}


def test_facets_of_an_answer(answer: broker.Answer) -> None:
    found = answer.facets("Modality", "archive", "year")
    assert found["Modality"]["CT"] == Count(2, 2)
    assert {g.value: g.count.low for g in found["archive"]} == {"mine": 2, "<b>": 1}
    assert found["year"]["2020"] == Count(2, 2)
    with pytest.raises(BadQuery, match="no archive returned Manufacturer"):
        answer.facets("Manufacturer")


def test_facets_of_a_part_say_at_least() -> None:
    part = broker.search("series", "Modality=CT", at=["idc"], limit=3)
    assert part.facets("modality")["modality"]["CT"] == Count(3, None)


async def test_search_within_a_running_loop_leaves_no_thread() -> None:
    before = set(threading.enumerate())
    answer = broker.search("series", "Modality=CT", at=["idc"], limit=1)
    assert len(answer) == 1
    assert len(await broker.search_async("series", "Modality=CT", at=["idc"], limit=1)) == 1
    async with asyncio.timeout(10):
        while set(threading.enumerate()) - before:  # one of an earlier test may end meanwhile
            await asyncio.sleep(0.01)


INTERRUPTED = """
import asyncio, os, signal, threading, broker
from adapters.rows import Rows

class Slow(Rows):
    async def find(self, ask):
        threading.Timer(0.2, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
        await asyncio.sleep(60)
        yield self._page

async def cell():
    try:
        broker.search("studies", at=[Slow("slow", [{"StudyInstanceUID": "1"}])])
    except KeyboardInterrupt:
        print("interrupted", [t.name for t in threading.enumerate() if t.name == "broker-search"])

signal.signal(signal.SIGINT, signal.default_int_handler)
loop = asyncio.new_event_loop()
loop.run_until_complete(cell())
"""


def test_an_interrupted_notebook_cell_leaves_no_thread() -> None:
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED], capture_output=True, text=True, timeout=20, check=False
    )
    assert done.stdout == "interrupted []\n", done.stderr


def test_every_usual_column_is_documented_in_one_place() -> None:
    page = (Path(__file__).parent.parent / "docs" / "columns.md").read_text(encoding="utf-8")
    assert markdown(known()) in page
    assert {c.name for c in known()} == {*USUAL, "archives", "untyped"}
    assert column("Modality").source == "(0008,0060) CS"
    assert (
        column("RequestAttributesSequence.ScheduledProcedureStepID").source == "(0040,0275) > (0040,0009) SH"
    )
