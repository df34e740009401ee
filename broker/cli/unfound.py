"""Where a query found nothing: what may have been meant. No value that may name a patient is repeated."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from broker.language.hints import USUAL_VALUES
from broker.language.terms import Condition, Match
from broker.meaning import values
from broker.planning.privacy import IDENTIFYING
from catalog.capability import Kind
from catalog.nearest import nearest


def hints(conditions: Iterable[Condition]) -> list[str]:
    """For a query that found nothing: which of its values are often written differently, and how."""
    return [hint for c in conditions for m in c.matches for hint in _unfound(c, m)]


def _unfound(c: Condition, match: Match) -> Iterator[str]:
    told = match.kind is Kind.SINGLE and c.key.vr in values.WILD and c.keyword not in IDENTIFYING
    text = match.text
    bare = text.strip("='\"‘’“” ")
    if not told:
        return
    if bare and bare != text:
        yield f"{text} was looked for with its signs; did you mean {c.keyword}={bare}?"
    elif c.keyword in USUAL_VALUES:
        meant = _usual(text, USUAL_VALUES[c.keyword])
        if meant not in ("", text):
            yield f"{c.keyword}={text}: did you mean {c.keyword}={meant}?"
    else:
        yield f"{c.keyword}={text} is the whole value, by case; {c.keyword}~{text} finds it anywhere, in any"


def _usual(text: str, usual: list[str]) -> str:
    """A value written out (`Female`) or otherwise (`ct`) as it usually is."""
    initial = text[:1].upper()
    return initial if initial in usual else nearest(text, usual)
