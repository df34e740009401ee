"""Measuring on a noisy machine: ways in turn, medians, and ratios between runs of the same round."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

Numbers = Mapping[str, float]
Way = Callable[[], Numbers]

MOST_ROUNDS = 40


@dataclass(frozen=True, slots=True)
class Figure:
    """What several runs gave."""

    runs: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle one."""
        return statistics.median(self.runs)

    def text(self, unit: str = "") -> str:
        """The median with the smallest and the largest."""
        if len(self.runs) == 1:
            return f"{short(self.median)}{unit} (1 run)"
        return f"{short(self.median)}{unit} ({short(min(self.runs))}-{short(max(self.runs))})"


def short(number: float) -> str:
    """A number with as many digits as mean something."""
    if abs(number) >= 100 or number == 0:
        return f"{number:,.0f}"
    return f"{number:.1f}" if abs(number) >= 10 else f"{number:.2f}"


@dataclass(slots=True)
class Runs:
    """Every number of every way, by round."""

    found: dict[str, dict[int, Numbers]] = field(default_factory=dict)

    def __contains__(self, way: str) -> bool:
        return way in self.found

    def figure(self, way: str, measure: str = "seconds", times: float = 1.0) -> Figure:
        """One number of one way."""
        return Figure(tuple(numbers[measure] * times for numbers in self.found[way].values()))

    def ratio(self, way: str, to: str, measure: str = "seconds") -> Figure:
        """How many times as much one way took as another, in the rounds in which both ran."""
        return self.compare(way, to, lambda one, other: one[measure] / other[measure])

    def compare(self, way: str, to: str, by: Callable[[Numbers, Numbers], float]) -> Figure:
        """Any comparison of two ways, in the rounds in which both ran."""
        one, other = self.found[way], self.found[to]
        return Figure(tuple(by(one[n], other[n]) for n in one if n in other))


def timed(work: Callable[[], object]) -> Way:
    """A way that only takes time."""

    def way() -> Numbers:
        start = time.perf_counter()
        work()
        return {"seconds": time.perf_counter() - start}

    return way


def in_turn(
    ways: Mapping[str, Way], rounds: int, seconds: float = 0.0, rare: Mapping[str, int] | None = None
) -> Runs:
    """Each way once per round, after one round that is thrown away.

    Goes on beyond `rounds` until `seconds` have passed. `rare` names ways that only run in the first so
    many rounds, and not in the one that is thrown away, because they take so long.
    """
    rare = rare or {}
    for name, way in ways.items():
        if name not in rare:
            way()
    runs = Runs({name: {} for name in ways})
    end = time.perf_counter() + seconds
    number = 0
    while number < rounds or (time.perf_counter() < end and number < MOST_ROUNDS):
        for name, way in ways.items():
            if number < rare.get(name, MOST_ROUNDS):
                gc.collect()
                runs.found[name][number] = way()
        number += 1
    return runs
