"""What is asked of collections: words and conditions, and whether a record satisfies them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from broker.errors import BadQuery
from catalog import nearest
from catalog.collection import Collection, Count
from catalog.condition import BadCondition, Where
from catalog.evidence import Source

LISTS = {
    "modality": "modalities",
    "technique": "techniques",
    "body_part": "body_parts",
    "condition": "conditions",
    "species": "species",
    "license": "licenses",
    "doi": "dois",
}
TEXTS = ("archive", "id", "title", "program", "state", "as_of", "updated")
COUNTS = Count.NAMES
NAMES = (*LISTS, *TEXTS, "derived", *COUNTS)
TOLD = (*LISTS, *COUNTS)
"""Conditions on what an archive may tell of one collection when it is asked about that one."""


@dataclass(frozen=True, slots=True)
class Question:
    """Which collections: every word stands in what is said of them, every condition holds.

    more  names in TOLD that are wanted of each, also where no condition needs them
    """

    words: tuple[str, ...] = ()
    conditions: tuple[Where, ...] = ()
    more: tuple[str, ...] = ()

    def open(self, c: Collection) -> tuple[Where, ...] | None:
        """The conditions of which it is not known whether they hold; None where it is none of those asked."""
        if not mentions(c, self.words):
            return None
        answers = {where: judge(c, where) for where in self.conditions}
        return (
            None if False in answers.values() else tuple(w for w, holds in answers.items() if holds is None)
        )

    def wanted(self, c: Collection) -> frozenset[str]:
        """Lists of `Collection`, and counts, that are not known of it and needed."""
        undecided = self.open(c)
        if undecided is None:
            return frozenset()
        names = {where.name for where in undecided} | {name for name in self.more if not known(c, name)}
        return frozenset(LISTS.get(name, name) for name in names if name in TOLD)


def known(c: Collection, name: str) -> bool:
    """Whether a list or count of a record is known in full."""
    if name in COUNTS:
        return name in c.counts
    return bool(getattr(c, LISTS[name])) and LISTS[name] not in c.partial


def wheres(texts: Iterable[str]) -> list[Where]:
    """Conditions on collections. Raises BadQuery."""
    found = []
    for text in texts:
        try:
            where = Where.read(text)
        except BadCondition as error:
            raise BadQuery(f"--where: {error}") from error
        name = where.name.lower()
        _named("--where", text, name, NAMES)
        found.append(Where(name, where.sign, where.values))
        judge(_NOTHING, found[-1])  # a sign that does not fit is refused before anything is asked
    return found


def mores(names: Iterable[str]) -> tuple[str, ...]:
    """What is wanted of each collection. Raises BadQuery for what no archive tells."""
    given = [name.strip().lower() for text in names for name in text.split(",") if name.strip()]
    for name in given:
        _named("--more", name, name, TOLD)
    return tuple(dict.fromkeys(given))


def _named(option: str, text: str, name: str, among: Sequence[str]) -> None:
    if name not in among:
        near = nearest.near(name, among)
        raise BadQuery(f"{option}: {text!r}: no {name!r} of collections{near}; known are {', '.join(among)}")


def judge(c: Collection, where: Where) -> bool | None:
    """Whether a record satisfies a condition; None where it does not say. Raises BadQuery."""
    try:
        if where.name in COUNTS:
            return where.of_count(c.counts.get(where.name))
        answer = where.of_texts(_texts(c, where.name))
    except BadCondition as error:
        raise BadQuery(f"--where: {error}") from error
    decided = where.sign == "!="  # by one value that is there; the other answer needs all of them
    if LISTS.get(where.name) in c.partial and answer is decided:
        return None
    return answer


def _texts(c: Collection, name: str) -> Sequence[str]:
    if name == "derived":
        return ["yes" if c.derived else "no"]
    if name in TEXTS:
        return [getattr(c, name)]
    found: Sequence[str] = getattr(c, LISTS[name])
    return found


def mentions(c: Collection, words: Iterable[str]) -> bool:
    """Whether every word stands somewhere in what is said of the data set, in any case.

    Notes are about the record (what was not told, what it is not), and not about the data set.
    """
    lists = (*c.body_parts, *c.conditions, *c.species, *c.techniques)
    said = (c.id, c.title, *lists, c.program, c.about, c.quote)
    text = "\n".join(said).casefold()
    return all(word.casefold() in text for word in words)


_NOTHING = Collection("", "", "", Source("nobody", "no source"))
