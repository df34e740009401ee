"""Measurements before promises: a plan does not build on what was measured not to hold, and cites it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tracemalloc
from pathlib import Path

import pytest

from broker.api import Session
from broker.plan import Where, Wish, plan
from broker.planning.evidence import matching
from broker.planning.measured import measured
from broker.query import Query
from catalog import places, probes
from catalog.capability import Can, Kind
from catalog.evidence import Evidence, Status
from catalog.json_lines import MOST
from catalog.keywords import Level
from catalog.probes import MATCHING, Found, record

BOTH = frozenset({Kind.SINGLE, Kind.WILDCARD})
CAN = Can(
    levels=frozenset({Level.STUDY}),
    matches={"PatientID": BOTH, "StudyID": BOTH},
    by_level={Level.SERIES: {"PatientID": BOTH}},
    hopes={Level.PATIENT: {"PatientID": BOTH}},
    cite="the book",
)


def found(status: Status, kind: str, keyword: str = "PatientID") -> Evidence:
    return probes.measured(status, kind, cite="QIDO-RS, key by key", by="imaging-broker 9", about=keyword)


def test_what_was_measured_not_to_hold_is_promised_no_more_at_any_level() -> None:
    can = measured(CAN, [found(Status.NO, "wildcard"), found(Status.YES, "single value")])
    assert can.kinds("PatientID") == {Kind.SINGLE}
    assert can.kinds("StudyID") == BOTH
    assert can.by_level[Level.SERIES]["PatientID"] == {Kind.SINGLE}
    assert can.hopes[Level.PATIENT]["PatientID"] == {Kind.SINGLE}
    assert "PatientID" not in measured(can, [found(Status.NO, "single value")]).matches


def test_nothing_is_promised_that_was_not_promised_before() -> None:
    can = measured(CAN, [found(Status.YES, "range", "StudyDate"), found(Status.UNKNOWN, "wildcard")])
    assert can.matches == CAN.matches
    assert can.cited("PatientID") == "the book"


def test_the_plan_checks_here_what_was_measured_not_to_hold_and_says_why() -> None:
    query = Query("studies", "PatientID=A*", "StudyID=3")
    before = plan(query, "x", CAN, Wish(scan=True))
    assert [s.where for s in before.steps] == [Where.THERE, Where.THERE]
    after = plan(query, "x", measured(CAN, [found(Status.NO, "wildcard")]), Wish(scan=True))
    assert [s.where for s in after.steps] == [Where.HERE, Where.THERE]
    assert "QIDO-RS, key by key" in after.steps[0].why
    assert "measured 20" in after.steps[0].why
    assert "(the book)" in after.steps[1].why


def test_explain_cites_what_a_probe_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))

    def why() -> str:
        (told,) = Session(Query("studies", "StudyDate=2010-"), at=["idc-dicomweb"]).explain()
        return told.plan.steps[0].why

    assert "the federation file" in why()
    record([Found("idc-dicomweb", MATCHING, found(Status.YES, "range", "StudyDate"))])
    assert "QIDO-RS, key by key" in why()
    record([Found("idc-dicomweb", MATCHING, found(Status.NO, "range", "StudyDate"))])
    assert why().startswith("promised there: single value (measured 20"), "the latest word counts"


def test_where_nothing_was_measured_nothing_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "none"))
    assert matching("idc") == []


@pytest.mark.parametrize("size", [10**9, MOST // 2])
def test_a_line_without_end_costs_a_plan_no_memory_and_is_told_once(
    size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    file = places.evidence()
    file.parent.mkdir(parents=True)
    file.touch()
    os.truncate(file, size)
    record([Found(name, MATCHING, found(Status.NO, "wildcard")) for name in ("one", "two")])
    tracemalloc.start()
    assert [[e.status for e in matching(name)] for name in ("one", "two")] == [[Status.NO], [Status.NO]]
    used = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert used < 5_000_000
    assert [f"{file} is too long" in r.getMessage() for r in caplog.records] == [True]


def test_what_is_no_file_is_told_and_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    places.evidence().parent.mkdir(parents=True)
    os.mkfifo(places.evidence())
    assert matching("one") == []
    assert [r.getMessage() for r in caplog.records if "it is not a file" in r.getMessage()]


def test_a_search_does_not_load_the_matrix() -> None:
    words = ["search", "series", "Modality=CT", "--at", "idc", "--limit", "1", "-q"]
    code = (
        "import sys; from broker.cli import main; main(%r); import json;"
        "print(json.dumps([m for m in sys.modules if m.startswith('catalog.')]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code % words], capture_output=True, text=True, timeout=60, check=True
    )
    loaded = set(json.loads(done.stdout.splitlines()[-1]))
    assert "catalog.archives" in loaded
    assert not loaded & {
        "catalog.matrix",
        "catalog.reading",
        "catalog.form",
        "catalog.collection",
        "catalog.checking",
    }
