"""Probing many archives: few at once, with pauses, going on where it stopped, telling what changed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from datetime import UTC, datetime, timedelta

from broker.admitting.audit import Audit
from broker.probing.probe import TIMEOUT, Result, Watch, probe
from catalog.archives import Archive
from catalog.probes import recorded

AT_ONCE = 2
PAUSE = 0.2  # seconds between two questions to one archive


def due(
    archives: Iterable[Archive], older_than: timedelta, now: datetime | None = None
) -> tuple[list[Archive], dict[str, str]]:
    """The archives to probe, the longest unprobed first; the others, with the time of their last probe."""
    probes = (f for f in recorded().found if f.evidence.source.title.startswith("probe"))
    times = {f.archive: f.evidence.as_of for f in probes}
    now = now or datetime.now(UTC)
    since, until = (at.strftime("%Y-%m-%dT%H:%M:%SZ") for at in (now - older_than, now))
    given = list(archives)
    # what a clock that was ahead has dated in the future would never become old
    fresh = {a.name: times[a.name] for a in given if since < times.get(a.name, "") <= until}
    wanted = [a for a in given if a.name not in fresh]
    return sorted(wanted, key=lambda a: times.get(a.name, "")), fresh


async def sync(
    archives: Iterable[Archive],
    *,
    at_once: int = AT_ONCE,
    pause: float = PAUSE,
    timeout: float = TIMEOUT,
    audit: Audit | None = None,
    watch: Watch | None = None,
) -> AsyncIterator[Result]:
    """The result of each archive as it ends; what was found is kept by then, so that nothing is lost."""
    turns = asyncio.Semaphore(at_once)

    async def one(archive: Archive) -> Result:
        async with turns:
            return await probe(archive, timeout=timeout, pause=pause, audit=audit, watch=watch)

    tasks = [asyncio.create_task(one(a)) for a in archives]
    try:
        for ended in asyncio.as_completed(tasks):
            yield await ended
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
