"""What an archive can be asked: its levels, and for each keyword the kinds of matching it performs."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from catalog.keywords import USUAL, Level


class Kind(enum.Enum):
    """A kind of matching that an archive may promise for a keyword (PS3.4 C.2.2.2).

    A promise says: every record that matches by DICOM's rules comes back. What comes back beyond that
    is dropped by the broker, so a promise can be too generous to itself only by losing records.
    """

    SINGLE = "single value"
    ANY_OF = "any of several values"
    WILDCARD = "wildcard"
    RANGE = "range"
    CONTAINS = "contains, any case"
    EMPTY = "empty value"
    ANY_CASE = "letters of any case"


class Proof(enum.Enum):
    """Whether something about an archive is known: by test or by declaration, or not yet."""

    YES = "yes"
    NO = "no"
    OPEN = "not yet known"


Promises = Mapping[str, frozenset[Kind]]


@dataclass(frozen=True, slots=True)
class Can:
    """The capabilities of one archive.

    levels       levels at which it answers
    matches      keyword -> kinds of matching it performs; a keyword that is missing is not matched there
    returns      keywords it returns, or None for "whatever it is asked for", except those that are `absent`
    lists_all    whether listing everything is acceptable when no condition can be asked there
    any_text     whether values outside A-Z a-z 0-9 . - _ * survive the way to the archive
    any_case_pn  whether person names match in any case there, as DICOM permits and people expect
    combines     whether a date range and a time range together are one interval (PS3.4 C.2.2.2.5)
    relational   whether conditions on finer attributes may stand in a coarser question, where they mean
                 "has at least one such series", all in the same series
    lists        how many values one request may hold in an any-of list
    stars        how many `*` a wildcard value may hold, or None
    odd          characters that it may lose beside wildcards, as SQL takes `%`; `*` is sent for them
    unknowns     whether it can tell of records that leave a condition undecided: how many, and which
    names        whose names its collections have: `idc`, `tcia`, or "" (`catalog.collection_names`)
    cite         on what the promises rest: a clause, a probe at a date, the federation file
    cites        keyword -> on what the promises for this keyword rest, where that is something else
    level_cites  the same, of one level alone
    own_level    keywords that only live in questions of their own level: counts, ModalitiesInStudy
    by_level     what it matches at one level, in place of `matches`, where its levels differ
    hopes        promises, by level, that only hold if a self-test (`learn`) says so
    before       the same, without what was open and a probe not long ago showed to hold; None: nothing was
    """

    levels: frozenset[Level]
    matches: Promises = field(default_factory=lambda: MappingProxyType({}))
    returns: frozenset[str] | None = None
    lists_all: bool = False
    any_text: Proof = Proof.YES
    any_case_pn: Proof = Proof.YES
    combines: bool = False
    relational: bool = False
    lists: int = 50
    stars: int | None = None
    odd: str = ""
    own_level: frozenset[str] = frozenset()
    unknowns: bool = False
    absent: frozenset[str] = frozenset()
    by_level: Mapping[Level, Promises] = field(default_factory=lambda: MappingProxyType({}))
    hopes: Mapping[Level, Promises] = field(default_factory=lambda: MappingProxyType({}))
    names: str = ""
    cite: str = ""
    cites: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    level_cites: Mapping[Level, Mapping[str, str]] = field(default_factory=lambda: MappingProxyType({}))
    before: Can | None = None

    def kinds(self, keyword: str) -> frozenset[Kind]:
        """The kinds of matching promised for a keyword."""
        return self.matches.get(keyword, frozenset())

    def cited(self, keyword: str) -> str:
        """On what the promises for a keyword rest."""
        return self.cites.get(keyword, self.cite)

    def gives(self, keyword: str) -> bool:
        """Whether records come back with this keyword."""
        return keyword not in self.absent and (self.returns is None or keyword in self.returns)

    def hopeful(self) -> Can:
        """The same, as it would be if everything that is still open turned out well."""
        text = Proof.YES if self.any_text is Proof.OPEN else self.any_text
        case = Proof.YES if self.any_case_pn is Proof.OPEN else self.any_case_pn
        return replace(self.promising(self.hopes), any_text=text, any_case_pn=case)

    def promising(self, more: Mapping[Level, Promises]) -> Can:
        """The same, with further promises by level, and no hopes left."""
        levels = dict(self.by_level)
        for level, promises in more.items():
            levels[level] = {**self.by_level.get(level, self.matches), **promises}
        return replace(self, by_level=levels, hopes={})

    def at(self, level: Level) -> Can:
        """The same, as it holds for questions of one level."""
        here = replace(self, matches=self.by_level[level], by_level={}) if level in self.by_level else self
        if level in self.level_cites:
            here = replace(here, cites={**self.cites, **self.level_cites[level]}, level_cites={})
        gone = {k for k in self.own_level if k in USUAL and USUAL[k].level is not level}
        return replace(here.without(gone), absent=self.absent | gone) if gone else here

    def without(self, keywords: Iterable[str]) -> Can:
        """The same, no longer trusted to match these keywords."""
        gone = frozenset(keywords)
        levels, hopes = (
            {level: _less(promises, gone) for level, promises in each.items()}
            for each in (self.by_level, self.hopes)
        )
        return replace(self, matches=_less(self.matches, gone), by_level=levels, hopes=hopes)


def _less(promises: Promises, gone: frozenset[str]) -> Promises:
    return {keyword: kinds for keyword, kinds in promises.items() if keyword not in gone}
