"""A fault kit: archives that refuse, hang, drip, cut short, bomb. For tests of anything that asks archives.

`Faulty(fault, upstream)` listens on loopback while its `async with` block lasts. A fault is a coroutine that
is given each connection; it may pass bytes between the client and an honest archive (`upstream`), spoil them
on their way, or answer by itself. `peers.cases` holds faults by name, with what must be said of them.
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import random
import socket
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

HOST = "127.0.0.1"
LOGIN_PAGE = b"<!DOCTYPE html><html><body><form>Please log in</form></body></html>"


@dataclass
class Wire:
    """One connection: what the client sends is read from `reader`; what it gets is written to `writer`."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    upstream: tuple[str, int]
    requests: list[str]

    async def request(self) -> str:
        """The next request line; its headers and a body with a length are read and dropped."""
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        length = [line for line in head.lower().splitlines() if line.startswith("content-length:")]
        if length:
            await self.reader.readexactly(int(length[0].partition(":")[2]))
        self.requests.append(head.splitlines()[0])
        return self.requests[-1]

    def reset(self) -> None:
        """Close with RST instead of FIN."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


Fault = Callable[[Wire], Awaitable[None]]


@dataclass
class Faulty:
    """An archive with a fault, at `port`; `requests` are the first lines of what it was asked."""

    fault: Fault
    upstream: tuple[str, int] = (HOST, 9)
    port: int = 0
    requests: list[str] = field(default_factory=list)
    connections: int = 0
    _server: asyncio.Server | None = None
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, HOST, self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                await self.fault(Wire(reader, writer, self.upstream, self.requests))
        finally:
            self._tasks.discard(task)
            writer.close()


def http(status: str, body: bytes = b"", kind: str = "application/dicom+json", *headers: str) -> bytes:
    """A whole HTTP/1.1 reply."""
    lines = [f"HTTP/1.1 {status}", f"Content-Type: {kind}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def canned(reply: bytes, close: bool = False) -> Fault:
    """The same reply to every request."""

    async def play(wire: Wire) -> None:
        while True:
            await wire.request()
            wire.writer.write(reply)
            await wire.writer.drain()
            if close:
                return

    return play


def banner(said: bytes) -> Fault:
    """It speaks first, and something else; then it closes."""

    async def play(wire: Wire) -> None:
        wire.writer.write(said)
        await wire.writer.drain()
        await wire.reader.read(65536)

    return play


async def silence(wire: Wire) -> None:
    """It takes the request and says nothing."""
    await wire.request()
    await asyncio.Event().wait()


async def vanish(wire: Wire) -> None:
    """It closes the connection as soon as it has read a request."""
    await wire.request()


def drip(every: float = 0.5) -> Fault:
    """One byte at a time of a body that would be long."""

    async def play(wire: Wire) -> None:
        await wire.request()
        wire.writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n["
        )
        while True:
            wire.writer.write(b" ")
            await wire.writer.drain()
            await asyncio.sleep(every)

    return play


def half_then_reset(body: bytes = b'[{"0020000D":{"vr":') -> Fault:
    """The beginning of a body, then RST."""

    async def play(wire: Wire) -> None:
        await wire.request()
        wire.writer.write(http("200 OK", body.ljust(5000))[: len(body) - 5000])
        await wire.writer.drain()
        await asyncio.sleep(0.02)
        wire.reset()

    return play


def endless(unit: bytes, kind: str = "application/json") -> Fault:
    """A body that never ends, as fast as it is read."""

    async def play(wire: Wire) -> None:
        await wire.request()
        wire.writer.write(
            f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
        )
        chunk = f"{len(unit):x}\r\n".encode() + unit + b"\r\n"
        while True:
            wire.writer.write(chunk)
            await wire.writer.drain()

    return play


def chunked_without_end(body: bytes = b"[") -> Fault:
    """A chunked body whose last chunk is missing."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    return canned(head + f"{len(body):x}\r\n".encode() + body + b"\r\n", close=True)


def first(count: int, reply: bytes) -> Fault:
    """This reply for the first requests; then it is honest."""
    left = [count]

    async def play(wire: Wire) -> None:
        if left[0] > 0:
            left[0] -= 1
            await wire.request()
            wire.writer.write(reply)
            await wire.writer.drain()
            return
        await through(wire)

    return play


Spoil = Callable[[bytes, Wire], Awaitable[bool]]


async def through(wire: Wire, spoil: Spoil | None = None) -> None:
    """The honest archive's bytes, each read of them given to `spoil`; it returns False to end all."""
    there, back = await asyncio.open_connection(*wire.upstream)
    forth = asyncio.create_task(_pump(wire.reader, back, wire.requests))
    try:
        while data := await there.read(64 * 1024):
            if spoil is not None:
                if not await spoil(data, wire):
                    return
            else:
                wire.writer.write(data)
            await wire.writer.drain()
    finally:
        forth.cancel()
        back.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seen: list[str]) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(64 * 1024):
            if data.startswith((b"GET ", b"POST ", b"PUT ", b"DELETE ")):
                seen.append(data.split(b"\r\n", 1)[0].decode("latin-1"))
            writer.write(data)
            await writer.drain()


def spoiled(at: int, how: str, rng: random.Random | None = None) -> Fault:
    """The honest archive until byte `at` of all it says, then `how`.

    cut, reset    the connection ends, by FIN or RST
    stall         nothing more comes
    slow, drip    it goes on after a moment; it goes on a byte at a time
    garbage       random bytes, then the end
    flip          one byte is another one, and it goes on
    abort         an A-ABORT (PS3.8 9.3.8), then the end
    """
    sent = [0]  # of all connections: a second try may get further
    chance = rng or random.Random(at)

    async def spoil(data: bytes, wire: Wire) -> bool:
        room = max(at - sent[0], 0)
        wire.writer.write(data[:room] if len(data) > room else data)
        await wire.writer.drain()
        sent[0] += min(room, len(data))
        if len(data) <= room:
            return True
        if how not in GOES_ON:
            return await _end(how, wire, chance)
        sent[0] = -(10**9)
        await _go_on(how, data[room:], wire, chance)
        return True

    async def play(wire: Wire) -> None:
        await through(wire, spoil)

    return play


GOES_ON = ("slow", "drip", "flip")
ENDS = ("cut", "reset", "stall", "garbage")


async def _go_on(how: str, data: bytes, wire: Wire, rng: random.Random) -> None:
    if how == "flip":
        data = bytes([data[0] ^ rng.randrange(1, 256)]) + data[1:]
    if how == "slow":
        await asyncio.sleep(0.05)
    for part in (data[i : i + 1] for i in range(len(data))) if how == "drip" else (data,):
        wire.writer.write(part)
        await wire.writer.drain()
        await asyncio.sleep(0.02 if how == "drip" else 0)


async def _end(how: str, wire: Wire, rng: random.Random) -> bool:
    if how == "reset":
        wire.reset()
    elif how == "stall":
        await asyncio.Event().wait()
    elif how == "garbage":
        wire.writer.write(rng.randbytes(200))
    elif how == "abort":
        wire.writer.write(bytes([7, 0, 0, 0, 0, 4, 0, 0, 2, 0]))
    return False


def endless_pending() -> Fault:
    """The honest archive until its first pending response (PS3.7 9.3.2.2), and that one for ever."""
    raw, at, begin = bytearray(), [0], [0]

    async def spoil(data: bytes, wire: Wire) -> bool:
        raw.extend(data)
        while (end := at[0] + 6 + int.from_bytes(raw[at[0] + 2 : at[0] + 6], "big")) <= len(raw):
            is_data, control = raw[at[0]] == 4, raw[at[0] + 11] if end > at[0] + 11 else 0
            begin[0] = begin[0] or (at[0] if is_data else 0)
            wire.writer.write(raw[at[0] : end])
            at[0] = end
            while is_data and control == 2:  # the last part of an identifier
                wire.writer.write(raw[begin[0] : end])
                await wire.writer.drain()
                await asyncio.sleep(0)
        return True

    async def play(wire: Wire) -> None:
        await through(wire, spoil)

    return play


def bomb(mib: int = 300) -> bytes:
    """White space without end in a few hundred kB."""
    return gzip.compress(b"[" + b" " * (mib * 2**20) + b"]", 9)
