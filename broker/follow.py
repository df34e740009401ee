"""A query under way as its merged answer grows: which entity was found, extended, or collided with itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType

from broker.answer import Answer, Collector
from broker.joining.entity import Entity
from broker.merge import Change
from broker.run import Asking, Done, Records


@dataclass(frozen=True, slots=True)
class Changed:
    """Event: what a record did to an entity of the merged answer.

    change  FOUND: it is new; EXTENDED: a record was added to it; COLLIDED: a record was added, and now its
            records must not be one, so that the answer has its `entity.parts` instead
    entity  as it is now, with all that was said of it so far; an earlier event's entity stays as it was
    """

    change: Change
    entity: Entity


class Following:
    """One query under way, read as changes of its merged answer; a `Done` tells that an archive has ended.

    Whoever keeps the last entity of each key has, at the end, what `search` gives, in whatever order archives
    answered. With a `limit`, changes may tell of more entities than `answer` shows.

    >>> import asyncio, broker
    >>> async def main():
    ...     async with broker.following("series", "Modality=CT", limit=1, at=["idc"]) as changes:
    ...         told = [getattr(event, "change", None) async for event in changes]
    ...         return told, changes.answer
    >>> asyncio.run(main())
    ([<Change.FOUND: 'found'>, None], <Answer: 1+ SERIES entities, complete>)
    """

    def __init__(self, asking: Asking, collector: Collector, names: Sequence[str]) -> None:
        self._asking = asking
        self._collector = collector
        self._names = names
        self._changes: Iterator[tuple[Change, Entity]] = iter(())

    async def __aenter__(self) -> Following:
        await self._asking.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._asking.__aexit__(kind, error, trace)

    def __aiter__(self) -> Following:
        return self

    async def __anext__(self) -> Changed | Done:
        while True:
            for change, entity in self._changes:
                return Changed(change, entity)
            event = await anext(self._asking)
            if not isinstance(event, Records):
                self._collector.take(event)
                return event
            self._changes = self._collector.merge.follow(event.page, event.source)

    @property
    def answer(self) -> Answer:
        """The answer as far as it was read; when everything was read, the one that `search` gives."""
        return self._collector.answer(self._names)
