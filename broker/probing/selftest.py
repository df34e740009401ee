"""Planting the questions: a few records of each level, then each of them in every way, one by one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import aclosing
from dataclasses import dataclass, field
from itertools import groupby, islice

from broker.adapter import Ask
from broker.errors import RefusedByArchive, ServerFault
from broker.meaning import values
from broker.probing.finding import Find, Finding
from broker.probing.trials import KEYS, MORE, Shown, Trial, anchor, empties, in_study, span, trials
from broker.probing.verdicts import Outcome
from broker.query import Condition
from catalog.capability import Can, Kind
from catalog.evidence import Status
from catalog.keywords import Level, keyword
from catalog.probes import BEHAVIOUR

SHOWN = 100  # records that a question may bring
FEW = 10  # so many studies are sample enough
QUESTIONS = 60  # of one self-test
FAILURES = 4  # in a row: then it is not the question


@dataclass(slots=True)
class SelfTest:
    """One archive's self-test. `ask` is called before each question is sent.

    can       what is promised: nothing else is asked unless `free`
    plain     values of other characters than letters and digits do not arrive: they prove nothing
    by_study  keys of studies are never put to series
    whole     whether `studies` are all that there are, as far as can be seen
    """

    find: Find
    can: Can
    free: bool
    ask: Callable[[Ask], Awaitable[None]]
    most: int = QUESTIONS
    plain: bool = False
    by_study: bool = False
    questions: int = 0
    studies: list[Shown] = field(default_factory=list)
    series: list[Shown] = field(default_factory=list)
    window: tuple[Condition, ...] = ()
    whole: bool = False
    outcomes: list[Outcome] = field(default_factory=list)
    behaviour: list[Finding] = field(default_factory=list)

    async def run(self, levels: Iterable[Level], samples: Iterable[tuple[Condition, ...]]) -> None:
        """Plant every question. Raises ArchiveError where it is not the question that fails."""
        usable = [level for level in sorted(levels) if level in KEYS and self._nameable(level)]
        if not usable or not await self._sample(usable[0], samples):
            return
        if Level.STUDY in usable:
            await self._halves()
        if Level.STUDY in usable and Level.SERIES in usable:
            await self._look_into(self._richest())
        await self._try(self._planted(usable))

    def _nameable(self, level: Level) -> bool:
        """Whether one record of a level can be asked for alone."""
        return self.free or Kind.SINGLE in self.can.at(level).kinds(level.uid)

    async def _sample(self, level: Level, samples: Iterable[tuple[Condition, ...]]) -> bool:
        for conditions in samples:
            found = await self._shown(level, conditions, SHOWN)
            self.window, self.whole = conditions, not conditions and len(found) < SHOWN
            if level is Level.SERIES:
                self.series = found
            else:
                self.studies = found
            if len(found) >= FEW:
                break
        return bool(self.studies or self.series)

    def _richest(self) -> Shown:
        """The study of which most is known: of several modalities, with most attributes."""
        return max(self.studies, key=lambda row: (_several(row), sum(bool(v) for v in row.values())))

    async def _look_into(self, study: Shown) -> None:
        self.series = await self._shown(Level.SERIES, anchor(Level.STUDY, study, self._within()), SHOWN)
        for row in self.series:
            row.setdefault("StudyInstanceUID", study["StudyInstanceUID"])

    def _planted(self, levels: list[Level]) -> Iterator[Trial]:
        """The questions in the order of their use: keys of series at studies before what is asked seldom."""
        for level in levels:
            yield from trials(level, self._rows(level), self._keys(level, KEYS[level]), self._within())
        if self.free and Level.STUDY in levels and self.series and self.studies:
            yield from in_study(self._richest(), self.series)
        for level in levels:
            keys = [
                k for k in self._keys(level, [*KEYS[level], *MORE[level]]) if self._may(level, k, Kind.EMPTY)
            ]
            yield from empties(level, self._rows(level), keys, self._within())
        for level in levels:
            yield from trials(level, self._rows(level), self._keys(level, MORE[level]), self._within())

    def _within(self) -> tuple[str, ...]:
        """A collection, where only one need be looked through."""
        named = not self.free and Kind.SINGLE in self.can.kinds("Collection")
        return ("Collection",) if named else ()

    def _rows(self, level: Level) -> list[Shown]:
        return self.series if level is Level.SERIES else self.studies

    def _keys(self, level: Level, among: Iterable[str]) -> list[str]:
        promised = self.can.at(level).matches
        names = [k for k in among if self.free or k in promised]
        if self.by_study and level is Level.SERIES:
            names = [k for k in names if keyword(k).level is level]
        return [k for k in names if k not in self.can.absent or k in promised]

    async def _try(self, planted: Iterable[Trial]) -> None:
        """Keyword by keyword, each wholly or not at all: half of the questions would be half the truth."""
        failures = 0
        for _, trials_of in groupby(planted, lambda t: (t.level, t.keyword, t.kind is Kind.EMPTY)):
            useful = [trial for trial in trials_of if self._useful(trial)]
            if self.questions + len(useful) > self.most:
                return
            for trial in useful:
                outcome = await self._outcome(trial)
                failures = failures + 1 if outcome.refused else 0
                self.outcomes.append(outcome)
                if failures >= FAILURES:
                    return

    def _may(self, level: Level, name: str, kind: Kind) -> bool:
        return self.free or kind in self.can.at(level).kinds(name)

    def _useful(self, trial: Trial) -> bool:
        promised = self._may(trial.level, trial.keyword, trial.kind)
        return promised and (trial.plain or not (self.plain and trial.hit))

    async def _outcome(self, trial: Trial) -> Outcome:
        try:
            rows = await self._shown(trial.level, trial.conditions, 2, bare=True)
        except (RefusedByArchive, ServerFault) as error:
            return Outcome(trial, came=False, refused=error.reason)
        if not trial.hit:  # where a value is ignored, perhaps the UID beside it is too
            return Outcome(trial, came=bool(rows))
        return Outcome(trial, came=any(row.get(trial.level.uid) == trial.uid for row in rows))

    async def _halves(self) -> None:
        """The earlier and the later half of what was shown: together they must not be more (PS3.4 C.4.1)."""
        days = sorted({d for row in self.studies if (d := _day(row)) is not None})
        if not len(days) > 1 or len(self.studies) >= SHOWN or not self._ranges():
            return
        middle = days[(len(days) - 1) // 2]
        low = next((m.low for c in self.window for m in c.matches if c.keyword == "StudyDate"), "")
        halves = [span("StudyDate", low, middle), span("StudyDate", days[days.index(middle) + 1], "")]
        try:
            found = [await self._shown(Level.STUDY, (half,), SHOWN, bare=True) for half in halves]
        except (RefusedByArchive, ServerFault):
            return
        dated = {str(r["StudyInstanceUID"]) for r in self.studies if _day(r) is not None}
        told = {str(r["StudyInstanceUID"]) for half in found for r in half}
        more = bool(told - {str(r["StudyInstanceUID"]) for r in self.studies})
        note = f"{len(self.studies)} studies in one answer; two halves of their dates hold {len(told)}."
        self.whole = self.whole and not more
        status = Status.NO if more else Status.YES if dated <= told else Status.PARTIAL
        words = {Status.NO: "answers are cut short", Status.YES: "answers are whole"}
        value = words.get(status, "date ranges miss studies")
        self.behaviour.append(Finding(BEHAVIOUR, status, value, "halves", note))

    def _ranges(self) -> bool:
        return self.free or Kind.RANGE in self.can.at(Level.STUDY).kinds("StudyDate")

    async def _shown(
        self, level: Level, conditions: tuple[Condition, ...], most: int, bare: bool = False
    ) -> list[Shown]:
        """The first records that a question brings. Raises ArchiveError."""
        asked = Ask(level, conditions, self._fields(level, bare), most)
        await self.ask(asked)
        self.questions += 1
        found: list[Shown] = []
        async with aclosing(self.find(asked)) as pages:  # type: ignore[type-var]
            async for page in pages:
                rows = (dict(zip(page.keywords, row, strict=True)) for row in page.rows)
                found += islice((r for r in rows if isinstance(r.get(level.uid), str)), most - len(found))
                if len(found) >= most:
                    break
        return found

    def _fields(self, level: Level, bare: bool) -> tuple[str, ...]:
        names = ["StudyInstanceUID", level.uid]
        if not bare:
            names += [*self._within(), *KEYS[level], *MORE[level]]
            names += ["RetrieveAETitle"] if self.free and level is Level.STUDY else []
        here = self.can.at(level)
        return tuple(n for n in dict.fromkeys(names) if n == level.uid or here.gives(n))


def _day(row: Shown) -> str | None:
    value = row.get("StudyDate")
    return value if isinstance(value, str) and len(value) == 8 and values.date(value) else None


def _several(row: Shown) -> int:
    told = row.get("ModalitiesInStudy")
    return len(told) if isinstance(told, tuple) else 0
