"""Worlds with known truth: no merge is wrong, no T0 or T1 link is missed."""

from __future__ import annotations

import pytest
import worlds


@pytest.mark.parametrize("seed", [1, 2])
def test_no_wrong_merge_and_no_missed_link(seed: int) -> None:
    for score in worlds.main(300, seed):
        assert score.pairs > 100_000
        assert score.joined > 100
        assert (score.wrong, score.missed) == (0, 0)


def test_the_score_would_notice() -> None:
    """A merge by bare PatientID, as several viewers do it, is wrong here and is counted as wrong."""
    import random

    from broker.adapter import Page
    from broker.joining.entity import Source
    from broker.merge import Merge
    from catalog.keywords import Level

    records = worlds.world(300, random.Random(1))
    naive = Merge(Level.STUDY)
    at = worlds.KEYWORDS.index("PatientID")
    for r in records:
        row = (f"1.9.{abs(hash(r.row[at]))}", *r.row[1:])
        naive.add(Page(worlds.KEYWORDS, [row]), Source(r.archive, 0, worlds.KEYWORDS, 0.0))
    assert worlds.score(records, naive.wholes()).wrong > 0
