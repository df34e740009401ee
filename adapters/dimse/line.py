"""The line to an archive, over asyncio: no thread is inside, so cancelling and closing take effect at once.

asyncio sets TCP_NODELAY on its sockets; without it every request waits 40 ms for an acknowledgement.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import time
from dataclasses import dataclass, field

from adapters.dimse import pdu
from adapters.dimse.inbox import Inbox
from adapters.shared import unreachable
from broker.errors import ArchiveError, Malformed, TimedOut, Unreachable
from broker.setup.limits import Limits

CHUNK = 64 * 1024


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


class Line:
    """A connection, on the way to an association. `abort` closes it at once, `release` in good order."""

    def __init__(self, peer: Peer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._peer, self._reader, self._writer = peer, reader, writer
        self._inbox = Inbox(min(pdu.MAX_REPLY, peer.limits.bytes))
        self._since = time.monotonic()

    @property
    def alive(self) -> bool:
        """Whether another question can be asked, as far as can be seen from here."""
        return self._inbox.empty and not (self._writer.is_closing() or self._reader.at_eof())

    async def negotiate(self, request: bytes) -> bytes:
        """The A-ASSOCIATE-AC that answers a request (PS3.8 9.3.3). Raises ArchiveError."""
        self._writer.write(request)
        self._since = time.monotonic()
        while (found := self._inbox.pdu()) is None:
            await self.more(self._peer.limits.connect)
        kind, raw = found
        if kind == pdu.RJ:
            raise pdu.rejection(raw)
        if kind == pdu.ABORT:
            raise Unreachable("it aborted the association before it was open", "dimse_abort")
        if kind != pdu.AC:
            raise Malformed("it does not speak DICOM's upper layer", "bad_protocol")
        return raw

    def abort(self) -> None:
        """Close it now (A-ABORT)."""
        if not self._writer.is_closing():
            with contextlib.suppress(OSError, RuntimeError):
                self._writer.write(pdu.ABORTED)
        self._writer.transport.abort()

    async def release(self, seconds: float = 0.2) -> None:
        """Close it in good order (A-RELEASE), or without it where the other side takes too long."""
        try:
            async with asyncio.timeout(seconds):
                self._writer.write(pdu.RELEASE)
                while (found := self._inbox.pdu()) is None or found[0] == pdu.DATA:
                    await self.read()
        except (ArchiveError, OSError, TimeoutError):
            pass  # it is closed in any case, and nothing was to come
        finally:
            self._writer.transport.abort()

    async def more(self, patience: float, until: float | None = None) -> None:
        """Read once; return without anything at the moment `until`. Raises TimedOut, Unreachable.

        Patience is for a whole response: bytes that trickle do not renew it.
        """
        now = time.monotonic()
        end = self._since + patience
        left = (end if until is None else min(end, until)) - now
        try:
            async with asyncio.timeout(max(left, 0)):
                await self.read()
        except TimeoutError as error:
            if time.monotonic() >= end:
                raise TimedOut("it fell silent") from error

    async def read(self) -> None:
        """What has come, into the inbox. Raises Unreachable."""
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
        raise unreachable.insecure(error) from error
    except OSError as error:
        raise unreachable.connecting(error, peer.host, peer.port) from error
