"""Studies as their series: series are what is fetched, so that each is whole or not."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from broker.api import Session
from broker.manifests.items import Item
from broker.query import Query

TOGETHER = 50  # studies in one question


def questions(found: Sequence[Item], config_file: str | Path | None) -> list[Session]:
    """What to ask for the series of studies: the archives that have a copy, and no others."""
    uids = list(dict.fromkeys(item.study for item in found if item.study))
    at = list(dict.fromkeys(copy.archive for item in found for copy in item.copies))
    parts = [uids[i : i + TOGETHER] for i in range(0, len(uids), TOGETHER)]
    texts = ["StudyInstanceUID=" + ",".join(part) for part in parts]
    return [Session(Query("series", text), at=at, config_file=config_file) for text in texts]
