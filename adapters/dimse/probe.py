"""What a C-FIND SCP says and does of itself: services, extended negotiation, character sets."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from adapters.dimse.learn import COUNTED, learned
from adapters.dimse.levels import Question, Talk
from adapters.dimse.services import Offer
from broker.adapter import Ask, Page
from broker.planning.measured import ANY_TEXT, RETURNED
from broker.probing.finding import Finding
from broker.probing.trials import span
from broker.query import Condition
from catalog.capability import Can, Proof
from catalog.evidence import Status
from catalog.keywords import Level
from catalog.probes import BEHAVIOUR, MATCHING

LEARNED = 4  # questions of the part of the self-test that is used here, at most
_DAYS = (30, 730, 36_500)


def samples() -> tuple[tuple[Condition, ...], ...]:
    """Studies of the last days first: no archive is listed whole for a sample."""
    since = [datetime.now(UTC) - timedelta(days=days) for days in _DAYS]
    return tuple((span("StudyDate", f"{day:%Y%m%d}", ""),) for day in since)


def offered(offer: Offer) -> list[Finding]:
    """The services that were accepted, as a cell, and what was agreed on."""
    agreed = offer.extended
    said = "not answered" if agreed is None else ", ".join(agreed) or "nothing of it"
    value = ", ".join(offer.services)
    note = f"Accepted when all of the Query/Retrieve class was proposed. Extended negotiation: {said}."
    return [
        Finding("dicom_transfer_protocol", Status.YES, value, note=note),
        Finding(BEHAVIOUR, Status.YES if agreed else Status.NO, said, "extended negotiation"),
    ]


async def texts(talk: Talk, can: Can, level: Level) -> list[Finding]:
    """Whether names beyond ASCII are found, where there are any. Raises ArchiveError."""
    asked = replace(can, any_text=Proof.OPEN, any_case_pn=Proof.YES)
    told = await learned(talk, asked, level)
    status = {Proof.YES: Status.YES, Proof.NO: Status.NO}.get(told.any_text, Status.UNKNOWN)
    note = "Names beyond ASCII, as wildcards." if status.value != "unknown" else "No such name was shown."
    gone = told.absent - can.absent
    back = [
        Finding(MATCHING, Status.NO if k in gone else Status.YES, RETURNED, f"STUDY {k}") for k in COUNTED
    ]
    return [Finding(MATCHING, status, ANY_TEXT, note=note), *(back if told is not asked else ())]


async def as_asked(talk: Talk, ask: Ask) -> AsyncIterator[Page]:
    """One identifier with the conditions as they stand, promised or not. Raises ArchiveError."""
    fields = tuple(dict.fromkeys((ask.level.uid, *ask.fields)))
    async with aclosing(talk.rows(Question(ask.level, ask.conditions, fields))) as batches:
        async for rows in batches:
            yield talk.page(fields, rows)
