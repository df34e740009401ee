"""Collections: data sets as a whole, from the records that ship and from archives that tell of theirs.

They are a level of their own. No patient is made from them, and nothing is added up over them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from broker.adapter import Adapter, Closes, Collects
from broker.config import federation
from broker.errors import ArchiveError, BadConfig, BadQuery
from broker.registry import adapter_for
from catalog.archives import Archive
from catalog.collection import Collection, Count
from catalog.condition import BadCondition, Where
from catalog.reading import shipped_collections, shipped_matrix

LISTS = {
    "modality": ("modalities",),
    "technique": ("techniques",),
    "body_part": ("body_parts",),
    "condition": ("conditions",),
    "species": ("species",),
    "license": ("licenses",),
    "doi": ("dois",),
}
TEXTS = ("archive", "id", "title", "program", "state", "as_of", "updated")
COUNTS = Count.NAMES
NAMES = (*LISTS, *TEXTS, "derived", *COUNTS)


@dataclass(frozen=True, slots=True)
class Told:
    """What one archive told: how many records, or why not; `mute` if its adapter cannot tell of any."""

    archive: str
    records: int = 0
    why: str = ""
    mute: bool = False


@dataclass(frozen=True, slots=True)
class Collections:
    """Records that satisfy the question, those of which that is not known, and what each archive told."""

    kept: tuple[Collection, ...]
    unknown: tuple[Collection, ...] = ()
    told: tuple[Told, ...] = ()
    held: Mapping[str, str] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """Whether every archive told what it has."""
        return not any(t.why for t in self.told)


def wheres(texts: Iterable[str]) -> list[Where]:
    """Conditions on collections. Raises BadQuery."""
    found = []
    for text in texts:
        try:
            where = Where.read(text)
        except BadCondition as error:
            raise BadQuery(f"--where: {error}") from error
        if where.name.lower() not in NAMES:
            raise BadQuery(
                f"--where: {text!r}: no {where.name!r} of collections; known are {', '.join(NAMES)}"
            )
        found.append(Where(where.name.lower(), where.sign, where.values))
        judge(_NOTHING, found[-1])  # a sign that does not fit is refused before anything is asked
    return found


def judge(c: Collection, where: Where) -> bool | None:
    """Whether a record satisfies a condition; None where it does not say. Raises BadQuery."""
    try:
        if where.name in COUNTS:
            return where.of_count(c.counts.get(where.name))
        return where.of_texts(_texts(c, where.name))
    except BadCondition as error:
        raise BadQuery(f"--where: {error}") from error


def _texts(c: Collection, name: str) -> Sequence[str]:
    if name == "derived":
        return ["yes" if c.derived else "no"]
    if name in TEXTS:
        return [getattr(c, name)]
    return [text for field_ in LISTS[name] for text in getattr(c, field_)]


def mentions(c: Collection, words: Iterable[str]) -> bool:
    """Whether every word stands somewhere in what is said of the data set, in any case."""
    said = (
        c.id,
        c.title,
        *c.body_parts,
        *c.conditions,
        *c.species,
        *c.techniques,
        c.program,
        c.about,
        c.note,
        c.quote,
    )
    text = "\n".join(said).casefold()
    return all(word.casefold() in text for word in words)


async def gather(
    words: Sequence[str] = (),
    conditions: Sequence[Where] = (),
    *,
    at: Sequence[str] = (),
    timeout: float = 30.0,
    config_file: str | Path | None = None,
) -> Collections:
    """Ask for collections: `at` archives, or of all records that ship and the archives asked by default.

    Raises BadQuery and BadConfig before anything is asked; what fails later is in `told`.
    """
    if not 0 < timeout < 86_400:
        raise BadQuery(f"timeout {timeout:g}: must be more than 0 seconds and less than a day")
    known = federation(config_file).archives
    shipped = [_held(c, known) for c in shipped_collections() if not at or c.archive in at]
    asked = [adapter_for(a) for a in _asked(known, at, {c.archive for c in shipped})]
    given = await asyncio.gather(*(_ask(adapter, timeout, named=bool(at)) for adapter in asked))
    records = [*_told(shipped, given), *_untold(shipped, given)]
    chosen = [c for c in records if mentions(c, words)]
    answers = [[judge(c, where) for where in conditions] for c in chosen]
    pairs = list(zip(chosen, answers, strict=True))
    return Collections(
        tuple(c for c, own in pairs if all(a is True for a in own)),
        tuple(c for c, own in pairs if None in own and False not in own),
        tuple(told for _, told in given),
        {name: name for name in known},
    )


def _held(c: Collection, known: Mapping[str, Archive]) -> Collection:
    """The record, held where its archive's lists were imported; which of them are of it is not known."""
    own = known.get(c.archive)
    imported = own is not None and own.adapter == "local" and not c.held_at
    return replace(c, held_at=c.archive, held_as="") if imported else c


def _told(
    shipped: Iterable[Collection], given: Iterable[tuple[Sequence[Collection], Told]]
) -> list[Collection]:
    """What archives told, with what is declared to be of the same data set elsewhere: they do not know."""
    declared = {c.key: c.same_as for c in shipped}
    return [replace(c, same_as=c.same_as or declared.get(c.key, ())) for own, _ in given for c in own]


def _untold(
    shipped: Iterable[Collection], given: Iterable[tuple[Sequence[Collection], Told]]
) -> list[Collection]:
    """Records that ship, without those that an archive has just told anew."""
    told = {c.key for own, _ in given for c in own}
    return [c for c in shipped if c.key not in told]


def _asked(known: Mapping[str, Archive], at: Sequence[str], recorded: set[str]) -> list[Archive]:
    """Archives that are asked for their collections. Raises BadConfig for a name that nobody knows."""
    if not at:
        return [a for a in known.values() if a.asked]
    rows = {r.id: None for r in shipped_matrix().rows if r.table == "archives"}
    unknown = [name for name in at if name not in known and name not in rows]
    if unknown:
        names = ", ".join({**dict.fromkeys(known), **rows})
        raise BadConfig(f"unknown archive {unknown[0]!r}; known are {names}")
    mine = [known[name] for name in dict.fromkeys(at) if name in known]
    return [a for a in mine if a.name not in recorded or not _mute(a)]


def _mute(archive: Archive) -> bool:
    """Whether its adapter is missing or tells of no collections: then the records that ship stand alone."""
    try:
        return not isinstance(adapter_for(archive), Collects)
    except BadConfig:
        return True


async def _ask(adapter: Adapter, timeout: float, *, named: bool) -> tuple[list[Collection], Told]:
    """What an archive tells. One that cannot is only a failure where it was asked by name."""
    if not isinstance(adapter, Collects):
        why = "its adapter cannot tell of collections"
        return [], Told(adapter.name, why=why if named else "", mute=True)
    try:
        async with asyncio.timeout(timeout):
            found = await adapter.collections()
    except TimeoutError:
        return [], Told(adapter.name, why=f"did not answer in {timeout:g} seconds")
    except ArchiveError as error:
        return [], Told(adapter.name, why=f"{error.reason}: {error}")
    finally:
        if isinstance(adapter, Closes):
            await adapter.close()
    return found, Told(adapter.name, len(found))


def _nothing() -> Collection:
    from catalog.evidence import Source

    return Collection("", "", "", Source("nobody", "no source"))


_NOTHING = _nothing()
