"""An archive is forgotten, or what was imported of it from one place is taken back: exactly, or not at all.

A row that several files told of has their values together, the later ones over the earlier. What the others
had said could not be told without one of them, so then nothing is taken back.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from catalog import store_sql as sql
from catalog.holdings import Held, holding, named
from catalog.problems import BadFile
from catalog.store_taking import Taking

T = TypeVar("T")

NAMED = 3  # other places in an error


class Removing(ABC):
    """A store from which something is taken away."""

    @abstractmethod
    def held(self) -> dict[str, Held]:
        """What is held, by archive."""

    @abstractmethod
    def changed(self, archive: str, place: str, change: Callable[[Taking], T]) -> T:
        """What comes of a change to an archive's holdings, which is made whole or not at all."""

    def remove(self, archive: str) -> int:
        """Forget an archive; how many rows it had."""
        told = holding(self.held(), named(archive))
        self.changed(archive, "", forgotten)
        return sum(told.rows.values())

    def take_back(self, archive: str, place: str) -> int:
        """Forget what was imported from one place; how many rows that were. Raises BadFile."""
        holding(self.held(), named(archive))
        return self.changed(archive, place, taken_back)


def forgotten(step: Taking) -> None:
    """Forget the source's archive. The caller begins and commits."""
    step.all(f"DROP TABLE {step.table}")
    for name, column in (("archives", "name"), ("sources", "archive")):
        step.all(f"DELETE FROM {name} WHERE {column} = ?", [step.source.archive])


def taken_back(step: Taking) -> int:
    """Forget what the source's place gave; how many rows. The caller begins and commits. Raises BadFile."""
    archive, place = step.source.archive, step.source.place
    found = step.known(place)
    if not found:
        raise BadFile(f"nothing of {archive} was imported from {place}; see broker catalog list")
    number = int(found[0][0])
    step.traced = step.was_traced()
    if not step.traced:
        raise BadFile(
            f"{archive} was imported when the catalog did not yet note every file that tells of a row: "
            f"broker catalog remove {archive}, and import again what is to stay"
        )
    _unshared(step, number)
    count = int(step.all(f"SELECT count(*) FROM {step.table} WHERE _source = {number}")[0][0])
    step.all(f"DELETE FROM {step.table} WHERE _source = {number}")
    step.forget(number)
    _described(step)
    return count


def _unshared(step: Taking, number: int) -> None:
    """Raises BadFile where a row that has its values was told of by others too."""
    found = step.all(sql.shared(step.table, number))
    if not found:
        return
    others = sorted({source for row in found for source in _sources(row)} - {number})
    places = [step.all(f"SELECT place FROM sources WHERE id = {one}")[0][0] for one in others[:NAMED]]
    more = f" and {len(others) - NAMED:,} more" if len(others) > NAMED else ""
    raise BadFile(
        f"{len(found):,} of the rows that {step.source.place} told of were told of by {', '.join(places)}"
        f"{more} too, and what each said is not kept apart: nothing was changed. {_instead(step, found)}"
    )


def _instead(step: Taking, found: Sequence[Sequence[Any]]) -> str:
    whole = f"broker catalog remove {step.source.archive}, and import again what is to stay"
    only_same = all(also is None for _, also, _ in found)
    return f"Take back the others first, or {whole}" if only_same else f"Say {whole}"


def _sources(row: Sequence[Any]) -> set[int]:
    """The sources that a row names."""
    source, also, same = row
    listed = f"{also or ''} {same or ''}".split()
    return {int(source), *(int(one.partition(":")[0]) for one in listed)}


def _described(step: Taking) -> None:
    """Note what is held now, as of the last import that stays; nothing, where no row does."""
    names = [name for name in step.columns() if not name.startswith("_")]
    if not step.all(f"SELECT 1 FROM {step.table} LIMIT 1"):
        forgotten(step)
        return
    (counts,) = step.all(
        f"SELECT {', '.join(f'count({sql.quoted([name])})' for name in names)} FROM {step.table}"
    )
    left = [name for name, count in zip(names, counts, strict=True) if count]
    last = "SELECT imported_at, kind, place FROM sources WHERE archive = ? ORDER BY imported_at DESC, id DESC"
    when, kind, place = step.all(f"{last} LIMIT 1", [step.source.archive])[0]
    step.describe(left, when, f"{kind}: {place}")
