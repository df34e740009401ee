"""T4: what may be the same person or study by its description. Only offered, with score and reasons.

The model is that of Fellegi and Sunter (1969). Each attribute that agrees or differs adds a weight in bits:
the logarithm of how much more often that happens among records of the same than among any two. How often
attributes agree by chance is set here for a general population, and raised for a value that is frequent in
the answer, so that names which de-identification made equal weigh nothing. Nothing is ever merged by it.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from broker.joining.entity import Entity
from broker.joining.rules import dummy
from broker.joining.words import listed
from broker.matching import Value
from broker.meaning.normal import comparable, normal
from catalog.keywords import Level

Features = Mapping[str, str | None]


@dataclass(frozen=True, slots=True)
class Reason:
    """What one attribute says for or against: both values, how they agree, and the weight in bits."""

    attribute: str
    agreement: str
    one: str
    other: str
    weight: float


@dataclass(frozen=True, slots=True)
class Candidate:
    """Two entities that may be one. `score` is a probability under the model, `weight` the sum of the reasons
    and of what is to be expected of any two records. Nothing is merged because of it.
    """

    one: Entity
    other: Entity
    score: float
    weight: float
    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class Attribute:
    """How much one attribute tells. Probabilities are of agreement among records of the same, and of any two.

    similar  the least Jaro-Winkler similarity (below 1), or the most edits (from 1 on), that count as similar
    number   given out in turn: the shorter it is, the more archives have the same one for somebody else
    """

    name: str
    equal: tuple[float, float]
    alike: tuple[float, float] = (0.0, 0.0)
    similar: float = 0.0
    number: bool = False


PERSON = (
    Attribute("family name", (0.90, 0.001), (0.06, 0.002), 0.92),
    Attribute("given name", (0.88, 0.01), (0.06, 0.005), 0.92),
    Attribute("birth date", (0.95, 0.00004), (0.03, 0.001), 1),
    Attribute("sex", (0.98, 0.5)),
    Attribute("PatientID", (0.40, 0.00001), number=True),
)
STUDY = (
    Attribute("study date", (0.85, 0.0002), (0.05, 0.002), 1),
    Attribute("accession number", (0.50, 0.00001), number=True),
    Attribute("description", (0.70, 0.01), (0.15, 0.02), 0.90),
    Attribute("modalities", (0.95, 0.2)),
)
ATTRIBUTES = {Level.PATIENT: PERSON, Level.STUDY: (*PERSON, *STUDY)}
TOGETHER: dict[Level, tuple[tuple[str, ...], ...]] = {
    Level.PATIENT: (("birth date",), ("family name", "given name"), ("family name", "sex"), ("PatientID",)),
    Level.STUDY: (
        ("birth date", "study date"),
        ("family name", "study date"),
        ("PatientID", "study date"),
        ("accession number",),
    ),
}
"""Pairs are only looked at that agree in all attributes of one of these groups."""

_TYPICAL = 100  # records by which the general population outweighs the answer
_CROWD = 100  # a group that more records share brings no pairs together


def features(entity: Entity) -> dict[str, str | None]:
    """What an entity is described by: attribute -> text to compare, None where nothing is said."""
    shown = entity.values
    family, given = _name(shown.get("PatientName"))
    patient = _text(shown.get("PatientID"))
    identifier = None if patient is None or dummy(patient) else patient
    if family in (identifier, None) or dummy(family):
        family = given = None  # de-identification often writes the identifier into the name
    return {
        "family name": family,
        "given name": given,
        "birth date": _date("PatientBirthDate", shown),
        "sex": _sex(shown.get("PatientSex")),
        "PatientID": identifier,
        "study date": _date("StudyDate", shown),
        "accession number": _text(shown.get("AccessionNumber")),
        "description": _text(shown.get("StudyDescription")),
        "modalities": " ".join(sorted(listed(shown.get("ModalitiesInStudy")))) or None,
    }


def by_chance(attribute: Attribute, given: Iterable[Features]) -> dict[str, float]:
    """Value -> how often two records agree in it by chance: of the general population, or of this answer."""
    told = [value for f in given if (value := f[attribute.name]) is not None]
    usual = attribute.equal[1]
    # the two of a pair do not count: they would make every name of a small answer a frequent one
    return {
        v: (max(n - 2, 0) + _TYPICAL * (max(usual, 10.0 ** -len(v)) if attribute.number else usual))
        / (len(told) + _TYPICAL)
        for v, n in Counter(told).items()
    }


def together(level: Level, given: Sequence[Features]) -> list[list[str | None]]:
    """For each group of TOGETHER the key of each record; None where it has none or a crowd shares it."""
    found = []
    for names in TOGETHER[level]:
        keys = [_key([f[name] for name in names]) for f in given]
        counts = Counter(keys)
        found.append([key if counts[key] <= _CROWD else None for key in keys])
    return found


def expected(number: int) -> float:
    """The probability that any two of so many records are of the same: as if one in ten had a second one."""
    return min(max(0.2 / max(number - 1, 1), 1e-6), 0.05)


def _key(values: Sequence[str | None]) -> str | None:
    return None if None in values else "\n".join(v for v in values if v)


def _name(value: Value) -> tuple[str | None, str | None]:
    """Family and given name, alphabetic, without accents and case (PS3.5 6.2.1)."""
    groups = next(iter(listed(value)), "").split("=")
    parts = [*next((g for g in groups if g.strip("^ ")), "").split("^"), ""]
    return _folded(parts[0]), _folded(parts[1])


def _folded(text: str) -> str | None:
    plain = unicodedata.normalize("NFKD", text).casefold()
    return "".join(c for c in plain if c.isalnum()) or None


def _text(value: Value) -> str | None:
    return next(iter(listed(value)), "").strip(" \0").casefold() or None


def _date(keyword: str, shown: Mapping[str, Value]) -> str | None:
    said = comparable(keyword, next(iter(listed(shown.get(keyword))), ""))
    return said if len(said) == 8 and said.isdigit() else None


def _sex(value: Value) -> str | None:
    said = normal("PatientSex", next(iter(listed(value)), "")).value
    return said if said in ("M", "F") else None
