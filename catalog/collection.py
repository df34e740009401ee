"""Collections: what an archive says of a whole data set. A level of its own, above patients.

A record never stands for patients: it says how many there were, at a date, according to a source. Nothing is
counted from it, and nothing is joined with it by name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from catalog.evidence import Source

_WRITTEN = re.compile(r"([~><]?)(\d+(?:\.\d+)?)")
_NEAR = 0.1  # how far off "about" may be


@dataclass(frozen=True, slots=True)
class Count:
    """A number as exactly as it was said: `253`, `~5000` (about, 10 % either way), `>800`, `<300`.

    low, high   between which it lies, both ends included; `high` is None where there is no upper end
    said        as it is written
    """

    NAMES: ClassVar = ("collections", "patients", "studies", "series", "instances", "images", "size_gb")

    low: float
    high: float | None
    said: str

    @classmethod
    def read(cls, given: str | float) -> Count:
        """From a number, or from text with a sign. Raises ValueError."""
        text = str(given)
        found = _WRITTEN.fullmatch(text)
        if found is None:
            raise ValueError(f'{text!r} is not a count: write 253, "~5000", ">800" or "<300"')
        sign, number = found[1], float(found[2])
        step = 1 if number.is_integer() else 0
        low = {"~": number * (1 - _NEAR), ">": number + step, "<": 0.0}.get(sign, number)
        high = {"~": number * (1 + _NEAR), ">": None, "<": number - step}.get(sign, number)
        return cls(low, high, text)

    @property
    def exact(self) -> int | float | None:
        """The number, where it was said exactly."""
        if self.low != self.high:
            return None
        return int(self.low) if self.low.is_integer() else self.low

    def __str__(self) -> str:
        sign = self.said[0] if self.said[0] in "~><" else ""
        number = float(self.said.removeprefix(sign))
        return f"{sign}{number:,.0f}" if number.is_integer() else f"{sign}{number:,}"


@dataclass(frozen=True, slots=True)
class Collection:
    """One data set as one archive describes it.

    archive      the row of the matrix, or the archive of the federation, that says so
    counts       name in Count.NAMES -> how many; what is missing is unknown, not none
    modalities   DICOM's terms; `techniques` what DICOM has no modality for: fMRI, DTI, histology
    body_parts, conditions, species   in the archive's words
    licenses, dois   for the data set or its parts
    partial      names of such lists that may hold more than was said
    derived      whether it holds results of analyses only
    same_as      records of other archives that are declared to be of the same data set, as `archive/id`
    held_at      archive of the federation whose series carry this id as the attribute `held_as`, or "";
                 with `held_as` "" it holds them among others
    """

    archive: str
    id: str
    title: str
    source: Source
    as_of: str = ""
    counts: Mapping[str, Count] = field(default_factory=dict)
    modalities: tuple[str, ...] = ()
    techniques: tuple[str, ...] = ()
    body_parts: tuple[str, ...] = ()
    conditions: tuple[str, ...] = ()
    species: tuple[str, ...] = ()
    licenses: tuple[str, ...] = ()
    dois: tuple[str, ...] = ()
    partial: frozenset[str] = frozenset()
    program: str = ""
    state: str = ""
    updated: str = ""
    derived: bool = False
    same_as: tuple[str, ...] = ()
    held_at: str = ""
    held_as: str = "Collection"
    quote: str = ""
    note: str = ""
    about: str = ""

    @property
    def key(self) -> str:
        """`archive/id`."""
        return f"{self.archive}/{self.id}"

    def holdings(self, held: Mapping[str, str]) -> list[tuple[str, str]]:
        """Where its series can be listed: (archive of the federation, the condition on them).

        `held` says for every archive of records at which archive of the federation they are held.
        """
        own = [(self.held_at, self.held_as, self.id)] if self.held_at else []
        others = [ref.partition("/") for ref in self.same_as]
        declared = [(held[a], "Collection", i) for a, _, i in others if held.get(a)]
        places = dict.fromkeys(own + declared)
        return [(at, f"{keyword}={_exactly(ident)}" if keyword else "") for at, keyword, ident in places]


def _exactly(ident: str) -> str:
    """The value as the query language takes it: in double quotes where it holds signs of that language."""
    return f'"{ident}"' if re.search(r'[,*?"]', ident) else ident
