"""What holds of every merge, whatever archives say: by hypothesis, over columns, pages and orders."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from broker.adapter import Page
from broker.joining.entity import Entity, Source
from broker.joining.rules import Rules
from broker.meaning.values import uid as valid
from broker.merge import Merge
from catalog.keywords import Level

# archives do not have the same columns, nor in the same order; every record has a mark of its own
COLUMNS: dict[str, tuple[str, ...]] = {
    "a": ("StudyInstanceUID", "PatientSex", "StudyDate", "StudyDescription"),
    "b": ("StudyDescription", "StudyInstanceUID", "PatientBirthDate"),
    "c": ("StudyInstanceUID", "PatientBirthDate", "PatientSex", "StudyDescription", "ModalitiesInStudy"),
    "d": ("StudyDescription", "StudyDate"),
}
VALUES: dict[str, list[Any]] = {
    "StudyInstanceUID": [
        "1.1",
        "1.1\0",
        "1.2",
        "1.3",
        "",
        None,
        "no-uid",
        "1..2",
        ".1",
        "1.4" * 30,
        ("1.1", "1.2"),
    ],
    "PatientSex": ["M", "F", "O", "", None, ("M", "F")],
    "PatientBirthDate": ["19500101", "1950.01.01", "19500102", "", None],
    "StudyDate": ["20200101", "", None],
    "ModalitiesInStudy": [("CT", "SR"), "CT", "MR", None],
}
Record = tuple[str, tuple[Any, ...]]


@st.composite
def records(draw: st.DrawFn) -> list[Record]:
    """Records of four archives; the StudyDescription of each is its own."""
    found = []
    for number in range(draw(st.integers(0, 9))):
        archive = draw(st.sampled_from(sorted(COLUMNS)))
        said = {k: draw(st.sampled_from(VALUES[k])) for k in COLUMNS[archive] if k in VALUES}
        found.append((archive, tuple(said.get(k, f"record {number}") for k in COLUMNS[archive])))
    return found


def source(archive: str, retrieved: float = 0.0) -> Source:
    return Source(archive, "abcd".index(archive), COLUMNS[archive], retrieved)


def merged(pages: Iterable[tuple[str, Sequence[tuple[Any, ...]]]], rules: Rules | None = None) -> Merge:
    merge = Merge(Level.STUDY, rules or Rules())
    for archive, rows in pages:
        merge.add(Page(COLUMNS[archive], [*rows]), source(archive))
    return merge


def single(given_: Iterable[Record]) -> list[tuple[str, Sequence[tuple[Any, ...]]]]:
    """Every record as a page of its own."""
    return [(archive, [row]) for archive, row in given_]


def told(entities: Iterable[Entity]) -> Counter[str]:
    """All that entities say, but for the place in its reply by which a record without UID is known."""
    return Counter(
        repr((e.uid, e.archives, e.said, e.values, e.conflicts, e.collision, e.stops, e.copies))
        for e in entities
    )


def paged(given_: Sequence[Record], chance: random.Random) -> list[tuple[str, Sequence[tuple[Any, ...]]]]:
    """The same records in pages of several, archives in any order, each archive's records in its own."""
    own = {name: [row for archive, row in given_ if archive == name] for name in COLUMNS}
    pages: list[tuple[str, Sequence[tuple[Any, ...]]]] = []
    while any(own.values()):
        name = chance.choice([n for n, rows in own.items() if rows])
        size = chance.randint(1, 3)
        pages.append((name, own[name][:size]))
        own[name] = own[name][size:]
    return pages


@given(records(), st.randoms())
@settings(max_examples=300, deadline=None)
def test_commutative_and_independent_of_arrival(given_: list[Record], chance: random.Random) -> None:
    once = told(merged(single(given_)).result())
    shuffled = chance.sample(given_, len(given_))
    assert told(merged(single(shuffled)).result()) == once
    assert told(merged(paged(given_, chance)).result()) == once


@given(records(), st.randoms())
@settings(max_examples=200, deadline=None)
def test_the_order_of_the_answer_is_that_of_the_federation(
    given_: list[Record], chance: random.Random
) -> None:
    """Of archives that each keep an order of their own, in whatever way their pages interleave."""
    one, other = (merged(paged(given_, chance)).result() for _ in range(2))
    assert [repr((e.uid, e.said)) for e in one] == [repr((e.uid, e.said)) for e in other]


@given(records(), records(), records())
@settings(max_examples=200, deadline=None)
def test_associative(a: list[Record], b: list[Record], c: list[Record]) -> None:
    """What was merged can be merged with more: (a + b) + c = a + (b + c)."""

    def again(*parts: Iterable[Record] | Merge) -> Merge:
        fed: list[Record] = []
        for part in parts:
            if isinstance(part, Merge):
                fed += [(s.archive, row) for e in part.wholes() for s, row in e.sayings]
            else:
                fed += part
        return merged(single(fed))

    left = again(again(a, b), c)
    right = again(a, again(b, c))
    assert without_counts(left) == without_counts(right) == without_counts(again(a, b, c))


def without_counts(merge: Merge) -> Counter[str]:
    """What is said; how often an archive repeated itself is not said again by a merged part."""
    return Counter(repr((e.uid, e.said, e.values, e.conflicts, e.collision)) for e in merge.result() if e.uid)


@given(records())
@settings(max_examples=200, deadline=None)
def test_idempotent(given_: list[Record]) -> None:
    """What is told twice is told; only what has no identity cannot be known again."""
    assert without_counts(merged(single([*given_, *given_]))) == without_counts(merged(single(given_)))


@given(records(), st.randoms())
@settings(max_examples=300, deadline=None)
def test_every_value_traces_to_exactly_one_record_with_that_uid(
    given_: list[Record], chance: random.Random
) -> None:
    """Each record's description is its own, so that a value that is shown names the record that said it."""
    result = merged(paged(given_, chance)).result()
    by_mark = {row[COLUMNS[archive].index("StudyDescription")]: (archive, row) for archive, row in given_}
    seen: Counter[str] = Counter()
    for e in result:
        for who, row in e.sayings:
            mark = str(row[who.keywords.index("StudyDescription")])
            seen[mark] += 1
            assert (who.archive, row) == by_mark[mark]
            assert e.uid == _uid_of(by_mark[mark])
        for archive, own in e.said.items():
            for keyword, value in own.items():
                _traced(keyword, value, [r for r in by_mark.values() if r[0] == archive and _in(r, e)])
        for keyword, value in e.values.items():
            _traced(keyword, value, [r for r in by_mark.values() if _in(r, e)])
    assert seen == Counter(by_mark.keys())  # every record is behind one entity, or one side of a collision


def _in(record: Record, e: Entity) -> bool:
    return any((s.archive, row) == record for s, row in e.sayings)


def _uid_of(record: Record) -> str | None:
    archive, row = record
    if "StudyInstanceUID" not in COLUMNS[archive]:
        return None
    said = row[COLUMNS[archive].index("StudyInstanceUID")]
    return valid(said) if isinstance(said, str) else None


def _traced(keyword: str, value: Any, behind: list[Record]) -> None:
    """Each part of a value was said by a record behind the entity; a mark by exactly one."""
    said = [row[COLUMNS[archive].index(keyword)] for archive, row in behind if keyword in COLUMNS[archive]]
    for item in value if isinstance(value, tuple) else (value,):
        sayers = sum(item == v or (isinstance(v, tuple) and item in v) for v in said)
        assert sayers == 1 if keyword == "StudyDescription" else sayers >= 1


@given(records(), st.randoms(), st.booleans())
@settings(max_examples=300, deadline=None)
def test_as_many_studies_as_distinct_valid_uids(
    given_: list[Record], chance: random.Random, barrier: bool
) -> None:
    """Collisions and barriers part what stands under a UID, and add none; without a UID each is alone."""
    rules = Rules(identified={"a": True, "c": False}) if barrier else Rules()
    merge = merged(paged(given_, chance), rules)
    uids = [_uid_of(record) for record in given_]
    distinct = {u for u in uids if u is not None}
    assert sorted(e.uid for e in merge.wholes() if e.uid) == sorted(distinct)
    assert {e.uid for e in merge.result() if e.uid} == distinct
    assert len(merge.wholes()) == len(merge) == len(distinct) + uids.count(None)
    for e in merge.result():
        assert not e.stops or len(e.archives) == 1


@given(records(), st.randoms())
@settings(max_examples=200, deadline=None)
def test_no_result_holds_what_contradicts(given_: list[Record], chance: random.Random) -> None:
    for e in merged(paged(given_, chance)).result():
        for keyword, sides in (("PatientSex", {"M", "F"}), ("PatientBirthDate", {"19500101", "19500102"})):
            said = [
                {str(v).replace(".", "") for v in ((x,) if isinstance(x, str) else x)} & sides
                for s, row in e.sayings
                if keyword in s.keywords and (x := row[s.keywords.index(keyword)])
            ]
            said = [values for values in said if values]
            assert not said or set.intersection(*said)
