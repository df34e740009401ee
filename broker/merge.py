"""Joins what is the same, by DICOM UID, and keeps who said what.

A study or series is the same entity where its UID is the same at its own level and nothing contradicts it. A
patient is the same only within an archive and collection, for a PatientID means nothing beyond its issuer
(`link` joins patients, where there is a reason). What has no valid UID is never merged and gets no invented
one: it is known by its archive and the archive's own key, or else its place in the reply.
"""

from __future__ import annotations

import enum
from array import array
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import chain
from operator import itemgetter
from typing import Any, cast

from broker.adapter import Page
from broker.joining.entities import Entities
from broker.joining.entity import PATIENT_KEYWORDS, Entity, Key, Row, Saying, Source, patient_key
from broker.joining.identity import HARD
from broker.joining.rules import NO_RULES, Rules
from broker.matching import Value
from broker.meaning import values
from broker.undisturbed import undisturbed
from catalog.keywords import OWN_KEYS, Level


class Change(enum.Enum):
    """What a record did to the merged answer."""

    FOUND = "found"
    EXTENDED = "extended"
    COLLIDED = "collided"


Hard = Callable[[Row], Row]
"""The values of a row that must agree with those of another; None for what its archive does not say."""


class Merge:
    """Collects pages into entities. The result does not depend on the order in which pages arrive.

    Every record has a place, its number in the order of arrival; the place of an entity's first record is its
    lead. Objects are only made of the entities that are read: until then a record costs its row and four
    numbers, and an entity its entry in a dict.
    """

    def __init__(self, level: Level, rules: Rules = NO_RULES) -> None:
        self.level = level
        self.rules = rules
        self._lead: dict[Key, int] = {}
        self._leads = array("I")  # place -> lead
        self._next = array("I")  # place -> place of another record of the same entity; 0: no more
        self._rows: list[Row] = []
        self._keys: list[Key] = []
        self._agreed: dict[int, Row] = {}  # lead -> what must agree, where the first record lacks some
        self._doubtful: set[int] = set()  # leads of entities whose records differ in what must agree
        self._starts: list[int] = []  # the place at which each page begins
        self._pages: list[tuple[Source, Hard]] = []
        self._told: Counter[str] = Counter()

    def __len__(self) -> int:
        """How many entities there are, each collision counted as one."""
        return len(self._lead)

    def add(self, page: Page, source: Source) -> None:
        """Take a page in."""
        start, hard = len(self._rows), _hard(self.level, page.keywords)
        with undisturbed():
            keys = self._page_keys(page, source)
            places = list(range(start, start + len(keys)))
            leads = list(map(self._lead.setdefault, keys, places))
            self._rows += page.rows
            self._keys += keys
            self._leads.extend(leads)
            self._next.frombytes(bytes(self._next.itemsize * len(keys)))
            self._starts.append(start)
            self._pages.append((source, hard))
            if leads != places:
                self._join(start, leads, hard)
        self._told[source.archive] += len(keys)

    def _join(self, start: int, leads: Sequence[int], hard: Hard) -> None:
        """Chain records to the first ones of their entities, and doubt those entities that disagree."""
        rows, chained, agreed, doubtful = self._rows, self._next, self._agreed, self._doubtful
        low = high = 0
        for place, lead in enumerate(leads, start):
            if place == lead:
                continue
            chained[place], chained[lead] = chained[lead], place
            there, here = agreed.get(lead), hard(rows[place])
            if there is None:
                if not low <= lead < high:  # neighbours mostly come from one page
                    low, high, theirs = self._page_of(lead)
                there = theirs(rows[lead])
            if here == there:
                continue
            for known, said in zip(there, here, strict=True):
                if said and said != known:
                    if known:
                        doubtful.add(lead)
                    else:
                        agreed[lead] = tuple(map(_either, there, here))

    def _page_of(self, place: int) -> tuple[int, int, Hard]:
        at = bisect_right(self._starts, place)
        end = self._starts[at] if at < len(self._starts) else len(self._rows)
        return self._starts[at - 1], end, self._pages[at - 1][1]

    def follow(self, page: Page, source: Source) -> Iterator[tuple[Change, Entity]]:
        """Take a page in, telling what its records changed, each entity as it is then.

        A new one is FOUND; one that a record was added to is EXTENDED, or COLLIDED where its records must not
        be one (its `parts` are what stands in the answer).
        """
        start = len(self._rows)
        self.add(page, source)
        for key in dict.fromkeys(self._keys[start:]):
            entity, new = self.entity(key), self._lead[key] >= start
            if new:
                yield Change.FOUND, entity
            if entity.stops:
                yield Change.COLLIDED, entity
            elif not new:
                yield Change.EXTENDED, entity

    def entity(self, key: Key, end: int | None = None) -> Entity:
        """An entity as it is, or as it was when there were `end` records. Raises KeyError."""
        place = self._lead[key]
        sayings = [self._saying(place)]
        while place := self._next[place]:
            if end is None or place < end:
                sayings.append(self._saying(place))
        return Entity(self.level, key, sayings, self.rules)

    def _saying(self, place: int) -> Saying:
        return self._pages[bisect_right(self._starts, place) - 1][0], self._rows[place]

    def wholes(self) -> Sequence[Entity]:
        """Every entity once, as it is now: archives by precedence, each in the order of its telling."""
        return Entities(self._ordered(), partial(self.entity, end=len(self._rows)))

    def result(self) -> Sequence[Entity]:
        """The same, with both sides of every collision in its place."""
        with undisturbed():
            keys = self._ordered()
            parts = {e.key: e.parts for e in map(self.entity, self._suspects()) if e.stops}
            found = chain.from_iterable(parts.get(k, (k,)) for k in keys) if parts else keys
            return Entities(found, partial(self.entity, end=len(self._rows)))

    def _suspects(self) -> Iterable[Key]:
        """Entities whose records might have to stay apart."""
        if not self.rules.identified:
            return map(self._keys.__getitem__, self._doubtful)
        return (key for key, place in self._lead.items() if self._next[place])

    def _ordered(self) -> Iterable[Key]:
        """Every key once, archives by precedence."""
        ends = [*self._starts[1:], len(self._rows)]
        pages = [
            (source.rank, source.archive, start, end)
            for (source, _), start, end in zip(self._pages, self._starts, ends, strict=False)
        ]
        leads = dict.fromkeys(chain.from_iterable(self._leads[start:end] for *_, start, end in sorted(pages)))
        return map(self._keys.__getitem__, leads)

    def _page_keys(self, page: Page, source: Source) -> list[Key]:
        """What each record is known by: its UID, or its archive with the archive's own key or its place."""
        said = _patient_keys(page, source) if self.level is Level.PATIENT else _uids(page, self.level.uid)
        first, archive = self._told[source.archive], source.archive
        if None not in said:
            return cast("list[Key]", said)
        said = _own_keys(page, self.level, archive, said)
        return [(archive, "", str(n)) if key is None else key for n, key in enumerate(said, first)]


def _either(known: Value, said: Value) -> Value:
    return known or said


def _hard(level: Level, keywords: tuple[str, ...]) -> Hard:
    told, absent = set(keywords), len(keywords)
    given = itemgetter(*(keywords.index(k) if k in told else absent for k in HARD[level]))
    return given if told.issuperset(HARD[level]) else lambda row: given((*row, None))


def _uids(page: Page, keyword: str) -> list[Key | None]:
    """The valid UID of each row, or None."""
    if keyword not in page.keywords:
        return [None] * len(page.rows)
    at = page.keywords.index(keyword)
    column: list[Any] = [row[at] for row in page.rows]
    return column if values.uids(column) else [values.uid(v) if isinstance(v, str) else None for v in column]


def _own_keys(page: Page, level: Level, archive: str, said: list[Key | None]) -> list[Key | None]:
    """The archive's own key where there is no UID and it gives one."""
    if OWN_KEYS.get(level) not in page.keywords:
        return said
    at = page.keywords.index(OWN_KEYS[level])
    own = [row[at] for row in page.rows]
    return [
        (archive, key) if uid is None and key and isinstance(key, str) else uid
        for uid, key in zip(said, own, strict=True)
    ]


def _patient_keys(page: Page, source: Source) -> list[Key | None]:
    columns = [page.keywords.index(k) if k in page.keywords else None for k in PATIENT_KEYWORDS]
    return [
        patient_key(source.archive, [None if i is None else row[i] for i in columns]) for row in page.rows
    ]
