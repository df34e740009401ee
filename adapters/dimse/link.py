"""Associations that are asked: C-ECHO and C-FIND."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator

from adapters.dimse import pdu
from adapters.dimse.line import Line, Peer, connected
from broker.errors import ArchiveError, Forbidden, Malformed, RefusedByArchive, ServerFault

__all__ = ["Association", "Peer"]

FIRST, MOMENT, BATCH = (
    0.005,
    0.05,
    500,
)  # seconds that the first and later records may wait for others; records
PENDING, KEYS_IGNORED, SUCCESS = 0xFF00, 0xFF01, 0x0000


class Association(Line):
    """One association for C-ECHO and C-FIND. One question at a time."""

    def __init__(self, peer: Peer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        super().__init__(peer, reader, writer)
        self.negotiated = pdu.Negotiated({})
        self.used = False
        self.ignored_keys = False
        self._number = 0

    @classmethod
    async def opened(cls, peer: Peer) -> Association:
        """A new association. Raises ArchiveError."""
        reader, writer = await connected(peer)
        made = cls(peer, reader, writer)
        try:
            await made._associate()
        except BaseException:
            made.abort()
            raise
        return made

    async def echo(self) -> None:
        """One C-ECHO (PS3.4 A.4). Raises ArchiveError."""
        context = self.negotiated.contexts.get(pdu.VERIFICATION)
        if context is None:
            raise RefusedByArchive("it does not offer C-ECHO", "not_supported")
        number = self._send(context, pdu.echo_rq, None)
        self._since = time.monotonic()
        found = None
        while found is None:
            await self.more(self._peer.limits.first_byte)
            found = self._inbox.next()
        if self._checked(found[0], pdu.ECHO_RQ, number).status != SUCCESS:
            raise _failure(found[0])

    async def find(self, identifier: bytes) -> AsyncGenerator[list[bytes], None]:
        """The identifiers that answer a question, in batches. Raises ArchiveError after what came before.

        Left before its end, the question is cancelled and the association aborted.
        """
        sop = pdu.FIND[self._peer.root]
        number = self._send(self.negotiated.contexts[sop], lambda n: pdu.find_rq(sop, n), identifier)
        ended = False
        try:
            async with contextlib.aclosing(self._batches(number)) as batches:
                async for batch in batches:
                    yield batch
            ended = True
        finally:
            if not ended:
                self.abort(number)

    def abort(self, number: int | None = None) -> None:
        """Close it now; a question under way is cancelled first (C-CANCEL), for servers that listen."""
        context = self.negotiated.contexts.get(pdu.FIND[self._peer.root])
        if number is not None and context is not None and not self._writer.is_closing():
            with contextlib.suppress(OSError, RuntimeError):
                self._writer.write(pdu.message(context, pdu.cancel_rq(number), None, self.negotiated.largest))
        super().abort()

    async def _associate(self) -> None:
        request = pdu.associate(self._peer.calling, self._peer.called, self._peer.root)
        self.negotiated = pdu.accepted(await self.negotiate(request), self._peer.root)

    def _send(self, context: int, command: pdu.Command, data: bytes | None) -> int:
        self._number = self._number % 0xFFFF + 1
        self._inbox.context = context
        self._writer.write(pdu.message(context, command(self._number), data, self.negotiated.largest))
        self.ignored_keys = False
        return self._number

    async def _batches(self, number: int) -> AsyncGenerator[list[bytes], None]:
        """Identifiers, many at a time where they come fast; then how they ended, if not well, as an error."""
        batch: list[bytes] = []
        limits = self._peer.limits
        self._since, wait, flush, patience = time.monotonic(), FIRST, 0.0, limits.first_byte
        while True:
            if not batch:
                flush = time.monotonic() + wait
            try:
                last = self._taken(number, batch)
                if last is None and len(batch) < BATCH and not (batch and time.monotonic() >= flush):
                    await self.more(patience, flush if batch else None)
                    continue
            except ArchiveError:
                if batch:
                    yield batch
                raise
            self.used = True
            yield batch
            batch, wait, patience = [], MOMENT, limits.idle
            if last is not None:
                if last.status != SUCCESS:
                    raise _failure(last)
                return

    def _taken(self, number: int, batch: list[bytes]) -> pdu.Reply | None:
        """Moves the identifiers that are there into the batch; the last response, if it is there."""
        take, inbox = batch.append, self._inbox
        while len(batch) < BATCH and (found := inbox.next()) is not None:
            answer, data = found
            self._since = time.monotonic()
            self._checked(answer, pdu.FIND_RQ, number)
            if answer.status not in (PENDING, KEYS_IGNORED):
                if answer.status == SUCCESS and not (data is None and inbox.empty):
                    raise Malformed("it goes on after it has said that it has ended", "bad_protocol")
                return answer
            self.ignored_keys = self.ignored_keys or answer.status == KEYS_IGNORED
            if data is None:
                raise Malformed("a pending response holds no record", "bad_protocol")
            take(data)
        return None

    def _checked(self, answer: pdu.Reply, field: int, number: int) -> pdu.Reply:
        if answer.field != field | pdu.RSP or answer.message != number:
            raise Malformed("it answers another question than was asked", "bad_protocol")
        return answer


def _failure(answer: pdu.Reply) -> ArchiveError:
    """A final status other than success (PS3.4 table C.4-1, PS3.7 annex C), as an error."""
    status = answer.status
    reason = f"dimse_{status:04X}"
    if status == 0xFE00:
        return ServerFault("it ended the search although nobody cancelled it; more may exist", reason)
    if status == 0xB001:
        return ServerFault("it reached a limit of its own; more may exist", reason)
    if status == 0xA700:
        return ServerFault("it is out of resources", reason)
    if status == 0x0124:
        return Forbidden("it does not permit the question", "forbidden")
    if status in (0xA900, 0x0122):
        about = f" ({', '.join(answer.offending[:5])})" if answer.offending else ""
        return RefusedByArchive(f"the question does not fit what it supports{about}", reason)
    if status & 0xF000 == 0xC000:
        return ServerFault("it is unable to process the question", reason)
    return ServerFault("it ended the search with a failure", reason)
