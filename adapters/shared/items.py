"""Archives of folders and items, as MIDAS and Girder are: walked within bounds, DICOM told from the rest.

An item that has DICOM metadata with a SeriesInstanceUID is a record of that series. Every other item stays an
item: it is counted, and never made into a series.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, Protocol

from adapters.shared.ahead import in_order
from adapters.shared.options import Options
from broker.adapter import Ask, Page, as_value
from broker.errors import TooMuch
from broker.matching import Value, compiled
from catalog.capability import Can, Kind
from catalog.keywords import OURS, USUAL, Level, UnknownKeyword, keyword

if TYPE_CHECKING:
    from catalog.collection import Collection

ROWS = 200  # rows of a page, where a folder holds more

NAMED = frozenset(Kind) - {Kind.ANY_CASE, Kind.RANGE}
"""Collections are listed, and their names matched here."""

COMPUTED = frozenset(
    ["ModalitiesInStudy", "SOPClassesInStudy", *(name for name in USUAL if name.startswith("NumberOf"))]
)
"""What an archive would have to count; nobody does here."""

ITEMS = Can(
    levels=frozenset({Level.SERIES}),
    matches={"Collection": NAMED},
    lists_all=True,
    absent=(frozenset(OURS) - {"Collection", "SizeInMB", "DataURL"}) | COMPUTED,
    cite="collections are listed, and matched here",
)


def capabilities(options: Options) -> Can:
    """What such an archive can, with its federation entry's word on being listed whole. Raises BadConfig."""
    return replace(ITEMS, lists_all=options.switch("lists_all", True))


@dataclass(frozen=True, slots=True)
class Bounds:
    """How far a walk goes: folders below a collection, folders and items in all."""

    depth: int = 20
    folders: int = 20_000
    items: int = 50_000

    @classmethod
    def of(cls, options: Options) -> Bounds:
        """From options of a federation entry. Raises BadConfig."""
        usual = cls()
        return cls(
            depth=options.number("max_depth", usual.depth),
            folders=options.number("max_folders", usual.folders),
            items=options.number("max_items", usual.items),
        )


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder, or a collection, which is the folder of its own (`depth` 0); `key` is its id there.

    about, size  what a collection says of itself, and its bytes, where that is told
    """

    key: str
    collection: str
    depth: int = 0
    about: str = ""
    size: int | None = None

    def below(self, key: str) -> Folder:
        """A folder in it."""
        return Folder(key, self.collection, self.depth + 1)


@dataclass(slots=True)
class Contents:
    """What stands in a folder; `items` as the archive describes them, `bad` could not be read."""

    folder: Folder
    folders: list[Folder] = field(default_factory=list)
    items: list[dict[str, Any]] = field(default_factory=list)
    bad: int = 0


@dataclass(frozen=True, slots=True)
class Described:
    """An item: its DICOM metadata by keyword, empty if it has none, and what the archive adds of its own.

    bad  whether some of its metadata could not be read
    """

    dicom: Mapping[str, Value]
    more: Mapping[str, Value]
    bad: bool = False


class Tree(Protocol):
    """An archive of collections, folders and items."""

    @property
    def listing(self) -> str:
        """The address of the list of its collections."""
        ...

    async def collections(self) -> list[Folder]:
        """Every collection. Raises ArchiveError."""
        ...

    async def contents(self, folder: Folder) -> Contents:
        """What stands in a folder. Raises ArchiveError."""
        ...

    async def described(self, item: Mapping[str, Any]) -> Described:
        """What an item says of itself. Raises ArchiveError."""
        ...

    async def close(self) -> None:
        """Close the connections."""
        ...


class Walk:
    """One question under way: all folders of the collections that it asks for, a level at a time."""

    def __init__(self, tree: Tree, ask: Ask, bounds: Bounds, width: int) -> None:
        self._tree = tree
        self._ask = ask
        self._bounds = bounds
        self._width = width
        self._seen: set[str] = set()
        self._items = 0
        self._others: Counter[str] = Counter()

    async def pages(self) -> AsyncGenerator[Page, None]:
        """The series, in the order of the archive; at last how many items are none. Raises ArchiveError."""
        folders = self._new(asked_for(self._ask, await self._tree.collections()))
        while folders:
            below: list[Folder] = []
            jobs = (partial(self._tree.contents, folder) for folder in folders)
            async with aclosing(in_order(jobs, self._width)) as found:
                async for contents in found:
                    below += self._new(contents.folders)
                    async with aclosing(self.series(contents)) as pages:
                        async for page in pages:
                            yield page
            folders = below
        if self._others:
            yield Page(self._ask.fields, [], notes=tuple(f"{n} {what}" for what, n in self._others.items()))

    async def among(self, found: Sequence[Contents]) -> AsyncGenerator[Page, None]:
        """The series among items that were searched for, of the collections that are asked for."""
        kept = {folder.key for folder in asked_for(self._ask, [contents.folder for contents in found])}
        for contents in found:
            if contents.folder.key in kept:
                async with aclosing(self.series(contents)) as pages:
                    async for page in pages:
                        yield page

    async def series(self, contents: Contents) -> AsyncGenerator[Page, None]:
        """The series among the items of a folder."""
        self._items += len(contents.items)
        if self._items > self._bounds.items:
            raise TooMuch(f"it holds more than {self._bounds.items:,} items", "record_limit")
        rows: list[tuple[Value, ...]] = []
        bad = contents.bad
        jobs = (partial(self._tree.described, item) for item in contents.items)
        async with aclosing(in_order(jobs, self._width)) as found:
            async for item in found:
                bad += item.bad
                if self._is_series(item):
                    said = {"Collection": contents.folder.collection, **item.more, **item.dicom}
                    rows.append(tuple(map(said.get, self._ask.fields)))
                if len(rows) == ROWS:
                    yield Page(self._ask.fields, rows, bad)
                    rows, bad = [], 0
        if rows or bad:
            yield Page(self._ask.fields, rows, bad)

    def _is_series(self, item: Described) -> bool:
        if item.dicom.get("SeriesInstanceUID"):
            return True
        what = "DICOM items without SeriesInstanceUID" if item.dicom else "items without DICOM metadata"
        self._others[what] += 1
        return False

    def _new(self, folders: Iterable[Folder]) -> list[Folder]:
        """Folders that were not seen before: a folder may stand in itself, where a server is broken."""
        fresh = [f for f in {f.key: f for f in folders}.values() if f.key not in self._seen]
        self._seen.update(f.key for f in fresh)
        if any(f.depth > self._bounds.depth for f in fresh):
            raise TooMuch(f"its folders are deeper than {self._bounds.depth}", "depth_limit")
        if len(self._seen) > self._bounds.folders:
            raise TooMuch(f"it holds more than {self._bounds.folders:,} folders", "record_limit")
        return fresh


def asked_for(ask: Ask, collections: Sequence[Folder]) -> list[Folder]:
    """The collections whose names satisfy the question."""
    tests: list[Callable[[Value], object]] = [
        compiled(c) for c in ask.conditions if c.keyword == "Collection"
    ]
    return [c for c in collections if all(test(c.collection) for test in tests)]


def dicom(given: Mapping[str, Any]) -> dict[str, Value]:
    """Metadata by name as DICOM attributes: what is no DICOM keyword is left out.

    `PatientsSex` is how an older DICOM toolkit wrote `PatientSex`.
    """
    found: dict[str, Value] = {}
    for name, value in given.items():
        known = _keyword(name)
        if known and value is not None:
            found.setdefault(known, as_value(value))
    return found


@lru_cache(maxsize=4096)
def _keyword(name: str) -> str:
    for spelled in (name, re.sub(r"^(Patient|Manufacturer)s", r"\1", name)):
        try:
            known = keyword(spelled)
        except UnknownKeyword:
            continue
        return known.name if known.tag else ""
    return ""


def as_collections(archive: str, said_by: str, url: str, found: Sequence[Folder]) -> list[Collection]:
    """Collections as data sets as a whole. What they hold would have to be walked, and is not counted."""
    from adapters.shared.collections import asked_now, plain, told

    source = asked_now(archive, said_by, url)
    note = "It does not tell how many patients or series it holds."
    gigabytes = [None if each.size is None else round(each.size / 1e9, 3) for each in found]
    return [
        told(archive, each.collection, source, {"size_gb": gb}, about=plain(each.about), note=note)
        for each, gb in zip(found, gigabytes, strict=True)
    ]


def megabytes(size: object) -> Value:
    """Bytes, as a number or its text, in megabytes; None for anything else."""
    text = str(size)
    return f"{int(text) / 1e6:.6f}".rstrip("0").rstrip(".") if text.isdecimal() else None
