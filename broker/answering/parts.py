"""What an answer says of collections, and its facets: counted from the entities that it holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from broker.adapter import Facet
from broker.answering.counts import FacetCounts, Part, combined, facets_of
from broker.answering.facets import Sheet
from broker.errors import BadQuery
from broker.joining.words import listed

if TYPE_CHECKING:
    from broker.answering.found import Found


@dataclass(frozen=True, slots=True)
class Collection:
    """One collection, as far as the answer goes; not what the collection holds in all.

    name      as the archives write it, or as the federation's `aliases` make it one
    archives  that have entities of it here, in the order of precedence
    entities  of the answer's level, equal UIDs being one
    """

    name: str
    archives: tuple[str, ...]
    entities: int


def collections(answer: Found) -> Sequence[Collection]:
    """The collections that the entities of an answer belong to, by name."""
    counts: Counter[str] = Counter()
    ranks: dict[str, dict[str, int]] = {}
    for entity in answer.entities:
        own: dict[str, None] = {}
        for source, row in entity.sayings:
            if "Collection" in source.keywords:
                for text in listed(row[source.keywords.index("Collection")]):
                    if text.strip(" \0"):
                        name = answer.rules.collection(text.strip(" \0"))
                        own[name] = None
                        ranks.setdefault(name, {})[source.archive] = source.rank
        counts.update(own.keys())
    return [
        Collection(name, tuple(sorted(ranks[name], key=lambda a: ranks[name][a])), counts[name])
        for name in sorted(counts)
    ]


def facets(answer: Found, names: Iterable[str]) -> dict[str, FacetCounts]:
    """The entities of an answer by the values of some attributes. Raises BadQuery."""
    asked = facets_of(names)
    named = {k for e in answer.entities for source, _ in e.sayings for k in source.keywords}
    found = {name: _given(name, facet, named) for name, facet in asked.items()} if named else asked
    sheet = Sheet(found).own(answer.entities)
    parts = []
    for report in answer.reports:
        own = sheet.of(report.archive)
        told = any(source.archive == report.archive for e in answer.entities for source, _ in e.sayings)
        if told or report.ok:
            parts.append(Part(report.archive, own.total, report.ok and not answer.more, own.groups))
    return dict(combined(answer.query, found, parts, sheet.together(), answer.reports).facets)


def _given(name: str, facet: Facet | None, named: set[str]) -> Facet | None:
    if facet is None or facet.keyword in named:
        return facet
    if facet.keyword == "Modality" and "ModalitiesInStudy" in named:
        return Facet("ModalitiesInStudy")
    raise BadQuery(
        f"facet {name!r}: no archive returned {facet.keyword}; search again with fields=[{facet.keyword!r}]"
    )
