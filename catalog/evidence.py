"""Evidence: what was said or measured of an archive, by whom, when, and how sure that is.

A cell of the matrix is a list of these, never a bare value. A cell that nobody can fill any more holds
evidence too: that it is unknown, and why. Unknown is never "no".
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

_DAY = r"[0-9]{4}(-(0[1-9]|1[0-2])(-(0[1-9]|[12][0-9]|3[01])(T[0-9:.]+Z)?)?)?"
DATE = re.compile(rf"({_DAY})(/[0-9]{{4}})?")


class Status(StrEnum):
    """What a cell says, in one word. `text` and `number` are answers that are not yes or no."""

    YES = "yes"
    NO = "no"
    PARTIAL = "partial"
    PLANNED = "planned"
    TEXT = "text"
    NUMBER = "number"
    UNKNOWN = "unknown"


class Basis(StrEnum):
    """Where evidence comes from: the survey of 2010, a document, or a measurement."""

    SURVEY = "survey"
    DOCUMENTATION = "documentation"
    PROBE = "probe"


class Confidence(StrEnum):
    """How sure evidence is: said in these words, inferred from them, of uncertain place, or measured."""

    STATED = "stated"
    DERIVED = "derived"
    UNCERTAIN = "uncertain"
    MEASURED = "measured"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Source:
    """What is cited. Without `url` the title names what was read; without `as_of` it is an undated copy."""

    id: str
    title: str
    url: str = ""
    as_of: str = ""


@dataclass(frozen=True, slots=True)
class Evidence:
    """One statement about one capability of one archive.

    value       the answer in words
    as_of       the date for which it speaks, as exactly as it is known: `2010`, `2010-08`, `2010-08-16`, a
                time in UTC, `2009/2010` for a span, "" where the source has no date
    quote       the sentence that it rests on, as its source has it
    place       in the survey: `table` for a cell that survived, `prose` for a sentence
    about       what within the capability it speaks of, such as a DICOM keyword; "" for the whole
    by          the program that measured it, with its version
    """

    status: Status
    kind: Basis
    source: Source
    value: str = ""
    as_of: str = ""
    quote: str = ""
    confidence: Confidence = Confidence.STATED
    note: str = ""
    place: str = ""
    about: str = ""
    by: str = ""

    @property
    def known(self) -> bool:
        """Whether it answers at all."""
        return self.status is not Status.UNKNOWN

    @property
    def sure(self) -> bool:
        """Whether it answers, and certainly about this archive."""
        return self.known and self.confidence is not Confidence.UNCERTAIN


def first_day(as_of: str) -> str:
    """The first day of a date of any exactness, for comparing: `2010-08` begins on 2010-08-01."""
    return _day(as_of.partition("/")[0], "-01-01")


def last_day(as_of: str) -> str:
    """The last day, for comparing: `2010-08` ends on 2010-08-31."""
    return _day(as_of.rpartition("/")[2], "-12-31")


def _day(text: str, rest: str) -> str:
    day = text[:10]
    return day + rest[len(day) - 4 :] if len(day) in (4, 7) else day


def leading(evidence: Iterable[Evidence]) -> Evidence | None:
    """The evidence that answers for a cell.

    Certain before uncertain, measured before said, later before earlier, dated before undated;
    of equals the last one, which was added last. None if there is no evidence.
    """
    return max(reversed(list(evidence)), key=_weight, default=None)


def _weight(e: Evidence) -> tuple[bool, bool, bool, str, str]:
    return e.known, e.sure, e.kind is Basis.PROBE, last_day(e.as_of), e.as_of


def until(evidence: Iterable[Evidence], date: str) -> list[Evidence]:
    """What was on record by the end of a date. Undated evidence is left out: it may be younger."""
    end = last_day(date)
    return [e for e in evidence if e.as_of and first_day(e.as_of) <= end]


def before(evidence: Iterable[Evidence], date: str) -> list[Evidence]:
    """What was on record before a date began, undated evidence included."""
    start = first_day(date)
    return [e for e in evidence if not e.as_of or last_day(e.as_of) < start]
