"""Patients of several archives that are one, each link with its reason; never by resemblance.

    T1   equal Issuer of Patient ID and PatientID
    T1c  equal PatientID and collection, in archives that the federation declares to share identifiers
    T2   a study in common (one StudyInstanceUID, nothing contradicting)
    T3   the user's crosswalk

Dummy identifiers link nothing; archives on two sides of the identified / de-identified barrier are not linked
without a declared bridge; one contradiction (sex, birth date) inside a component of links splits it whole.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

from broker.joining.entity import PATIENT_KEYWORDS, Entity, Key, Link, Saying, patient_key
from broker.joining.rules import VERSION, Rules, dummy
from catalog.keywords import Level


@dataclass(frozen=True, slots=True)
class Edge:
    """A reason to take two patients for one."""

    one: Key
    other: Key
    link: Link


def linked(patients: Sequence[Entity], studies: Iterable[Entity], rules: Rules) -> list[Entity]:
    """The patients, with those fused that are one. `patients` are per archive and collection.

    `studies` are merged entities at study level, the source of T2. The result keeps the order of the first
    patient of each.
    """
    by_key = {p.key: p for p in patients}
    edges = [e for e in _edges(patients, studies, rules) if e.one in by_key and e.other in by_key]
    groups = _components(by_key, edges)
    links: defaultdict[Key, list[Link]] = defaultdict(list)
    for edge in edges:
        links[groups[edge.one]].append(edge.link)
    members: defaultdict[Key, list[Entity]] = defaultdict(list)
    for patient in patients:
        members[groups[patient.key]].append(patient)
    return [e for root, group in members.items() for e in _fused(group, links[root], rules)]


def reasons(entity: Entity) -> tuple[Link, ...]:
    """Why the records of an entity are one, where several archives know it."""
    if entity.uid is None or len(entity.archives) < 2:
        return entity.links
    return (Link("T0", tuple(entity.archives), entity.level.uid, VERSION),)


def _fused(group: list[Entity], links: list[Link], rules: Rules) -> list[Entity]:
    """One patient, or each by itself where they contradict each other."""
    if len(group) == 1:
        return group
    whole = Entity(Level.PATIENT, group[0].key, [s for p in group for s in p.sayings], rules)
    whole.copies = sum(p.copies for p in group)
    whole.links = tuple(sorted(set(links), key=lambda x: (x.tier, x.archives, x.by)))
    if not whole.stops:
        return [whole]
    return [whole.part(p.key, p.sayings) for p in group]


def _edges(patients: Sequence[Entity], studies: Iterable[Entity], rules: Rules) -> Iterator[Edge]:
    for edge in (*_by_identifier(patients, rules), *_by_study(studies), *_by_crosswalk(patients, rules)):
        if not rules.barred(*edge.link.archives):
            yield edge


def _by_identifier(patients: Sequence[Entity], rules: Rules) -> Iterator[Edge]:
    """T1 and T1c."""
    issued: defaultdict[tuple[str, str], list[Entity]] = defaultdict(list)
    named: defaultdict[tuple[str, str], list[Entity]] = defaultdict(list)
    for p in patients:
        _, collection, issuer, patient = _node(p.key)
        if dummy(patient):
            continue
        if issuer:
            issued[issuer, patient].append(p)
        named[rules.collection(collection), patient].append(p)
    for (issuer, patient), group in issued.items():
        by = f"IssuerOfPatientID {issuer}, PatientID {patient}"
        yield from (_edge("T1", one, other, by) for one, other in combinations(group, 2))
    for (collection, patient), group in named.items():
        by = f"PatientID {patient}" + (f", Collection {collection}" if collection else "")
        for one, other in combinations(group, 2):
            here, there = one.archives[0], other.archives[0]
            if here != there and rules.shared(here, there):
                yield _edge("T1c", one, other, by)


def _by_study(studies: Iterable[Entity]) -> Iterator[Edge]:
    """T2: the patients to whom several archives give one study.

    A study that one archive gives to two patients, as IDC does with one, says nothing about who is who.
    """
    for study in studies:
        if study.uid is None or len(study.archives) < 2:
            continue
        keys = {_patient_of(saying): saying[0].archive for saying in study.sayings}
        known = [(key, archive) for key, archive in keys.items() if key is not None]
        ambiguous = len({archive for _, archive in known}) < len(known)
        for (one, here), (other, there) in combinations(known, 2):
            if not ambiguous:
                yield Edge(
                    one, other, Link("T2", _both(here, there), f"StudyInstanceUID {study.uid}", VERSION)
                )


def _patient_of(saying: Saying) -> Key | None:
    source, row = saying
    said = dict(zip(source.keywords, row, strict=True))
    return patient_key(source.archive, [said.get(k) for k in PATIENT_KEYWORDS])


def _by_crosswalk(patients: Sequence[Entity], rules: Rules) -> Iterator[Edge]:
    """T3; a reference without a collection means every patient of that identifier in the archive."""
    for left, right in rules.crosswalk:
        for one in (p for p in patients if _meant(p, left)):
            for other in (p for p in patients if _meant(p, right)):
                yield _edge("T3", one, other, f"crosswalk {left[2]} = {right[2]}")


def _meant(patient: Entity, ref: tuple[str, str, str]) -> bool:
    archive, collection, _, identifier = _node(patient.key)
    return (archive, identifier) == (ref[0], ref[2]) and ref[1] in ("", collection)


def _edge(tier: str, one: Entity, other: Entity, by: str) -> Edge:
    return Edge(one.key, other.key, Link(tier, _both(one.archives[0], other.archives[0]), by, VERSION))


def _both(one: str, other: str) -> tuple[str, str]:
    return (one, other) if one <= other else (other, one)


def _components(nodes: Iterable[Key], edges: Iterable[Edge]) -> dict[Key, Key]:
    """Node -> the root of its component."""
    parent = {node: node for node in nodes}

    def root(node: Key) -> Key:
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    for edge in edges:
        one, other = sorted((root(edge.one), root(edge.other)), key=repr)
        parent[other] = one
    return {node: root(node) for node in parent}


def _node(key: Key) -> tuple[str, str, str, str]:
    """Archive, collection, issuer and PatientID of a patient; "" for those without an identifier."""
    if isinstance(key, str) or len(key) != 4:
        return "", "", "", ""
    return key[0], key[1], key[2], key[3]
