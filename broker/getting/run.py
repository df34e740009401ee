"""Fetching: each archive by workers of its own, a series from its preferred copy, else from the next."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from functools import partial

from broker.adapter import Closes, Received
from broker.errors import ArchiveError, Malformed
from broker.getting.check import Instance, Wrong
from broker.getting.ledger import Entry
from broker.getting.store import Store
from broker.getting.target import Source, State, Target
from broker.manifests.items import Copy

log = logging.getLogger("broker")

ROUNDS = 5  # times that one copy is asked, as long as something new comes each time
SMALL = 256 * 1024  # bytes of a file that is checked in the loop, in about a millisecond
PATIENCE = 20  # wrong instances of one copy, after which no more are read
ANSWERED = ("too_few", "wrong_instances")  # errors of one series, which say nothing of the others

Watch = Callable[[Target], None]


async def fetch_all(
    found: Sequence[Target],
    sources: Mapping[str, Source],
    store: Store,
    watch: Watch | None = None,
    thoroughly: bool = False,
) -> None:
    """Fetch series into a folder; each target says afterwards what became of it.

    `watch` is called whenever something changed. `thoroughly`: files that are here are read again. Raises
    OSError where the folder cannot be written to; what archives do wrong is noted.
    """
    getting = _Getting(sources, store, watch or (lambda _: None), thoroughly)
    try:
        await getting.run(found)
    finally:
        closing = [s.adapter.close() for s in sources.values() if isinstance(s.adapter, Closes)]
        await asyncio.gather(*closing)


class _Getting:
    """A queue of series for each archive. A series that fails moves to the queue of its next copy."""

    def __init__(self, sources: Mapping[str, Source], store: Store, watch: Watch, thoroughly: bool) -> None:
        self._sources, self._store, self._watch, self._thoroughly = sources, store, watch, thoroughly
        self._queues: dict[str, asyncio.Queue[Target]] = {name: asyncio.Queue() for name in sources}
        self._open = 0
        self._done = asyncio.Event()

    async def run(self, found: Sequence[Target]) -> None:
        """Until every series is complete, or has no further copy."""
        self._open = len(found)
        for target in found:
            self._next(target)
        if not found:
            return
        workers = [
            asyncio.create_task(self._work(name))
            for name, source in self._sources.items()
            for _ in range(min(source.admission.limits.connections, source.admission.limits.questions))
        ]
        done = asyncio.create_task(self._done.wait())
        try:
            await asyncio.wait([done, *workers], return_when=asyncio.FIRST_COMPLETED)
            for worker in workers:
                if worker.done():
                    worker.result()  # raises what ended it
        finally:
            for task in (done, *workers):
                task.cancel()
            await asyncio.gather(done, *workers, return_exceptions=True)

    def _next(self, target: Target) -> None:
        copy = target.copy
        if copy is not None and target.state is not State.COMPLETE:
            self._queues[copy.archive].put_nowait(target)
            return
        if target.state is not State.COMPLETE:
            target.state = State.PARTIAL if target.here else State.FAILED
        self._watch(target)
        self._open -= 1
        if not self._open:
            self._done.set()

    async def _work(self, name: str) -> None:
        while True:
            target = await self._queues[name].get()
            copy = target.copy
            if copy is not None:
                await self._attempt(target, copy, self._sources[name])
            target.tried += 1
            self._next(target)

    async def _attempt(self, target: Target, copy: Copy, source: Source) -> None:
        """One copy of one series; what the archive does wrong is noted."""
        error: ArchiveError | None = None
        try:
            async with source.admission.turn():
                source.admission.retrieving(copy.archive, target.study, target.series)
                await _Copy(target, copy, source, self._store, self._watch, self._thoroughly).get()
        except ArchiveError as raised:
            error = raised
        except (asyncio.CancelledError, OSError):
            source.admission.released()
            raise
        except Exception as raised:
            log.debug("archive %s: unexpected error", copy.archive, exc_info=True)
            error = ArchiveError(f"unexpected {type(raised).__name__} in its adapter", "internal")
        answered = error is None or error.reason in ANSWERED
        source.admission.note(copy.archive, None if answered else error, target.came)
        if error is not None:
            target.trouble(copy.archive, str(error))


class _Copy:
    """One copy of one series, under way."""

    def __init__(
        self, target: Target, copy: Copy, source: Source, store: Store, watch: Watch, thoroughly: bool
    ) -> None:
        self._target, self._copy, self._source, self._store = target, copy, source, store
        self._watch = watch
        self._here: dict[str, Entry] = {}
        self._thoroughly = thoroughly
        self._again: dict[str, Instance] = {}
        self._wrong = 0
        self._ended = False
        self._wanted = target.wanted(copy, source.admission.limits.download)

    async def get(self) -> None:
        """Ask until it is complete, or nothing new comes. Raises ArchiveError."""
        target = self._target
        self._here = await asyncio.to_thread(
            self._store.here, target.study, target.series, self._thoroughly and not target.tried
        )
        self._counted()
        if self._complete_by_record():
            self._finish()
            return
        listed = await self._source.fetches.instances(self._wanted)
        self._wanted = replace(self._wanted, listed=listed)
        error: ArchiveError | None = None
        for _ in range(ROUNDS):
            if self._settled():
                break
            before = len(self._here)
            error = await self._round()
            if len(self._here) == before:
                break
        if error is not None and not self._settled():
            raise error
        self._judge()

    async def _round(self) -> ArchiveError | None:
        """Ask once; the error that ended it, if one did."""
        self._wanted = replace(
            self._wanted,
            here=frozenset(self._here),
            keys=frozenset(e.key for e in self._here.values() if e.key and e.archive == self._copy.archive),
        )
        self._again.clear()
        self._ended = False
        try:
            with self._store.incoming() as folder:
                async with aclosing(self._source.fetches.fetch(self._wanted, folder)) as parts:  # type: ignore[type-var]
                    async for part in parts:
                        await self._take(part)
            self._ended = True
        except ArchiveError as error:
            return error
        return None

    async def _take(self, part: Received) -> None:
        target = self._target
        try:
            own = await self._checked(part)
            if self._fresh(own):
                entry = self._store.take(part, own, target.study, target.series, self._copy.archive)
                self._here[own.uid] = entry
                target.came, target.size = target.came + 1, target.size + own.size
                self._counted()
                self._watch(target)
                return
        except Wrong as error:
            target.remark(self._copy.archive, str(error))
            self._wrong += 1
            if self._wrong >= PATIENCE:
                raise Malformed(
                    f"{self._wrong} files that it sent are wrong: {error}", "wrong_instances"
                ) from error
        if part.path is not None:
            part.path.unlink(missing_ok=True)

    async def _checked(self, part: Received) -> Instance:
        """What was received. Raises Wrong. A small file is read quicker than a thread is woken."""
        check = partial(self._store.check, part, self._target.study, self._target.series)
        if part.path is None or part.path.stat().st_size <= SMALL:
            return check()
        return await asyncio.to_thread(check)

    def _fresh(self, own: Instance) -> bool:
        """Whether it is not here yet. Raises Wrong where it is not listed, or came otherwise."""
        listed = self._wanted.listed
        if listed is not None and own.uid not in listed:
            raise Wrong(f"instance {own.uid} came, and is none that it lists of this series")
        before = self._again.setdefault(own.uid, own)
        if before.sha256 != own.sha256:
            raise Wrong(f"instance {own.uid} came twice, with different content")
        return own.uid not in self._here

    def _missing(self) -> int | None:
        """Instances that are listed and not here; None where the archive cannot tell."""
        return None if self._wanted.listed is None else sum(u not in self._here for u in self._wanted.listed)

    def _settled(self) -> bool:
        """Whether there is nothing more to ask for."""
        missing = self._missing()
        return self._ended if missing is None else missing == 0

    def _complete_by_record(self) -> bool:
        """Whether a run before took all that the archive counts. Asked again, it would say the same."""
        said = self._copy.said.instances
        return said is not None and len(self._here) >= said

    def _judge(self) -> None:
        """Whether all of it is here, as far as the archive says. Raises Malformed, saying what is missing."""
        said, missing = self._copy.said.instances, self._missing()
        if missing:
            raise Malformed(
                f"{missing:,} of {len(self._wanted.listed or ()):,} instances did not come", "too_few"
            )
        if said is not None and len(self._here) < said:
            raise Malformed(f"it counts {said:,} instances, and gives {len(self._here):,}", "too_few")
        if not self._here:
            raise Malformed("it gives no instance", "too_few")
        if missing is None and said is None and self._wrong:
            raise Malformed(f"{self._wrong:,} of its files are wrong", "wrong_instances")
        self._finish()

    def _finish(self) -> None:
        self._target.state = State.COMPLETE
        self._counted()

    def _counted(self) -> None:
        target = self._target
        target.here = len(self._here)
        target.expected = max(target.here, target.expected or 0, len(self._wanted.listed or ()))
        target.sources = list(dict.fromkeys(e.archive for e in self._here.values() if e.archive))
