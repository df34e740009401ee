"""An answer as plain data: for JSON, and as flat rows for CSV and Parquet."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from broker.answering.found import Found
from broker.joining import words
from broker.joining.entity import Entity
from broker.joining.link import reasons
from broker.joining.locations import locations
from broker.matching import Value
from broker.report import Report

FORMAT = "imaging-broker/answer/1"


def document(answer: Found) -> dict[str, Any]:
    """The whole answer, in the form of `schema.AnswerModel`."""
    return {**envelope(answer), "entities": [entity(e) for e in answer.entities]}


def envelope(answer: Found) -> dict[str, Any]:
    """The same, with no entities yet."""
    return {
        "format": FORMAT,
        "query": {
            "level": answer.query.level.name,
            "conditions": [str(c) for c in answer.query.conditions],
            "limit": answer.limit,
        },
        "complete": answer.complete,
        "more": answer.more,
        "total": answer.total,
        "exact": answer.exact,
        "next": answer.next,
        "entities": [],
        "reports": [report(r) for r in answer.reports],
    }


def entity(e: Entity) -> dict[str, Any]:
    """One entity with every archive's word on it."""
    said = e.said
    return {
        "level": e.level.name,
        "uid": e.uid,
        "archives": list(e.archives),
        "values": plain(words.shown(said)),
        "said": {archive: plain(own) for archive, own in said.items()},
        "normal": {archive: plain(own) for archive, own in words.in_form(said).items()},
        "unreadable": {archive: list(keywords) for archive, keywords in words.unreadable(said).items()},
        "conflicts": {keyword: plain(by) for keyword, by in e.conflicts.items()},
        "collision": {keyword: plain(by) for keyword, by in e.collision.items()},
        "unknown": {archive: list(keywords) for archive, keywords in e.unknown.items()},
        "links": [{name: getattr(link, name) for name in link.__slots__} for link in reasons(e)],
        "locations": [{name: getattr(copy, name) for name in copy.__slots__} for copy in locations(e)],
        "records": e.copies,
    }


def report(r: Report) -> dict[str, Any]:
    """One archive's report; seconds are rounded to the millisecond."""
    fields = {name: getattr(r, name) for name in r.__slots__}
    first = None if r.first is None else round(r.first, 3)
    return {**fields, "status": r.status.value, "first": first, "seconds": round(r.seconds, 3)}


def plain(values: Mapping[str, Value]) -> dict[str, Any]:
    """A record for JSON: texts, lists of texts, and the items of sequences as objects."""
    return {k: _told(v) for k, v in values.items()}


def _told(value: Value) -> Any:
    """A value for JSON: text, list of texts, or list of the items of a sequence."""
    if not isinstance(value, tuple):
        return value
    return [item if isinstance(item, str) else plain(dict(item)) for item in value]


def flat_columns(answer: Found) -> list[str]:
    """The columns of a flat table: every keyword that some archive gave, in its order, and `archives`."""
    order: dict[tuple[str, ...], None] = {}
    given: set[str] = set()
    for e in answer.entities:
        order.update((source.keywords, None) for source, _ in e.sayings)
        given.update(e.values)
    return [*dict.fromkeys(k for keywords in order for k in keywords if k in given), "archives"]


def flat(answer: Found, columns: list[str]) -> Iterator[list[str | None]]:
    """One row an entity; several values are joined with a backslash, as DICOM does."""
    for e in answer.entities:
        shown = e.values
        yield ["\\".join(e.archives) if c == "archives" else joined(shown.get(c)) for c in columns]


def joined(value: Value) -> str | None:
    """A value as one text, several of them with a backslash between (PS3.5 6.2)."""
    if not isinstance(value, tuple):
        return value
    return "\\".join(
        v if isinstance(v, str) else json.dumps(plain(dict(v)), ensure_ascii=False) for v in value
    )
