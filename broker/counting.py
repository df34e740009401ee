"""Counting at every archive at once: there where the archive can count, else by listing and checking here.

What an archive counts cannot be checked record by record. So its report says "counted there", numbers that
contradict one another are not used, and with `check` everything is listed too and compared.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from broker.adapter import Adapter, Counts, CountsBy, Facet, Page, Tally
from broker.admitting.admission import Admission
from broker.answer import Answer, Collector
from broker.answering.compared import difference
from broker.answering.counts import Counted, Part, at_level, combined, facets_of, part
from broker.answering.facets import Sheet
from broker.answering.pages import Window
from broker.api import TIMEOUT, Session, check_timeout, run, session_of, several
from broker.conversation import Conversation, Tell
from broker.errors import BadQuery
from broker.joining.entity import Entity
from broker.joining.rules import Rules
from broker.merge import Merge
from broker.plan import Plan, Wish, loose, plan
from broker.planning.take import Taker
from broker.query import Query
from broker.report import Report
from broker.run import Asking, Done, Event
from catalog.capability import Can
from catalog.keywords import Level, keyword

DIFFERS = "count_differs"  # the reason in the report of an archive that counts otherwise than it lists

Archives = Sequence[tuple[Adapter, Wish, Admission]]
Watch = Callable[[Event], None]
Listing = tuple[Answer, Answer]  # at the level that is counted, and at the one that the facets need


class Counting(Asking):
    """Archives that count by themselves.

    tallies  what they said;  left  those that could not;  doubts: archive -> why its numbers are not used
    """

    def __init__(self, counter: Counter, archives: Archives, timeout: float) -> None:
        adapters, wishes, admissions = zip(*archives, strict=True) if archives else ((), (), ())
        self.facets = counter.facets
        self.tallies: dict[str, Tally] = {}
        self.left: set[str] = set()
        self.doubts: dict[str, str] = {}
        super().__init__(counter.query, adapters, wishes, timeout, counter.session.distrust, admissions)

    def _conversation(self, rank: int, adapter: Adapter, wish: Wish, admission: Admission) -> Conversation:
        return Tallying(self, rank, adapter, wish, admission, self._distrust)


class Tallying(Conversation):
    """One question in place of reading every page, where the archive applies every condition exactly."""

    def __init__(self, counting: Counting, *terms: Any) -> None:
        super().__init__(counting.query, *terms)
        self._counting = counting

    async def _plan(self) -> Plan:
        """By what it counts, where that is other than what it lists."""
        if not isinstance(self.adapter, CountsBy):
            return await super()._plan()
        can = self.distrust.doubted(self.adapter.name, self.adapter.counting)
        return plan(self.query, self.adapter.name, can, self.wish)

    async def _read(self, made: Plan, taker: Taker, tell: Tell) -> None:
        del taker, tell
        adapter, report, counting, tally = self.adapter, self.report, self._counting, None
        if isinstance(adapter, Counts) and countable(made, adapter):
            tally = await adapter.count(made.asks[0], counting.facets)
        if tally is not None and tally.contradiction:
            counting.doubts[adapter.name] = f"its own count says {tally.contradiction}, and is not used"
        if tally is None or tally.contradiction:
            counting.left.add(adapter.name)
            return
        report.first = self.seconds
        report.fetched = report.kept = tally.total
        report.unknown = {k: n for k, n in tally.unknown.items() if n}
        report.untold = [k for k in made.taken_there() if k not in tally.unknown]
        report.notes.append("counted there")
        counting.tallies[adapter.name] = tally


def countable(made: Plan, adapter: Adapter) -> bool:
    """Whether one question to the archive means exactly the query."""
    can = _counting(adapter).at(made.level)
    exact = all(step.exact and not loose(step, can) for step in made.steps)
    return exact and not made.groups and len(made.asks) == 1


def _counting(adapter: Adapter) -> Can:
    return adapter.counting if isinstance(adapter, CountsBy) else adapter.can


class Counter:
    """A query to be counted by some facets, at the archives of a session.

    exact  where more than one archive has any, or one may count an entity twice, they are listed: each
           entity counts once
    check  what archives count is listed too; where that differs it is said, and the list is the number

    Raises BadQuery for a facet that is none, and for a session with a limit, an order or unknown records.
    """

    def __init__(
        self, session: Session, names: Iterable[str] = (), exact: bool = False, check: bool = False
    ) -> None:
        if session.window.limit is not None or session.window.order is not None:
            raise BadQuery("a count has no limit, no order and no pages")
        if any(wish.include_unknown for wish in session.wishes):
            raise BadQuery("a count leaves out what is unknown of a condition; its number is in the reports")
        self.session = session
        self.query = session.query
        self.names = at_level(facets_of(names), self.query)
        self.facets = tuple(dict.fromkeys(f for f in self.names.values() if f is not None))
        self.exact, self.check = exact, check
        self._watch: Watch | None = None
        self._archives = list(zip(session.adapters, session.wishes, session.admissions, strict=True))

    async def counted(self, timeout: float, watch: Watch | None = None) -> Counted:
        """The numbers. What an archive does not say is in its report; `watch` sees every event."""
        check_timeout(timeout)
        self._watch = watch
        end = time.monotonic() + timeout
        able = [entry for entry in self._archives if isinstance(entry[0], Counts)]
        others = [entry for entry in self._archives if not isinstance(entry[0], Counts)]
        made, listed = await asyncio.gather(self._there(able, timeout), self._here(others, timeout))
        counting, reports = made
        again = [entry for entry in able if entry[0].name in self._listable(counting, listed)]
        more = await self._here(again, max(end - time.monotonic(), 0.001))
        return self._combined(counting, reports, [*listed, *more])

    def _listable(self, counting: Counting, listed: Sequence[Listing]) -> set[str]:
        """Archives that are to be listed although they can count."""
        if self.check:
            return counting.left | set(counting.tallies)
        having = {n: tally for n, tally in counting.tallies.items() if tally.total}
        several = len(having) + any(len(found) for found, _ in listed) > 1
        unsure = {n for n, tally in having.items() if several or not tally.exact}
        return counting.left | (unsure if self.exact else set())

    async def _there(self, archives: Archives, timeout: float) -> tuple[Counting, dict[str, Report]]:
        reports: dict[str, Report] = {}
        counting = Counting(self, archives, timeout)
        async with counting as events:
            async for event in events:
                if isinstance(event, Done):
                    reports[event.report.archive] = event.report
                    if self._watch is not None and event.report.archive not in counting.left:
                        self._watch(event)
        return counting, reports

    async def _here(self, archives: Archives, timeout: float) -> list[Listing]:
        """Listed, every condition checked; once more at a finer level for the facets that need it."""
        if not archives:
            return []
        finest = max([self.query.level, *(keyword(f.keyword).level for f in self.facets)])
        levels = list(dict.fromkeys([self.query.level, finest]))
        end = time.monotonic() + timeout
        answers = []
        for level in levels:  # one after the other: an adapter is closed at the end of each
            left = max(end - time.monotonic(), 0.001)
            answers.append(await self._listed(_at(self.query, level), archives, left))
        return [(answers[0], answers[-1])]

    async def _listed(self, query: Query, archives: Archives, timeout: float) -> Answer:
        fields = tuple(f.keyword for f in self.facets)
        adapters, wishes, admissions = zip(*archives, strict=True)
        wishes = tuple(replace(w, fields=(*w.fields, *fields)) for w in wishes)
        collector = Collector(Window.of(query, None, None, None), self.session.rules)
        asking = Asking(query, adapters, wishes, timeout, self.session.distrust, admissions)
        async with asking as events:
            return await collector.collect(events, [a.name for a in adapters], self._watch)

    def _combined(self, counting: Counting, told: dict[str, Report], listings: Sequence[Listing]) -> Counted:
        reports = {**told, **{r.archive: r for whole, _ in listings for r in whole.reports}}
        finer = {r.archive: r for _, fine in listings for r in fine.reports}
        sheet = sheet_of(self.query.level, self.names, listings, self.session.rules)
        parts = [part(reports[n], self.names, t) for n, t in counting.tallies.items() if n not in finer]
        parts += [self._part(reports[n], finer[n], sheet) for n in finer if reports[n].answered]
        self._noted(counting, finer, sheet, reports)
        order = {a.name: i for i, (a, _, _) in enumerate(self._archives)}
        parts.sort(key=lambda p: order[p.archive])
        shown = [reports[name] for name in order if name in reports]
        return combined(self.query, self.names, parts, sheet.together(), shown)

    def _noted(
        self, counting: Counting, listed: Iterable[str], sheet: Sheet, reports: Mapping[str, Report]
    ) -> None:
        """What is to be said of archives that counted by themselves, and were listed all the same."""
        found = dict(counting.doubts)
        for name in listed:
            if name in counting.tallies and reports[name].ok:
                found[name] = difference(self.names, counting.tallies[name], sheet.of(name))
        for name, differs in found.items():
            reports[name].notes.append(differs or "as many as it counts itself")
            if differs:
                reports[name].reason = reports[name].reason or DIFFERS

    def _part(self, report: Report, finer: Report, sheet: Sheet) -> Part:
        """One archive's own numbers. What it did not tell of a facet is not taken for "no value"."""
        own = sheet.of(report.archive)
        can = next(a.can for a in self.session.adapters if a.name == report.archive)
        at = can.at(Level[finer.level]) if finer.level else can
        asked = [(n, f) for n, f in self.names.items() if f is not None]
        gone = tuple(n for n, f in asked if not finer.ok or not at.gives(f.keyword))
        return Part(report.archive, own.total, report.ok and not report.more, own.groups, gone)


_NAMES = {Level.PATIENT: "patients", Level.STUDY: "studies", Level.SERIES: "series"}


def sheet_of(
    level: Level, names: Mapping[str, Facet | None], listings: Sequence[Listing], rules: Rules
) -> Sheet:
    """What was listed, merged, by the facets; these from a finer level where it was listed too."""
    sheet = Sheet(names)
    if not listings:
        return sheet
    whole = _joined([whole for whole, _ in listings], rules)
    entities: Sequence[Entity] = getattr(whole, _NAMES[level])
    if all(fine.query.level is level for _, fine in listings):
        return sheet.own(entities)
    return sheet.finer(entities, level, (e for _, fine in listings for e in fine.entities))


def _joined(answers: Sequence[Answer], rules: Rules) -> Answer:
    """Two rounds of one query as one answer."""
    if len(answers) == 1:
        return answers[0]
    merge = Merge(answers[0].query.level, rules)
    for rank, answer in enumerate(answers):
        for entity in answer.entities:
            for source, row in entity.sayings:
                own = replace(source, rank=source.rank + rank * 1000)
                merge.add(Page(source.keywords, [row]), own)
    return replace(answers[0], entities=merge.result())


def _at(query: Query, level: Level) -> Query:
    found = Query(level)
    found.conditions = query.conditions
    return found


def count(
    query: Query | str,
    *conditions: str,
    by: str | Iterable[str] = (),
    exact: bool = False,
    check: bool = False,
    timeout: float = TIMEOUT,
    **options: Any,
) -> Counted:
    """How many entities satisfy a query, without listing them where the archive can count.

    `by` names facets: keywords, `archive`, `modality`, `collection`, `bodypart`, `license`, `sex`, `year`.
    With `exact`, archives that have any are listed where there are several, so that equal UIDs count once;
    with `check`, all are listed, and an archive that counts otherwise is named in its report
    (`count_differs`). Other options as for `search`, without `limit`, `order` and `after`. Raises BadQuery
    and BadConfig.

    >>> import broker
    >>> found = broker.count("series", "Collection=rider_pilot", by=["modality"], at=["idc"])
    >>> found.total, str(found.facets["modality"]["CT"])
    (Count(low=774, high=774), '172')
    """
    session = session_of(query, conditions, options)
    return run(Counter(session, several(by), exact, check).counted(timeout))


async def count_async(
    query: Query | str,
    *conditions: str,
    by: str | Iterable[str] = (),
    exact: bool = False,
    check: bool = False,
    timeout: float = TIMEOUT,
    **options: Any,
) -> Counted:
    """`count` for asyncio."""
    session = session_of(query, conditions, options)
    return await Counter(session, several(by), exact, check).counted(timeout)
