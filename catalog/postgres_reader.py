"""Connections to PostgreSQL that only read, kept open for the next search, left as soon as nobody waits."""

from __future__ import annotations

import atexit
import contextlib
import json
import logging
import os
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, wait
from contextlib import AbstractContextManager
from itertools import islice
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus
from psycopg.sql import SQL, Composed

from catalog import store_sql as sql
from catalog.holdings import Held

CHUNK = 1000 if psycopg.capabilities.has_stream_chunked() else 1  # rows that libpq gives at once
IDLE = 8  # connections of a process that are kept open
LOOK = 0.02  # seconds between looks whether anybody still waits
BYE = 0.05  # seconds in which a statement that nobody waits for may end by being cancelled

# that a statement could not be cancelled is no news: nobody waits for it
logging.getLogger("psycopg").setLevel(logging.ERROR)

Gone = Callable[[], bool]
"""Whether nobody waits any more."""


class Watched(psycopg.Connection[tuple[Any, ...]]):
    """A connection whose waiting ends soon after nobody waits for it any more, whatever the server does."""

    gone: Gone = staticmethod(lambda: False)
    _since: float | None = None

    def watch(self, gone: Gone) -> None:
        """From now on."""
        self.gone, self._since = gone, None

    def wait(self, gen: Any, interval: float = LOOK, *more: Any, **named: Any) -> Any:
        """As psycopg waits, and looks whether anybody still waits. Raises psycopg.OperationalError."""
        return super().wait(self._steps(gen), min(interval, LOOK), *more, **named)

    def cancel_safe(self, *, timeout: float = BYE) -> None:
        """Within a moment: psycopg cancels what fails under way by itself, and would wait five seconds."""
        super().cancel_safe(timeout=min(timeout, BYE))

    def _steps(self, gen: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
        """The steps of a conversation; psycopg takes one whenever something came, and at every look."""
        try:
            step = next(gen)
            while True:
                ready = yield step
                self._patient()
                step = gen.send(ready)
        except StopIteration as end:
            return end.value

    def _patient(self) -> None:
        if self.gone():
            self._since = self._since or time.monotonic()
            if time.monotonic() - self._since > BYE:
                raise psycopg.OperationalError("nobody waits for it any more")


_BEGIN = SQL("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
_SNAPSHOT = SQL("SET TRANSACTION SNAPSHOT {}")
_HELD = SQL("SELECT about, pg_export_snapshot() FROM archives WHERE name = {}")
_IDLE: dict[tuple[int, str], list[Watched]] = {}
_GUARD = threading.Lock()


@atexit.register
def _let_go() -> None:
    """What is idle is closed with the process that opened it."""
    with _GUARD:
        for (process, _), kept in _IDLE.items():
            while kept and process == os.getpid():
                kept.pop().close()


class PostgresReader:
    """A connection that only reads, with one statement at a time whose rows come as they are fetched."""

    def __init__(
        self,
        url: str,
        connect: Callable[[], Watched],
        faults: Callable[[], AbstractContextManager[None]],
        gone: Gone,
        snapshot: str = "",
    ) -> None:
        self._snapshot = snapshot  # that was exported by another, or by this one
        self._faults = faults
        self._pool = (os.getpid(), url)
        self._connect = connect
        self._gone = gone
        self._busy = False
        self._cancelled = False
        self._closed = False
        self._cancelling = threading.Lock()
        self._rows: Iterator[tuple[Any, ...]] = iter(())
        self._ended = True
        with faults():
            self._db = self._kept_open() or _connected(connect, gone)
        self._db.watch(gone)

    def _kept_open(self) -> Watched | None:
        """One that is open, unless the server has ended it meanwhile."""
        with _GUARD:
            kept = _IDLE.get(self._pool)
            return kept.pop() if kept else None

    def _sent(self, text: str | Composed) -> psycopg.Cursor[tuple[Any, ...]]:
        """The result of what is sent first; over a new connection where the kept one was lost meanwhile."""
        try:
            return self._db.execute(text, prepare=False)
        except psycopg.OperationalError:
            if not self._db.closed:
                raise
        self._db = _connected(self._connect, self._gone)
        self._db.watch(self._gone)
        return self._db.execute(text, prepare=False)

    def held(self, archive: str) -> Held | None:
        """What is held of an archive in the state that is read, from now on."""
        with self._working():
            asked = _HELD.format(archive)
            found = (self._begin(asked) if self._idle else self._db.execute(asked)).fetchone()
        if found is None:
            return None
        about, self._snapshot = found
        return Held.of(json.loads(about))

    def twin(self) -> Callable[[Gone], PostgresReader]:
        """Another connection, in a transaction that begins with the same snapshot."""
        if not self._snapshot:
            raise ValueError("what is held is asked for first: that begins what both see")
        return lambda gone: PostgresReader(self._pool[1], self._connect, self._faults, gone, self._snapshot)

    def everything(self, text: str) -> list[tuple[Any, ...]]:
        """All rows of one statement, in no transaction."""
        with self._working():
            return self._sent(text).fetchall()

    def execute(self, text: str, values: Sequence[str] = ()) -> None:
        """Begin a statement, when the one before has ended. Its rows come as they are fetched.

        No cursor of the server's: for those PostgreSQL uses one process where it might use several.
        """
        with self._working():
            if self._idle:
                self._begin()
            self._rest()
            self._rows = self._db.cursor().stream(*sql.bound(text, values), size=CHUNK)
            self._ended = False

    @property
    def _idle(self) -> bool:
        return self._db.info.transaction_status == TransactionStatus.IDLE

    def _begin(self, *then: Composed) -> psycopg.Cursor[tuple[Any, ...]]:
        """Every statement sees the same state from now on. The result of the last that is sent with it."""
        seen = [_SNAPSHOT.format(self._snapshot)] if self._snapshot else []
        told = self._sent(SQL("; ").join([_BEGIN, *seen, *then]))
        while told.nextset():
            pass
        return told

    def fetchmany(self, size: int) -> list[tuple[Any, ...]]:
        """The next rows of it."""
        with self._working():
            found = list(islice(self._rows, size))
            self._ended = len(found) < size
            return found

    def _rest(self) -> None:
        """Let go of what was not fetched: psycopg would cancel, and that may hit what comes next."""
        for _ in self._rows:
            pass

    @contextlib.contextmanager
    def _working(self) -> Iterator[None]:
        self._busy = True
        try:
            with self._faults():
                yield
        finally:
            self._busy = False

    def interrupt(self) -> None:
        """Cancel what is under way, once. Raises what the store raises where the server cannot be told."""
        with self._cancelling:
            if self._busy and not self._cancelled and not self._closed:
                self._cancelled = True
                with self._faults():
                    self._db.cancel_safe()

    def close(self) -> None:
        """Keep the connection for the next, unless it is broken.

        One of which a statement was to be cancelled is not kept: that may arrive late, and hit the next.
        """
        with self._cancelling:
            self._closed = True
        with contextlib.suppress(psycopg.Error):
            if self._ended and not self._cancelled and self._kept():
                return
        self._db.close()
        if isinstance(self._rows, Generator):  # psycopg cancels nothing any more
            self._rows.close()

    def _kept(self) -> bool:
        """Whether there was room for it among the idle ones."""
        self._db.rollback()
        with _GUARD:
            kept = _IDLE.setdefault(self._pool, [])
            if len(kept) >= IDLE:
                return False
            kept.append(self._db)
            return True


def _connected(connect: Callable[[], Watched], gone: Gone) -> Watched:
    """A new connection, made in a thread that may be left: nothing can wake psycopg meanwhile."""
    made: Future[Watched] = Future()
    threading.Thread(target=_connect, args=(connect, made), name="postgres", daemon=True).start()
    while not wait([made], LOOK).done:
        if gone() and made.cancel():
            raise psycopg.OperationalError("nobody waits for it any more")
    return made.result()


def _connect(connect: Callable[[], Watched], made: Future[Watched]) -> None:
    try:
        db = connect()
    except Exception as error:  # noqa: BLE001 - raised again where it is waited for
        if made.set_running_or_notify_cancel():
            made.set_exception(error)
        return
    if made.set_running_or_notify_cancel():
        made.set_result(db)
    else:
        db.close()
