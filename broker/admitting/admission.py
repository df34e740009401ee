"""Before an archive is asked: its limits, its turn, and whether it is left alone; after: what came of it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

from broker.adapter import Adapter, Ask, Shows
from broker.admitting.audit import Audit
from broker.admitting.pauses import Pauses, Standing, counts, key_of
from broker.errors import ArchiveError, LeftAlone
from broker.plan import Plan
from broker.report import Report
from broker.setup.limits import Limits
from catalog.archives import Archive

log = logging.getLogger("broker.archives")

_TURNS: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, asyncio.Semaphore]] = WeakKeyDictionary()


@dataclass(frozen=True, slots=True)
class Admission:
    """The terms on which one archive is asked.

    `key` is None for an adapter that a program gave itself: it is always asked, and not audited.
    `remarks` stand in every report of the archive.
    """

    key: str | None = None
    limits: Limits = field(default_factory=Limits)
    pauses: Pauses | None = None
    audit: Audit | None = None
    address: str = ""
    remarks: tuple[str, ...] = ()

    @classmethod
    def of(cls, archive: Archive, pauses: Pauses, audit: Audit | None = None) -> Admission:
        """The terms of an archive of the federation. Raises BadConfig."""
        limits = Limits.of(archive.name, archive.limits)
        remarks = ("tls_not_verified",) if archive.network.get("insecure") else ()
        return cls(key_of(archive), limits, pauses, audit, archive.url, remarks)

    @contextlib.asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """One of the `questions` that may be under way at an archive. Raises LeftAlone."""
        if self.key is None or self.pauses is None:
            yield
            return
        here = _TURNS.setdefault(asyncio.get_running_loop(), {})
        async with here.setdefault(self.key, asyncio.Semaphore(self.limits.questions)):
            standing = self.pauses.permit(self.key)
            if standing is not None:
                raise _left_alone(standing)
            yield

    def asked(self, adapter: Adapter, ask: Ask) -> None:
        """Record a question that is about to be sent, where that is wished. Raises ArchiveError."""
        if self.audit is not None:
            conditions = " ".join(str(c) for c in ask.conditions)
            question = (
                adapter.request(ask) if isinstance(adapter, Shows) else f"{ask.level.name} {conditions}"
            )
            self.audit.asked(adapter.name, self.address, question)

    def retrieving(self, archive: str, study: str, series: str) -> None:
        """Record a series that is about to be fetched, where that is wished. Raises ArchiveError."""
        if self.audit is not None:
            self.audit.asked(archive, self.address, f"retrieve {study} {series}")

    def note(self, archive: str, error: ArchiveError | None, fetched: int) -> None:
        """Remember how a question ended."""
        if self.key is None or self.pauses is None or isinstance(error, LeftAlone):
            return
        if error is None or not counts(error, fetched):
            self.pauses.answered(self.key)
        else:
            self.pauses.failed(self.key, archive, error)

    def broke(self, archive: str, made: Plan, broken: Mapping[str, int], kept: int) -> None:
        """Keep broken promises of an archive of the federation as evidence."""
        if self.key is not None and any(broken.values()):
            from broker.planning.evidence import keep_broken

            keep_broken(archive, self.address, made, broken, kept)

    def released(self) -> None:
        """The question was given up by whoever asked; nothing is known of the archive."""
        if self.key is not None and self.pauses is not None:
            self.pauses.released(self.key)


def _left_alone(standing: Standing) -> LeftAlone:
    left = standing.until - time.time()
    when = f"for another {left:.0f} s" if left > 0 else "until another question that is under way has ended"
    return LeftAlone(
        f"left alone {when} (failures in a row: {standing.failures}, the last one {standing.reason}); "
        f"`broker archives check {standing.archive} --reset` asks it again at once"
    )


def logged(report: Report) -> None:
    """One line an archive and question: counts and times only, never what was asked or what came."""
    plain = {
        "archive": report.archive,
        "status": report.status.value,
        "reason": report.reason,
        "level": report.level,
        "fetched": report.fetched,
        "kept": report.kept,
        "unknown": sum(report.unknown.values()),
        "bad": report.bad,
        "first": None if report.first is None else round(report.first, 4),
        "seconds": round(report.seconds, 4),
    }
    log.info(" ".join(f"{k}={v}" for k, v in plain.items()), extra={"broker": plain})
