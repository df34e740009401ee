"""What is open in this process: threads, sockets, tasks. What an adapter leaves behind is the difference."""

from __future__ import annotations

import asyncio
import os
import stat
import threading
from dataclasses import dataclass
from pathlib import Path

PATIENCE = 2.0  # seconds in which what was let go may still end
_SHARED = "asyncio_"  # threads of the loop's own pool stay; they are not an adapter's, if they are idle


@dataclass(frozen=True, slots=True)
class Open:
    """Threads, sockets (by inode) and tasks at one moment."""

    threads: frozenset[threading.Thread]
    sockets: frozenset[int]
    tasks: frozenset[asyncio.Task[object]]

    @classmethod
    def now(cls) -> Open:
        """Everything that is open."""
        return cls(frozenset(threading.enumerate()), frozenset(_sockets()), frozenset(asyncio.all_tasks()))

    def left(self) -> list[str]:
        """What is open now and was not then."""
        now = Open.now()
        fresh = [t.name for t in now.threads - self.threads]
        pooled = [name for name in fresh if name.startswith(_SHARED)]
        left = [f"thread {name}" for name in fresh if name not in pooled]
        left += [f"{len(pooled)} threads of the loop's pool, all in use"] if len(pooled) > 1 else []
        sockets = len(now.sockets) - len(self.sockets)  # one may be kept for the next, and be exchanged
        left += [f"{sockets} sockets"] if sockets > 0 else []
        return left + [f"task {t.get_name()}" for t in now.tasks - self.tasks]


async def left_behind(before: Open) -> list[str]:
    """What is still open after a moment in which it may end."""
    loop = asyncio.get_running_loop()
    end = loop.time() + PATIENCE
    while (left := before.left()) and loop.time() < end:  # noqa: ASYNC110 - nobody tells when a socket closes
        await asyncio.sleep(0.01)
    return left


def _sockets() -> list[int]:
    found = []
    here = Path("/dev/fd")
    for entry in list(here.iterdir()) if here.is_dir() else []:
        try:
            state = os.fstat(int(entry.name))
        except OSError:  # it was the listing's own
            continue
        if stat.S_ISSOCK(state.st_mode):
            found.append(state.st_ino)
    return found
