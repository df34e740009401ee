"""Collections: data sets as a whole, from the records that ship and from archives that tell of theirs.

They are a level of their own. No patient is made from them, and nothing is added up over them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from broker.config import federation
from broker.errors import BadConfig, BadQuery
from broker.knowing.counted import collecting
from broker.knowing.judging import Question
from broker.knowing.telling import MOST, Telling, Told
from broker.registry import adapter_for
from catalog.archives import Archive
from catalog.collection import Collection
from catalog.condition import Where
from catalog.nearest import near
from catalog.reading import shipped_collections, shipped_matrix


@dataclass(frozen=True, slots=True)
class Collections:
    """Records that satisfy the question, those of which that is not known, and what each archive told.

    undecided  key of a record -> names of the conditions of which it is not known whether they hold
    """

    kept: tuple[Collection, ...]
    unknown: tuple[Collection, ...] = ()
    told: tuple[Told, ...] = ()
    held: Mapping[str, str] = field(default_factory=dict)
    undecided: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """Whether every archive told what it has."""
        return not any(t.why for t in self.told)


async def gather(
    words: Sequence[str] = (),
    conditions: Sequence[Where] = (),
    *,
    more: Sequence[str] = (),
    at: Sequence[str] = (),
    timeout: float = 30.0,
    most: int = MOST,
    config_file: str | Path | None = None,
) -> Collections:
    """Ask for collections: `at` archives, or of all records that ship and the archives asked by default.

    more  what is wanted of each, also where no condition needs it: names in TOLD
    most  so many collections of one archive are asked about one by one

    Raises BadQuery and BadConfig before anything is asked; what fails later is in `told`.
    """
    if not 0 < timeout < 86_400:
        raise BadQuery(f"timeout {timeout:g}: must be more than 0 seconds and less than a day")
    if most < 0:
        raise BadQuery(f"most {most}: must not be negative")
    question = Question(tuple(words), tuple(conditions), tuple(more))
    known = federation(config_file).archives
    shipped = [_held(c, known) for c in shipped_collections() if not at or c.archive in at]
    asked = [adapter_for(a) for a in _asked(known, at, {c.archive for c in shipped})]
    telling = [Telling(adapter, question, most) for adapter in asked]
    told = await asyncio.gather(*(each.told(timeout, named=bool(at)) for each in telling))
    now = [c for each in telling for c in each.found.values()]
    records = [*_told(shipped, now), *_untold(shipped, now)]
    pairs = [(c, undecided) for c in records if (undecided := question.open(c)) is not None]
    return Collections(
        tuple(c for c, undecided in pairs if not undecided),
        tuple(c for c, undecided in pairs if undecided),
        tuple(told),
        {name: name for name in known},
        {c.key: tuple(dict.fromkeys(w.name for w in undecided)) for c, undecided in pairs if undecided},
    )


def _held(c: Collection, known: Mapping[str, Archive]) -> Collection:
    """The record, held where its archive's lists were imported; which of them are of it is not known."""
    own = known.get(c.archive)
    imported = own is not None and own.adapter == "local" and not c.held_at
    return replace(c, held_at=c.archive, held_as="") if imported else c


def _told(shipped: Iterable[Collection], now: Iterable[Collection]) -> list[Collection]:
    """What archives told, with what is declared to be of the same data set elsewhere: they do not know."""
    declared = {c.key: c.same_as for c in shipped}
    return [replace(c, same_as=c.same_as or declared.get(c.key, ())) for c in now]


def _untold(shipped: Iterable[Collection], now: Iterable[Collection]) -> list[Collection]:
    """Records that ship, without those that an archive has just told anew."""
    told = {c.key for c in now}
    return [c for c in shipped if c.key not in told]


def _asked(known: Mapping[str, Archive], at: Sequence[str], recorded: set[str]) -> list[Archive]:
    """Archives that are asked for their collections. Raises BadConfig for a name that nobody knows."""
    if not at:
        return [a for a in known.values() if a.asked]
    rows = {r.id: None for r in shipped_matrix().rows if r.table == "archives"}
    unknown = [name for name in at if name not in known and name not in rows]
    if unknown:
        every = {**dict.fromkeys(known), **rows}
        text = f"unknown archive {unknown[0]!r}{near(unknown[0], every)}; known are {', '.join(every)}"
        raise BadConfig(text)
    mine = [known[name] for name in dict.fromkeys(at) if name in known]
    return [a for a in mine if a.name not in recorded or not _mute(a)]


def _mute(archive: Archive) -> bool:
    """Whether its adapter is missing or tells of no collections: then the records that ship stand alone."""
    try:
        return collecting(adapter_for(archive)) is None
    except BadConfig:
        return True
