"""Declared capabilities are true: nothing that `truth` accepts is lost, what comes back is what is held."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import pytest

from broker.adapter import Adapter, Ask
from broker.conform.base import Base, came, learned, none_of, records_of, through
from broker.conform.held import Key, Record, same
from broker.conform.questions import asked
from broker.meaning import values
from broker.meaning.logic import Truth
from broker.meaning.nobody import nobodys
from broker.plan import ALWAYS_FILLED, Wish, plan
from broker.query import Condition, Query, condition
from broker.report import Status
from catalog.capability import Can, Kind
from catalog.keywords import Level, keyword

_UNPROMISED = frozenset(Kind) - {Kind.ANY_CASE, Kind.ANY_OF}
_FOREIGN = "EchoTime"  # an attribute of single images: hardly any archive can be asked for it


class Promises(Base):
    """What the archive says that it can, compared with what it does."""

    def test_every_record_comes(self) -> None:
        """A question without conditions brings every known record, and none beside them."""

        async def work(adapter: Adapter) -> list[str]:
            faults = []
            for level in self.levels(adapter.can):
                found = set(self.keys(level, await came(adapter, self.whole_ask(adapter.can, level))))
                faults += self._different(found, dict.fromkeys(self.held.keys(level), True))
            return faults

        none_of(self.run(work), "a list of everything")

    def test_values_come_back_as_they_are_held(self) -> None:
        """Every attribute that it says it returns has the value that the archive holds."""
        none_of(self.run(self._wrong_values), "values that differ from those held")

    def test_characters_beyond_ascii_come_back_and_are_found(self) -> None:
        """Texts in every script arrive as they are held, and can be asked for."""
        faults = [fault for fault in self.run(self._wrong_values) if not fault.isascii()]
        none_of(faults, "characters that did not survive")

        async def work(adapter: Adapter) -> tuple[int, list[str]]:
            queries = [
                Query(level, str(c))
                for level in self.levels(adapter.can)
                for name in self.held.keywords(level)
                for c in asked(keyword(name), [Kind.SINGLE, Kind.WILDCARD], self._foreign(level, name))
                if not str(c).isascii()
            ]
            return len(queries), [f for query in queries for f in await self._wrong(adapter, query)]

        count, faults = self.run(work)
        if not count:
            pytest.skip("no known record has characters beyond ASCII: nothing was tested")
        none_of(faults, "questions with characters beyond ASCII")

    def test_nothing_is_lost_that_truth_accepts(self) -> None:
        """Each promised kind of matching on each keyword: every record that satisfies the condition comes."""

        async def work(adapter: Adapter) -> list[str]:
            can = await learned(adapter)
            queries = [Query(level, str(c)) for level, c in self._promised(can)]
            return [fault for query in queries for fault in await self._lost(adapter, can, query)]

        none_of(self.run(work), "records lost by promised matching")

    def test_through_the_broker_exactly_the_right_records_come(self) -> None:
        """The same conditions, and some on what is not promised: all that are true, and only those."""

        async def work(adapter: Adapter) -> list[str]:
            can = await learned(adapter)
            among = [*self._promised(can), *self._unpromised(can)]
            return [f for level, c in among for f in await self._wrong(adapter, Query(level, str(c)))]

        none_of(self.run(work), "wrong answers through the broker")

    def test_two_conditions_hold_together(self) -> None:
        """Conditions on two promised attributes at once: nothing lost; through the broker, exactly right."""

        async def work(adapter: Adapter) -> list[str]:
            can = await learned(adapter)
            faults = []
            for query in self._pairs(can):
                faults += await self._lost(adapter, can, query) + await self._wrong(adapter, query)
            return faults

        none_of(self.run(work), "two conditions at once")

    def test_a_promise_narrows(self) -> None:
        """A promised condition that nothing satisfies does not bring everything: it is applied there."""

        async def work(adapter: Adapter) -> list[str]:
            can = await learned(adapter)
            faults = []
            for level in self.levels(can):
                for name in can.at(level).matches:
                    c = condition(f"{name}={nobodys(keyword(name))}")
                    made = plan(Query(level, str(c)), adapter.name, can, Wish(scan=True))
                    sent = made.level is level and any(step.sent for step in made.steps)
                    if sent and len(self.held.keys(level)) > 1 and await self._all_came(adapter, made.asks):
                        faults.append(f"{level.name} {c} brings everything: it is not applied there")
            return faults

        none_of(self.run(work), "promises that are not kept at all")

    def test_letters_of_any_case_match_where_it_says_so(self) -> None:
        """With `letters of any case`, a value in the other case brings what differs in nothing else."""

        async def work(adapter: Adapter) -> list[str] | None:
            can = await learned(adapter)
            folds = [
                (level, name)
                for level in self.levels(can)
                for name, kinds in can.at(level).matches.items()
                if {Kind.ANY_CASE, Kind.SINGLE} <= kinds and keyword(name).vr in values.WILD - {"PN"}
            ]
            return [f for one in folds for f in await self._case_lost(adapter, *one)] if folds else None

        faults = self.run(work)
        if faults is None:
            pytest.skip("it does not promise letters of any case")
        none_of(faults, "letters of another case")

    def test_records_without_a_value_are_counted_or_returned(self) -> None:
        """With `include_unknown` they come; without, they are counted or named as not counted."""

        async def work(adapter: Adapter) -> list[str]:
            can = await learned(adapter)
            among = [(level, c) for level, c in self._promised(can) if Kind.SINGLE in c.kinds]
            some = {(level, c.keyword): c for level, c in among if c.keyword not in ALWAYS_FILLED}
            return [f for (level, _), c in some.items() for f in await self._uncounted(adapter, level, c)]

        none_of(self.run(work), "records of which nothing is known, and nothing is said")

    def test_an_attribute_that_it_does_not_know_is_never_ignored(self) -> None:
        """A condition on it is refused by name or checked here; asking it back costs no record."""

        async def work(adapter: Adapter) -> list[str]:
            faults = []
            for level in self.levels(adapter.can):
                _, report = await through(adapter, Query(level, f"{_FOREIGN}=98765"))
                if report.kept or (report.status is Status.REFUSED and _FOREIGN not in report.detail):
                    faults.append(f"{level.name} {_FOREIGN}=98765: {report.line()}")
                plain, _ = await through(adapter, Query(level))
                more, _ = await through(adapter, Query(level), fields=(_FOREIGN,))
                if sorted(self.keys(level, more)) != sorted(self.keys(level, plain)):
                    faults.append(f"{level.name}: other records come when {_FOREIGN} is asked back")
            return faults

        none_of(self.run(work), "an attribute that it does not know")

    # how they are made and judged

    def _promised(self, can: Can) -> Iterator[tuple[Level, Condition]]:
        for level in self.levels(can):
            for name, kinds in can.at(level).matches.items():
                if not self.asks(name):
                    continue
                key = keyword(name)
                at = max(level, key.level) if max(level, key.level) in self.held else level
                for c in asked(key, kinds, self.held.texts(at, name)):
                    yield level, c

    def _unpromised(self, can: Can) -> Iterator[tuple[Level, Condition]]:
        """A few conditions on attributes of which nothing is promised, but which come back."""
        for level in self.levels(can):
            here = can.at(level)
            for name in filter(self.asks, self.held.keywords(level)):
                if name not in here.matches and here.gives(name) and keyword(name).vr in values.MATCHABLE:
                    found = asked(keyword(name), _UNPROMISED, self.held.texts(level, name))
                    kinds = {next(iter(c.kinds)): c for c in found if c.kinds}
                    yield from ((level, c) for c in kinds.values())

    def _pairs(self, can: Can) -> Iterator[Query]:
        """For pairs of promised attributes, what one record says of both."""
        for level in self.levels(can):
            names = [
                k
                for k in filter(self.asks, can.at(level).matches)
                if keyword(k).level <= level and self.held.texts(level, k)
            ]
            for one, other in combinations(names[:8], 2):
                both = [r for r in self.held.at(level) if r.get(one) and r.get(other)]
                for record in both[: len(both) // 2 + 1 : max(1, len(both) // 2)]:
                    found = [asked(keyword(k), [Kind.SINGLE], [str(_first(record, k))]) for k in (one, other)]
                    if all(found):
                        yield Query(level, *(str(c[0]) for c in found))

    async def _lost(self, adapter: Adapter, can: Can, query: Query) -> list[str]:
        """What does not come although it satisfies what is sent; only of questions at their own level."""
        made = plan(query, adapter.name, can, Wish(scan=True))
        if made.refusal or made.level is not query.level or not any(step.sent for step in made.steps):
            return []
        faults = []
        for ask in made.asks:
            finest = max([ask.level, *(c.key.level for c in ask.conditions)])
            truths = self.held.truths(ask.level, ask.conditions, self.held.at(finest))
            found = set(self.keys(ask.level, await came(adapter, ask)))
            lost = [key for key, true in truths.items() if true and key not in found]
            if lost:
                sent = " ".join(map(str, ask.conditions))
                faults.append(f"{ask.level.name} {sent}: {len(lost)} lost, such as {_written(lost[0])}")
        return faults

    async def _wrong(self, adapter: Adapter, query: Query) -> list[str]:
        """How the broker's answer differs from the truth."""
        truths = self.held.judged(query)
        pages, report = await through(adapter, query)
        if report.status is Status.REFUSED or truths is None:
            return []
        if report.status is not Status.OK:
            return [f"{query}: {report.line()}"]
        found = set(self.keys(query.level, pages))
        return [f"{query}: {fault}" for fault in self._different(found, truths)]

    def _different(self, found: set[Key], truths: dict[Key, Truth]) -> list[str]:
        true = {key for key, truth in truths.items() if truth}
        extra = found - true if self.whole else found & (truths.keys() - true)
        told = ((true - found, "missing"), (extra, "wrong"))
        return [f"{len(keys)} {word}, such as {_written(min(keys))}" for keys, word in told if keys]

    async def _all_came(self, adapter: Adapter, asks: tuple[Ask, ...]) -> bool:
        found = {key for ask in asks for key in self.keys(ask.level, await came(adapter, ask))}
        return found >= self.held.keys(asks[0].level)

    async def _case_lost(self, adapter: Adapter, level: Level, name: str) -> list[str]:
        faults = []
        for c in asked(keyword(name), [Kind.ANY_CASE], self.held.texts(level, name)):
            wanted = values.folded(c.matches[0].text) if c.matches else ""
            right = {
                self.held.key(level, r)
                for r in self.held.at(level)
                if wanted and isinstance(r.get(name), str) and values.folded(str(r[name])).strip() == wanted
            }
            fields = tuple(dict.fromkeys([*self.fields(adapter.can, level)]))
            found = set(self.keys(level, await came(adapter, Ask(level, (c,), fields))))
            if right - found:
                faults.append(f"{level.name} {c}: {len(right - found)} lost")
        return faults

    async def _uncounted(self, adapter: Adapter, level: Level, c: Condition) -> list[str]:
        truths = self.held.judged(Query(level, str(c))) or {}
        unknown = {key for key, truth in truths.items() if truth is None}
        pages, _ = await through(adapter, Query(level, str(c)), include_unknown=True)
        lost = unknown - set(self.keys(level, pages))
        _, report = await through(adapter, Query(level, str(c)))
        counted = report.unknown.get(c.keyword, 0)
        silent = counted < len(unknown) and c.keyword not in report.untold and report.status is Status.OK
        faults = [f"{level.name} {c} with include_unknown: {len(lost)} lost"] if lost else []
        told = f"{level.name} {c}: {len(unknown)} unknown, {counted} counted, and it says nothing of the rest"
        return faults + ([told] if silent and self.whole else [])

    async def _wrong_values(self, adapter: Adapter) -> list[str]:
        faults = []
        for level in self.levels(adapter.can):
            ask = self.whole_ask(adapter.can, level)
            known = {self.held.key(level, r): r for r in self.held.at(level)}
            for record in records_of(await came(adapter, ask)):
                mine = known.get(self.held.key(level, record), {})
                faults += [
                    f"{level.name} {k}: {record.get(k)!r}, held is {mine[k]!r}"
                    for k in ask.fields
                    if k in mine and not same(k, record.get(k), mine[k])
                ]
        return list(dict.fromkeys(faults))

    def _foreign(self, level: Level, name: str) -> list[str]:
        return [text for text in self.held.texts(level, name) if not text.isascii()]


def _first(record: Record, name: str) -> str:
    value = record[name]
    return str(value[0]) if isinstance(value, tuple) else str(value)


def _written(key: Key) -> str:
    return "/".join(key)
