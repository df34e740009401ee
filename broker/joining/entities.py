"""Many entities, of which objects are made when they are read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import overload

from broker.joining.entity import Entity, Key


class Entities(Sequence[Entity]):
    """A list of entities. One that is not made yet stands in it by its key; once made, it stays."""

    def __init__(self, items: Iterable[Key | Entity], make: Callable[[Key], Entity]) -> None:
        self._items: list[Key | Entity] = list(items)
        self._make = make

    def __len__(self) -> int:
        return len(self._items)

    @overload
    def __getitem__(self, at: int) -> Entity: ...
    @overload
    def __getitem__(self, at: slice) -> list[Entity]: ...
    def __getitem__(self, at: int | slice) -> Entity | list[Entity]:
        if isinstance(at, slice):
            return [self[i] for i in range(*at.indices(len(self._items)))]
        item = self._items[at]
        if not isinstance(item, Entity):
            item = self._items[at] = self._make(item)
        return item

    def __iter__(self) -> Iterator[Entity]:
        return (self[i] for i in range(len(self._items)))

    def __repr__(self) -> str:
        return f"<{len(self)} entities>"
