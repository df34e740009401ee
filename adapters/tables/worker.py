"""One database connection in one thread of its own, for adapters that ask a database on this machine."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any, Generic, Protocol, TypeVar

from broker.errors import ArchiveError

T = TypeVar("T")


class Connection(Protocol):
    """What is needed of a database: DuckDB's own connection has it."""

    def execute(self, text: str, values: Sequence[str]) -> Any:
        """Begin a statement."""
        ...

    def fetchmany(self, size: int) -> list[tuple[Any, ...]]:
        """The next rows of it; none at its end."""
        ...

    def interrupt(self) -> None:
        """End, from another thread, whatever is under way."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


C = TypeVar("C", bound=Connection)


class Worker(Generic[C]):
    """A connection that is opened and used in one thread; closing interrupts whatever it is doing.

    `connect` gets an event that is set when nobody waits any more; `translated` makes an error of ours of one
    of the database's, or returns None.
    """

    def __init__(
        self,
        name: str,
        connect: Callable[[threading.Event], C],
        translated: Callable[[Exception], ArchiveError | None],
    ) -> None:
        self._name = name
        self._pool = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._connect = connect
        self._translated = translated
        self._db: C | None = None
        self._job: Future[Any] | None = None
        self._ended: Future[None] | None = None
        self._stop = threading.Event()

    def beside(self, connect: Callable[[threading.Event], C]) -> Worker[C]:
        """Another connection in another thread."""
        return Worker(self._name, connect, self._translated)

    async def fetchall(self, text: str, values: Sequence[str]) -> list[tuple[Any, ...]]:
        """Every row of a statement that gives few. Raises ArchiveError."""
        return await self.run(lambda db: everything(db, text, values))

    async def run(self, job: Callable[[C], T]) -> T:
        """Anything done with the connection, in its thread. Raises ArchiveError."""
        return await self.soon(job)

    def soon(self, job: Callable[[C], T]) -> asyncio.Future[T]:
        """The same, begun whether or not anybody waits for it yet."""
        doing = self._job = self._pool.submit(self._do, job)
        return _watched(doing)

    def chain(self, *jobs: Callable[[C], Any]) -> list[asyncio.Future[Any]]:
        """Jobs one after the other, nobody being waited for between them; none after one that fails."""
        told = [Future[Any]() for _ in jobs]
        self._job = self._pool.submit(self._chained, jobs, told)
        return [_watched(one) for one in told]

    def _chained(self, jobs: Sequence[Callable[[C], Any]], told: Sequence[Future[Any]]) -> None:
        for job, one in zip(jobs, told, strict=True):
            if self._stop.is_set() or not one.set_running_or_notify_cancel():
                break
            try:
                one.set_result(self._do(job))
            except BaseException as error:  # noqa: BLE001 - raised again where it is waited for
                one.set_exception(error)
                break
        for one in told:
            one.cancel()

    def _do(self, job: Callable[[C], T]) -> T:
        try:
            if self._db is None:
                self._db = self._connect(self._stop)
            return job(self._db)
        except Exception as error:
            ours = self._translated(error)
            if ours is None:
                raise
            raise ours from error

    def finish(self) -> Future[None]:
        """No further job comes: connection and thread end when those have ended that came before."""
        if self._ended is None:
            self._ended = self._pool.submit(self._end)
            self._pool.shutdown(wait=False)
        return self._ended

    async def close(self) -> None:
        """Interrupt, close, end the thread, whether or not anybody waits for that.

        A thread of its own interrupts: whoever closes may be cancelled once more, as at Ctrl-C.
        """
        self._stop.set()
        ended = self.finish()
        if self._job is not None and not self._job.done():
            threading.Thread(target=self._interrupt, args=(ended,), name="interrupt").start()
        await asyncio.shield(asyncio.wrap_future(ended))

    def _interrupt(self, ended: Future[None]) -> None:
        """DuckDB forgets an interruption that comes just before a statement begins, hence more than one.

        Python waits for this thread at its end: while a frame holds a connection then, DuckDB reports a leak.
        """
        while not ended.done():
            db = self._db
            if db is not None:
                try:
                    db.interrupt()
                except Exception as error:  # it may have closed just now
                    if self._translated(error) is None:
                        raise
            wait([ended], 0.002)

    def _end(self) -> None:
        db, self._db = self._db, None
        if db is not None:
            db.close()


def _watched(doing: Future[T]) -> asyncio.Future[T]:
    told = asyncio.wrap_future(doing)
    told.add_done_callback(_looked_at)
    return told


def _looked_at(told: asyncio.Future[Any]) -> None:
    """What nobody waited for any more failed because of that, and is no news."""
    if not told.cancelled():
        told.exception()


def everything(db: Connection, text: str, values: Sequence[str]) -> list[tuple[Any, ...]]:
    """Every row of a statement that gives few."""
    db.execute(text, values)
    found: list[tuple[Any, ...]] = []
    while rows := db.fetchmany(1000):
        found += rows
    return found
