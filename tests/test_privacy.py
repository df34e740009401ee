"""A public archive learns nobody's name from a query that a trusted one is asked too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from asking import ask, report_of
from peers.qido import QidoServer

from broker.api import Session
from broker.query import Query
from fixtures.dicom import truth

HELD = truth()["archives"]["b"]
NAMES = ["PatientName=SMITH*", "PatientID=000123", "StudyDate=2010-"]


def federation(folder: Path, hospital: str, open_: str, lists: bool) -> Path:
    """Two archives of one kind: a trusted and a public one."""
    place = folder / "federation.toml"
    entry = '[archives.{}]\nadapter = "dicomweb"\nurl = "{}"\ntrust = "{}"\noptions = {{ lists_all = {} }}\n'
    place.write_text(
        entry.format("hospital", hospital, "trusted", "true")
        + entry.format("open", open_, "public", str(lists).lower())
    )
    return place


@pytest.mark.parametrize("reveal", [False, True])
async def test_identifying_values_stay_with_the_trusted_archive(tmp_path: Path, reveal: bool) -> None:
    async with QidoServer(HELD) as hospital, QidoServer(HELD) as public:
        options: dict[str, Any] = {
            "at": ["hospital", "open"],
            "config_file": federation(tmp_path, hospital.url, public.url, lists=True),
            "reveal": reveal,
        }
        answer = await ask("studies", *NAMES, **options)
        alone = await ask("studies", *NAMES, **{**options, "at": ["hospital"], "reveal": False})
    seen = " ".join(public.requests)
    assert ("SMITH" in seen) is reveal
    assert ("000123" in seen) is reveal
    assert "StudyDate=20100101-" in seen
    assert {e.uid for e in answer} == {e.uid for e in alone} != set()
    assert all(e.archives == ("hospital", "open") for e in answer)
    assert ("PatientName=SMITH*" in report_of(answer, "open").checked) is True


async def test_where_nothing_else_narrows_the_public_archive_is_refused_and_the_plan_says_why(
    tmp_path: Path,
) -> None:
    async with QidoServer(HELD) as hospital, QidoServer(HELD) as public:
        file = federation(tmp_path, hospital.url, public.url, lists=False)
        answer = await ask("studies", NAMES[0], at=["hospital", "open"], config_file=file)
        shown = Session(Query("studies", NAMES[0]), at=["hospital", "open"], config_file=file).explain()
    assert public.requests == []
    assert report_of(answer, "open").status.value == "refused"
    assert "SMITH" not in report_of(answer, "open").detail
    assert [e.plan.refusal == "" for e in shown] == [True, False]
    assert "not shown to a public archive" in shown[1].plan.steps[0].why
