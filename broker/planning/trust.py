"""Promises that archives broke in this process: the next plan does not build on them.

An archive that lets through too much, such as another case, still narrows, and what it sends is
checked. One that lets through as many wrong records as right ones has not applied the condition.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from catalog.capability import Can


class Distrust:
    """archive -> keywords whose promised matching was seen not to happen."""

    def __init__(self) -> None:
        self._broken: defaultdict[str, set[str]] = defaultdict(set)

    def note(self, archive: str, broken: Mapping[str, int]) -> None:
        """Remember broken promises."""
        self._broken[archive].update(keyword for keyword, count in broken.items() if count)

    def doubted(self, archive: str, can: Can) -> Can:
        """The capabilities without the promises that this archive broke."""
        gone = self._broken.get(archive)
        return can.without(gone) if gone else can
