"""On the terminal, while instances come: how many, how fast, and how long it may still take."""

from __future__ import annotations

from collections.abc import Sequence

from broker.cli.live import Drawing
from broker.getting.target import State, Target


class Fetching(Drawing):
    """One line."""

    rate = 4

    def __init__(self, found: Sequence[Target], show: bool) -> None:
        self._found = found
        super().__init__(show)

    def drawn(self) -> str:
        """The line as it stands."""
        return progress(self._found, self.seconds)


def progress(found: Sequence[Target], seconds: float) -> str:
    """Series and instances that are here, bytes a second, and the time left at the pace so far.

    The time left counts instances; series of which nobody says how many they have are taken for average ones.
    """
    ended = sum(t.state is not State.WAITING for t in found)
    came, size, here = (sum(getattr(t, name) for t in found) for name in ("came", "size", "here"))
    said = [t.expected for t in found if t.expected is not None]
    whole = round(sum(said) / len(said) * len(found)) if said else 0
    parts = [f"{ended:,} of {len(found):,} series", f"{here:,}{f' of {whole:,}' if whole else ''} instances"]
    parts.append(f"{size / 1e6 / max(seconds, 0.001):,.1f} MB/s")
    if came and whole > here:
        left = (whole - here) * seconds / came
        parts.append(f"{int(left // 60)}:{int(left % 60):02} left")
    return " · ".join(parts)
