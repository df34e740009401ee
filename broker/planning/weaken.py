"""A condition in the strongest form that an archive can be asked without losing a record.

Whatever `matching` accepts must also be accepted by the form that is sent; what that form lets through
beyond it is dropped here afterwards.
"""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import replace

from broker.language.terms import Condition, Match
from broker.meaning import values
from broker.meaning.periods import combined, spelled
from catalog.capability import Can, Kind, Proof

REQUESTS = 16  # into how many requests an any-of may be split where an archive knows no list

# in a request these say how to read it; they are never matched there (PS3.4 C.2.2.2, C.4.1.1.3.1)
_SAYS_HOW = frozenset({"SpecificCharacterSet", "TimezoneOffsetFromUTC", "QueryRetrieveLevel"})

_PLAIN = re.compile(r"[A-Za-z0-9._?*-]*")


def sendable(c: Condition, among: tuple[Condition, ...], can: Can) -> Condition | None:
    """The condition as it can be sent, the same object if unchanged, or None if it cannot be."""
    kinds = can.kinds(c.keyword)
    if not kinds or c.keyword in _SAYS_HOW or not _combines(c, among, can):
        return None
    if _needs_split(c, can) and not _may_split(c, among, can):
        return None
    forms = [_form(c.key.vr, m, kinds, can) for m in c.matches]
    found = tuple(dict.fromkeys(f for f in forms if f is not None))
    if len(found) == 0 or None in forms:
        return None
    return c if found == c.matches else replace(c, matches=found)


def split(sent: tuple[Condition, ...], can: Can) -> Iterator[tuple[Condition, ...]]:
    """The same conditions as one or more requests, whose answers together are the answer."""
    parts = [list(_parts(c, can)) for c in sent]
    yield from itertools.product(*parts)


def _parts(c: Condition, can: Can) -> Iterator[Condition]:
    width = can.lists if Kind.ANY_OF in can.kinds(c.keyword) else 1
    for at in range(0, len(c.matches), width):
        yield replace(c, matches=c.matches[at : at + width])


def _needs_split(c: Condition, can: Can) -> bool:
    return len(c.matches) > 1 and Kind.ANY_OF not in can.kinds(c.keyword)


def _may_split(c: Condition, among: tuple[Condition, ...], can: Can) -> bool:
    """One condition of a query may become several requests: two would multiply."""
    first = next(o for o in among if _needs_split(o, can) and can.kinds(o.keyword))
    return first is c and len(c.matches) <= REQUESTS


def _combines(c: Condition, among: tuple[Condition, ...], can: Can) -> bool:
    """Whether a time may be sent: that of a combined range only with its date (PS3.4 C.2.2.2.5.4)."""
    date = next((pair[0] for pair in combined(among) if pair[1] is c), None)
    return date is None or (can.combines and Kind.RANGE in can.kinds(date.keyword))


def _form(vr: str, m: Match, kinds: frozenset[Kind], can: Can) -> Match | None:
    if m.kind is Kind.EMPTY:  # a name of separators alone is empty too, which archives may not know
        return m if Kind.EMPTY in kinds and can.any_text is Proof.YES and vr != "PN" else None
    if vr in values.DATES:
        sent = _moment(vr, m, kinds)
        return sent if sent is not None and _plain(str(sent), can) else None
    if vr == "PN":
        return _name(m, kinds, can)
    if m.kind is Kind.CONTAINS:
        return _containing(m, kinds, can)
    return _text(vr, m, kinds, can)


def _moment(vr: str, m: Match, kinds: frozenset[Kind]) -> Match | None:
    """Dates and times: periods are spelled out, for archives read `10` in their own ways."""
    if m.kind is Kind.SINGLE and vr == "DA" and Kind.SINGLE in kinds:
        return m
    if Kind.RANGE not in kinds:
        return None
    low, high = (m.low, m.high) if m.kind is Kind.RANGE else (m.text, m.text)
    return Match(Kind.RANGE, low=spelled(vr, low, 0), high=spelled(vr, high, 1))


def _text(vr: str, m: Match, kinds: frozenset[Kind], can: Can) -> Match | None:
    """Single values and wildcards of text, case-sensitive."""
    if m.kind is Kind.SINGLE and Kind.SINGLE in kinds and _plain(m.text, can):
        return m
    if vr not in values.WILD or Kind.WILDCARD not in kinds:
        return None
    return _wildcard(m.text, can)


def _containing(m: Match, kinds: frozenset[Kind], can: Can) -> Match | None:
    """Contains as `*x*`, where case cannot lose anything."""
    if Kind.CONTAINS in kinds and _plain(m.text, can):
        return m
    if Kind.WILDCARD not in kinds or not (_caseless(m.text) or Kind.ANY_CASE in kinds):
        return None
    return _wildcard(_in_any_case(f"*{m.text}*"), can)


def _name(m: Match, kinds: frozenset[Kind], can: Can) -> Match | None:
    """A person name may stand in any group, in any case, with or without trailing carets."""
    text = next((group for group in m.text.split("=") if group.strip("^ *?")), "")
    if Kind.WILDCARD not in kinds or not (_caseless(text) or can.any_case_pn is Proof.YES):
        return None
    bare = text.strip(" ")
    cut = _in_any_case(f"*{bare}*" if m.kind is Kind.CONTAINS else bare)
    return _wildcard(f"*{cut.rstrip('^* ')}*", can)


def _caseless(text: str) -> bool:
    return text.upper() == text.lower()


def _in_any_case(text: str) -> str:
    """With `*` for letters that archives fold or compose in different ways: é, İ, ς, ß and so ss.

    For `?` too, which may stand for such a letter. An `s` beside a wildcard may be half of a `ß`.
    """
    steady = "".join(c if _steady(c) else "*" for c in values.composed(text))
    return _MAY_BE_SHARP.sub("*", steady)


_MAY_BE_SHARP = re.compile(r"s{2,}|(?<=\*)s|s(?=\*)", re.IGNORECASE)


def _steady(c: str) -> bool:
    alone = c not in "?Σσ" and not unicodedata.combining(c) and unicodedata.normalize("NFD", c) == c
    return alone and c.casefold() == c.lower() and len(c.upper()) == 1


def _plain(text: str, can: Can) -> bool:
    return can.any_text is Proof.YES or _PLAIN.fullmatch(text) is not None


def _wildcard(text: str, can: Can) -> Match | None:
    """A wildcard value in characters that reach the archive, or None if nothing would be left of it.

    Values with many `*` wedge archives that match by backtracking, so only so many are sent as the
    archive is known to bear.
    """
    text = "".join("*" if c in can.odd else c for c in text)
    plain = text if can.any_text is Proof.YES else "".join(c if _PLAIN.fullmatch(c) else "*" for c in text)
    parts = re.sub(r"\*+", "*", plain).split("*")
    if can.stars is not None and len(parts) > can.stars + 1:
        parts = [*parts[: can.stars], ""]
    short = "*".join(parts)
    return Match(Kind.WILDCARD, short) if short.strip("*?") else None
