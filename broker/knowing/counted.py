"""Collections of an archive that does not tell of them but counts: lists that were imported, above all."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from broker.adapter import Adapter, Ask, Collects, Counts, Facet
from broker.query import Condition, Match
from catalog.capability import Kind
from catalog.collection import Collection, Count
from catalog.evidence import Source
from catalog.keywords import Level, keyword

LEVELS = {Level.PATIENT: "patients", Level.STUDY: "studies", Level.SERIES: "series"}
VALUES = {"modalities": "Modality", "body_parts": "BodyPartExamined"}
_COLLECTION = Facet("Collection")


def collecting(adapter: Adapter) -> Collects | None:
    """What tells of an archive's collections: its adapter, or else its counts; None where it has neither."""
    if isinstance(adapter, Collects):
        return adapter
    if isinstance(adapter, Counts) and Kind.SINGLE in adapter.can.matches.get("Collection", ()):
        return CountedCollections(adapter.name, adapter)
    return None


@dataclass(frozen=True, slots=True)
class CountedCollections:
    """Collections as an archive that counts by them has them."""

    name: str
    counter: Counts

    @property
    def tells(self) -> frozenset[str]:
        """The values of its series."""
        return frozenset(VALUES)

    async def collections(self) -> list[Collection]:
        """Each with how many patients, studies and series it has. Raises ArchiveError."""
        counts: dict[str, dict[str, Count]] = {}
        for level, what in LEVELS.items():
            for name, number in (await self._groups(Ask(level), _COLLECTION)).items():
                counts.setdefault(name, {})[what] = Count.read(number)
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        source = Source(self.name, "what it counts itself", "", now)
        return [
            Collection(self.name, name, name, source, now, counts=known, held_at=self.name)
            for name, known in sorted(counts.items())
            if name
        ]

    async def more(
        self, found: Sequence[Collection], wanted: frozenset[str]
    ) -> AsyncGenerator[Collection, None]:
        """The values of each one's series. Raises ArchiveError."""
        for c in found:
            for field_ in sorted(wanted & VALUES.keys()):
                own = (Condition(keyword("Collection"), (Match(Kind.SINGLE, c.id),)),)
                values = await self._groups(Ask(Level.SERIES, own), Facet(VALUES[field_]))
                partial = c.partial | ({field_} if "" in values else set())
                known = {field_: tuple(sorted(values.keys() - {""}))}
                c = replace(c, partial=partial, **known)  # type: ignore[arg-type]
            yield c

    async def _groups(self, ask: Ask, facet: Facet) -> dict[str, int]:
        """Value -> entities; nothing where it cannot be counted. "" holds those that have none."""
        tally = await self.counter.count(ask, (facet,))
        exact = tally is not None and tally.exact and not tally.contradiction
        return dict(tally.groups.get(facet, {})) if tally and exact else {}
