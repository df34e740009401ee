"""One global order over a merged answer, and pages that hold still.

A page ends at an entity, not at a number: its cursor holds the place of the last one shown. Records that
arrive in between neither repeat nor hide an entity, whatever archive was faster.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from broker.errors import BadQuery
from broker.joining.entity import Entity
from broker.joining.words import listed
from broker.meaning import values
from broker.meaning.normal import comparable
from broker.query import Query
from catalog.keywords import UnknownKeyword, keyword

Place = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Order:
    """Keywords to sort by, each with its direction; ties by UID, then by archive.

    Values compare as their VR says: numbers by value, dates by day, the rest as text. What has no value comes
    last in both directions.
    """

    by: tuple[tuple[str, bool], ...] = ()

    @classmethod
    def of(cls, text: str) -> Order:
        """Read `StudyDate,-SeriesNumber`: a minus for descending. Raises BadQuery."""
        try:
            parts = [w.strip() for w in text.split(",") if w.strip()]
            return cls(tuple((keyword(w.lstrip("-")).name, w.startswith("-")) for w in parts))
        except UnknownKeyword as error:
            raise BadQuery(f"order: {error}") from error

    def __str__(self) -> str:
        """The order as it is written."""
        return ",".join(("-" if down else "") + name for name, down in self.by)

    def place(self, entity: Entity) -> Place:
        """Where an entity stands: plain values, to be compared by `after` and kept in a cursor."""
        shown = entity.values
        own = [_first(name, list(listed(shown.get(name)))) for name, _ in self.by]
        key = [entity.key] if isinstance(entity.key, str) else list(entity.key)
        side = [] if entity.whole is None else [_digest(entity)]
        return (*own, ["", *key] if entity.uid is None else key, [*entity.archives, *side])

    def sorted(self, entities: Iterable[Entity]) -> list[Entity]:
        """The entities in this order."""
        return [
            e for _, e in sorted(((self._key(self.place(e)), e) for e in entities), key=lambda pair: pair[0])
        ]

    def after(self, entities: Iterable[Entity], place: Place) -> list[Entity]:
        """Those that stand behind a place, in order."""
        edge = self._key(place)
        return [e for e in self.sorted(entities) if self._key(self.place(e)) > edge]

    def _key(self, place: Place) -> tuple[Any, ...]:
        own = [_Turned(v) if down else _Straight(v) for (_, down), v in zip(self.by, place, strict=False)]
        return (*own, *place[len(self.by) :])


def _digest(entity: Entity) -> str:
    """What tells one side of a collision from another of the same archive, without saying anything."""
    return hashlib.sha256(repr([row for _, row in entity.sayings]).encode()).hexdigest()[:16]


def _first(name: str, said: Sequence[str]) -> list[Any] | None:
    """The least of the values, as something that compares: numbers before texts that are none."""
    vr = keyword(name).vr
    read = [comparable(name, v) for v in said if v]
    if not read:
        return None
    if vr in values.NUMBERS:
        return min([0, float(n)] if (n := values.number(v)) is not None else [1, v] for v in read)
    return [0, min(read)]


class _Straight:
    """A value in ascending order; None last."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Straight) and self.value == other.value

    def __hash__(self) -> int:
        return hash(str(self.value))

    def __lt__(self, other: _Straight) -> bool:
        if self.value is None or other.value is None:
            return self.value is not None
        return bool(self.value < other.value)


class _Turned(_Straight):
    """A value in descending order; None last."""

    __slots__ = ()

    def __lt__(self, other: _Straight) -> bool:
        if self.value is None or other.value is None:
            return self.value is not None
        return bool(self.value > other.value)


def cursor(query: Query, order: Order, entity: Entity) -> str:
    """Where a page ended, as a short text for URLs. It holds what the last row showed, and nothing else."""
    place = {"v": 1, "q": _mark(query, order), "p": order.place(entity)}
    return base64.urlsafe_b64encode(json.dumps(place, separators=(",", ":")).encode()).decode().rstrip("=")


def resumed(query: Query, order: Order, text: str) -> Place:
    """The place that a cursor holds. Raises BadQuery where it is none, or of another question."""
    try:
        read = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        version, mark, place = read["v"], read["q"], tuple(read["p"])
    except (ValueError, KeyError, TypeError, binascii.Error) as error:
        raise BadQuery("this is no cursor: take the one that the last page ended with") from error
    if version != 1 or mark != _mark(query, order) or not _well_formed(order, place):
        raise BadQuery("this cursor belongs to another question or order")
    return place


def _mark(query: Query, order: Order) -> str:
    return hashlib.sha256(f"{query!r} {order}".encode()).hexdigest()[:16]


def _well_formed(order: Order, place: Place) -> bool:
    own, rest = place[: len(order.by)], place[len(order.by) :]
    texts = len(rest) == 2 and all(isinstance(r, list) and all(isinstance(t, str) for t in r) for r in rest)
    return texts and all(v is None or (isinstance(v, list) and len(v) == 2 and v[0] in (0, 1)) for v in own)


@dataclass(frozen=True, slots=True)
class Window:
    """The part of an answer that is shown: at most `limit` entities, in `order`, behind the cursor `after`.

    Without an order the entities stay as the federation tells them.
    """

    query: Query
    limit: int | None = None
    order: Order | None = None
    place: Place | None = None

    @classmethod
    def of(cls, query: Query, limit: int | None, order: str | None, after: str | None) -> Window:
        """Raises BadQuery for a limit below 1, an unknown keyword, or a cursor of another question."""
        if limit is not None and limit < 1:
            raise BadQuery(f"limit {limit}: must be at least 1")
        wanted = Order.of(order or "") if order or after else None
        if order and wanted and not wanted.by:
            raise BadQuery(f"order {order!r}: write keywords, as in StudyDate,-PatientID")
        place = resumed(query, wanted, after) if wanted is not None and after else None
        return cls(query, limit, wanted, place)

    @property
    def each(self) -> int | None:
        """How many records of one archive are enough: all of them where a global order decides."""
        return self.limit if self.order is None else None

    def cut(self, entities: Sequence[Entity]) -> tuple[Sequence[Entity], bool, str | None]:
        """The entities shown, whether more follow, and the cursor for those."""
        if self.order is not None:
            found: Sequence[Entity] = (
                self.order.after(entities, self.place) if self.place else self.order.sorted(entities)
            )
        else:
            found = entities
        shown = found if self.limit is None else found[: self.limit]
        more = self.limit is not None and len(found) > self.limit
        ends = cursor(self.query, self.order, shown[-1]) if more and self.order is not None else None
        return shown, more, ends
