"""The answer: one list of entities, every archive's word on each, and a report per archive."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from broker.adapter import Page
from broker.answering.pages import Window
from broker.errors import BadQuery
from broker.joining.entity import Entity, Row, Source
from broker.joining.link import linked
from broker.joining.project import keep_level
from broker.joining.rules import NO_RULES, Rules
from broker.merge import Merge
from broker.query import Query, read_level
from broker.report import Report
from broker.run import Asking, Event, Records
from catalog.keywords import Level

if TYPE_CHECKING:
    import pandas
    import polars
    import pyarrow

    from broker.answering.counts import FacetCounts
    from broker.answering.html import Reports as HtmlReports
    from broker.answering.parts import Collection
    from broker.joining.resemblance import Candidate


@dataclass(frozen=True, slots=True)
class Answer:
    """What a query found.

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

    @property
    def collections(self) -> Sequence[Collection]:
        """The collections that the entities belong to, as far as this answer goes."""
        from broker.answering.parts import collections

        return collections(self)

    @property
    def report(self) -> HtmlReports:
        """The reports, shown as a table in Jupyter."""
        from broker.answering.html import Reports

        return Reports(self.reports)

    def candidates(self, level: str | Level | None = None, least: float = 0.9) -> list[Candidate]:
        """Patients or studies that may be one by description (T4), with score and reasons; never merged.

        `level` is that of the question, or studies where series were asked for. Raises MissingExtra without
        splink (extra `candidates`), BadQuery for a level that the answer does not have.
        """
        from broker.answering.candidates import candidates

        wanted = min(self.query.level, Level.STUDY) if level is None else read_level(level)
        if wanted > self.query.level:
            raise BadQuery(f"{wanted.name.lower()} level: the answer only has what is coarser")
        return candidates(self.patients if wanted is Level.PATIENT else self._at(wanted), self.rules, least)

    def facets(self, *names: str) -> dict[str, FacetCounts]:
        """The entities counted by attributes: keywords, `archive`, `modality`, `year` ... Raises BadQuery.

        >>> import broker
        >>> answer = broker.search("series", "Collection=rider_pilot", at=["idc"])
        >>> str(answer.facets("Modality", "archive")["Modality"]["CT"])
        '172'
        """
        from broker.answering.parts import facets

        return facets(self, names)

    def to_pandas(self) -> pandas.DataFrame:
        """A pandas frame, one row an entity (docs/columns.md). Raises MissingExtra."""
        from broker.answering import frames

        return frames.to_pandas(self)

    def to_polars(self) -> polars.DataFrame:
        """A polars frame, one row an entity (docs/columns.md). Raises MissingExtra."""
        from broker.answering import frames

        return frames.to_polars(self)

    def to_arrow(self) -> pyarrow.Table:
        """An Arrow table, one row an entity (docs/columns.md). Raises MissingExtra."""
        from broker.answering import frames

        return frames.to_arrow(self)

    def _repr_html_(self) -> str:
        from broker.answering import html

        return html.answer(self)

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


@dataclass(slots=True)
class Collector:
    """Turns the events of a query into its answer."""

    window: Window
    rules: Rules = NO_RULES
    reports: dict[str, Report] = field(default_factory=dict)
    merge: Merge = field(init=False)

    def __post_init__(self) -> None:
        self.merge = Merge(self.window.query.level, self.rules)

    async def collect(
        self, asking: Asking, names: Sequence[str], watch: Callable[[Event], None] | None = None
    ) -> Answer:
        """Read every event, showing each to `watch`. The answer does not depend on their order."""
        async for event in asking:
            if watch is not None:
                watch(event)
            self.take(event)
        return self.answer(names)

    def take(self, event: Event) -> None:
        """Take an event in."""
        if isinstance(event, Records):
            self.merge.add(event.page, event.source)
        else:
            self.reports[event.report.archive] = event.report

    def answer(self, names: Sequence[str]) -> Answer:
        """What is known so far."""
        found = self.merge.result()
        if self.window.query.level is Level.PATIENT:
            found = linked(found, (), self.rules)
        reports = [self.reports[name] for name in names if name in self.reports]
        shown, more, after = self.window.cut(found)
        more = more or any(r.more for r in reports)
        window = self.window
        return Answer(window.query, shown, reports, more, window.limit, self.rules, len(found), after)
