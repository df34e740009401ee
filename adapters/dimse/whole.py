"""Whether a C-FIND SCP gave all that it found, where it says so (status 0000) and may yet have cut it.

C-FIND has no pages. An answer is not cut where the SCP has given more to another question, or where its two
halves by StudyDate hold no more than the whole.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace

from adapters.dimse.levels import Question, Row, Talk
from adapters.shared.halves import DOUBT, kept_to, middle, sides
from broker.errors import RefusedByArchive, ServerFault, TooMuch


async def whole(talk: Talk, question: Question, *, splits: bool) -> AsyncGenerator[list[Row], None]:
    """The rows that answer a first question, and what its halves hold beyond it.

    Raises ArchiveError; TooMuch `capped` where the archive gives no more than came.
    """
    seen: dict[Row, None] = {}
    async with aclosing(talk.rows(question)) as batches:
        async for rows in batches:
            seen.update(dict.fromkeys(rows))
            yield rows
    given = talk.known.given[question.level]
    if not given.cut(len(seen)):
        return
    more = await _beyond(talk, question, list(seen)) if splits else None
    if more is None:
        talk.notes.add(DOUBT)
    elif not more and given.cap is None:
        given.whole = max(given.whole, len(seen))
    else:
        given.cap = min(len(seen), given.cap or len(seen))
        yield more
        raise TooMuch(f"it gives no more than {given.cap} records to a question: ask for less", "capped")


async def _beyond(talk: Talk, question: Question, seen: list[Row]) -> list[Row] | None:
    """What the two halves hold that did not come; None where the question has no halves."""
    at = question.fields.index("StudyDate")
    last = middle(day for row in seen if isinstance(day := row[at], str))
    if last is None:
        return None
    known = {row[0] for row in seen}
    found: list[Row] = []
    try:
        for conditions in sides(question.conditions, last):
            async with aclosing(talk.rows(replace(question, conditions=conditions))) as batches:
                rows = [row async for batch in batches for row in batch]
            if not kept_to([row[at] for row in rows], conditions):
                return None
            found += [row for row in rows if row[0] not in known]
    except (RefusedByArchive, ServerFault):  # the range was ours, not the user's: nothing is known then
        return None
    return found
