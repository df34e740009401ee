"""Evidence: which of it leads a cell, what was on record when, and what was measured on this machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog import json_lines
from catalog.evidence import (
    Basis,
    Confidence,
    Evidence,
    Source,
    Status,
    before,
    first_day,
    last_day,
    leading,
    until,
)
from catalog.json_lines import LONGEST, MOST
from catalog.probes import MATCHING, Found, Recorded, measured, read, record, recorded

PAGE = Source("page", "A page", "https://example.org/", "2010-08")


def said(value: str, as_of: str = "2010-08", **more: object) -> Evidence:
    """Evidence of a document."""
    given = {"status": Status.TEXT, "kind": Basis.DOCUMENTATION, "source": PAGE, **more}
    return Evidence(value=value, as_of=as_of, **given)  # type: ignore[arg-type]


LOST = said("", status=Status.UNKNOWN, confidence=Confidence.UNKNOWN)
GUESS = said("guess", "2020", confidence=Confidence.UNCERTAIN)
OLD, NEW, UNDATED = said("old", "2010-08"), said("new", "2013"), said("undated", "")
PROBED = said("probed", "2012-01-01T00:00:00Z", kind=Basis.PROBE, confidence=Confidence.MEASURED)


@pytest.mark.parametrize(
    ("evidence", "leads"),
    [
        ([LOST], LOST),
        ([LOST, GUESS], GUESS),
        ([GUESS, OLD], OLD),
        ([OLD, NEW], NEW),
        ([UNDATED, OLD], OLD),
        ([UNDATED, GUESS, LOST], UNDATED),
        ([NEW, PROBED, OLD], PROBED),
        ([], None),
    ],
)
def test_what_is_certain_then_measured_then_young_leads(
    evidence: list[Evidence], leads: Evidence | None
) -> None:
    assert leading(evidence) is leads
    assert leading(reversed(evidence)) is leads


@pytest.mark.parametrize(
    ("as_of", "first", "last"),
    [
        ("2010", "2010-01-01", "2010-12-31"),
        ("2010-08", "2010-08-01", "2010-08-31"),
        ("2009/2010", "2009-01-01", "2010-12-31"),
        ("2010-08-16", "2010-08-16", "2010-08-16"),
        ("2026-11-23T04:00:00Z", "2026-11-23", "2026-11-23"),
        ("", "", ""),
    ],
)
def test_a_date_of_any_exactness_has_a_first_and_a_last_day(as_of: str, first: str, last: str) -> None:
    assert (first_day(as_of), last_day(as_of)) == (first, last)


def test_what_was_on_record_when() -> None:
    everything = [LOST, OLD, NEW, UNDATED, PROBED]
    assert until(everything, "2010-08") == [LOST, OLD]
    assert until(everything, "2013-06-30") == [LOST, OLD, NEW, PROBED]
    assert before(everything, "2010-08") == [UNDATED]
    assert before(everything, "2013") == [LOST, OLD, UNDATED, PROBED]


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


@given(
    st.lists(
        st.tuples(TEXT.filter(bool), TEXT.filter(bool), st.sampled_from(Status), TEXT, TEXT, TEXT), max_size=6
    )
)
def test_whatever_is_recorded_is_read_again(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str, Status, str, str, str]]
) -> None:
    file = tmp_path_factory.mktemp("state") / "evidence.jsonl"
    found = [
        Found(a, c, measured(s, v, cite=cite, by="broker 1", note=note)) for a, c, s, v, cite, note in rows
    ]
    assert record(found[:3], file) == len(found[:3])
    record(found[3:], file)
    assert recorded(file) == Recorded(tuple(found))


@contextmanager
def little_memory() -> Iterator[None]:
    """Nothing in it may hold more than 40 MB at once."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < 40_000_000
    finally:
        tracemalloc.stop()


ONE = Found(
    "x", MATCHING, measured(Status.NO, "single value", cite="asked", by="broker 1", about="STUDY StudyID")
)


def test_a_line_of_a_gigabyte_costs_no_memory_and_what_follows_it_is_read(tmp_path: Path) -> None:
    file = tmp_path / "evidence.jsonl"
    file.touch()
    os.truncate(file, 10**9)  # a hole: one line of zero bytes without end
    record([ONE], file)
    with little_memory():
        read = recorded(file)
    assert read.found == (ONE,)
    ((line, why),) = read.damaged
    assert (line, why.startswith("too large: its first 968,")) == (0, True)


def test_a_file_within_bounds_names_its_long_line_by_number(tmp_path: Path) -> None:
    file = tmp_path / "evidence.jsonl"
    record([ONE], file)
    with file.open("ab") as stream:
        stream.write(b"x" * (MOST - 1000) + b"\n")
    record([ONE], file)
    with little_memory():
        read = recorded(file)
    assert read.found == (ONE, ONE)
    assert read.damaged == ((2, "longer than 100,000 bytes"),)


@pytest.mark.parametrize("beyond", [-1, 0, 1])
def test_a_line_at_the_bound_is_read_and_one_beyond_is_not(tmp_path: Path, beyond: int) -> None:
    file = tmp_path / "evidence.jsonl"
    record([ONE], file)
    text = file.read_bytes()[:-1]
    file.write_bytes(text + b" " * (LONGEST + beyond - len(text) - 1) + b"\n" + text + b"\n")
    assert recorded(file).found == (ONE,) * (1 if beyond > 0 else 2)


def test_of_many_damaged_lines_some_are_named_and_all_are_counted(tmp_path: Path) -> None:
    file = tmp_path / "evidence.jsonl"
    file.write_bytes(b"x\n" * 50_000)
    with little_memory():
        read = recorded(file)
    assert (len(read.damaged), read.more) == (1000, 49_000)


def test_of_a_file_that_is_too_large_the_end_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the first whole line on; what was measured last is there."""
    monkeypatch.setattr(json_lines, "MOST", 3000)
    file = tmp_path / "evidence.jsonl"
    found = [replace(ONE, archive=f"a{n:03}") for n in range(100)]
    record(found, file)
    size = file.stat().st_size // 100
    read = recorded(file)
    assert read.found == tuple(found[-(3000 // size) :])
    assert [line for line, _ in read.damaged] == [0]


def test_old_evidence_is_kept_and_damaged_lines_are_named(tmp_path: Path) -> None:
    file = tmp_path / "state" / "evidence.jsonl"
    first = Found("x", "size", measured(Status.NUMBER, "1", cite="counted", by="broker 1"))
    record([first], file)
    with file.open("ab") as stream:
        stream.write(
            b'{"archive": 3}\n\xff\xfe\n{"archive":"x","capability":"size","status":"maybe","as_of":"2026"}\n'
        )
        stream.write(b"x" * 2_000_000 + b"\n")
        stream.write(b'{"archive": "x", "capab')  # killed while writing
    second = Found("x", "size", measured(Status.NUMBER, "2", cite="counted", by="broker 2"))
    record([second], file)
    read = recorded(file)
    assert read.found == (first, second)
    assert [line for line, _ in read.damaged] == [2, 3, 4, 5, 6]
    assert all(why and len(why) <= 120 for _, why in read.damaged)
    assert [e.value for e in read.by_cell()["x"]["size"]] == ["1", "2"]
    assert file.stat().st_mode & 0o077 == 0


def test_nothing_is_on_record_where_nothing_was_measured(tmp_path: Path) -> None:
    assert recorded(tmp_path / "none") == Recorded()


def test_several_processes_record_at_once(tmp_path: Path) -> None:
    file = tmp_path / "evidence.jsonl"
    code = (
        "import sys; from pathlib import Path; from catalog.probes import *\n"
        "for n in range(40):\n"
        "    e = measured(Status.NUMBER, str(n) * 500, cite='c', by='b')\n"
        "    record([Found(sys.argv[2], 'size', e)] * 3, Path(sys.argv[1]))"
    )
    running = [subprocess.Popen([sys.executable, "-c", code, str(file), str(n)]) for n in range(4)]
    assert [p.wait(60) for p in running] == [0] * 4
    lines = file.read_text().splitlines()
    assert len(lines) == 4 * 40 * 3
    assert all(json.loads(line) for line in lines)


def test_the_latest_word_on_each_kind_of_matching() -> None:
    def matching(keyword: str, kind: str, status: Status) -> Found:
        return Found("x", MATCHING, measured(status, kind, cite="asked", by="b", about=keyword))

    found = Recorded(
        (
            matching("PatientID", "wildcard", Status.NO),
            matching("PatientID", "single value", Status.YES),
            matching("PatientID", "wildcard", Status.YES),
            Found("y", MATCHING, measured(Status.NO, "wildcard", cite="asked", by="b", about="PatientID")),
        )
    )
    assert [(e.value, e.status) for e in found.matching("x")] == [
        ("wildcard", Status.YES),
        ("single value", Status.YES),
    ]
    assert found.by_cell() == {}


@pytest.mark.parametrize(
    "line",
    [
        b"[]", b"42", b"null", b'"x"', b"{}", b"[" * 50_000, b'["x", "matching"]', b"\x00\x00", b"\xff\xfe{}",
        b'{"archive": "x", "capability": "size", "as_of": "2026"}',
        b'{"archive": "x", "capability": "size", "as_of": "2026", "status": []}',
        b'{"archive": "x", "capability": "size", "as_of": "2026", "status": "no", "value": 7}',
    ],
)  # fmt: skip
def test_a_line_that_is_no_evidence_is_named_and_harms_no_other(tmp_path: Path, line: bytes) -> None:
    file = tmp_path / "evidence.jsonl"
    file.write_bytes(line + b"\n")
    kept = Found("x", "size", measured(Status.NUMBER, "1", cite="counted", by="broker 1"))
    record([kept], file)
    found = recorded(file)
    assert found.found == (kept,)
    ((number, why),) = found.damaged
    assert number == 1
    assert why
    assert read(line) is None


def test_evidence_that_is_no_file_is_not_taken_for_none(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="not a file"):
        recorded(tmp_path)
