"""The records that an archive is known to hold, and what is true of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from broker.adapter import as_value
from broker.matching import Item, Value, filled
from broker.meaning import values
from broker.meaning.joint import tests
from broker.meaning.logic import Truth, all_of
from broker.query import Condition, Query
from catalog.keywords import Level, keyword

Record = Mapping[str, Value]
Key = tuple[str, ...]
Names = Mapping[Level, tuple[str, ...]]


class Held:
    """Known records by level; each also has what its study and its patient have.

    names  for each level the keywords that tell one record from another
    """

    def __init__(self, records: Mapping[Level, Iterable[Mapping[str, Any]]], names: Names) -> None:
        self._names = names
        self._at: dict[Level, list[dict[str, Value]]] = {}
        self._by_key: dict[Level, dict[Key, dict[str, Value]]] = {}
        for level in sorted(records):
            given = [{k: as_value(v) for k, v in record.items()} for record in records[level]]
            self._at[level] = [self._whole(level, record) for record in given]
            self._by_key[level] = {self.key(level, record): record for record in self._at[level]}

    def _whole(self, level: Level, record: dict[str, Value]) -> dict[str, Value]:
        """A record with what the coarser records have to which it belongs."""
        whole = dict(record)
        for coarser in sorted((known for known in self._by_key if known < level), reverse=True):
            above = self._by_key[coarser].get(self.key(coarser, whole), {})
            whole |= {k: v for k, v in above.items() if k not in whole}
        return whole

    def __contains__(self, level: Level) -> bool:
        return level in self._at

    def at(self, level: Level) -> Sequence[Record]:
        """The records of a level."""
        return self._at.get(level, [])

    def keywords(self, level: Level) -> list[str]:
        """Keywords that some record of a level has, in the order of the records."""
        return list(dict.fromkeys(k for record in self.at(level) for k in record))

    def key(self, level: Level, record: Record) -> Key:
        """What tells a record from others of its level."""
        return tuple(_text(record.get(name)) for name in self._names[level])

    def keys(self, level: Level) -> set[Key]:
        """The keys of all records of a level."""
        return {self.key(level, record) for record in self.at(level)}

    def judged(self, query: Query) -> dict[Key, Truth] | None:
        """What is true of each record of the level of the query; None where it cannot be known.

        A condition on a finer attribute means that one finer record satisfies all conditions.
        """
        finest = max([query.level, *(c.key.level for c in query.conditions)])
        if finest not in self._at or query.level not in self._at:
            return None
        return self.truths(query.level, query.conditions, self._at[finest])

    def truths(
        self, level: Level, conditions: Iterable[Condition], among: Iterable[Record]
    ) -> dict[Key, Truth]:
        """What is true of records, by key at a level; of several with one key, the best."""
        joined = tests(conditions)
        found: dict[Key, Truth] = {}
        for record in among:
            key, truth = self.key(level, record), all_of(test.of(record) for test in joined)
            known = found.get(key, False)
            found[key] = True if True in (known, truth) else None if None in (known, truth) else False
        return found

    def texts(self, level: Level, name: str) -> list[str]:
        """The different values that records of a level have of an attribute, in the order of the records."""
        vr = keyword(name).vr
        found = [filled(r[name], vr) for r in self.at(level) if name in r and not _nested(r[name])]
        return list(dict.fromkeys(text for several in found for text in several))


def same(name: str, one: Value, other: Value) -> bool:
    """Whether two values say the same: padding, the order of several, and number forms aside."""
    return _meant(name, one) == _meant(name, other)


def _meant(name: str, value: Value) -> list[str]:
    vr = keyword(name).vr
    return sorted(_one_meant(vr, text) for text in filled(value, vr))


def _one_meant(vr: str, text: str) -> str:
    if vr in values.NUMBERS:
        read = values.number(text)
        return text if read is None else str(read.normalize())
    if vr == "PN":
        return "=".join(values.name_groups(text, values.composed))
    return values.text(text, vr)


def _nested(value: Value) -> bool:
    """Whether a value is the items of a sequence."""
    return isinstance(value, tuple) and any(not isinstance(item, str) for item in value)


def _text(value: Value | Item) -> str:
    if isinstance(value, tuple):
        return "\\".join(str(item) for item in value)
    return (value or "").strip(" \0")
