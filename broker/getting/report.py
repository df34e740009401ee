"""What became of a fetch: lines for people, a file for machines, the manifest of what was not fetched."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from broker.answer import Answer
from broker.answering.html import table
from broker.files import whole
from broker.getting.target import State, Target
from broker.manifests.forms import manifest
from broker.manifests.items import Item
from broker.safe import line

MOST = 20  # lines about single series
REPORT, MANIFEST = "report.json", "not-fetched.csv"


@dataclass(frozen=True, slots=True, repr=False)
class Fetched:
    """What became of a fetch.

    folder   where the instances are, and `report.json`; `not-fetched.csv` where something is not there
    answers  what was asked for it;  seconds  how long the fetching took
    targets  the series that could be fetched, each with its state, and what went wrong
    left     reason -> what could not be fetched from here
    """

    folder: Path
    answers: Sequence[Answer]
    targets: Sequence[Target]
    left: Mapping[str, Sequence[Item]]
    seconds: float

    @property
    def complete(self) -> bool:
        """Whether every archive answered, and every series is here whole."""
        whole = all(t.state is State.COMPLETE for t in self.targets)
        return whole and not self.left and all(answer.complete for answer in self.answers)

    @property
    def files(self) -> list[Path]:
        """The instances of these series that are here."""
        places = (self.folder / t.study / t.series for t in self.targets)
        return [file for place in places for file in sorted(place.glob("*.dcm"))]

    def __repr__(self) -> str:
        return f"<Fetched: {self._sum()}>"

    def _repr_html_(self) -> str:
        heads = ("series", "state", "instances", "expected", "from", "what went wrong")
        rows = [
            (t.series, t.state.value, f"{t.here:,}", "" if t.expected is None else f"{t.expected:,}",
             ", ".join(t.sources), "; ".join(f"{a}: {w}" for a, w in (*t.troubles, *t.remarks)))
            for t in sorted(self.targets, key=lambda t: t.state is State.COMPLETE)
        ]  # fmt: skip
        rows += [("", "left", f"{len(found):,} series", "", "", why) for why, found in self.left.items()]
        more = f"<p>and {len(rows) - MOST:,} more; see {REPORT}</p>" if len(rows) > MOST else ""
        return f"<p>{escape(repr(self)[1:-1])}</p>{table(heads, rows[:MOST])}{more}"

    def _sum(self) -> str:
        states = Counter(t.state for t in self.targets)
        parts = [f"{states[s]:,} {s.value}" for s in State if states[s]] or ["0 complete"]
        parts[0] = parts[0].replace(" ", " series ", 1)
        parts += [f"{sum(map(len, self.left.values())):,} left"] if self.left else []
        came, size = sum(t.came for t in self.targets), sum(t.size for t in self.targets)
        had = sum(t.here for t in self.targets) - came
        return f"{', '.join(parts)}; {came:,} instances came ({size / 1e6:,.1f} MB), {had:,} were here"

    def lines(self) -> list[str]:
        """A line for each series that is not complete, each remark, what was left, and one for all of it."""
        told = [f"{t.series}: {_of(t)}{_why(t)}" for t in self.targets if t.state is not State.COMPLETE]
        for t in self.targets:
            told += [f"{t.series}: {line(a)}: {line(w)}" for a, w in t.remarks]
        if len(told) > MOST:
            told[MOST:] = [f"and {len(told) - MOST:,} more such lines; see {REPORT}"]
        told += [
            f"{len(found):,} series left: {line(why)}; see {MANIFEST}" for why, found in self.left.items()
        ]
        return [*told, f"{self._sum()} · {self.seconds:.1f} s"]

    def write(self) -> None:
        """`report.json`, and `not-fetched.csv` where anything was left or is not complete. Raises OSError."""
        document = {
            "series": [t.told() for t in self.targets],
            "left": [{"why": why, "series": [i.series for i in found]} for why, found in self.left.items()],
        }
        with whole(self.folder / REPORT) as stream:
            stream.write(json.dumps(document, indent=1).encode() + b"\n")
        rest = [item for found in self.left.values() for item in found]
        rest += [t.item for t in self.targets if t.state is not State.COMPLETE]
        if not rest:
            (self.folder / MANIFEST).unlink(missing_ok=True)
            return
        with whole(self.folder / MANIFEST) as stream:
            stream.write(manifest("csv", rest).text.encode())


def _of(target: Target) -> str:
    expected = "" if target.expected is None else f" of {target.expected:,}"
    return f"{target.state.value}, {target.here:,}{expected} instances"


def _why(target: Target) -> str:
    return "".join(f"; {line(archive)}: {line(why)}" for archive, why in target.troubles)
