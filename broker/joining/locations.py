"""Where an entity can be had: every copy, and which of them is to be preferred by a stated rule."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from broker.errors import BadQuery
from broker.joining.entity import Entity, Source
from broker.matching import Value
from broker.meaning import values
from catalog.keywords import Level

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

    instances, megabytes  None where the archive does not say;  retrieved  seconds since the epoch
    """

    archive: str
    url: str
    instances: int | None
    megabytes: float | None
    license: str
    retrieved: float


def locations(entity: Entity, prefer: str = "order") -> list[Location]:
    """Every copy, the preferred one first. `prefer` is `order`, `instances` or `license`; ties by `order`.

    Raises BadQuery for another rule.
    """
    if prefer not in _RULES:
        raise BadQuery(f"prefer {prefer!r}: write one of {', '.join(_RULES)}")
    found: dict[str, Location] = {}
    for source, row in entity.sayings:
        found.setdefault(source.archive, _location(entity.level, source, row))
    return sorted(found.values(), key=_RULES[prefer])


def _location(level: Level, source: Source, row: Sequence[Value]) -> Location:
    said = {k: v for k, v in zip(source.keywords, row, strict=True) if isinstance(v, str)}
    instances, size = (values.number(said.get(k) or "-") for k in (_COUNT[level], "SizeInMB"))
    return Location(
        source.archive,
        said.get("DataURL", ""),
        None if instances is None else int(instances),
        None if size is None else float(size),
        said.get("License", ""),
        source.retrieved,
    )


_RULES: dict[str, Callable[[Location], float]] = {
    "order": lambda _: 0,
    "instances": lambda copy: -(copy.instances or 0),
    "license": lambda copy: OPEN.index(copy.license) if copy.license in OPEN else len(OPEN),
}
