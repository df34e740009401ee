"""What a process holds: tasks, threads, open files, memory; and whether it grows."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Held:
    """What a process holds: tasks, threads, open files, resident bytes."""

    tasks: int
    threads: int
    files: int
    memory: int

    @classmethod
    def now(cls) -> Held:
        gc.collect()
        memory = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        files = len(list(Path("/proc/self/fd").iterdir()))
        # the loop's own pool keeps its threads for whoever needs one next
        threads = sum(not t.name.startswith("asyncio_") for t in threading.enumerate())
        return cls(len(asyncio.all_tasks()), threads, files, memory)


async def settled(before: Held, within: float = 2.0) -> Held:
    """What is held once everything has had time to end."""
    end = time.monotonic() + within
    while True:
        now = Held.now()
        calm = now.tasks <= before.tasks and now.threads <= before.threads and now.files <= before.files
        if calm or time.monotonic() > end:
            return now
        await asyncio.sleep(0.02)


class Peak:
    """The most memory that the process held meanwhile, in MB over what it held at the beginning."""

    def __enter__(self) -> Peak:
        self.rise, self._start, self._stop = 0.0, Held.now().memory, threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        size = os.sysconf("SC_PAGE_SIZE")
        while not self._stop.wait(0.005):
            held = int(Path("/proc/self/statm").read_text().split()[1]) * size
            self.rise = max(self.rise, (held - self._start) / 1e6)


def slope(points: Sequence[tuple[float, float]]) -> float:
    """How fast points (seconds, value) rise, per second, by least squares."""
    n = len(points)
    mean_t, mean_v = sum(t for t, _ in points) / n, sum(v for _, v in points) / n
    spread = sum((t - mean_t) ** 2 for t, _ in points)
    return sum((t - mean_t) * (v - mean_v) for t, v in points) / spread if spread else 0.0
