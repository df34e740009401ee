"""Joins what is the same, by DICOM UID, and keeps who said what.

A study or series is the same entity where its UID is the same at its own level. A patient is the same only
within an archive and collection, for a PatientID means nothing beyond its issuer. What has no valid UID is
never merged and gets no invented one: it is known by its archive and its place in the reply.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from broker import values
from broker.adapter import Page
from broker.matching import Value
from broker.normal import UNREADABLE, comparable, normal
from catalog.keywords import Level

Key = str | tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Source:
    """Who said a row: the archive, what its columns are, when it came, and what was unknown in it.

    `retrieved` is seconds since the epoch; `unknown` the keywords whose condition could not be decided.
    """

    archive: str
    rank: int
    keywords: tuple[str, ...]
    retrieved: float
    unknown: tuple[str, ...] = ()


Saying = tuple[Source, tuple[Value, ...]]


class Entity:
    """One patient, study or series, and every archive's word on it."""

    __slots__ = ("_sayings", "copies", "key", "level")

    def __init__(self, level: Level, key: Key, source: Source, row: tuple[Value, ...]) -> None:
        self.level = level
        self.key = key
        self.copies = 1  # records that were joined, equal ones too
        self._sayings: tuple[Saying, ...] = ((source, row),)

    def __repr__(self) -> str:
        return f"<{self.level.name} {self.key if isinstance(self.key, str) else '/'.join(self.key)}>"

    def add(self, source: Source, row: tuple[Value, ...]) -> None:
        """Another record of the same entity. An equal one of the same archive is only counted."""
        self.copies += 1
        for said, known in self._sayings:
            if known == row and said.archive == source.archive and said.keywords == source.keywords:
                return
        self._sayings = (*self._sayings, (source, row))

    @property
    def sayings(self) -> Sequence[Saying]:
        """Every record behind this entity, in the order of precedence of the archives."""
        return sorted(self._sayings, key=lambda s: (s[0].rank, s[0].keywords, repr(s[1])))

    @property
    def uid(self) -> str | None:
        """Its UID; None for patients and for what has no valid one."""
        return self.key if isinstance(self.key, str) else None

    @property
    def archives(self) -> tuple[str, ...]:
        """The archives that know it, in the order of precedence."""
        return tuple(dict.fromkeys(source.archive for source, _ in self.sayings))

    @property
    def said(self) -> dict[str, dict[str, Value]]:
        """archive -> keyword -> value, as the archive said it.

        An archive that says several things of one attribute, in several records, has them all here.
        """
        found: dict[str, dict[str, Value]] = {}
        for source, row in self.sayings:
            own = found.setdefault(source.archive, {})
            for keyword, value in zip(source.keywords, row, strict=True):
                if value is not None:
                    own[keyword] = _both(own.get(keyword), value)
        return found

    @property
    def values(self) -> dict[str, Value]:
        """keyword -> the value to show: of the first archive, in precedence, that gives one."""
        shown: dict[str, Value] = {}
        for own in self.said.values():
            for keyword, value in own.items():
                if shown.get(keyword) in (None, ""):
                    shown[keyword] = value
        return shown

    @property
    def unknown(self) -> dict[str, tuple[str, ...]]:
        """archive -> keywords of conditions that its record leaves undecided."""
        return {s.archive: s.unknown for s, _ in self.sayings if s.unknown}

    def first(self, keyword: str) -> Value:
        """The value to show for one keyword, or None."""
        return self.values.get(keyword)

    @property
    def conflicts(self) -> dict[str, dict[str, Value]]:
        """keyword -> archive -> value, where archives, or one archive in itself, do not agree.

        An empty value beside a value is no conflict.
        """
        found: dict[str, dict[str, Value]] = {}
        if len(self._sayings) > 1:
            for archive, own in self.said.items():
                for keyword, value in own.items():
                    if value != "":
                        found.setdefault(keyword, {})[archive] = value
        return {k: by for k, by in found.items() if self._disagree(k)}

    def _disagree(self, keyword: str) -> bool:
        told = {row[s.keywords.index(keyword)] for s, row in self._sayings if keyword in s.keywords}
        compared = {frozenset(comparable(keyword, v) for v in _listed(value)) - {""} for value in told}
        return len(compared - {frozenset()}) > 1

    @property
    def normal(self) -> dict[str, dict[str, Value]]:
        """archive -> keyword -> the value in DICOM's own form, where the archive wrote it otherwise."""
        found: dict[str, dict[str, Value]] = {}
        for archive, own in self.said.items():
            for keyword, value in own.items():
                raw = tuple(_listed(value))
                items = tuple(normal(keyword, v).value for v in raw)
                if items != raw:
                    found.setdefault(archive, {})[keyword] = items if len(items) > 1 else items[0]
        return found

    @property
    def unreadable(self) -> dict[str, tuple[str, ...]]:
        """archive -> keywords of which the value cannot be read as what it should be."""
        flagged = {
            archive: tuple(
                k for k, v in own.items() if any(normal(k, item).flag == UNREADABLE for item in _listed(v))
            )
            for archive, own in self.said.items()
        }
        return {archive: keywords for archive, keywords in flagged.items() if keywords}


def _both(known: Value, value: Value) -> Value:
    """Two sayings of one archive together; nothing is overwritten."""
    if known in (None, "", value):
        return value
    if value in (None, ""):
        return known
    items = [*(_whole(known)), *(_whole(value))]
    return tuple(dict.fromkeys(items))


def _whole(value: Value) -> Iterable[Any]:
    return (value,) if isinstance(value, str) else value or ()


def _listed(value: Value) -> Iterable[str]:
    """The texts of a value; the items of a sequence are none."""
    return (value,) if isinstance(value, str) else [v for v in value or () if isinstance(v, str)]


class Merge:
    """Collects pages into entities. The result does not depend on the order in which pages arrive."""

    def __init__(self, level: Level) -> None:
        self.level = level
        self.entities: dict[Key, Entity] = {}
        self._order: dict[tuple[int, str], list[Entity]] = {}

    def add(self, page: Page, source: Source) -> list[Entity]:
        """Take a page in; returns the entities that are new."""
        mine = self._order.setdefault((source.rank, source.archive), [])
        new: list[Entity] = []
        entities, level = self.entities, self.level
        for key, row in zip(self._keys(page, source, len(mine)), page.rows, strict=True):
            entity = entities.get(key)
            if entity is None:
                entity = entities[key] = Entity(level, key, source, row)
                new.append(entity)
            else:
                entity.add(source, row)
            mine.append(entity)
        return new

    def _keys(self, page: Page, source: Source, start: int) -> Iterator[Key]:
        if self.level is Level.PATIENT:
            return _patient_keys(page, source, start)
        return _uid_keys(page, source, self.level.uid, start)

    def result(self) -> list[Entity]:
        """Every entity once: archives by precedence, each in the order in which it told them."""
        ordered = [entities for _, entities in sorted(self._order.items(), key=lambda item: item[0])]
        return list({id(e): e for entities in ordered for e in entities}.values())


def _uid_keys(page: Page, source: Source, keyword: str, start: int) -> Iterator[Key]:
    column = page.keywords.index(keyword) if keyword in page.keywords else None
    for number, row in enumerate(page.rows, start):
        said = None if column is None else row[column]
        uid = values.uid(said) if isinstance(said, str) else None
        yield uid if uid is not None else (source.archive, "", str(number))


def _patient_keys(page: Page, source: Source, start: int) -> Iterator[Key]:
    columns: Mapping[str, int] = {k: i for i, k in enumerate(page.keywords)}
    for number, row in enumerate(page.rows, start):
        collection, issuer, patient = (_cell(row, columns, k) for k in _PATIENT)
        mark = (patient,) if patient else ("", str(number))
        yield (source.archive, collection, issuer, *mark)


_PATIENT = ("Collection", "IssuerOfPatientID", "PatientID")


def _cell(row: tuple[Value, ...], columns: Mapping[str, int], keyword: str) -> str:
    value = row[columns[keyword]] if keyword in columns else None
    return "\\".join(_listed(value)).strip(" \0")
