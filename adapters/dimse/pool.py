"""The associations of one archive: no more at once than it bears, each used again while it lasts."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager

from adapters.dimse.link import Association, Peer
from adapters.shared.pace import Pace, Tokens
from broker.errors import Limited, Unreachable

PAUSE = (0.05, 0.3)  # seconds before an association is asked for once more


class Pool:
    """Associations to one archive, within one event loop."""

    def __init__(self, peer: Peer) -> None:
        self.loop = asyncio.get_running_loop()
        self.most = peer.limits.connections
        self._peer = peer
        self._pace = Pace(peer.limits)
        self._tokens = Tokens.of(f"{peer.host}:{peer.port}")
        self._idle: list[Association] = []
        self._busy: set[Association] = set()
        self._out = 0  # lent, or being opened
        self._freed = asyncio.Event()

    async def find(self, identifier: bytes, notes: set[str]) -> AsyncGenerator[list[bytes], None]:
        """The identifiers that answer a question, in batches. Raises ArchiveError.

        An association that ended while it lay idle is replaced, once. `notes` gets `keys_ignored` where the
        archive says so of a key that it does not support (PS3.4 C.4.1.1.4: pending with FF01).
        """
        for last in (False, True):
            async with self.lent(new=last) as association:
                old, told = association.used, False
                try:
                    async with aclosing(association.find(identifier)) as batches:
                        async for batch in batches:
                            told = True
                            yield batch
                except Unreachable:
                    if told or not old or last:
                        raise
                    association.abort()
                else:
                    notes.update(["keys_ignored"] if association.ignored_keys else [])
                    return

    @asynccontextmanager
    async def lent(self, *, new: bool = False) -> AsyncIterator[Association]:
        """An association for one question, aborted unless the question ends well. Raises ArchiveError."""
        async with self._pace:
            association = await self._taken(new=new)
            self._busy.add(association)
            try:
                yield association
                self._keep(association)
            except BaseException:
                association.abort()
                raise
            finally:
                self._busy.discard(association)
                self._give_back()

    async def close(self) -> None:
        """Release what is idle, abort what is not."""
        for association in self._busy:
            association.abort()
        idle, self._idle = self._idle, []
        await asyncio.gather(*(association.release() for association in idle))

    async def _taken(self, *, new: bool) -> Association:
        """One that lay idle, or another.

        Where the archive takes no more of them for now, as many as it took are made to do.
        """
        again = False
        while True:
            while self._out >= self.most:
                self._freed.clear()
                await self._freed.wait()
            self._out += 1
            try:
                return self._rested(new=new) or await self._another()
            except Limited:
                self._give_back()
                if self._out:
                    self.most = self._out
                elif again:
                    raise
                else:
                    again = True
                    await asyncio.sleep(random.uniform(*PAUSE))  # noqa: S311 - not a secret
            except BaseException:
                self._give_back()
                raise

    def _rested(self, *, new: bool) -> Association | None:
        while self._idle and not new:
            association = self._idle.pop()
            if association.alive:
                return association
            association.abort()
        return None

    async def _another(self) -> Association:
        """A new association; tried twice where nobody listened."""
        self._tokens.earn()
        try:
            return await Association.opened(self._peer)
        except Unreachable as error:
            if error.reason != "unreachable" or not self._tokens.take():
                raise
        await asyncio.sleep(random.uniform(*PAUSE))  # noqa: S311 - not a secret
        return await Association.opened(self._peer)

    def _keep(self, association: Association) -> None:
        if association.alive:
            self._idle.append(association)
        else:
            association.abort()

    def _give_back(self) -> None:
        self._out -= 1
        self._freed.set()
