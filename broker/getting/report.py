"""What became of a fetch: lines for people, a file for machines, the manifest of what was not fetched."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from broker.files import whole
from broker.getting.target import State, Target
from broker.manifests.forms import manifest
from broker.manifests.items import Item
from broker.safe import line

MOST = 20  # lines about single series
REPORT, MANIFEST = "report.json", "not-fetched.csv"


def lines(found: Sequence[Target], left: Mapping[str, Sequence[Item]], seconds: float) -> list[str]:
    """A line for each series that is not complete, each remark, what was left, and one for all of it."""
    told = [f"{t.series}: {_of(t)}{_why(t)}" for t in found if t.state is not State.COMPLETE]
    for t in found:
        told += [f"{t.series}: {line(a)}: {line(w)}" for a, w in t.remarks]
    if len(told) > MOST:
        told[MOST:] = [f"and {len(told) - MOST:,} more such lines; see {REPORT}"]
    told += [f"{len(items):,} series left: {line(why)}; see {MANIFEST}" for why, items in left.items()]
    states = Counter(t.state for t in found)
    parts = [f"{states[s]:,} {s.value}" for s in State if states[s]] or ["0 complete"]
    parts += [f"{sum(map(len, left.values())):,} left"] if left else []
    came, size = sum(t.came for t in found), sum(t.size for t in found)
    had = sum(t.here for t in found) - came
    return [*told, f"series: {', '.join(parts)} · {came:,} instances came ({size / 1e6:,.1f} MB), "
            f"{had:,} were here · {seconds:.1f} s"]  # fmt: skip


def _of(target: Target) -> str:
    expected = "" if target.expected is None else f" of {target.expected:,}"
    return f"{target.state.value}, {target.here:,}{expected} instances"


def _why(target: Target) -> str:
    return "".join(f"; {line(archive)}: {line(why)}" for archive, why in target.troubles)


def write(folder: Path, found: Sequence[Target], left: Mapping[str, Sequence[Item]]) -> None:
    """`report.json`, and `not-fetched.csv` where anything was left or is not complete. Raises OSError."""
    document = {
        "series": [t.told() for t in found],
        "left": [{"why": why, "series": [item.series for item in items]} for why, items in left.items()],
    }
    with whole(folder / REPORT) as stream:
        stream.write(json.dumps(document, indent=1).encode() + b"\n")
    rest = [item for items in left.values() for item in items]
    rest += [t.item for t in found if t.state is not State.COMPLETE]
    if not rest:
        (folder / MANIFEST).unlink(missing_ok=True)
        return
    with whole(folder / MANIFEST) as stream:
        stream.write(manifest("csv", rest).text.encode())
