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

from broker import values
from broker.query import Condition, Match
from catalog.capability import Can, Kind, Proof

REQUESTS = 16  # into how many requests an any-of may be split where an archive knows no list

_PLAIN = re.compile(r"[A-Za-z0-9._?*-]")


def sendable(c: Condition, among: tuple[Condition, ...], can: Can) -> Condition | None:
    """The condition as it can be sent, the same object if unchanged, or None if it cannot be."""
    kinds = can.kinds(c.keyword)
    if not kinds or (_combined_time(c, among) and not can.combines):
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
    first = next(other for other in among if _needs_split(other, can))
    return first is c and len(c.matches) <= REQUESTS


def _combined_time(c: Condition, among: tuple[Condition, ...]) -> bool:
    """Whether this is the time of a combined date and time range (PS3.4 C.2.2.2.5.4)."""
    return c.key.vr == "TM" and any(pair[1] is c for pair in combined(among))


def combined(among: tuple[Condition, ...]) -> list[tuple[Condition, Condition]]:
    """Pairs of a date range and the time range that belongs to it."""
    by_name = {c.keyword: c for c in among if c.kinds == {Kind.RANGE}}
    dates = [(c, by_name.get(name[:-4] + "Time")) for name, c in by_name.items() if name.endswith("Date")]
    return [(date, time) for date, time in dates if time is not None]


def _form(vr: str, m: Match, kinds: frozenset[Kind], can: Can) -> Match | None:
    if m.kind is Kind.RANGE or vr in values.DATES:
        return _moment(vr, m, kinds)
    if m.kind is Kind.EMPTY:
        return m if Kind.EMPTY in kinds else None
    if vr == "PN":
        return _name(m, kinds, can)
    if m.kind is Kind.CONTAINS:
        return _containing(m, kinds, can)
    return _text(vr, m, kinds, can)


def _moment(vr: str, m: Match, kinds: frozenset[Kind]) -> Match | None:
    """Dates and times: periods are spelled out, for archives read `10` in their own ways."""
    if m.kind is Kind.SINGLE and vr == "DA" and Kind.SINGLE in kinds:
        return m
    if Kind.RANGE in kinds and vr == "TM":
        low, high = (m.low, m.high) if m.kind is Kind.RANGE else (m.text, m.text)
        return Match(Kind.RANGE, low=_clock(low, 0), high=_clock(high, 1))
    if m.kind is Kind.RANGE:
        return m if Kind.RANGE in kinds else None
    return Match(Kind.RANGE, low=m.text, high=m.text) if vr == "DA" and Kind.RANGE in kinds else None


def _clock(end: str, side: int) -> str:
    span = values.time(end) if end else None
    if span is None:
        return ""
    seconds, rest = divmod(span[side], 1_000_000)
    whole = f"{seconds // 3600:02d}{seconds // 60 % 60:02d}{seconds % 60:02d}"
    return f"{whole}.{rest:06d}" if rest else whole


def _text(vr: str, m: Match, kinds: frozenset[Kind], can: Can) -> Match | None:
    """Single values and wildcards of text, case-sensitive."""
    if m.kind is Kind.SINGLE and Kind.SINGLE in kinds and (_plain(m.text, can) or vr not in values.WILD):
        return m
    if vr not in values.WILD or Kind.WILDCARD not in kinds:
        return None
    return _wildcard(m.text, can)


def _containing(m: Match, kinds: frozenset[Kind], can: Can) -> Match | None:
    """Contains as `*x*`, where case cannot lose anything."""
    if Kind.CONTAINS in kinds:
        return m
    caseless = m.text.upper() == m.text.lower()
    if Kind.WILDCARD not in kinds or not (caseless or Kind.ANY_CASE in kinds):
        return None
    return _wildcard(f"*{_same_in_any_case(m.text)}*", can)


def _name(m: Match, kinds: frozenset[Kind], can: Can) -> Match | None:
    """A person name may stand in any group, in any case, with or without trailing carets."""
    text = next((group for group in m.text.split("=") if group.strip("^ *?")), "")
    caseless = text.upper() == text.lower()
    if Kind.WILDCARD not in kinds or not (caseless or can.any_case_pn is Proof.YES):
        return None
    core = text if m.kind is Kind.CONTAINS else text.strip(" ").rstrip("^*? ")
    return _wildcard(f"*{_same_in_any_case(core)}*", can)


def _same_in_any_case(text: str) -> str:
    """With `*` for letters that archives fold or compose in different ways (ß, é, İ)."""
    return "".join(c if _steady(c) else "*" for c in unicodedata.normalize("NFC", text))


def _steady(c: str) -> bool:
    return unicodedata.normalize("NFD", c) == c and c.casefold() == c.lower() and len(c.upper()) == 1


def _plain(text: str, can: Can) -> bool:
    return can.any_text is Proof.YES or all(_PLAIN.fullmatch(c) for c in text)


def _wildcard(text: str, can: Can) -> Match | None:
    """A wildcard value in characters that reach the archive, or None if nothing would be left of it.

    Values with many `*` wedge archives that match by backtracking, so only so many are sent as the
    archive is known to bear.
    """
    plain = text if can.any_text is Proof.YES else "".join(c if _PLAIN.fullmatch(c) else "*" for c in text)
    parts = re.sub(r"\*+", "*", plain).split("*")
    if can.stars is not None and len(parts) > can.stars + 1:
        parts = [*parts[: can.stars], ""]
    short = "*".join(parts)
    return Match(Kind.WILDCARD, short) if short.strip("*?") else None
