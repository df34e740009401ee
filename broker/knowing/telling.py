"""What one archive tells of its collections: the list, then more of those that a question leaves open."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass

from broker.adapter import Adapter, Closes, Collects, CollectsMore, Ungrouped
from broker.errors import ArchiveError
from broker.knowing.counted import collecting
from broker.knowing.judging import Question
from catalog.collection import Collection

MOST = 100
"""Collections of one archive that are asked about one by one, where nothing else is said."""


@dataclass(frozen=True, slots=True)
class Told:
    """What one archive told: how many records, or why not; `mute` if its adapter cannot tell of any.

    asked  how many of them it was asked about one by one
    why    what failed; records that came before stand
    none   why it has no collections, where it knows
    """

    archive: str
    records: int = 0
    why: str = ""
    mute: bool = False
    asked: int = 0
    none: str = ""


class Telling:
    """One archive being asked. `found` holds what is known so far, also when it ends early."""

    def __init__(self, adapter: Adapter, question: Question, most: int) -> None:
        self._adapter = adapter
        self._question = question
        self._most = most
        self.found: dict[str, Collection] = {}
        self._asked = 0

    async def told(self, timeout: float, *, named: bool) -> Told:
        """Ask within a time. One that cannot tell is only a failure where it was asked by name."""
        name, teller = self._adapter.name, collecting(self._adapter)
        if teller is None:
            return self._untold(named)
        try:
            async with asyncio.timeout(timeout):
                why = await self._told(teller)
        except TimeoutError:
            why = f"did not answer in {timeout:g} seconds"
        except ArchiveError as error:
            why = f"{error.reason}: {error}"
        finally:
            if isinstance(self._adapter, Closes):
                await self._adapter.close()
        return Told(name, len(self.found), why, asked=self._asked)

    def _untold(self, named: bool) -> Told:
        """Why it tells of no collections."""
        name = self._adapter.name
        if not isinstance(self._adapter, Ungrouped):
            return Told(name, why="its adapter cannot tell of collections" if named else "", mute=True)
        try:
            return Told(name, none=self._adapter.ungrouped())
        except ArchiveError as error:
            return Told(name, why=f"{error.reason}: {error}")

    async def _told(self, teller: Collects) -> str:
        self.found = {c.id: c for c in await teller.collections()}
        if not isinstance(teller, CollectsMore):
            return ""
        wanted = {c.id: self._question.wanted(c) & teller.tells for c in self.found.values()}
        asked = [self.found[key] for key, fields in wanted.items() if fields]
        return await self._more(teller, asked, frozenset().union(*wanted.values()))

    async def _more(self, teller: CollectsMore, open_: Sequence[Collection], wanted: frozenset[str]) -> str:
        """Of as many as may be asked about; what is left of them is said."""
        asked = open_[: self._most]
        self._asked = len(asked)
        if asked:
            async with aclosing(teller.more(asked, wanted)) as replies:  # type: ignore[type-var]
                async for c in replies:
                    self.found[c.id] = c
        if len(asked) == len(open_):
            return ""
        needed = ", ".join(sorted(wanted))
        return (
            f"{needed} asked of {len(asked):,} of {len(open_):,} collections only: ask for fewer by a word "
            f"or a condition, or allow --most {len(open_)}"
        )
