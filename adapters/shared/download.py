"""What is fetched over HTTP, in files that we name: counted, at a least rate, never larger than told."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import aiohttp

from broker.adapter import Received
from broker.errors import Malformed, TimedOut, TooMuch
from broker.safe import line

CHUNK = 256 * 1024
SLOWEST = 1024  # bytes a second, over the time that an archive may be silent
DICOM = "application/dicom"

_NAMED = re.compile(r'filename\*?="?([^";]*)')


@dataclass(slots=True)
class Budget:
    """What one download may take: bytes in all, bytes a file, and a least rate. Raises TooMuch, TimedOut."""

    most: int
    each: int
    idle: float
    taken: int = 0
    _since: float = field(default_factory=time.monotonic)
    _then: int = 0

    def take(self, size: int, of_file: int = 0) -> None:
        """So many bytes have come, and the file that they belong to has `of_file` now."""
        self.taken += size
        if self.taken > self.most:
            raise TooMuch(f"more than {self.most:,} bytes came for one series")
        if of_file > self.each:
            raise TooMuch(f"one instance has more than {self.each:,} bytes")
        now = time.monotonic()
        if now - self._since >= self.idle:
            if self.taken - self._then < SLOWEST * (now - self._since):
                raise TimedOut(f"it sends less than {SLOWEST:,} bytes a second")
            self._since, self._then = now, self.taken


@dataclass(slots=True)
class Files:
    """Names for files in a folder: 1, 2, 3 ..."""

    folder: Path
    number: int = 0

    def next(self) -> Path:
        """A file that is not there yet."""
        self.number += 1
        return self.folder / f"{self.number}.part"


async def written(reply: aiohttp.ClientResponse, place: Path, budget: Budget) -> Path:
    """The body of a reply as a file. Raises ArchiveError where it is cut short or too large."""

    async def read() -> bytes:
        return await reply.content.read(CHUNK)

    await _written(read, place, budget)
    return place


async def instances(
    reply: aiohttp.ClientResponse, files: Files, budget: Budget
) -> AsyncGenerator[Received, None]:
    """The parts of a WADO-RS reply (PS3.18 8.7.3.5.2, 10.4.3), or the one instance that it is."""
    if reply.content_type == DICOM:
        yield Received(await written(reply, files.next(), budget))
        return
    if reply.content_type != "multipart/related":
        raise Malformed(
            f"it answered {line(reply.content_type) or 'without a content type'} instead of instances",
            "not_dicom",
        )
    async with aclosing(_parts(reply, files, budget)) as parts:
        async for part in parts:
            yield part


async def _parts(
    reply: aiohttp.ClientResponse, files: Files, budget: Budget
) -> AsyncGenerator[Received, None]:
    """Every part; a reply that lacks its closing delimiter (RFC 2046 5.1.1) is an error."""
    try:
        reader: Any = aiohttp.MultipartReader.from_response(reply)
        reader = getattr(reader, "stream", reader)  # the wrapper of replies lets go of the connection
        while (part := await reader.next()) is not None:
            if not isinstance(part, aiohttp.BodyPartReader):
                raise Malformed("a part of its reply is a multipart reply again", "bad_multipart")
            yield await _part(part, files, budget)
    except (ValueError, AssertionError, RuntimeError, LookupError) as error:
        raise Malformed("its multipart reply is cut short or not well formed", "bad_multipart") from error


async def _part(part: aiohttp.BodyPartReader, files: Files, budget: Budget) -> Received:
    wrong = hostile(part.headers)
    place = await _written(lambda: part.read_chunk(CHUNK), files.next(), budget)
    if wrong:
        place.unlink()
        return Received(None, wrong=wrong)
    return Received(place)


def hostile(headers: Mapping[str, str]) -> str:
    """What is wrong with the file name that a header proposes, or nothing. No such name is ever used."""
    found = _NAMED.search(headers.get("Content-Disposition", ""))
    return bad_name(found[1]) if found else ""


def bad_name(name: str) -> str:
    """What is wrong with a file name: nothing, where it stays in its folder on every system."""
    parts = re.split(r"[\\/\\]", name)
    leaves = name.startswith(("/", "\\")) or ".." in parts or re.match(r"[A-Za-z]:", name) or "\0" in name
    return f"hostile file name {line(name)[:200]!r}" if leaves else ""


async def _written(read: Callable[[], Awaitable[bytes]], place: Path, budget: Budget) -> Path:
    size = 0
    with _created(place) as stream:
        while chunk := await read():
            size += len(chunk)
            budget.take(len(chunk), size)
            stream.write(chunk)
    return place


def _created(place: Path) -> IO[bytes]:
    return place.open("xb")
