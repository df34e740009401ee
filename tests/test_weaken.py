"""What is sent of a condition: the strongest form that an archive bears, and never one that loses a record.

PS3.4 C.2.2.2 says what a condition means; `reference` here is an archive that keeps its promises to the letter.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fnmatch import translate

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import KEYWORDS, capabilities, conditions, near

from broker import values
from broker.matching import Value, compiled, filled, pattern
from broker.query import Condition, Match, condition
from broker.weaken import REQUESTS, sendable, split
from catalog.capability import Can, Kind, Proof
from catalog.keywords import Level

TEXT = frozenset({Kind.SINGLE, Kind.WILDCARD})
EVERY = frozenset(Kind) - {Kind.ANY_CASE}


def can(kinds: frozenset[Kind] | set[Kind], keyword: str, **more: object) -> Can:
    """An archive that promises kinds of matching on one keyword."""
    made = Can(frozenset({Level.STUDY}), {keyword: frozenset(kinds)})
    return replace(made, **more)  # type: ignore[arg-type]


def sent(text: str, kinds: frozenset[Kind] | set[Kind], **more: object) -> str | None:
    """What is sent of one condition, as it is written."""
    asked = condition(text)
    found = sendable(asked, (asked,), can(kinds, asked.keyword, **more))
    return None if found is None else str(found).partition("=")[2] or str(found)


# --- an archive that keeps its promises, and nothing beyond them


Fold = Callable[[str], str]


def by_letter(text: str) -> str:
    """Lower case as tables of letters have it; Python's `lower` looks at the letters around a sigma."""
    return "".join(c.lower() for c in text)


FOLDS: tuple[Fold, ...] = (by_letter, str.casefold)


def reference(form: Condition, value: Value, archive: Can, fold: Fold) -> bool:
    """Whether such an archive returns a record. Fails where it is asked what it does not promise."""
    kinds = archive.kinds(form.keyword)
    assert {m.kind for m in form.matches} <= kinds
    assert len(form.matches) <= (archive.lists if Kind.ANY_OF in kinds else 1)
    for m in form.matches:
        written = "" if m.kind is Kind.EMPTY else str(m)
        assert archive.any_text is Proof.YES or set(written) <= PLAIN
        assert archive.stars is None or m.kind is not Kind.WILDCARD or written.count("*") <= archive.stars
    return any(one_match(form, m, value, archive, fold) for m in form.matches)


PLAIN = set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-?*")


def one_match(form: Condition, m: Match, value: Value, archive: Can, fold: Fold) -> bool:
    vr, texts = form.key.vr, filled(value, form.key.vr)
    if m.kind is Kind.CONTAINS:
        return any(values.folded(m.text) in values.folded(values.text(t, vr)) for t in texts)
    if vr == "PN":
        own = fold if archive.any_case_pn is Proof.YES else str
        return any(fits(own(m.text), own(t)) for t in texts)
    if Kind.ANY_CASE in archive.kinds(form.keyword) and vr in values.WILD and m.kind is not Kind.EMPTY:
        return any(fits(fold(m.text), fold(values.text(t, vr))) for t in texts)
    return compiled(replace(form, matches=(m,)))(value) is True


def fits(wanted: str, held: str) -> bool:
    """Wildcards against the whole text, groups and all: what archives do with names."""
    return pattern(values.composed(wanted)).match(values.composed(held)) is not None


@pytest.mark.parametrize("vrs", [("PN",), ("DA", "TM", "DT"), ("LO", "LT", "CS", "UR"), tuple(KEYWORDS)])
@given(st.data())
@settings(max_examples=4000)
def test_a_form_that_is_sent_loses_no_record_that_matches(vrs: tuple[str, ...], data: st.DataObject) -> None:
    asked = data.draw(conditions(vrs))
    archive = data.draw(capabilities(asked))
    value = data.draw(near(asked))
    form = sendable(asked, (asked,), archive)
    if asked.universal or form is None:
        return
    fold = data.draw(st.sampled_from(FOLDS))
    found = [reference(part, value, archive, fold) for (part,) in split((form,), archive)]
    assert any(found) or compiled(asked)(value) is not True
