"""Databases on this machine: two hundred cancelled searches leave no task, thread or file behind."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from injecting.held import Held, settled
from test_adapter_local import filled, whole

from adapters.idc.adapter import Idc
from adapters.local.adapter import Local
from broker.adapter import Adapter
from broker.api import Session
from broker.query import Query


@pytest.mark.parametrize("kind", ["idc", "local"])
async def test_two_hundred_cancelled_searches_leave_nothing(kind: str, tmp_path: Path) -> None:
    made: dict[str, Callable[[], Adapter]] = {
        "idc": Idc,
        "local": lambda: Local("mine", filled(tmp_path, whole())),
    }
    archive = made[kind]()
    query = Query("series", Modality="CT")
    await Session(query, at=[archive], limit=1).answer(60)  # what is opened once in a process stays open
    before, rng, ended = Held.now(), random.Random(1), 0
    for _ in range(200):
        asked = asyncio.create_task(Session(query, at=[archive]).answer(60))
        await asyncio.sleep(rng.uniform(0, 0.02))
        ended += asked.cancel()
        await asyncio.wait([asked], timeout=1)
        assert asked.done(), "a second is enough"
    assert kind == "local" or ended > 100, "most were still under way"
    now = await settled(before)
    assert (now.tasks, now.threads) == (before.tasks, before.threads)
    assert now.files <= before.files
