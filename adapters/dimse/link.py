"""Associations over asyncio: no thread is ever inside one, so cancelling and closing take effect at once.

asyncio sets TCP_NODELAY on its sockets; without it every request waits 40 ms for an acknowledgement.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field

from adapters.dimse import pdu
from adapters.dimse.inbox import Inbox
from broker.errors import (
    ArchiveError,
    Forbidden,
    Malformed,
    RefusedByArchive,
    ServerFault,
    TimedOut,
    Unreachable,
)
from broker.setup.limits import Limits

CHUNK = 64 * 1024
FIRST, MOMENT, BATCH = (
    0.005,
    0.05,
    500,
)  # seconds that the first and later records may wait for others; records
PENDING, KEYS_IGNORED, SUCCESS = 0xFF00, 0xFF01, 0x0000


@dataclass(frozen=True, slots=True)
class Peer:
    """One archive's address, names and patience.

    calling, called  AE titles
    root             `study` or `patient`
    limits           its patience: `connect` until a connection, and again until an association, is there;
                     `first_byte` until the first complete response, `idle` until the next one
    """

    host: str
    port: int
    called: str = "ANY-SCP"
    calling: str = "IMAGING_BROKER"
    root: str = "study"
    tls: ssl.SSLContext | None = None
    limits: Limits = field(default_factory=Limits)


class Association:
    """One association. One question at a time; closed at once by `abort`, in good order by `release`."""

    def __init__(self, peer: Peer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.negotiated = pdu.Negotiated({})
        self.used = False
        self.ignored_keys = False
        self._peer, self._reader, self._writer = peer, reader, writer
        self._inbox = Inbox(min(pdu.MAX_REPLY, peer.limits.bytes))
        self._number = 0
        self._since = time.monotonic()

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

    @property
    def alive(self) -> bool:
        """Whether another question can be asked, as far as can be seen from here."""
        return self._inbox.empty and not (self._writer.is_closing() or self._reader.at_eof())

    async def echo(self) -> None:
        """One C-ECHO (PS3.4 A.4). Raises ArchiveError."""
        context = self.negotiated.contexts.get(pdu.VERIFICATION)
        if context is None:
            raise RefusedByArchive("it does not offer C-ECHO", "not_supported")
        number = self._send(context, pdu.echo_rq, None)
        self._since = time.monotonic()
        found = None
        while found is None:
            await self._more(self._peer.limits.first_byte)
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
        if not self._writer.is_closing():
            context = self.negotiated.contexts.get(pdu.FIND[self._peer.root])
            with contextlib.suppress(OSError, RuntimeError):
                if number is not None and context is not None:
                    self._writer.write(
                        pdu.message(context, pdu.cancel_rq(number), None, self.negotiated.largest)
                    )
                self._writer.write(pdu.ABORTED)
        self._writer.transport.abort()

    async def release(self, seconds: float = 0.2) -> None:
        """Close it in good order (A-RELEASE), or without it where the other side takes too long."""
        try:
            async with asyncio.timeout(seconds):
                self._writer.write(pdu.RELEASE)
                while (found := self._inbox.pdu()) is None or found[0] == pdu.DATA:
                    await self._read()
        except (ArchiveError, OSError, TimeoutError):
            pass  # it is closed in any case, and nothing was to come
        finally:
            self._writer.transport.abort()

    async def _associate(self) -> None:
        self._writer.write(pdu.associate(self._peer.calling, self._peer.called, self._peer.root))
        self._since = time.monotonic()
        while (found := self._inbox.pdu()) is None:
            await self._more(self._peer.limits.connect)
        kind, raw = found
        if kind == pdu.RJ:
            raise pdu.rejection(raw)
        if kind == pdu.ABORT:
            raise Unreachable("it aborted the association before it was open", "dimse_abort")
        if kind != pdu.AC:
            raise Malformed("it does not speak DICOM's upper layer", "bad_protocol")
        self.negotiated = pdu.accepted(raw, self._peer.root)

    def _send(self, context: int, command: pdu.Command, data: bytes | None) -> int:
        self._number = self._number % 0xFFFF + 1
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
                    await self._more(patience, flush if batch else None)
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

    async def _more(self, patience: float, until: float | None = None) -> None:
        """Reads once; returns without anything at the moment `until`. Raises TimedOut, Unreachable.

        Patience is for a whole response: bytes that trickle do not renew it.
        """
        now = time.monotonic()
        end = self._since + patience
        left = (end if until is None else min(end, until)) - now
        try:
            async with asyncio.timeout(max(left, 0)):
                await self._read()
        except TimeoutError as error:
            if time.monotonic() >= end:
                raise TimedOut("it fell silent") from error

    async def _read(self) -> None:
        _at_once(self._writer)
        try:
            raw = await self._reader.read(CHUNK)
        except (OSError, ssl.SSLError) as error:
            raise Unreachable("the connection broke in the middle", "dimse_closed") from error
        if not raw:
            raise Unreachable("it closed the connection in the middle", "dimse_closed")
        self._inbox.feed(raw)


def _at_once(writer: asyncio.StreamWriter) -> None:
    """Acknowledge what comes at once, where the system can (Linux).

    Servers that send a command and its record apart, and have no TCP_NODELAY, would wait 40 ms in between.
    The system forgets it with everything that is sent or comes.
    """
    connection = writer.get_extra_info("socket")
    if _QUICK is not None and connection is not None and connection.fileno() >= 0:
        connection.setsockopt(socket.IPPROTO_TCP, _QUICK, 1)


_QUICK: int | None = getattr(socket, "TCP_QUICKACK", None)


async def connected(peer: Peer) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection on which nothing was said yet. Raises Unreachable and TimedOut."""
    name = peer.host if peer.tls else None
    try:
        async with asyncio.timeout(peer.limits.connect):
            return await asyncio.open_connection(
                peer.host, peer.port, ssl=peer.tls, server_hostname=name, limit=4 * CHUNK
            )
    except TimeoutError as error:
        raise TimedOut("no connection in time", "timeout_connect") from error
    except ssl.SSLError as error:
        raise Unreachable("its TLS certificate or protocol is not acceptable", "tls") from error
    except OSError as error:
        raise _unreachable(error) from error


def _unreachable(error: OSError) -> Unreachable:
    if isinstance(error, socket.gaierror):
        return Unreachable("its host name does not exist", "dns")
    return Unreachable("it refuses connections")


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
