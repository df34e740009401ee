"""Whether a page that is shorter than asked for is the last one: small questions that tell.

`limit` and `offset` count the matches (PS3.18 8.3.4.4). Where they count candidates before the filter, a page
is short or empty in the middle. A server shows which it does when it is asked for one record only: the first
candidate is no match, and yet the first match comes, or it does not.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from adapters.dicomweb.question import Question
from broker.matching import Value
from broker.query import Condition, Match
from catalog.capability import Kind

SHOWN = 50  # records among which values to ask for are looked for
TRIES = 2  # records whose values are asked for


async def counts_matches(q: Question) -> bool:
    """Whether the limit of this question was shown to count matches, or all that is held has come."""
    if q.form in q.habits.honest:
        return True
    if q.seen:
        first = await q.bare(1, 0)
        if first and first[0][q.unique] not in q.seen:
            return await _comes_alone(q)
        if len(await q.bare(2, len(q.seen) - 1)) == 1:  # the archive holds no more than came
            return True
    return await _others_come(q)


async def _comes_alone(q: Question) -> bool:
    """Whether the first match comes with a limit of one, although it is not the first candidate."""
    rows = (await q.get(1, 0)).rows
    if rows:  # more than one: the limit is ignored, and everything came
        q.habits.honest.add(q.form)
    else:
        q.habits.early.add(q.form)
    return bool(rows)


async def _others_come(q: Question) -> bool:
    """The same by a question of the same form, for values of a record that is not the first candidate."""
    rows = await q.bare(SHOWN, 0)
    size = min(q.paging.size, q.habits.short or q.paging.size)
    if len(rows) > SHOWN or (len(rows) < min(SHOWN, size + 1) and len(await q.bare(1, len(rows))) != 1):
        return True  # the limit is ignored, or the first page was a page of all that is held
    tries = [asked for row in reversed(rows[1:]) if (asked := _planted(q, row, rows[0]))]
    for asked in tries[:TRIES]:
        found = (await q.get(1, 0, asked)).rows
        if found and found[0][q.unique] != rows[0][q.unique]:
            q.habits.honest.add(q.form)
            return True
    return False


def _planted(q: Question, row: Sequence[Value], first: Sequence[Value]) -> tuple[Condition, ...] | None:
    """The conditions with values of a record that another does not have; None if it has not all of them."""
    said, other = (dict(zip(q.columns, r, strict=True)) for r in (row, first))
    made = [_with_value(c, said) for c in q.conditions]
    asked = tuple(c for c in made if c is not None)
    differs = any(said.get(c.column) != other.get(c.column) for c in q.conditions)
    return asked if differs and len(asked) == len(made) else None


def _with_value(c: Condition, said: Mapping[str, Value]) -> Condition | None:
    value = said.get(c.column)
    text = value if isinstance(value, str) else next((v for v in value or () if isinstance(v, str)), "")
    made = _match(c.matches[0].kind, text)
    return None if made is None else replace(c, matches=(made, *c.matches[1:]))


def _match(kind: Kind, text: str) -> Match | None:
    """A value as another of the same kind, of characters that arrive everywhere."""
    if kind is Kind.RANGE:
        return Match(kind, low=text, high=text) if re.fullmatch(r"\d{8}", text, re.ASCII) else None
    if kind is Kind.SINGLE:
        return Match(kind, text) if re.fullmatch(r"[A-Za-z0-9.]+", text) else None
    word = re.search(r"[A-Za-z0-9]{2,}", text)
    return Match(kind, f"*{word[0]}*") if word and kind is Kind.WILDCARD else None


async def held(q: Question, most: int) -> int:
    """How many entities of the level the archive has, or that it has more than `most`.

    Found by offset: some requests for one record the first time, then two.
    """
    low = q.habits.held.get(q.among, 0)
    if low and not await q.bare(1, low - 1):
        low = 0
    high, step = low, 1
    while high <= most and await q.bare(1, high):
        low, high, step = high + 1, high + step, step * 2
    high = min(high, most + 1)
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if await q.bare(1, middle) else (low, middle)
    q.habits.held[q.among] = low
    return low
