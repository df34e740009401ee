"""Where an entity can be had: every copy, and which of them is to be preferred by a stated rule."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf

from broker.errors import BadQuery
from broker.joining.entity import Entity, Source
from broker.joining.rules import Rules
from broker.matching import Value
from broker.meaning import values
from catalog.keywords import OWN_KEYS, Level

_COUNT = {
    Level.PATIENT: "NumberOfPatientRelatedInstances",
    Level.STUDY: "NumberOfStudyRelatedInstances",
    Level.SERIES: "NumberOfSeriesRelatedInstances",
}
# licences that let anybody use the data for any purpose
OPEN = ("CC0", "CC BY 4.0", "CC BY 3.0", "PDDL", "ODC-BY")


@dataclass(frozen=True, slots=True)
class Location:
    """One copy: the archive that has it, and what it says of it.

    own_id   the archive's own identifier of it, "" where it names none
    version  which state of the data it is (a revision, an ETag, a hash): there may be two under one UID
    url      where the archive keeps it
    instances, megabytes  None where the archive does not say
    retrieved  when it said so, in seconds since the epoch
    """

    archive: str
    own_id: str
    version: str
    url: str
    instances: int | None
    megabytes: float | None
    license: str
    retrieved: float


def locations(entity: Entity, prefer: str | None = None) -> list[Location]:
    """Every copy, the preferred one first: by `prefer`, one of RULES, else by the rule of the federation.

    Ties stand in the order of the federation. Raises BadQuery for another rule.
    """
    rules = entity.rules
    rule = by_rule(prefer or rules.prefer, rules)
    found: dict[tuple[str, str, str, str], Location] = {}
    for source, row in entity.sayings:
        copy = _location(entity.level, source, row)
        found.setdefault((copy.archive, copy.own_id, copy.version, copy.url), copy)
    return sorted(found.values(), key=lambda copy: rule(copy, rules))


def by_rule(name: str, rules: Rules) -> Rule:
    """The rule of that name. Raises BadQuery where there is none, or where nothing is declared to go by."""
    if name not in RULES:
        raise BadQuery(f"prefer {name!r}: write one of {', '.join(RULES)}")
    if name == "nearest" and not rules.distances:
        raise BadQuery("prefer 'nearest': no archive of the federation has a `distance`; declare some")
    return RULES[name]


def _location(level: Level, source: Source, row: Sequence[Value]) -> Location:
    said = {k: v for k, v in zip(source.keywords, row, strict=True) if isinstance(v, str)}
    instances, size = (values.number(said.get(k) or "-") for k in (_COUNT[level], "SizeInMB"))
    return Location(
        source.archive,
        said.get(OWN_KEYS.get(level, ""), ""),
        said.get("Version", ""),
        said.get("DataURL", ""),
        None if instances is None else int(instances),
        None if size is None else float(size),
        said.get("License", ""),
        source.retrieved,
    )


Rule = Callable[[Location, Rules], float]

RULES: dict[str, Rule] = {
    "order": lambda _copy, _rules: 0,
    "instances": lambda copy, _: -(copy.instances or 0),
    "license": lambda copy, _: OPEN.index(copy.license) if copy.license in OPEN else len(OPEN),
    "nearest": lambda copy, rules: rules.distances.get(copy.archive, inf),
}
"""How the preferred copy is chosen: as archives stand in the federation; most instances; most open licence;
smallest declared distance, those without one last."""
