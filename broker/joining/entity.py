"""One patient, study or series, with every archive's word on it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from broker.joining import words
from broker.joining.identity import contradictions
from broker.joining.rules import NO_RULES, Rules, dummy
from broker.joining.words import UNION, listed, together
from broker.matching import Value
from broker.meaning.normal import comparable
from catalog.keywords import SEVERAL, USUAL, Level

Key = str | tuple[str, ...]


PATIENT_KEYWORDS = ("Collection", "IssuerOfPatientID", "PatientID")


def patient_key(archive: str, said: Sequence[Value]) -> Key | None:
    """What a patient is known by, from PATIENT_KEYWORDS: archive, collection, issuer, PatientID.

    None where a record does not say whose it is: dummies (`0`, `ANONYMOUS`) are nobody.
    """
    collection, issuer, patient = ("\\".join(listed(value)).strip(" \0") for value in said)
    return None if dummy(patient) else (archive, collection, issuer, patient)


@dataclass(frozen=True, slots=True)
class Source:
    """Who said a row: the archive, what its columns are, when it came, and what was unknown in it.

    `retrieved` is seconds since the epoch; `unknown` the keywords whose condition could not be decided.
    """

    archive: str
    rank: int
    keywords: tuple[str, ...]
    retrieved: float
    unknown: tuple[str, ...] = ()


Row = tuple[Value, ...]
Saying = tuple[Source, Row]


@dataclass(frozen=True, slots=True)
class Link:
    """Why records of several archives are one: the tier, what joined them, and the rules' version.

    T0 equal DICOM UID and nothing contradicting. Patients: T1 equal issuer and PatientID; T1c equal PatientID
    in a declared domain; T2 a study in common; T3 the user's crosswalk.
    """

    tier: str
    archives: tuple[str, ...]
    by: str
    version: str


class Entity:
    """One patient, study or series, and every archive's word on it.

    key     its UID, or what it is known by where there is none
    copies  records that were joined, equal ones too
    links   for a patient: why records of several archives are one
    whole   for one side of a collision: what was not fused
    """

    __slots__ = ("_sayings", "copies", "key", "level", "links", "rules", "whole")

    def __init__(self, level: Level, key: Key, sayings: Iterable[Saying], rules: Rules = NO_RULES) -> None:
        given = tuple(sayings)
        self.level = level
        self.key = key
        self.copies = len(given)
        self.links: tuple[Link, ...] = ()
        self.whole: Entity | None = None
        self._sayings = given if len(given) == 1 else _differing(given)
        self.rules = rules

    def __repr__(self) -> str:
        return f"<{self.level.name} {self.key if isinstance(self.key, str) else '/'.join(self.key)}>"

    @property
    def stops(self) -> tuple[str, ...]:
        """Why its records must not be one: keywords that contradict, or `barrier` between archives."""
        if len(self._sayings) == 1:
            return ()
        found = sorted(contradictions(self.level, [(source.keywords, row) for source, row in self._sayings]))
        barred = self.rules.any_barred(frozenset(source.archive for source, _ in self._sayings))
        return (*found, "barrier") if barred else tuple(found)

    @property
    def parts(self) -> tuple[Entity, ...]:
        """Itself; or, where its records contradict each other, one entity for each archive or record."""
        if not self.stops:
            return (self,)
        groups: dict[object, list[Saying]] = {}
        torn = self._torn()
        for number, saying in enumerate(self.sayings):
            name = saying[0].archive
            groups.setdefault((name, number) if name in torn else name, []).append(saying)
        return tuple(self.part(self.key, said) for said in groups.values())

    def part(self, key: Key, sayings: Iterable[Saying]) -> Entity:
        """Some of its records as one side of a collision."""
        made = Entity(self.level, key, sayings, self.rules)
        made.whole = self
        return made

    def _torn(self) -> frozenset[str]:
        """Archives that contradict themselves."""
        own: dict[str, list[tuple[tuple[str, ...], tuple[Value, ...]]]] = {}
        for source, row in self._sayings:
            own.setdefault(source.archive, []).append((source.keywords, row))
        return frozenset(name for name, records in own.items() if contradictions(self.level, records))

    @property
    def collision(self) -> dict[str, dict[str, Value]]:
        """For one side of a collision: keyword -> archive -> value of what contradicts."""
        if self.whole is None:
            return {}
        said = self.whole.said
        return {
            k: {a: own[k] for a, own in said.items() if own.get(k)}
            for k in self.whole.stops
            if k != "barrier"
        }

    @property
    def sayings(self) -> Sequence[Saying]:
        """Every record behind this entity, in the order of precedence of the archives."""
        if len(self._sayings) == 1:
            return self._sayings
        return sorted(self._sayings, key=lambda s: (s[0].rank, s[0].keywords, repr(s[1])))

    @property
    def uid(self) -> str | None:
        """Its UID; None for patients and for what has no valid one."""
        return self.key if isinstance(self.key, str) else None

    @property
    def archives(self) -> tuple[str, ...]:
        """The archives that know it, in the order of precedence."""
        return tuple(dict.fromkeys(source.archive for source, _ in self.sayings))

    @property
    def said(self) -> dict[str, dict[str, Value]]:
        """archive -> keyword -> value, as the archive said it.

        An archive that says several things of one attribute, in several records, has them all here.
        """
        told: dict[str, dict[str, list[Value]]] = {}
        for source, row in self.sayings:
            own = told.setdefault(source.archive, {})
            for keyword, value in zip(source.keywords, row, strict=True):
                if value is not None:
                    own.setdefault(keyword, []).append(value)
        return {a: {k: together(said) for k, said in own.items()} for a, own in told.items()}

    @property
    def values(self) -> dict[str, Value]:
        """keyword -> the value to show: of the first archive, in precedence, that gives one.

        ModalitiesInStudy and SOPClassesInStudy have those of all archives.
        """
        return words.shown(self.said)

    @property
    def unknown(self) -> dict[str, tuple[str, ...]]:
        """archive -> keywords of conditions that its record leaves undecided."""
        return {s.archive: s.unknown for s, _ in self.sayings if s.unknown}

    def first(self, keyword: str) -> Value:
        """The value to show for one keyword, or None."""
        return self.values.get(keyword)

    @property
    def conflicts(self) -> dict[str, dict[str, Value]]:
        """keyword -> archive -> value, where archives, or one archive in itself, do not agree.

        One archive disagrees with itself where it gives a study two dates, in two records or in one. An empty
        value beside a value is no conflict, and neither are parts of a union.
        """
        alone = len(self._sayings) == 1
        if alone and not any(isinstance(value, tuple) for value in self._sayings[0][1]):
            return {}
        found: dict[str, dict[str, Value]] = {}
        for archive, own in self.said.items():
            for keyword, value in own.items():
                if value != "" and (isinstance(value, tuple) or not alone):
                    found.setdefault(keyword, {})[archive] = value
        return {k: by for k, by in found.items() if self._disagree(k)}

    def _disagree(self, keyword: str) -> bool:
        told = {row[s.keywords.index(keyword)] for s, row in self._sayings if keyword in s.keywords}
        compared = {frozenset(self._compared(keyword, v) for v in listed(value)) - {""} for value in told}
        if _one_value(keyword, self.level) and any(len(values) > 1 for values in compared):
            return True
        return keyword not in UNION and len(compared - {frozenset()}) > 1

    def _compared(self, keyword: str, value: str) -> str:
        return self.rules.collection(value) if keyword == "Collection" else comparable(keyword, value)

    @property
    def normal(self) -> dict[str, dict[str, Value]]:
        """archive -> keyword -> the value in DICOM's own form, where the archive wrote it otherwise."""
        return words.in_form(self.said)

    @property
    def unreadable(self) -> dict[str, tuple[str, ...]]:
        """archive -> keywords of which the value cannot be read as what it should be."""
        return words.unreadable(self.said)


def _differing(given: Iterable[Saying]) -> tuple[Saying, ...]:
    """Without what an archive said again in the same words; the earliest of equal ones stays."""
    once: dict[object, Saying] = {}
    for source, row in sorted(given, key=lambda saying: saying[0].retrieved):
        once.setdefault((source.archive, source.keywords, row), (source, row))
    return tuple(once.values())


def _one_value(keyword: str, level: Level) -> bool:
    """Whether an entity of this level can only have one value of an attribute."""
    known = USUAL.get(keyword)
    return known is not None and known.level <= level and keyword not in SEVERAL
