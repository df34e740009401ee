"""What follows from the answers to planted questions: for each keyword at each level, what truly works.

Pure. A status is never trusted: an archive that ignores a key answers 200, or `pending`, as if it matched.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from broker.probing.finding import Finding
from broker.probing.trials import Trial
from catalog.capability import Kind
from catalog.evidence import Status
from catalog.keywords import Level, keyword
from catalog.probes import MATCHING

IGNORED = "ignored: a value that nobody has finds as much"
BY_STUDY = "Put to the study, which a search for series looks for first."
IGNORED_EMPTY = "ignored: a record that has a value is found too"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a planted question: whether its record came; or the word with which it was refused."""

    trial: Trial
    came: bool
    refused: str = ""


def matching(outcomes: Iterable[Outcome], by_study: bool = False) -> list[Finding]:
    """One finding for each level, keyword and kind of matching that was tried."""
    groups: dict[tuple[Level, str], list[Outcome]] = {}
    for outcome in outcomes:
        groups.setdefault((outcome.trial.level, outcome.trial.keyword), []).append(outcome)
    found = []
    for (level, name), group in groups.items():
        found += [_finding(f"{level.name} {name}", kind, *said) for kind, said in _judged(group).items()]
        if by_study and level is Level.STUDY and keyword(name).level <= level:
            found += [
                _finding(f"SERIES {name}", kind, status, f"{BY_STUDY} {note}".rstrip())
                for kind, (status, note) in _judged(group).items()
            ]
    return found


def _finding(about: str, kind: Kind, status: Status, note: str) -> Finding:
    return Finding(MATCHING, status, kind.value, about, note)


def _judged(group: list[Outcome]) -> dict[Kind, tuple[Status, str]]:
    """Each kind's verdict; whether the empty value is ignored says nothing of other values."""
    empty = [o for o in group if o.trial.kind is Kind.EMPTY]
    rest = [o for o in group if o.trial.kind is not Kind.EMPTY]
    return {**_each(rest, IGNORED), **_each(empty, IGNORED_EMPTY)}


def _each(group: list[Outcome], why: str) -> dict[Kind, tuple[Status, str]]:
    ignored = any(o.came for o in group if not o.trial.hit)
    kinds = dict.fromkeys(o.trial.kind for o in group if o.trial.hit)
    if ignored:
        return dict.fromkeys(kinds or [group[0].trial.kind], (Status.NO, why))
    return {kind: _said([o for o in group if o.trial.hit and o.trial.kind is kind]) for kind in kinds}


def _said(hits: list[Outcome]) -> tuple[Status, str]:
    came = sum(o.came for o in hits)
    if came == len(hits):
        return Status.YES, ""
    refused = next((o.refused for o in hits if o.refused), "")
    if came:
        return Status.PARTIAL, f"{came} of {len(hits)} values of a record just shown find it"
    return Status.NO, f"refused ({refused})" if refused else "a record just shown is not found by it"


def searchable(found: Iterable[Finding]) -> Finding:
    """How many DICOM attributes really find a record, and which do not: a cell of the matrix."""
    good: dict[str, list[str]] = {}
    bad: dict[str, list[str]] = {}
    for f in found:
        if f.capability == MATCHING:
            (good if f.status is Status.YES else bad).setdefault(f.about, []).append(f.value)
    works = {about: kinds for about, kinds in good.items() if _finds(kinds)}
    lost = {about: kinds for about, kinds in bad.items() if about not in works}
    names = {about.rpartition(" ")[2] for about in works}
    tried = {about.rpartition(" ")[2] for about in (*good, *bad)}
    note = f"Of {len(tried)} that were tried. "
    note += "Found by: " + _listed(works) if works else "Nothing finds the records that it has just shown."
    note += f". Not found by, or ignored: {_listed(lost)}" if lost else ""
    return Finding("dicom_tags_queryable", Status.NUMBER, str(len(names)), note=note + ".")


def _finds(kinds: list[str]) -> bool:
    return bool({Kind.SINGLE.value, Kind.WILDCARD.value, Kind.RANGE.value} & set(kinds))


def _listed(found: Mapping[str, list[str]]) -> str:
    levels: dict[str, list[str]] = {}
    for about, kinds in found.items():
        level, _, name = about.rpartition(" ")
        levels.setdefault(level.lower(), []).append(f"{name} ({', '.join(kinds)})")
    return "; ".join(f"{level}: {', '.join(names)}" for level, names in levels.items())
