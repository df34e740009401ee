"""What a probe finds: statements about one archive, measured, without any value of a record."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from broker.adapter import Ask, Page
from broker.query import Condition
from catalog.evidence import Status
from catalog.keywords import Level

Find = Callable[[Ask], AsyncIterator[Page]]


@dataclass(frozen=True, slots=True)
class Finding:
    """One statement.

    capability  one of the matrix, or `MATCHING` or `BEHAVIOUR` of `catalog.probes`
    about       what within it: `STUDY PatientID` for a keyword at a level, `limit` for a behaviour
    note        what was asked and what came, in counts and keywords: values of records are PHI
    """

    capability: str
    status: Status
    value: str
    about: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Probed:
    """What an adapter found out in its own protocol, and how its archive can be asked further.

    questions  how many it took
    find       sends the conditions of an `Ask` as they stand, promised or not, in one request where it can;
               None: only what is promised may be asked
    samples    questions for a few records, the narrowest first; none: no records are asked for
    levels     levels at which `find` can be asked
    by_study   keys of studies are asked at STUDY also where series are wanted, so that what holds there
               holds for series too
    """

    findings: Sequence[Finding] = ()
    questions: int = 0
    find: Find | None = None
    samples: tuple[tuple[Condition, ...], ...] = ((),)
    levels: frozenset[Level] | None = None
    by_study: bool = False


@runtime_checkable
class Probes(Protocol):
    """An adapter that can find out more of its archive than the questions that suit every archive."""

    async def probe(self) -> Probed:
        """What it found by a few harmless questions of its protocol. Raises ArchiveError."""
        ...
