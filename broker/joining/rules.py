"""What the federation says about identity and copies: who shares identifiers, who must never be linked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import combinations

VERSION = "1"

PatientRef = tuple[str, str, str]
"""Archive, collection ("" for any), PatientID."""

# identifiers that stand for nobody in particular
DUMMIES = frozenset({"", "0", "UNKNOWN", "ANONYMOUS", "ANON", "NONE", "NULL", "N/A", "NA", "TEST", "PATIENT"})


@dataclass(frozen=True, slots=True)
class Rules:
    """The declared part of identity.

    identified  archive -> whether its patients are known by name; who does not say is in neither camp
    bridges     pairs of archives that may be linked although one is identified and the other is not
    domains     groups of archives in which equal PatientIDs (and collections) mean the same patient
    aliases     collection name -> the name it is compared by (`LIDC-IDRI` -> `lidc_idri`)
    crosswalk   pairs of patients that the user knows to be the same
    prefer      the rule by which one of several copies is preferred: a name of `locations.RULES`
    distances   archive -> how far its data are, smaller is nearer, in whatever unit
    """

    identified: Mapping[str, bool] = field(default_factory=dict)
    bridges: frozenset[frozenset[str]] = frozenset()
    domains: tuple[frozenset[str], ...] = ()
    aliases: Mapping[str, str] = field(default_factory=dict)
    crosswalk: tuple[tuple[PatientRef, PatientRef], ...] = ()
    prefer: str = "order"
    distances: Mapping[str, float] = field(default_factory=dict)

    def barred(self, one: str, other: str) -> bool:
        """Whether two archives must not be linked: one identified, the other not, and no bridge declared."""
        camps = self.identified.get(one), self.identified.get(other)
        return set(camps) == {True, False} and frozenset((one, other)) not in self.bridges

    def any_barred(self, archives: frozenset[str]) -> bool:
        """Whether any two of these archives must not be linked."""
        if not self.identified:
            return False
        return any(self.barred(a, b) for a, b in combinations(sorted(archives), 2))

    def collection(self, name: str) -> str:
        """A collection's name as it is compared."""
        return self.aliases.get(name, name)

    def shared(self, one: str, other: str) -> bool:
        """Whether two archives share patient identifiers by declaration."""
        return any({one, other} <= domain for domain in self.domains)


NO_RULES = Rules()


def dummy(patient_id: str) -> bool:
    """Whether a PatientID says nothing: empty, zeros, or a word for nobody."""
    bare = patient_id.strip(" \0").upper()
    return bare in DUMMIES or not bare.strip("0")
