"""Conditions made from what an archive holds: for each kind of matching, some that hit and some that miss."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from broker.errors import BadQuery
from broker.meaning import values
from broker.meaning.nobody import NOBODY, nobodys
from broker.query import Condition, condition
from catalog.capability import Kind
from catalog.keywords import Keyword

ODD = ("%", "_", "O'X", '"', "a&b=c#d", "[x]", "A;B", "\u00e9\u5c71")
"""Characters that mean something to SQL, URLs, regular expressions or character sets."""


def asked(key: Keyword, kinds: Iterable[Kind], held: list[str]) -> list[Condition]:
    """Conditions on one attribute, of these kinds, from the values that records have."""
    sample = _sample(key, held)
    found = [text for kind in Kind if kind in set(kinds) for text in _MAKERS[kind](key, sample)]
    return list(_meant(dict.fromkeys(found)))


def alone(key: Keyword, text: str) -> Condition | None:
    """A single value as a condition; None where a query cannot mean it."""
    return next(_meant([f"{key.name}={_quoted(text)}"]), None)


def _meant(texts: Iterable[str]) -> Iterator[Condition]:
    """What the query language can read: a value that is held need not be one that can be asked for."""
    for text in texts:
        try:
            yield condition(text)
        except BadQuery:
            continue


def _sample(key: Keyword, held: list[str]) -> list[str]:
    """Few values for many: the extremes, the longest, one beyond ASCII; names also group by group."""
    if key.vr in values.SPANS:
        read = values.SPANS[key.vr]
        ordered = sorted((v for v in held if read(v)), key=lambda v: read(v) or (0, 0))
    else:
        ordered = sorted(held)
    some = ordered[:1] + ordered[len(ordered) // 2 :][:1] + ordered[-1:]
    some += sorted(held, key=len)[-1:] + [v for v in held if not v.isascii()][:2]
    groups = [g for v in some if key.vr == "PN" and "=" in v for g in v.split("=") if g]
    return list(dict.fromkeys(some + groups))


def _quoted(text: str) -> str:
    if any(mark in text for mark in ',"'):
        return '"' + text.replace('"', '""') + '"'
    return text


def _single(key: Keyword, sample: list[str]) -> Iterator[str]:
    odd = ODD if key.vr in values.WILD else ()
    for text in [*sample, nobodys(key), *odd]:
        if not set(text) & set("*?"):
            yield f"{key.name}={_quoted(text)}"


def _any_of(key: Keyword, sample: list[str]) -> Iterator[str]:
    several = [_quoted(v) for v in [*sample[:3], nobodys(key)] if not set(v) & set("*?")]
    yield f"{key.name}={','.join(several)}"


def _wildcard(key: Keyword, sample: list[str]) -> Iterator[str]:
    if key.vr not in values.WILD:
        return
    for text in sample:
        half = (len(text) + 1) // 2
        cuts = [f"{text[:half]}*", f"*{text[half:]}", f"*{text[half // 2 : half + 1]}*"]
        cuts.append(f"{text[: half - 1]}?{text[half:]}")
        yield from (f"{key.name}={_quoted(cut)}" for cut in cuts)
    yield from (f"{key.name}={NOBODY}*", f"{key.name}=?*", f"{key.name}=*%*", f"{key.name}=*_*")


def _range(key: Keyword, sample: list[str]) -> Iterator[str]:
    if key.vr not in values.DATES:
        return
    nobody = nobodys(key)
    yield f"{key.name}={nobody}-{nobody}"
    if sample:
        low, middle, high = sample[0], sample[len(sample[:3]) // 2], sample[:3][-1]
        ends = [f"{middle}-", f"-{middle}", f"{low}-{middle}", f"{low}-{high}", f"{low}-", f"-{high}"]
        yield from (f"{key.name}={text}" for text in ends)


def _contains(key: Keyword, sample: list[str]) -> Iterator[str]:
    if key.vr not in values.WILD:
        return
    for text in sample:
        inside = text[len(text) // 4 : len(text) // 4 + 5].strip()
        yield f"{key.name}~{_quoted(inside.swapcase())}"
    yield f"{key.name}~{NOBODY}"


def _empty(key: Keyword, sample: list[str]) -> Iterator[str]:
    del sample
    yield f'{key.name}=""'


def _any_case(key: Keyword, sample: list[str]) -> Iterator[str]:
    if key.vr in values.WILD:
        yield from (f"{key.name}={_quoted(text.swapcase())}" for text in sample if not set(text) & set("*?"))


_MAKERS: dict[Kind, Callable[[Keyword, list[str]], Iterator[str]]] = {
    Kind.SINGLE: _single,
    Kind.ANY_OF: _any_of,
    Kind.WILDCARD: _wildcard,
    Kind.RANGE: _range,
    Kind.CONTAINS: _contains,
    Kind.EMPTY: _empty,
    Kind.ANY_CASE: _any_case,
}
