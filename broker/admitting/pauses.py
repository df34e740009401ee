"""Archives that are left alone for a while: a breaker per archive and credential, kept across processes.

Five failures in a row open it: the archive is not asked for 30 s, then for 60 s, at most for 300 s, each
time until one single question has been answered. `Retry-After` opens it at once, for as long as the archive
says. Only failures of the archive count; a refusal, or missing credentials, is an answer.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from broker.errors import ArchiveError, DeadlinePassed, Forbidden, Limited, RefusedByArchive, TooMuch
from catalog import places
from catalog.archives import Archive

log = logging.getLogger("broker")

PATIENCE = 5  # failures in a row
PAUSE = 30.0  # seconds, times the number of pauses so far
LONGEST = 300.0
PROBING = 90.0  # seconds after which a probe that never ended is forgotten

TABLE = """create table if not exists pause (
  key text primary key, archive text not null, failures integer not null default 0,
  pauses integer not null default 0, since real not null, until real not null default 0,
  probing real not null default 0, reason text not null default '')"""


@dataclass(frozen=True, slots=True)
class Standing:
    """How an archive stands: failures in a row since `since`, and until when it is left alone (epoch s)."""

    archive: str
    failures: int
    pauses: int
    since: float
    until: float
    reason: str


def key_of(archive: Archive) -> str:
    """One key for an archive with one credential; the reference to the secret counts, not the secret."""
    said = repr((archive.url, sorted(archive.auth.items())))
    return f"{archive.name} {hashlib.sha256(said.encode()).hexdigest()[:16]}"


class Pauses:
    """The breakers of all archives, in one SQLite file. Where the file cannot be used, nothing is paused."""

    def __init__(self, file: Path | None = None) -> None:
        self._file = file

    @property
    def file(self) -> Path:
        """Where the state is kept."""
        return self._file or places.state("pauses.sqlite")

    def permit(self, key: str) -> Standing | None:
        """None where the archive may be asked; otherwise how it stands.

        After a pause one caller only is permitted, until it has noted what came of it.
        """
        now, standing = time.time(), None
        with self._open(make=False) as db:
            row = db.execute(f"{SELECT} where key = ?", (key,)).fetchone() if db else None
            if db is not None and row is not None and row[4]:  # a pause has begun
                free = "update pause set probing = ? where key = ? and probing < ? and until <= ?"
                probes = db.execute(free, (now, key, now - PROBING, now)).rowcount
                standing = None if probes else Standing(*row)
        return standing

    def answered(self, key: str) -> None:
        """The archive has spoken: whatever was held against it is forgotten."""
        with self._open(make=False) as db:
            if db is not None:
                db.execute("delete from pause where key = ?", (key,))

    def failed(self, key: str, archive: str, error: ArchiveError) -> None:
        """One more failure; the fifth in a row, or Retry-After, begins a pause."""
        now = time.time()
        with self._open() as db:
            if db is None:
                return
            db.execute("begin immediate")
            new = "insert or ignore into pause (key, archive, since) values (?, ?, ?)"
            db.execute(new, (key, archive, now))
            _, failures, pauses, _, until, _ = db.execute(f"{SELECT} where key = ?", (key,)).fetchone()
            length = _pause(error, failures + 1, pauses)
            if length and until <= now:
                pauses, until = pauses + 1, now + length
            change = (
                "update pause set failures = ?, pauses = ?, until = ?, reason = ?, probing = 0 where key = ?"
            )
            db.execute(change, (failures + 1, pauses, until, error.reason, key))

    def released(self, key: str) -> None:
        """A question ended without telling anything of the archive: another may probe it."""
        with self._open(make=False) as db:
            if db is not None:
                db.execute("update pause set probing = 0 where key = ?", (key,))

    def reset(self, archive: str) -> int:
        """Forget everything held against an archive; how many credentials that concerned."""
        with self._open(make=False) as db:
            if db is not None:
                return db.execute("delete from pause where archive = ?", (archive,)).rowcount
        return 0

    def all(self) -> list[Standing]:
        """Every archive that failed last time."""
        with self._open(make=False) as db:
            if db is not None:
                return [Standing(*row) for row in db.execute(f"{SELECT} order by archive")]
        return []

    @contextlib.contextmanager
    def _open(self, make: bool = True) -> Iterator[sqlite3.Connection | None]:
        """A transaction on the file; None where there is no file, or none that can be used."""
        db = self._connect() if make or self.file.exists() else None
        try:
            with db or contextlib.nullcontext():
                yield db
        except sqlite3.Error as error:
            log.warning("cannot use %s, so no archive is left alone: %s", self.file, error)
        finally:
            if db is not None:
                db.close()

    def _connect(self) -> sqlite3.Connection | None:
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            db = sqlite3.connect(self.file, timeout=0.25)
            db.execute(TABLE)
        except (sqlite3.Error, OSError) as error:
            log.warning("cannot use %s, so no archive is left alone: %s", self.file, error)
            if isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.OperationalError):
                self.file.unlink(missing_ok=True)  # it is no database (any more): the next one is made anew
            return None
        return db


SELECT = "select archive, failures, pauses, since, until, reason from pause"


def _pause(error: ArchiveError, failures: int, pauses: int) -> float:
    """Seconds for which an archive is left alone after this error; 0: not yet."""
    if isinstance(error, Limited):
        return min(error.retry_after or 2 * PAUSE, 12 * LONGEST)
    return min(PAUSE * (pauses + 1), LONGEST) if pauses or failures >= PATIENCE else 0.0


def counts(error: ArchiveError, fetched: int) -> bool:
    """Whether an error is held against the archive, rather than against the question or the credentials."""
    if isinstance(error, Forbidden | RefusedByArchive):
        return False
    if isinstance(error, TooMuch | DeadlinePassed):
        return fetched == 0
    return error.reason not in ("not_json", "bad_config")
