"""Joins what is the same, by DICOM UID, and keeps who said what.

A study or series is the same entity where its UID is the same at its own level and nothing contradicts it. A
patient is the same only within an archive and collection, for a PatientID means nothing beyond its issuer
(`link` joins patients, where there is a reason). What has no valid UID is never merged and gets no invented
one: it is known by its archive and its place in the reply.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator

from broker.adapter import Page
from broker.joining.entity import PATIENT_KEYWORDS, Entity, Key, Source, patient_key
from broker.joining.rules import NO_RULES, Rules
from broker.meaning import values
from broker.undisturbed import undisturbed
from catalog.keywords import Level


class Change(enum.Enum):
    """What a record did to the merged answer."""

    FOUND = "found"
    EXTENDED = "extended"
    COLLIDED = "collided"


class Merge:
    """Collects pages into entities. The result does not depend on the order in which pages arrive."""

    def __init__(self, level: Level, rules: Rules = NO_RULES) -> None:
        self.level = level
        self.rules = rules
        self.entities: dict[Key, Entity] = {}
        self._order: dict[tuple[int, str], list[Entity]] = {}

    def add(self, page: Page, source: Source) -> None:
        """Take a page in."""
        mine = self._order.setdefault((source.rank, source.archive), [])
        entities, level, rules = self.entities, self.level, self.rules
        with undisturbed():
            for key, row in zip(self._keys(page, source, len(mine)), page.rows, strict=True):
                entity = entities.get(key)
                if entity is None:
                    entity = entities[key] = Entity(level, key, source, row, rules)
                else:
                    entity.add(source, row)
                mine.append(entity)

    def follow(self, page: Page, source: Source) -> Iterator[tuple[Change, Entity]]:
        """Take a page in, telling what its records changed."""
        start = len(self._order.get((source.rank, source.archive), ()))
        keys = list(dict.fromkeys(self._keys(page, source, start)))
        before = {key: self.entities[key].stops for key in keys if key in self.entities}
        self.add(page, source)
        for key in keys:
            entity = self.entities[key]
            if key not in before:
                yield Change.FOUND, entity
            else:
                yield Change.COLLIDED if entity.stops != before[key] else Change.EXTENDED, entity

    def _keys(self, page: Page, source: Source, start: int) -> Iterator[Key]:
        if self.level is Level.PATIENT:
            return _patient_keys(page, source, start)
        return _uid_keys(page, source, self.level.uid, start)

    def wholes(self) -> list[Entity]:
        """Every entity once: archives by precedence, each in the order in which it told them."""
        ordered = [entities for _, entities in sorted(self._order.items(), key=lambda item: item[0])]
        if len(ordered) == 1 and len(ordered[0]) == len(self.entities):
            return list(ordered[0])
        return list({id(e): e for entities in ordered for e in entities}.values())

    def result(self) -> list[Entity]:
        """The same, with both sides of every collision in its place."""
        with undisturbed():
            return [
                part for entity in self.wholes() for part in (entity.parts if entity.joined else (entity,))
            ]


def _uid_keys(page: Page, source: Source, keyword: str, start: int) -> Iterator[Key]:
    """The UID of each row, or its archive and place."""
    column = page.keywords.index(keyword) if keyword in page.keywords else None
    fits, longest = values.UID.fullmatch, values.UID_LENGTH
    for number, row in enumerate(page.rows, start):
        said = None if column is None else row[column]
        if isinstance(said, str):
            uid = said if len(said) <= longest and fits(said) else values.uid(said)
            if uid is not None:
                yield uid
                continue
        yield (source.archive, "", str(number))


def _patient_keys(page: Page, source: Source, start: int) -> Iterator[Key]:
    columns = [page.keywords.index(k) if k in page.keywords else None for k in PATIENT_KEYWORDS]
    for number, row in enumerate(page.rows, start):
        key = patient_key(source.archive, [None if i is None else row[i] for i in columns])
        yield (source.archive, "", str(number)) if key is None else key
