"""Every case at every position: the table of docs/reliability.md."""

from __future__ import annotations

import statistics
import sys

from injecting.held import Peak
from injecting.place import HEALTHY, Place, violations
from peers.cases import HTTP, Case
from peers.faults import silence

HEAD = ("case", "status", "reason", "requests", "s over the deadline", "MB more", "healthy records")


async def table() -> int:
    """Every case at every position; the rows of docs/reliability.md."""
    bad = 0
    print(f"| {' | '.join(HEAD)} |\n|{'---|' * len(HEAD)}")
    async with Place() as place:
        await place.trial(place.port(HEALTHY), 0)  # what is loaded once is no fault's doing
        for case in HTTP:
            row, wrong = await _row(place, case)
            print(f"| {' | '.join(row)} |", flush=True)
            bad += len(wrong)
            print(*wrong, sep="\n", end="\n" if wrong else "", file=sys.stderr)
        ratio = await _ratio(place)
    print(f"\nfirst record of healthy archives beside a hanging one: {ratio:.2f} times the usual")
    return 1 if bad else 0


async def _row(place: Place, case: Case) -> tuple[list[str], list[str]]:
    over, requests, same, wrong = 0.0, 0, True, []
    fault = case.fault()
    with Peak() as peak:
        for position in range(HEALTHY + 1):
            peer = await place.faulty(fault if position == 0 else case.fault())
            trial = await place.trial(peer.port, position)
            told, over, requests = trial.report, max(over, trial.over), max(requests, len(peer.requests))
            same = same and trial.healthy == place.truth.healthy
            found = violations(case, trial, place.truth, len(peer.requests))
            wrong += [f"  {case.name}, position {position}: {text}" for text in found]
    cells = [
        case.name,
        told.status.value,
        told.reason or "-",
        str(requests),
        f"{over:.3f}",
        f"{peak.rise:.0f}",
    ]
    return [*cells, "identical" if same else "DIFFERENT"], wrong


async def _ratio(place: Place, times: int = 40) -> float:
    """Seconds to the first record with a hanging neighbour, over those with an honest one: medians."""
    hanging = await place.faulty(silence)
    firsts: dict[int, list[float]] = {hanging.port: [], place.port(HEALTHY): []}
    for _ in range(times):
        for port, seen in firsts.items():
            trial = await place.trial(port, 0, 0.3)
            seen.append(min(r.first for r in trial.answer.reports if r.archive != "a3" and r.first))
    beside, usual = (statistics.median(seen) for seen in firsts.values())
    return beside / usual
