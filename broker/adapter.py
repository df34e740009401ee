"""The contract between the broker and an adapter, whole.

An adapter has a `name`, says what its archive `can`, and `find`s. It may also `learn` more about its archive
before it is asked, show the `request` that it would send, `count` without listing, `check` whether its
archive is there, `probe` what it really does, tell of its `collections` and `more` of one, tell `citations`,
`fetch` instances, say which copy answered (`via`), and `close`. It may be asked again after that. It receives
only conditions that its `can` declared, applies no filter of its own, merges nothing, knows no deadline (it
is cancelled) and raises one of the errors in `broker.errors`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from broker.matching import Item, Value
from broker.query import Condition
from catalog.capability import Can
from catalog.keywords import Level

if TYPE_CHECKING:
    from catalog.collection import Collection


@dataclass(frozen=True, slots=True)
class Ask:
    """One question to one archive.

    conditions  what the archive promised to apply
    fields      keywords wanted back; more or fewer may come
    limit       no more records than this are of use, or None; only set when the archive applies every
                condition of the query exactly
    unknown     records are wanted too that leave a condition undecided for want of a value; only set for
                archives that `can` tell them
    """

    level: Level
    conditions: tuple[Condition, ...] = ()
    fields: tuple[str, ...] = ()
    limit: int | None = None
    unknown: bool = False


@dataclass(slots=True)
class Page:
    """What one reply of an archive holds: rows of values, in the order of `keywords`.

    A value is the text that the archive gave: a tuple of texts where it gave several, "" where it said
    that there is none, None where it said nothing. `bad` counts records that could not be read, `notes`
    are short words about the reply as a whole (`charset` ...), `unknown` counts, by keyword, records that the
    archive left out because it has no value to judge the condition by.
    """

    keywords: tuple[str, ...]
    rows: list[tuple[Value, ...]]
    bad: int = 0
    notes: tuple[str, ...] = ()
    unknown: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, records: Iterable[Mapping[str, Value]]) -> Page:
        """A page from records as mappings; numbers and lists are taken as texts and tuples."""
        given = list(records)
        keywords = tuple(dict.fromkeys(k for record in given for k in record))
        return cls(keywords, [tuple(as_value(r.get(k)) for k in keywords) for r in given])


def as_value(given: object) -> Value:
    """Any plain value as the text, or texts, that DICOM would write; mappings as the items of a sequence."""
    if given is None or isinstance(given, str):
        return given
    if isinstance(given, Mapping):
        return (_item(given),)
    if isinstance(given, list | tuple):
        if given and all(isinstance(item, Mapping) for item in given):
            return tuple(_item(item) for item in given)
        items = ["" if item is None else str(item) for item in given]
        return items[0] if len(items) == 1 else tuple(items) or ""
    return str(given)


def _item(given: Mapping[str, object]) -> Item:
    return tuple((keyword, as_value(value)) for keyword, value in given.items())


@runtime_checkable
class Adapter(Protocol):
    """How one archive is spoken to."""

    name: str
    can: Can

    def find(self, ask: Ask) -> AsyncIterator[Page]:
        """The archive's records, page by page. Raises ArchiveError."""
        ...


@runtime_checkable
class Learns(Protocol):
    """An adapter that can find out more by asking its archive harmless questions."""

    async def learn(self) -> Can:
        """Its capabilities, with what was open now known. Raises ArchiveError."""
        ...


@runtime_checkable
class Shows(Protocol):
    """An adapter that can show a request without sending it."""

    def request(self, ask: Ask) -> str:
        """The exact first request for a question, without credentials."""
        ...


@dataclass(frozen=True, slots=True)
class Facet:
    """What entities are counted by: the values of a keyword, or the years (`YYYY`) of a date.

    A keyword finer than the level that is counted (Modality of studies) has the values of those series that
    satisfy the conditions.
    """

    keyword: str
    years: bool = False


@dataclass(frozen=True, slots=True)
class Tally:
    """How many entities of its level an `Ask` has at an archive.

    total    entities in all
    groups   facet -> value -> entities that have it. One with several values is in several groups; "" holds
             those that have no value
    unknown  keyword -> entities left out because the archive has no value to judge the condition by
    exact    False where the archive may count one entity more than once: then these numbers are "at most"
    """

    total: int
    groups: Mapping[Facet, Mapping[str, int]] = field(default_factory=dict)
    unknown: Mapping[str, int] = field(default_factory=dict)
    exact: bool = True

    @property
    def contradiction(self) -> str:
        """What cannot be true in these numbers, whatever the archive holds; "" where nothing is wrong."""
        for facet, group in self.groups.items():
            if any(n < 0 or n > self.total for n in group.values()):
                return f"more entities with one {facet.keyword} than there are"
            if sum(group.values()) < self.total:
                return f"fewer entities with and without {facet.keyword} than there are"
        return "" if self.total >= 0 else "fewer than none"


@runtime_checkable
class Counts(Protocol):
    """An adapter whose archive can count without listing."""

    async def count(self, ask: Ask, facets: tuple[Facet, ...]) -> Tally | None:
        """Entities that satisfy every condition of `ask`, in all and by each facet.

        It is only asked where the archive applies every condition exactly. None where the archive cannot
        count this: then the broker lists and checks. Raises ArchiveError.
        """
        ...


@runtime_checkable
class CountsBy(Protocol):
    """An adapter that counts by other conditions than those that it lists by, and not everything."""

    @property
    def counting(self) -> Can:
        """What `count` can be asked, in place of `can`."""
        ...


@runtime_checkable
class Cites(Protocol):
    """An adapter that knows how its data wants to be cited."""

    async def citations(self, dois: Sequence[str]) -> Mapping[str, str]:
        """DOI, in lower case -> citation as plain text, of those that it knows. Raises ArchiveError."""
        ...


@dataclass(frozen=True, slots=True)
class Wanted:
    """One series to be fetched from one archive; its UIDs are valid (PS3.5 9.1).

    address  where the archive said that it keeps the series (`DataURL`); it is checked before it is used
    most     decoded bytes that may come in all
    listed   what `instances` told: SOP Instance UID -> SOP Class UID; None where the archive cannot tell
    here     SOP Instance UIDs that need not come again
    keys     the archive's own words (`Received.key`) for instances that need not come again
    """

    study: str
    series: str
    address: str = ""
    most: int = 64 * 2**30
    listed: Mapping[str, str] | None = None
    here: frozenset[str] = frozenset()
    keys: frozenset[str] = frozenset()

    @property
    def missing(self) -> list[str]:
        """SOP Instance UIDs that are listed, and not here."""
        return [uid for uid in self.listed or {} if uid not in self.here]

    @property
    def few(self) -> bool:
        """Whether so little of the series is missing that its instances are asked for one by one."""
        return self.listed is not None and 2 * len(self.missing) < len(self.listed)


@dataclass(frozen=True, slots=True)
class Received:
    """One thing that an archive sent: a file in the folder it was to be written to, or why there is none.

    md5    the MD5 of the file, in lower case, where the archive gives one
    key    the archive's own word for the instance, where it cannot tell SOP Instance UIDs beforehand
    wrong  why it was not taken, naming what is wrong
    """

    path: Path | None
    md5: str = ""
    key: str = ""
    wrong: str = ""


@runtime_checkable
class Fetches(Protocol):
    """An adapter whose archive gives the instances of a series as DICOM files (PS3.10)."""

    async def instances(self, wanted: Wanted) -> Mapping[str, str] | None:
        """SOP Instance UID -> SOP Class UID ("" where not said) of every instance that the archive has.

        None where the archive cannot tell. Raises ArchiveError.
        """
        ...

    def fetch(self, wanted: Wanted, folder: Path) -> AsyncIterator[Received]:
        """The instances as they come, each a file in `folder` with a name of the adapter's making.

        More may come than is missing. What an archive names never becomes a path. Raises ArchiveError.
        """
        ...


@runtime_checkable
class Checks(Protocol):
    """An adapter that can ask its archive, by one harmless question, whether it is there."""

    async def check(self) -> str:
        """What the archive is, in a few words: `QIDO-RS`, `XNAT 1.8.10`. Raises ArchiveError."""
        ...


@runtime_checkable
class Collects(Protocol):
    """An adapter whose archive tells of its data sets as a whole."""

    async def collections(self) -> list[Collection]:
        """Its collections, with `archive` and `held_at` its name. Raises ArchiveError."""
        ...


@runtime_checkable
class Ungrouped(Protocol):
    """An adapter that knows why its archive has no collections that could be told of."""

    def ungrouped(self) -> str:
        """Why, in a few words. Raises ArchiveError where that cannot be known."""
        ...


@runtime_checkable
class CollectsMore(Protocol):
    """An adapter that can tell more of a data set, at the cost of a question or two about that one."""

    @property
    def tells(self) -> frozenset[str]:
        """What: lists of `Collection` (`modalities`), and counts in `Count.NAMES`."""
        ...

    def more(self, found: Sequence[Collection], wanted: frozenset[str]) -> AsyncIterator[Collection]:
        """Each of `found` as it is known then, in their order; `wanted` is what is needed of it.

        One that fails comes as it was and does not keep the others from being told; ArchiveError is raised
        at the end, or when so much has failed that no more is asked.
        """
        ...


@runtime_checkable
class Closes(Protocol):
    """An adapter that holds something open."""

    async def close(self) -> None:
        """Let go of connections and threads."""
        ...
