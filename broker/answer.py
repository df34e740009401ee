"""The answer: one list of entities, every archive's word on each, and a report per archive."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from broker.answering.found import Found
from broker.answering.pages import Window
from broker.errors import BadQuery
from broker.joining.link import linked
from broker.joining.rules import NO_RULES, Rules
from broker.merge import Merge
from broker.query import read_level
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


@dataclass(frozen=True, slots=True, repr=False)
class Answer(Found):
    """What a query found, and the forms in which people take it."""

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
