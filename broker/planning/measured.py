"""What was measured of an archive's matching goes before what it promises.

A probe records, for a keyword and a kind of matching, whether the archive applies it (`MATCHING` in
`catalog.probes`). A promise that was measured not to hold is dropped; one that holds is cited with its
measurement. What was measured beyond the promises is not added here: that an archive once found what it was
asked for does not say that it always does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from catalog.capability import Can, Kind, Promises
from catalog.evidence import Evidence, Status
from catalog.keywords import Level

_KINDS = {kind.value: kind for kind in Kind}


def measured(can: Can, found: Iterable[Evidence]) -> Can:
    """The capabilities as the measurements leave them. `found`: one piece for each keyword and kind."""
    known = sorted((e for e in found if e.known and e.value in _KINDS), key=lambda e: e.as_of)
    gone = {(e.about, _KINDS[e.value]) for e in known if e.status is Status.NO}
    cites = {e.about: f"measured {e.as_of[:10]}: {e.source.title}" for e in known}
    return replace(
        can,
        matches=_without(can.matches, gone),
        by_level=_each(can.by_level, gone),
        hopes=_each(can.hopes, gone),
        cites={**can.cites, **cites},
    )


def _each(levels: Mapping[Level, Promises], gone: set[tuple[str, Kind]]) -> dict[Level, Promises]:
    return {level: _without(promises, gone) for level, promises in levels.items()}


def _without(promises: Promises, gone: set[tuple[str, Kind]]) -> Promises:
    left = {name: frozenset(k for k in kinds if (name, k) not in gone) for name, kinds in promises.items()}
    return {name: kinds for name, kinds in left.items() if kinds}
