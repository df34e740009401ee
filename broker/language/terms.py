"""What a query is made of: conditions by DICOM keyword, each with the values that satisfy it."""

from __future__ import annotations

from dataclasses import dataclass

from catalog.capability import Kind
from catalog.keywords import Keyword


@dataclass(frozen=True, slots=True)
class Match:
    """One value of a condition: the kind of matching and its text (`low` and `high` for a range)."""

    kind: Kind
    text: str = ""
    low: str = ""
    high: str = ""

    def __str__(self) -> str:
        """The value as DICOM writes it."""
        if self.kind is Kind.RANGE:
            return f"{self.low}-{self.high}"
        return '""' if self.kind is Kind.EMPTY else self.text


@dataclass(frozen=True, slots=True)
class Condition:
    """A keyword and the values of which at least one must match. No values: universal matching."""

    key: Keyword
    matches: tuple[Match, ...]

    @property
    def keyword(self) -> str:
        """The DICOM keyword; with its sequence before it where it stands in one."""
        return self.key.name

    @property
    def column(self) -> str:
        """The keyword under which records hold the value: the sequence, for an attribute of its items."""
        return self.key.sequence or self.key.name

    @property
    def kinds(self) -> frozenset[Kind]:
        """The kinds of matching that an archive needs to apply this condition."""
        found = {m.kind for m in self.matches}
        return frozenset(found | {Kind.ANY_OF} if len(self.matches) > 1 else found)

    @property
    def universal(self) -> bool:
        """Whether it matches everything, absent values too (PS3.4 C.2.2.2.3)."""
        return not self.matches

    def __str__(self) -> str:
        """The condition as the query language writes it; reading it gives an equal condition."""
        if self.universal:
            return f"{self.keyword}=*"
        parts = [m for m in self.matches if m.kind is Kind.CONTAINS]
        others = [m for m in self.matches if m.kind is not Kind.CONTAINS]
        signed = [(sign, of) for sign, of in (("~", parts), ("=", others)) if of]
        return " or ".join(f"{self.keyword}{sign}{','.join(map(_written, of))}" for sign, of in signed)


def _written(match: Match) -> str:
    """A value, in quotes where it would be read as something else without them."""
    text = str(match)
    plain = match.kind is Kind.EMPTY or not any(mark in text for mark in ',"\\')
    return text if plain else f'"{text.replace(chr(34), chr(34) * 2)}"'
