"""Mixed faults over every kind of archive for a while: does anything grow?"""

from __future__ import annotations

import asyncio
import random
import time

from injecting.held import Held, slope
from injecting.injections import Surroundings, one, surroundings

DEADLINE = 0.3
AT_ONCE = 4


async def soak(seconds: float, seed: int = 1) -> int:
    """Prints samples of what is held, and the slope of each in the second half."""
    async with surroundings() as around:
        asked, samples = await _asked(around, seconds, seed)
    half = samples[len(samples) // 2 :]
    print(f"{asked:,} questions in {seconds:g} s")
    for name in ("tasks", "threads", "files", "memory"):
        points = [(t, float(getattr(held, name))) for t, held in half]
        unit = "MB" if name == "memory" else ""
        scale = 1e6 if unit else 1
        ends = f"{points[0][1] / scale:.1f} -> {points[-1][1] / scale:.1f} {unit}"
        print(f"{name}: {ends}, slope {slope(points) * 3600 / scale:+.2f} {unit} an hour")
    return 0


async def _asked(around: Surroundings, seconds: float, seed: int) -> tuple[int, list[tuple[float, Held]]]:
    """Questions without a pause; 60 samples, each after a moment without questions."""
    rng, asked = random.Random(seed), 0
    samples: list[tuple[float, Held]] = []
    start = last = time.monotonic()
    while time.monotonic() - start < seconds:
        await asyncio.gather(*(one(around, random.Random(rng.random()), DEADLINE) for _ in range(AT_ONCE)))
        asked += AT_ONCE
        if time.monotonic() - last > seconds / 60:
            last = time.monotonic()
            await asyncio.sleep(0.5)
            samples.append((last - start, Held.now()))
            print(f"{last - start:.0f} s: {samples[-1][1]}", flush=True)
    return asked, samples
