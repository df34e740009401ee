"""Whether a server gives all that it finds, or no more than so many records to a question.

Orthanc's LimitFindResults, and others like it, cut without a word. That an answer is not cut is seen where
the server has given more to another question, where it has a record further on in a list of everything, or
where the two halves of the question hold no more than the whole.
"""

from __future__ import annotations

from adapters.dicomweb.question import Question, Row
from adapters.shared.halves import DOUBT, LEAST, kept_to, middle, sides
from broker.adapter import Page
from broker.errors import RefusedByArchive, TooMuch


async def beyond(q: Question) -> list[Page]:
    """What an answer that looks whole lacked, or that nobody can tell. Raises ArchiveError."""
    total = len(q.seen)
    given = total < q.habits.reach or total <= q.habits.whole or q.told == total
    if total < LEAST or given or q.habits.cap is not None or q.paging.exact or await _goes_on(q):
        return []
    halves = await _halves(q)
    if halves is None:
        return [q.remark(DOUBT)]
    found = {row[q.unique]: row for row in halves if row[q.unique] not in q.seen}
    if not found:
        q.habits.whole = total
        return []
    q.habits.cap = total
    return [Page(q.columns, list(found.values()))]


def judge(q: Question) -> None:
    """Raises TooMuch `capped` where the archive is known to give no more than came."""
    caps = [cap for cap in (q.habits.cap, q.paging.most) if cap is not None]
    if caps and len(q.seen) >= min(caps):
        raise TooMuch(f"it gives no more than {min(caps)} records to a question: ask for less", "capped")


async def _goes_on(q: Question) -> bool:
    """Whether the list of everything goes on where this answer ended, and offsets work for both."""
    total = len(q.seen)
    if not q.filters or q.form not in q.habits.honest:
        return False
    if not await q.offsets() or not await q.bare(1, total):
        return False
    q.habits.reach = max(q.habits.reach, total + 1)
    return True


async def _halves(q: Question) -> list[Row] | None:
    """What comes for the earlier and for the later of the dates that came; None where that tells nothing.

    Nothing more than a record, where the last one that came stands at the end of its half.
    """
    last = middle(q.dates.values())
    if last is None:
        return None
    found: list[Row] = []
    try:
        for asked, earlier in zip(sides(q.conditions, last), (True, False), strict=True):
            own = [key for key, day in q.dates.items() if (day <= f"{last:%Y%m%d}") is earlier]
            if not await q.ends_with(own[-1], len(own) - 1, asked):
                rows = (await q.get(max(q.paging.size, len(q.seen) + 1), 0, asked)).rows
                if not kept_to([row[q.columns.index("StudyDate")] for row in rows], asked):
                    return None
                found += rows
    except RefusedByArchive:  # the range was ours, not the user's: nothing is known then
        return None
    return found
