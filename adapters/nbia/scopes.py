"""Where to look in an NBIA archive for what is asked. Pure.

getSeries has no pages, and without a collection, patient or UID it would send the archive whole: every
scope has one of them.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

from adapters.nbia.rows import RETURNS
from broker.adapter import Ask
from broker.language.terms import Condition
from broker.matching import compiled
from catalog.capability import Can, Kind
from catalog.keywords import Level

Scope = Mapping[str, str]
"""Parameters by DICOM keyword; at least one of BOUNDS is there."""

BOUNDS = ("Collection", "PatientID", "StudyInstanceUID", "SeriesInstanceUID")

# NBIA compares in upper case (UPPER(x)=?), UIDs too, where it makes no difference
_VALUE = frozenset({Kind.SINGLE, Kind.ANY_OF, Kind.ANY_CASE})
_UID = frozenset({Kind.SINGLE, Kind.ANY_OF})
# its collections are listed, and their names matched here
_LISTED = frozenset(Kind) - {Kind.ANY_CASE, Kind.RANGE}

_PATIENT = {"Collection": _LISTED, "PatientID": _VALUE}
_STUDY = {**_PATIENT, "StudyInstanceUID": _UID}
_SERIES = {**_STUDY, "SeriesInstanceUID": _UID, "Modality": _VALUE}

NBIA = Can(
    levels=frozenset(Level),
    matches=_SERIES,
    by_level={Level.PATIENT: _PATIENT, Level.STUDY: _STUDY},
    returns=RETURNS,
    own_level=frozenset({"NumberOfStudyRelatedSeries"}),
    lists=1000,  # each value is a request of its own, or is matched here
    names="tcia",
    cite="the source of NBIA's REST API, June 2026",
)

T = TypeVar("T")


def scopes(ask: Ask, collections: Sequence[str]) -> Iterator[Scope]:
    """The scopes of a question, in the order of the archive's collections."""
    asked = {c.keyword: c for c in ask.conditions}
    listed = asked.pop("Collection", None)
    columns = [[(name, text) for text in _texts(c)] for name, c in asked.items()]
    bound = any(name in BOUNDS for name in asked)
    if listed is not None or not bound:
        columns.insert(0, [("Collection", name) for name in matching(listed, collections)])
    for pairs in itertools.product(*columns):
        yield dict(pairs)


def _texts(c: Condition) -> list[str]:
    """The values of a condition, once each: NBIA takes them in any case."""
    return list({m.text.upper(): m.text for m in c.matches}.values())


def matching(c: Condition | None, collections: Iterable[str]) -> list[str]:
    """The collections that a condition is true of, once each; all of them without one."""
    test: Callable[[str], object] = compiled(c) if c is not None else lambda _: True
    return [name for name in dict.fromkeys(collections) if test(name)]


def narrower(scope: Scope, **more: str) -> Scope:
    """The scope with further parameters."""
    return {**scope, **more}


def only(scope: Scope, *names: str) -> Scope:
    """The parameters with these names."""
    return {name: text for name, text in scope.items() if name in names}


def batches(values: Iterable[T], size: int) -> Iterator[list[T]]:
    """Values in lists of at most `size`."""
    left = iter(values)
    while batch := list(itertools.islice(left, size)):
        yield batch
