"""Worlds in which people are known by description only: precision and recall of T4 candidates.

`python tests/resemblance.py [people] [seed]`. Two archives know some of the same people, under identifiers of
their own and without a study in common: names are misspelt, shortened or written with accents, birth dates
mistyped or missing, sexes missing; siblings share a family name and an address book of first names.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1])]

from broker.adapter import Page
from broker.answering.candidates import candidates
from broker.joining.entity import Entity, Source
from broker.joining.resemblance import Candidate
from broker.joining.rules import NO_RULES
from broker.merge import Merge
from catalog.keywords import Level

KEYWORDS = ("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "PatientComments")
ARCHIVES = ("hospital", "clinic")
LEAST = (0.5, 0.9, 0.99, 0.999)

Row = tuple[str, str, str, str, str]


def world(people: int, chance: random.Random) -> dict[str, list[Row]]:
    """Archive -> its patients; the truth stands in PatientComments, which nothing compares."""
    families = _names(people // 4 + 10, 3, chance)
    given = _names(150, 2, chance)
    found: dict[str, list[Row]] = {name: [] for name in ARCHIVES}
    for number in range(people):
        family = families[min(int(chance.paretovariate(0.6)), len(families)) - 1]
        first = given[min(int(chance.paretovariate(0.5)), len(given)) - 1]
        born = f"{chance.randrange(1930, 2010)}{chance.randrange(1, 13):02d}{chance.randrange(1, 29):02d}"
        person = (f"{family}^{first}", born, chance.choice("MF"))
        known = chance.choice([ARCHIVES[:1], ARCHIVES[1:], ARCHIVES])
        for archive in known:
            told = _told(person, chance)
            found[archive].append((f"{archive[0]}{chance.randrange(10**6):06d}", *told, str(number)))
    return found


def _names(count: int, syllables: int, chance: random.Random) -> list[str]:
    made = {
        "".join(chance.choice("bdfgklmnprstvz") + chance.choice("aeiou") for _ in range(syllables))
        for _ in range(count)
    }
    return sorted(made)


def _told(person: tuple[str, str, str], chance: random.Random) -> tuple[str, str, str]:
    """As an archive has it."""
    name, born, sex = person
    if chance.random() < 0.10:
        name = _typo(name, "aeioubdk", chance)
    if chance.random() < 0.05:
        name = name.upper() + "^^"
    if chance.random() < 0.05:
        name = name.replace("a", "á", 1)
    if chance.random() < 0.03:
        born = _typo(born, "0123456789", chance)
    if chance.random() < 0.05:
        born = ""
    return name, born, sex if chance.random() < 0.9 else ""


def _typo(text: str, letters: str, chance: random.Random) -> str:
    at = chance.randrange(len(text))
    return text if text[at] == "^" else text[:at] + chance.choice(letters) + text[at + 1 :]


def merged(rows: dict[str, list[Row]]) -> list[Entity]:
    """The patients of an answer: none of them is one, by any rule from T0 to T3."""
    merge = Merge(Level.PATIENT)
    for rank, (archive, own) in enumerate(rows.items()):
        merge.add(Page(KEYWORDS, [*own]), Source(archive, rank, KEYWORDS, 0.0))
    return list(merge.result())


@dataclass(frozen=True, slots=True)
class Quality:
    """Of the pairs of entities that are truly one, and of those suggested."""

    least: float
    suggested: int
    right: int
    true: int

    @property
    def precision(self) -> float:
        """How many of the suggestions are right."""
        return self.right / self.suggested if self.suggested else 1.0

    @property
    def recall(self) -> float:
        """How many of the true pairs are suggested."""
        return self.right / self.true if self.true else 1.0


def quality(found: Iterable[Candidate], rows: dict[str, list[Row]], least: float) -> Quality:
    """How suggestions from a score on compare with the truth."""
    taken = [c for c in found if c.score >= least]
    right = sum(c.one.first("PatientComments") == c.other.first("PatientComments") for c in taken)
    known = [{row[4] for row in own} for own in rows.values()]
    return Quality(least, len(taken), right, len(known[0] & known[1]))


def main(people: int = 2_000, seed: int = 1, show: Callable[[str], None] = print) -> list[Quality]:
    """Score a world and print it."""
    rows = world(people, random.Random(seed))
    entities = merged(rows)
    found = candidates(entities, NO_RULES, min(LEAST))
    show(f"{len(entities):,} patients of two archives, {quality([], rows, 1).true:,} of them in both")
    scores = [quality(found, rows, least) for least in LEAST]
    for q in scores:
        show(
            f"score from {q.least:<5}: {q.suggested:,} candidates, {q.suggested - q.right} wrong, "
            f"precision {q.precision:.4f}, recall {q.recall:.3f}"
        )
    return scores


if __name__ == "__main__":
    main(int((sys.argv[1:] or ["2000"])[0]), int((sys.argv[2:] or ["1"])[0]))
