"""What was measured of an archive's matching goes before what it promises.

A probe records, for a keyword at a level and a kind of matching, whether the archive applies it (`MATCHING`
in `catalog.probes`). A promise that was measured not to hold is dropped; one that holds is cited with its
measurement. What was measured beyond the promises is not added here: that an archive once found what it was
asked for does not say that it always does. For the same reason what is open until a self-test (any text, any
case, hopes) is only ever settled to "no".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from catalog.capability import Can, Kind, Promises, Proof
from catalog.evidence import Evidence, Status
from catalog.keywords import Level

ANY_TEXT = "any text"
"""Measured like a kind of matching, of no keyword: whether values beyond A-Z a-z 0-9 . - _ arrive."""

_KINDS = {kind.value: kind for kind in Kind}
_LEVELS = {level.name: level for level in Level}


@dataclass(frozen=True, slots=True)
class _Said:
    """One measurement, read. `level` None: of all levels."""

    level: Level | None
    keyword: str
    kind: Kind
    holds: bool
    cite: str


def measured(can: Can, found: Iterable[Evidence]) -> Can:
    """The capabilities as the measurements leave them. `found`: one piece for each keyword and kind."""
    known = sorted((e for e in found if e.known), key=lambda e: e.as_of)
    said = [_said(e) for e in known if e.value in _KINDS]
    levels = {level for level in can.levels if any(s.level is level and not s.holds for s in said)}
    by_level = {level: can.by_level.get(level, can.matches) for level in (*can.by_level, *levels)}
    can = replace(
        can,
        matches=_without(can.matches, said, None),
        by_level=_each(by_level, said),
        hopes=_each(can.hopes, said),
        cites={**can.cites, **{s.keyword: s.cite for s in said if s.level is None}},
        level_cites=_cites(said),
    )
    return _settled(can, known, said)


def _said(e: Evidence) -> _Said:
    level, _, keyword = e.about.rpartition(" ")
    cite = f"measured {e.as_of[:10]}: {e.source.title}"
    return _Said(_LEVELS.get(level), keyword, _KINDS[e.value], e.status is Status.YES, cite)


def _cites(said: list[_Said]) -> dict[Level, dict[str, str]]:
    levels = dict.fromkeys(s.level for s in said if s.level is not None)
    return {level: {s.keyword: s.cite for s in said if s.level is level} for level in levels}


def _settled(can: Can, known: list[Evidence], said: list[_Said]) -> Can:
    """What is open until a self-test, where it was measured that it does not hold."""
    text = [e for e in known if e.value == ANY_TEXT][-1:]
    if can.any_text is Proof.OPEN and any(e.status is Status.NO for e in text):
        can = replace(can, any_text=Proof.NO)
    case = [s for s in said if s.keyword == "PatientName" and s.kind is Kind.ANY_CASE]
    if can.any_case_pn is Proof.OPEN and any(not s.holds for s in case):
        can = replace(can, any_case_pn=Proof.NO)
    return can


def _each(levels: Mapping[Level, Promises], said: list[_Said]) -> dict[Level, Promises]:
    return {level: _without(promises, said, level) for level, promises in levels.items()}


def _without(promises: Promises, said: list[_Said], level: Level | None) -> Promises:
    gone = {(s.keyword, s.kind) for s in said if not s.holds and s.level in (None, level)}
    left = {name: frozenset(k for k in kinds if (name, k) not in gone) for name, kinds in promises.items()}
    return {name: kinds for name, kinds in left.items() if kinds}
