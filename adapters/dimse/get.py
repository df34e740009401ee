"""C-GET as an SCU (PS3.4 C.4.3): the archive stores the instances over the association that asks for them.

What comes is counted as it is received, and written as it came, without being decoded.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import IO

from adapters.dimse import pdu
from adapters.dimse.contexts import agreed, classes_of, offered
from adapters.dimse.inbox import ended, fragments
from adapters.dimse.line import Line, Peer, connected
from adapters.dimse.pool import Pool
from adapters.dimse.rows import Decoder, of_instances
from adapters.dimse.stored import Command, command, meta
from adapters.shared.download import Budget, Files
from broker.adapter import Received, Wanted
from broker.errors import Malformed, ServerFault, TooMuch, Unreachable
from broker.meaning import values

FIELDS = ("SOPInstanceUID", "SOPClassUID")
LONGEST = 64 * 1024  # bytes of a command set


async def listed(pool: Pool, most: int, wanted: Wanted) -> dict[str, str]:
    """SOP Instance UID -> SOP Class UID, by C-FIND at the IMAGE level. Raises ArchiveError."""
    decoder, found = Decoder(FIELDS), dict[str, str]()
    async for batch in pool.find(of_instances(wanted.study, wanted.series), set()):
        for raw in batch:
            uid, sop = (values.uid(v) if isinstance(v, str) else None for v in decoder.row(raw))
            if uid:
                found[uid] = sop or ""
        if len(found) > most:
            raise TooMuch(f"more than {most:,} instances are listed", "record_limit")
    return found


class Getters:
    """Associations for C-GET within one event loop: each used again for series of SOP classes that it has."""

    def __init__(self, peer: Peer) -> None:
        self.loop = asyncio.get_running_loop()
        self._peer = peer
        self._idle: list[Getter] = []

    async def retrieved(self, wanted: Wanted, folder: Path) -> AsyncGenerator[Received, None]:
        """What is missing of a series, as files. Raises ArchiveError.

        An association that ended while it lay idle is replaced, once.
        """
        limits = self._peer.limits
        files, budget = Files(folder), Budget(wanted.most, limits.instance, limits.idle)
        asked = pdu.get_identifier(wanted.study, wanted.series, wanted.missing if wanted.few else ())
        for last in (False, True):
            async with self._lent(classes_of(wanted), new=last) as one:
                old, told = one.used, False
                try:
                    async with aclosing(one.got(asked, files, budget)) as places:
                        async for place in places:
                            told = True
                            yield Received(place)
                except Unreachable:
                    if told or not old or last:
                        raise
                else:
                    return

    async def close(self) -> None:
        """Release what is idle."""
        idle, self._idle = self._idle, []
        await asyncio.gather(*(one.release() for one in idle))

    @asynccontextmanager
    async def _lent(self, classes: Sequence[str], *, new: bool) -> AsyncIterator[Getter]:
        """An association for one series, aborted unless that ends well."""
        fitting = (o for o in self._idle if not new and o.alive and o.classes.issuperset(classes))
        one = next(fitting, None)
        if one is None:
            one = await Getter.opened(self._peer, classes)
        else:
            self._idle.remove(one)
        try:
            yield one
        except BaseException:
            one.abort()
            raise
        if one.done and one.alive:
            self._idle.append(one)
        else:
            one.abort()


class Getter(Line):
    """One association for C-GET. One question at a time; `done`: the last one was answered whole."""

    def __init__(self, peer: Peer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        super().__init__(peer, reader, writer)
        self.classes: frozenset[str] = frozenset()
        self.used = self.done = False
        self._syntaxes: dict[int, str] = {}
        self._largest, self._number = pdu.SMALLEST, 0

    @classmethod
    async def opened(cls, peer: Peer, classes: Sequence[str]) -> Getter:
        """A new association that takes instances of these SOP classes. Raises ArchiveError."""
        made = cls(peer, *await connected(peer))
        try:
            request = offered(peer, classes)
            made._syntaxes, made._largest = agreed(await made.negotiate(request))
            made.classes = frozenset(classes)
        except BaseException:
            made.abort()
            raise
        return made

    async def got(self, asked: bytes, files: Files, budget: Budget) -> AsyncGenerator[Path, None]:
        """The instances that answer an identifier, as they come. Raises ArchiveError."""
        self._number = self._number % 0xFFFF + 1
        request = pdu.get_rq(self._peer.root, self._number)
        self._writer.write(pdu.message(1, request, asked, self._largest))
        self.done, first = False, True
        coming = Coming(files, budget)
        try:
            while not self.done:
                for context, control, part in fragments(await self._pdu(first=first)):
                    whole = coming.take(part, control, self._syntaxes.get(context, ""))
                    if whole is None:
                        continue
                    self.used, first = True, False
                    if whole.field == pdu.STORE_RQ:
                        said = pdu.store_rsp(whole.sop, whole.instance, whole.number)
                        self._writer.write(pdu.message(context, said, None, self._largest))
                        yield coming.place
                    else:
                        self._ended(whole)
        finally:
            coming.close()

    async def _pdu(self, *, first: bool) -> bytes:
        """The next P-DATA-TF. Raises ArchiveError."""
        limits = self._peer.limits
        self._since = time.monotonic()
        while (found := self._inbox.pdu()) is None:
            await self.more(limits.first_byte if first else limits.idle)
        kind, raw = found
        if kind != pdu.DATA:
            raise ended(kind)
        return raw

    def _ended(self, told: Command) -> None:
        """Raises ArchiveError where it ended otherwise than well (PS3.4 table C.4-3)."""
        if told.field != pdu.GET_RQ | pdu.RSP or told.number != self._number:
            raise Malformed("it answers another question than was asked", "bad_protocol")
        if told.status in pdu.PENDING:
            return
        if told.status == 0xB000:
            raise ServerFault(f"it could not send {told.failed} of the instances", "dimse_B000")
        if told.status != 0:
            reason = f"dimse_{told.status:04X}"
            raise ServerFault(f"it ended C-GET with the status {told.status:04X}", reason)
        self.done = True


class Coming:
    """Fragments (PS3.8 9.3.5) into command sets, and into files where a data set follows."""

    def __init__(self, files: Files, budget: Budget) -> None:
        self.place = Path()
        self._files, self._budget = files, budget
        self._parts: list[bytes] = []
        self._told: Command | None = None
        self._stream: IO[bytes] | None = None
        self._size = 0

    def take(self, part: bytes, control: int, syntax: str) -> Command | None:
        """The command that is whole with it, and all that belongs to it. Raises ArchiveError."""
        self._size += len(part)
        self._budget.take(len(part), self._size)
        if control & 1:
            return self._of_command(part, syntax, last=bool(control & 2))
        if self._told is None:
            raise Malformed("a data set comes without a command", "bad_protocol")
        if self._stream is not None:
            self._stream.write(part)
        return self._ready() if control & 2 else None

    def close(self) -> None:
        """No more comes."""
        if self._stream is not None:
            self._stream.close()

    def _of_command(self, part: bytes, syntax: str, *, last: bool) -> Command | None:
        if self._told is not None or self._size > LONGEST:
            raise Malformed("commands and data sets come in a wrong order", "bad_protocol")
        self._parts.append(part)
        if not last:
            return None
        self._told, self._parts = command(b"".join(self._parts)), []
        if self._told.field == pdu.STORE_RQ:
            if not (syntax and self._told.has_data):
                raise Malformed("it stores without what was agreed on", "bad_protocol")
            self.place = self._files.next()
            self._stream = self.place.open("xb")
            self._stream.write(meta(self._told, syntax))
        return None if self._told.has_data else self._ready()

    def _ready(self) -> Command | None:
        told, self._told, self._size = self._told, None, 0
        self.close()
        self._stream = None
        return told
