"""Entities counted by the values of their attributes, from what was listed."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

from broker.adapter import Facet
from broker.answering.counts import Listed
from broker.joining.entity import PATIENT_KEYWORDS, Entity, Key, Saying, patient_key
from broker.joining.words import listed
from broker.meaning import values
from catalog.keywords import Level

Names = Mapping[str, Facet | None]
_Values = dict[str, set[str]]


class Sheet:
    """What is known of each entity: archive -> facet -> values, from its own records or from finer ones."""

    def __init__(self, names: Names) -> None:
        self.facets = {name: facet for name, facet in names.items() if facet is not None}
        self._rows: list[dict[str, _Values]] = []

    def own(self, entities: Iterable[Entity]) -> Sheet:
        """Entities by what their own records say."""
        for entity in entities:
            row = self._row()
            for saying in entity.sayings:
                self._take(row, saying)
        return self

    def finer(self, entities: Sequence[Entity], level: Level, parts: Iterable[Entity]) -> Sheet:
        """Entities of a coarse level by what the finer ones in them say."""
        rows: dict[Key, dict[str, _Values]] = {}
        for entity in entities:
            row = self._row()
            for saying in entity.sayings:
                row.setdefault(saying[0].archive, defaultdict(set))
                key = _key(level, saying)
                if key is not None:
                    rows.setdefault(key, row)
        for part in parts:
            for saying in part.sayings:
                key = _key(level, saying)
                if key is not None and key in rows:
                    self._take(rows[key], saying)
        return self

    def _row(self) -> dict[str, _Values]:
        self._rows.append({})
        return self._rows[-1]

    def _take(self, row: dict[str, _Values], saying: Saying) -> None:
        source, said = saying
        own = row.setdefault(source.archive, defaultdict(set))
        for name, facet in self.facets.items():
            if facet.keyword in source.keywords:
                value = said[source.keywords.index(facet.keyword)]
                own[name].update(shown(facet, text) for text in listed(value) if text.strip(" \0"))

    def together(self) -> Listed:
        """How many entities, and how many have each value by the word of any archive."""
        groups = {name: self._grouped(name, None) for name in self.facets}
        return Listed(len(self._rows), groups)

    def of(self, archive: str) -> Listed:
        """The same, of one archive's entities by its own word."""
        groups = {name: self._grouped(name, archive) for name in self.facets}
        return Listed(sum(archive in row for row in self._rows), groups)

    def _grouped(self, name: str, archive: str | None) -> dict[str, int]:
        found: Counter[str] = Counter()
        for row in self._rows:
            if archive is None or archive in row:
                said = row.values() if archive is None else [row[archive]]
                found.update(set().union(*(own.get(name, ()) for own in said)) or {""})
        return dict(found)


def shown(facet: Facet, text: str) -> str:
    """A value as its group is named: without padding, of a date the year where years are counted."""
    bare = text.strip(" \0")
    if not facet.years:
        return bare
    span = values.date(bare)
    return bare[:4] if span is not None else bare


def _key(level: Level, saying: Saying) -> Key | None:
    """What an entity of a coarse level is known by, in one record."""
    source, row = saying
    said = dict(zip(source.keywords, row, strict=True))
    if level is Level.PATIENT:
        return patient_key(source.archive, [said.get(k) for k in PATIENT_KEYWORDS])
    uid = said.get(level.uid)
    return values.uid(uid) if isinstance(uid, str) else None
