"""What a query found, as data: entities, reports, and how far they can be trusted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from broker.adapter import Page
from broker.joining.entity import Entity, Row, Source
from broker.joining.link import linked
from broker.joining.project import keep_level
from broker.joining.rules import NO_RULES, Rules
from broker.merge import Merge
from broker.query import Query
from broker.report import Report
from catalog.keywords import Level


@dataclass(frozen=True, slots=True)
class Found:
    """What a query found, as data; `broker.answer.Answer` adds its faces.

    entities  merged, archives by precedence, at most `limit`
    reports   one per archive that was to be asked, in the order of the federation
    more      more entities exist than are shown
    total     how many there are in all; `exact` says whether that is all, or "at least"
    next      the cursor of the next page, where the answer has an order and more
    """

    query: Query
    entities: Sequence[Entity]
    reports: Sequence[Report]
    more: bool = False
    limit: int | None = None
    rules: Rules = NO_RULES
    total: int = 0
    next: str | None = None

    def __iter__(self) -> Iterator[Entity]:
        return iter(self.entities)

    def __len__(self) -> int:
        return len(self.entities)

    def __repr__(self) -> str:
        state = (
            "complete"
            if self.complete
            else "INCOMPLETE: " + ", ".join(f"{r.archive} {r.status.value}" for r in self.reports if not r.ok)
        )
        plus = "+" if self.more else ""
        return f"<Answer: {len(self.entities)}{plus} {self.query.level.name} entities, {state}>"

    @property
    def complete(self) -> bool:
        """Whether every archive answered completely. Then an empty answer proves that there is nothing."""
        return all(report.ok for report in self.reports)

    @property
    def exact(self) -> bool:
        """Whether `total` is all that there is, not only at least."""
        return self.complete and not any(report.more for report in self.reports)

    @property
    def collisions(self) -> Sequence[Entity]:
        """Sides of fusions that a contradiction stopped."""
        return [e for e in self.entities if e.whole is not None]

    @property
    def answered(self) -> bool:
        """Whether any archive answered at all."""
        return any(report.answered for report in self.reports)

    @property
    def patients(self) -> Sequence[Entity]:
        """The patients of the answer, those of several archives fused where there is a reason (`link`).

        A study in common is one only where studies or series were asked for. Otherwise a PatientID counts
        only within its archive and collection.
        """
        if self.query.level is Level.PATIENT:
            return self.entities
        return linked(self._at(Level.PATIENT), self.studies, self.rules)

    @property
    def studies(self) -> Sequence[Entity]:
        """The studies of the answer, from their series where series were asked for."""
        return self._at(Level.STUDY)

    @property
    def series(self) -> Sequence[Entity]:
        """The series of the answer; empty where patients or studies were asked for."""
        return self._at(Level.SERIES)

    def _at(self, level: Level) -> Sequence[Entity]:
        if level is self.query.level:
            return self.entities
        return _coarser(self.entities, level, self.rules) if level < self.query.level else ()

    def lacking(self, required: Sequence[str]) -> list[Report]:
        """Reports of required archives that did not answer completely."""
        return [r for r in self.reports if r.archive in required and not r.ok]


def _coarser(entities: Sequence[Entity], level: Level, rules: Rules) -> Sequence[Entity]:
    """Series as studies, or studies as patients: each archive's records by what they belong to."""
    told: dict[int, tuple[Source, list[Row]]] = {}
    for entity in entities:
        for source, row in entity.sayings:
            told.setdefault(id(source), (source, []))[1].append(row)
    merge = Merge(level, rules)
    for source, rows in told.values():
        page = keep_level(Page(source.keywords, rows), level)
        merge.add(page, replace(source, keywords=page.keywords, unknown=()))
    return merge.result()
