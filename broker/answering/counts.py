"""Numbers that say how far they can be trusted: exact, at least, or at most.

Each archive's own number is exact where it answered completely, unless it says that it may count one entity
more than once. Of several archives together, equal UIDs are
one where the entities were listed; numbers that archives counted themselves can only be added up, which is
"at most", for what both have is in both.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from broker.adapter import Facet, Tally
from broker.errors import BadQuery
from broker.query import Query
from broker.report import Report
from catalog.keywords import Level, UnknownKeyword, keyword

ARCHIVE = "archive"
NAMES = {
    "modality": "Modality",
    "bodypart": "BodyPartExamined",
    "collection": "Collection",
    "license": "License",
    "licence": "License",
    "sex": "PatientSex",
    "manufacturer": "Manufacturer",
}
USUAL = ("archive", "collection", "modality", "bodypart", "license", "sex", "year")


@dataclass(frozen=True, slots=True)
class Count:
    """How many there are: at least `low` and at most `high`; None where nobody knows how many more.

    >>> str(Count(12, 12)), str(Count(12, 20)), str(Count(12, None))
    ('12', 'at most 20, at least 12', 'at least 12')
    """

    low: int
    high: int | None

    @property
    def exact(self) -> bool:
        """Whether it is one number."""
        return self.low == self.high

    @property
    def kind(self) -> str:
        """`exact`, `at most` or `at least`."""
        if self.exact:
            return "exact"
        return "at least" if self.high is None else "at most"

    @property
    def shown(self) -> int:
        """The number that `kind` is said of."""
        return self.low if self.high is None else self.high

    def __str__(self) -> str:
        if self.exact:
            return f"{self.low:,}"
        return (
            f"at least {self.low:,}" if self.high is None else f"at most {self.high:,}, at least {self.low:,}"
        )


@dataclass(frozen=True, slots=True)
class Part:
    """What is known of one archive: how many; whether that is all; whether the archive counted by itself.

    `rough`: the archive may have counted one entity more than once.
    """

    archive: str
    total: int
    complete: bool
    groups: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    untold: tuple[str, ...] = ()
    there: bool = False
    rough: bool = False

    def least(self, number: int) -> int:
        """How many there surely are, where this archive says `number`."""
        return min(number, 1) if self.rough else number

    @property
    def count(self) -> Count:
        """How many this archive has."""
        return Count(self.least(self.total), self.total if self.complete else None)


@dataclass(frozen=True, slots=True)
class Listed:
    """What was listed, equal UIDs being one: in all, and facet -> value -> how many."""

    total: int = 0
    groups: Mapping[str, Mapping[str, int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Group:
    """One value of a facet: how many in all, and how many each archive has. "" is: no value."""

    value: str
    count: Count
    archives: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class FacetCounts:
    """Every value of one facet, most frequent first.

    An entity with several values is in several groups. `untold`: archives that do not return the attribute.
    """

    name: str
    groups: Sequence[Group]
    untold: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[Group]:
        return iter(self.groups)

    def __len__(self) -> int:
        return len(self.groups)

    def __getitem__(self, value: str) -> Count:
        """The count of a value; nothing at all where no archive has it. `""`: those without a value."""
        return next((g.count for g in self.groups if g.value == value), Count(0, None if self.untold else 0))


@dataclass(frozen=True, slots=True)
class Counted:
    """How many entities satisfy a query.

    total     over all archives
    archives  each archive's own number; one that did not answer has at least 0
    facets    by name
    there     archives that counted by themselves; the others were listed and checked here
    reports   one per archive
    """

    query: Query
    total: Count
    archives: Mapping[str, Count]
    facets: Mapping[str, FacetCounts]
    there: tuple[str, ...]
    reports: Sequence[Report]

    def __repr__(self) -> str:
        return f"<Counted: {self.total} {self.query.level.name} entities>"

    @property
    def complete(self) -> bool:
        """Whether every archive answered completely."""
        return all(report.ok for report in self.reports)

    @property
    def answered(self) -> bool:
        """Whether any archive answered at all."""
        return any(report.answered for report in self.reports)


def facet(name: str) -> Facet | None:
    """What a facet's name means; None for `archive`. Raises BadQuery.

    A name is a keyword, one of NAMES, `archive`, or `year` for the year of StudyDate.
    """
    word = name.strip()
    if word.lower() == ARCHIVE:
        return None
    if word.lower() == "year":
        return Facet("StudyDate", years=True)
    try:
        found = keyword(NAMES.get(word.lower(), word))
    except UnknownKeyword as error:
        raise BadQuery(
            f"facet {name!r}: {error}; or one of {', '.join((ARCHIVE, 'year', *NAMES))}"
        ) from error
    if found.sequence or found.vr == "SQ":
        raise BadQuery(f"facet {name!r}: the items of a sequence are not counted")
    return Facet(found.name)


def facets_of(names: Iterable[str]) -> dict[str, Facet | None]:
    """Facets by the names they were asked by, each once. Raises BadQuery."""
    return {name.strip(): facet(name) for name in names if name.strip()}


def at_level(names: Mapping[str, Facet | None], query: Query) -> dict[str, Facet | None]:
    """Modality of whole studies is ModalitiesInStudy (PS3.4 C.3.4), where nothing else needs their series."""
    modality = Facet("Modality")
    others = [c.key.level for c in query.conditions]
    others += [keyword(f.keyword).level for f in names.values() if f is not None and f != modality]
    if query.level is not Level.STUDY or max(others, default=Level.STUDY) > Level.STUDY:
        return dict(names)
    return {name: Facet("ModalitiesInStudy") if f == modality else f for name, f in names.items()}


def part(report: Report, names: Mapping[str, Facet | None], tally: Tally) -> Part:
    """What an archive counted by itself."""
    groups = {name: dict(tally.groups[f]) for name, f in names.items() if f is not None}
    return Part(report.archive, tally.total, report.ok, groups, there=True, rough=not tally.exact)


def combined(
    query: Query, names: Iterable[str], parts: Sequence[Part], listed: Listed, reports: Sequence[Report]
) -> Counted:
    """One answer from every archive's part and what was listed together."""
    asked = list(names)
    whole = len(parts) == len(reports)
    many = query.level is Level.PATIENT  # patients of two archives may be one without a sign of it
    totals = {p.archive: p.total for p in parts}
    own = {r.archive: Count(0, None) for r in reports}
    own |= {p.archive: p.count for p in parts}
    complete = whole and all(p.complete for p in parts)
    total = _bounds(parts, listed.total, totals, complete, doubt=many)
    facets = {name: _facet(name, parts, listed, complete, many, own) for name in asked}
    return Counted(query, total, own, facets, tuple(p.archive for p in parts if p.there), reports)


def _bounds(
    parts: Sequence[Part],
    merged: int,
    numbers: Mapping[str, int],
    complete: bool,
    doubt: bool,
    least: bool = True,
) -> Count:
    """Of several archives' numbers. `doubt`: two entities that were not joined may still be one.

    `least`: what one archive counts is surely in the whole. `merged`: what was listed, equal UIDs being one.
    """
    said = {p.archive: n for p in parts if (n := numbers.get(p.archive))}
    sure = {p.archive: p.least(said[p.archive]) for p in parts if p.archive in said}
    there = [said[p.archive] for p in parts if p.there and p.archive in said]
    high = merged + sum(there)
    alone = least and len(said) <= 1
    if alone or not (there or doubt):
        low = high - sum(said[a] - sure[a] for a in said)
    else:
        low = max([*sure.values(), 0 if doubt else merged]) if least else 0
    return Count(low, high if complete else None)


def _facet(
    name: str,
    parts: Sequence[Part],
    listed: Listed,
    complete: bool,
    doubt: bool,
    own: Mapping[str, Count],
) -> FacetCounts:
    if name.lower() == ARCHIVE:
        found = [Group(archive, count, {archive: count.low}) for archive, count in own.items()]
        return FacetCounts(name, sorted(found, key=lambda g: -g.count.shown))
    told = [p for p in parts if name not in p.untold]
    untold = tuple(p.archive for p in parts if name in p.untold)
    values = dict.fromkeys(v for p in told for v in p.groups.get(name, ()))
    groups = []
    for value in values:
        numbers = {p.archive: n for p in told if (n := p.groups.get(name, {}).get(value))}
        merged = listed.groups.get(name, {}).get(value, 0)
        sure = value != "" or len(told) == 1
        count = _bounds(told, merged, numbers, complete and not untold, doubt, least=sure)
        groups.append(Group(value, count, numbers))
    return FacetCounts(name, sorted(groups, key=lambda g: (-g.count.shown, g.value)), untold)
