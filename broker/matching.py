"""Whether a value satisfies a condition: PS3.4 C.2.2.2 in one place.

Every answer is True, False or None. None is *unknown*: the archive gave no value, or one that cannot be
read, and PS3.4 C.2.2.1.2 leaves open what that means. The rules by VR stand in `values`, of dates and times
in `periods`, the query language in `query`; here they meet. A condition is compiled once into a function of
a value; what is judged over several values together stands in `joint`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TypeVar

from broker.language.terms import Condition, Match
from broker.meaning import values
from broker.meaning.logic import Truth, any_of
from broker.meaning.periods import span_test
from broker.query import condition
from catalog.capability import Kind

__all__ = ["Column", "Item", "Memo", "Test", "Truth", "Value", "compiled", "filled", "pattern", "truth"]

Item = tuple[tuple[str, "Value"], ...]
"""One item of a sequence: its attributes as pairs of keyword and value."""

Value = str | tuple[str, ...] | tuple[Item, ...] | None
"""What an archive said of one attribute: text, several texts, "" for empty, None for nothing at all.

Of a sequence: its items.
"""

Test = Callable[[Value], Truth]
One = Callable[[str], Truth]


def truth(keyword: str, query: str, value: str | Sequence[str] | None) -> Truth:
    """Whether a value satisfies a condition, as the query language writes it.

    >>> truth("PatientName", "smith^j*", "SMITH^JOHN")
    True
    >>> truth("StudyDate", "20200615", "") is None
    True

    Raises BadQuery for an impossible condition.
    """
    given = value if value is None or isinstance(value, str) else tuple(value)
    return compiled(condition(f"{keyword}={query}"))(given)


def compiled(asked: Condition) -> Test:
    """The condition as a function of a value; any one of a multi-valued attribute may match."""
    if asked.universal:
        return lambda _: True
    vr = asked.key.vr
    ones = [_one(vr, m) for m in asked.matches if m.kind is not Kind.EMPTY]
    when_empty = True if len(ones) < len(asked.matches) else None  # PS3.4 C.2.2.2.7

    def test(value: Value) -> Truth:
        found = filled(value, vr)
        return any_of(one(item) for item in found for one in ones) if found else when_empty

    return test


def filled(value: Value, vr: str) -> list[str]:
    """The texts of a value that are not empty."""
    if isinstance(value, str):
        return values.parts(value, vr)
    return [part for item in value or () if isinstance(item, str) for part in values.parts(item, vr)]


class Memo(dict[Value, Truth]):
    """Answers by value, each computed once: `list(map(memo.__getitem__, values))` tests a page."""

    LIMIT = 200_000  # distinct values; a column of identifiers must not grow without end

    def __init__(self, test: Test) -> None:
        super().__init__()
        self._test = test

    def __missing__(self, value: Value) -> Truth:
        if len(self) >= self.LIMIT:
            self.clear()
        answer = self[value] = self._test(value)
        return answer


class Column(Memo):
    """The answers of one condition."""

    def __init__(self, asked: Condition) -> None:
        super().__init__(compiled(asked))


def _one(vr: str, match: Match) -> One:
    if match.kind is Kind.CONTAINS:
        return _contains(vr, match.text)
    if vr in values.DATES:
        return span_test(vr, match)
    if vr == "PN":
        return _name(match.text)
    if match.kind is Kind.WILDCARD:
        return _wildcard(vr, match.text)
    return _single(vr, match.text)


def _contains(vr: str, text: str) -> One:
    """Ours, not DICOM's: the text anywhere in the value, in any case."""
    wanted = values.folded(text)
    return lambda value: wanted in values.folded(values.text(value, vr))


_EXACT = {"UI": values.uid, "AS": values.age, "AT": values.tag}


def _single(vr: str, text: str) -> One:
    """Single value matching, case-sensitive; numbers, UIDs by their value (PS3.4 C.2.2.2.1, CP-2305)."""
    if vr in values.NUMBERS:
        return _equal(values.number, text)
    if vr in _EXACT:
        return _equal(_EXACT[vr], text)
    bare = values.text(text, vr)
    return lambda value: values.text(value, vr) == bare


T = TypeVar("T")


def _equal(read: Callable[[str], T | None], text: str) -> One:
    """False and True only for what can be read: nothing is known of the rest."""
    wanted = read(text)

    def one(value: str) -> Truth:
        found = read(value)
        return None if found is None else found == wanted

    return one


def pattern(text: str) -> re.Pattern[str]:
    """A wildcard value as an expression that matches in linear time (PS3.4 C.2.2.2.4).

    Between two `*` the first place that fits is as good as any later one, hence the atomic groups:
    there is nothing to go back to.
    """
    first, *rest = (_literal(part) for part in text.split("*"))
    if not rest:
        return re.compile(rf"{first}\Z", re.DOTALL)
    middle = "".join(f"(?>.*?{part})" for part in rest[:-1] if part)
    return re.compile(rf"{first}{middle}.*{rest[-1]}\Z", re.DOTALL)


def _literal(part: str) -> str:
    return re.escape(part).replace(r"\?", ".")


def _wildcard(vr: str, text: str) -> One:
    fits = pattern(values.text(text, vr)).match
    return lambda value: fits(values.text(value, vr)) is not None


def _name(text: str) -> One:
    """A person name: in any case, in any of its component groups (PS3.4 C.2.2.2.1, PS3.5 6.2.1.1).

    Folding makes two letters of `ß`, which `?` would not match; lower case does not.
    """
    one = _folded_name(text, values.folded)
    if "?" not in text:
        return one
    other = _folded_name(text, values.lower)
    return lambda value: one(value) or other(value)


def _folded_name(text: str, fold: Callable[[str], str]) -> One:
    """One group must hold in any group; several in each group that the condition fills."""
    tests = [_group(group) if group else None for group in values.name_groups(text, fold)]
    if len(tests) == 1 and tests[0] is not None:
        only = tests[0]
        return lambda value: any(only(group) for group in values.name_groups(value, fold))

    def one(value: str) -> Truth:
        groups = values.name_groups(value, fold) + ("",) * len(tests)
        return all(test(group) for test, group in zip(tests, groups, strict=False) if test)

    return one


def _group(text: str) -> Callable[[str], bool]:
    if not re.search(r"[*?]", text):
        return lambda group: group == text
    fits = pattern(text).match
    carets = text.count("^")

    def test(group: str) -> bool:
        # SMITH means SMITH^^^^, so that SMITH^* finds it
        padded = group + "^" * (carets - group.count("^"))
        return bool(group) and (fits(group) is not None or fits(padded) is not None)

    return test
