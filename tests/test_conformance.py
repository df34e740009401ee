"""The questions of `docs/conformance.md`, through the broker to real Orthancs: as packaged, and mended."""

from __future__ import annotations

from pathlib import Path

import pytest
from peers.compare import QUESTIONS, expected, through
from peers.orthanc import Orthanc

from fixtures.dicom import Truth

ASKED = [(level, texts) for level, texts, _ in QUESTIONS if texts != ["StudyDate=19970424"]]
PAGE = (Path(__file__).parent.parent / "docs" / "conformance.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(("level", "texts"), ASKED, ids=[" ".join(q[1]) for q in ASKED])
async def test_the_broker_is_right(
    level: str, texts: list[str], packaged: Orthanc, mended: Orthanc, held: tuple[Path, Truth]
) -> None:
    archives = held[1]["archives"]
    assert await through(packaged.url, level, texts) == expected(archives["a"], level, texts)
    assert await through(mended.url, level, texts) == expected(archives["b"], level, texts)


def test_every_question_is_in_the_document() -> None:
    assert all(f"`{' '.join(texts)}`" in PAGE for _, texts, _ in QUESTIONS)
