"""What was measured of an archive's matching goes before what it promises.

A probe records, for a keyword at a level and a kind of matching, whether the archive applies it (`MATCHING`
in `catalog.probes`). A promise that was measured not to hold is dropped; one that holds is cited with its
measurement. What was measured beyond the promises is not added here: that one record was found does not say
that all are, and what an archive leaves out cannot be seen in its answer.

What is open until a self-test (any text, any case, hopes) is settled by a probe, which asks the same: to "no"
for good, to "yes" for a day. A search that finds nothing by such a "yes" tests the archive again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from catalog.capability import Can, Kind, Promises, Proof
from catalog.evidence import Evidence, Status
from catalog.keywords import Level

ANY_TEXT = "any text"
"""Measured like a kind of matching, of no keyword: whether values beyond A-Z a-z 0-9 . - _ arrive."""

RETURNED = "comes back"
"""Measured like a kind of matching: whether studies come with a keyword that they are asked for."""

FRESH = timedelta(days=1)
"""So long a probe stands for the self-test before a question."""

_KINDS = {kind.value: kind for kind in Kind}
_LEVELS = {level.name: level for level in Level}


@dataclass(frozen=True, slots=True)
class _Said:
    """One measurement, read. `level` None: of all levels."""

    level: Level | None
    keyword: str
    kind: Kind
    holds: bool
    fresh: bool
    cite: str


def measured(can: Can, found: Iterable[Evidence], now: datetime | None = None) -> Can:
    """The capabilities as the measurements leave them. `found`: one piece for each keyword and kind."""
    known = sorted((e for e in found if e.known), key=lambda e: e.as_of)
    since = f"{(now or datetime.now(UTC)) - FRESH:%Y-%m-%dT%H:%M:%SZ}"
    said = [_said(e, since) for e in known if e.value in _KINDS]
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
    gone = {e.about.rpartition(" ")[2] for e in known if e.value == RETURNED and e.status is Status.NO}
    text = [_said(e, since) for e in known if e.value == ANY_TEXT][-1:]
    refuted = _refuted(replace(can, absent=can.absent | gone), text, said)
    proven = _proven(refuted, text, said)
    return proven if proven == refuted else replace(proven, before=refuted)


def _said(e: Evidence, since: str) -> _Said:
    level, _, keyword = e.about.rpartition(" ")
    cite = f"measured {e.as_of[:10]}: {e.source.title}"
    kind = _KINDS.get(e.value, Kind.SINGLE)
    return _Said(_LEVELS.get(level), keyword, kind, e.status is Status.YES, e.as_of >= since, cite)


def _cites(said: list[_Said]) -> dict[Level, dict[str, str]]:
    levels = dict.fromkeys(s.level for s in said if s.level is not None)
    return {level: {s.keyword: s.cite for s in said if s.level is level} for level in levels}


def _cases(said: list[_Said]) -> list[_Said]:
    return [s for s in said if s.keyword == "PatientName" and s.kind is Kind.ANY_CASE]


def _refuted(can: Can, text: list[_Said], said: list[_Said]) -> Can:
    """What is open until a self-test, where it was measured not to hold."""
    if can.any_text is Proof.OPEN and any(not s.holds for s in text):
        can = replace(can, any_text=Proof.NO)
    if can.any_case_pn is Proof.OPEN and any(not s.holds for s in _cases(said)):
        can = replace(can, any_case_pn=Proof.NO)
    return can


def _proven(can: Can, text: list[_Said], said: list[_Said]) -> Can:
    """What is open, where it was measured to hold not long ago. Hopes of lists stay: two must be found."""
    if can.any_text is Proof.OPEN and any(s.fresh for s in text):
        can = replace(can, any_text=Proof.YES)
    if can.any_case_pn is Proof.OPEN and any(s.fresh for s in _cases(said)):
        can = replace(can, any_case_pn=Proof.YES)
    sure = {(s.level, s.keyword) for s in said if s.holds and s.fresh and s.kind is Kind.SINGLE}
    levels, hopes = dict(can.by_level), dict(can.hopes)
    for level, hoped in can.hopes.items():
        held = {k: kinds for k, kinds in hoped.items() if kinds == {Kind.SINGLE} and (level, k) in sure}
        if held:
            levels[level] = {**can.by_level.get(level, can.matches), **held}
            hopes[level] = _less(hoped, held)
    return replace(can, by_level=levels, hopes=hopes)


def _less(promises: Promises, gone: Iterable[str]) -> Promises:
    return {name: kinds for name, kinds in promises.items() if name not in gone}


def _each(levels: Mapping[Level, Promises], said: list[_Said]) -> dict[Level, Promises]:
    return {level: _without(promises, said, level) for level, promises in levels.items()}


def _without(promises: Promises, said: list[_Said], level: Level | None) -> Promises:
    gone = {(s.keyword, s.kind) for s in said if not s.holds and s.level in (None, level)}
    left = {name: frozenset(k for k in kinds if (name, k) not in gone) for name, kinds in promises.items()}
    return {name: kinds for name, kinds in left.items() if kinds}
