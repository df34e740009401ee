"""The questions of `docs/conformance.md`, through the broker to real servers: QIDO-RS and C-FIND."""

from __future__ import annotations

from pathlib import Path

import pytest
from peers.compare import QUESTIONS, expected, through
from peers.compare_find import through as find
from peers.dcmqrscp import Dcmqrscp
from peers.loopback import HOST
from peers.orthanc import Orthanc

from adapters.dimse.link import Peer
from fixtures.dicom import Truth

ASKED = [(level, texts) for level, texts, _ in QUESTIONS if texts != ["StudyDate=19970424"]]
UNTOLD = (["BodyPartExamined=LUNG*"], ["SeriesDescription~ax"])
PAGE = (Path(__file__).parent.parent / "docs" / "conformance.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(("level", "texts"), ASKED, ids=[" ".join(q[1]) for q in ASKED])
async def test_the_broker_is_right(
    level: str, texts: list[str], packaged: Orthanc, mended: Orthanc, held: tuple[Path, Truth]
) -> None:
    archives = held[1]["archives"]
    assert await through(packaged.url, level, texts) == expected(archives["a"], level, texts)
    assert await through(mended.url, level, texts) == expected(archives["b"], level, texts)


@pytest.mark.parametrize(("level", "texts"), ASKED, ids=[" ".join(q[1]) for q in ASKED])
async def test_the_broker_is_right_by_c_find(
    level: str, texts: list[str], mended: Orthanc, dcmqrscp: Dcmqrscp, held: tuple[Path, Truth]
) -> None:
    right = expected(held[1]["archives"]["b"], level, texts)
    found, _ = await find(Peer(HOST, mended.dicom_port, mended.aet), level, texts)
    assert found == right
    found, report = await find(Peer(HOST, dcmqrscp.port, dcmqrscp.aet), level, texts)
    if texts in UNTOLD:  # dcmqrscp does not give these attributes back, and the report says so
        assert (found, sum(report.unknown.values())) == (set(), report.fetched)
    else:
        assert found == right


def test_every_question_is_in_the_document() -> None:
    assert all(PAGE.count(f"`{' '.join(texts)}`") == 2 for _, texts, _ in QUESTIONS)
