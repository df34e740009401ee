"""A C-FIND server of our own (pynetdicom), and its lying, failing and silent twins, on loopback."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from pydicom.dataset import Dataset
from pynetdicom import AE, _config, evt
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    PatientRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelFind,
    Verification,
)

from catalog.keywords import USUAL, Level
from fixtures.dicom import Holding

HOST = "127.0.0.1"
PENDING, IGNORED = 0xFF00, 0xFF01
Record = Mapping[str, Any]
Answers = Iterator[tuple[int, Dataset | None]]

_config.LOG_RESPONSE_IDENTIFIERS = _config.LOG_REQUEST_IDENTIFIERS = False


def studies(held: Iterable[Holding]) -> list[Record]:
    """Studies as records."""
    return [h["study"] for h in held]


def answer(keys: Dataset, record: Record, level: str) -> Dataset:
    """A record as the identifier that answers a question: the keys that it names, in UTF-8."""
    found = Dataset()
    found.SpecificCharacterSet = "ISO_IR 192"
    found.QueryRetrieveLevel = level
    for element in keys:
        name = element.keyword
        if name not in ("SpecificCharacterSet", "QueryRetrieveLevel"):
            setattr(found, name, record.get(name, None))
    return found


@dataclass
class Scp:
    """One C-FIND server that holds studies and series. It matches UIDs and nothing else.

    behave      in place of its answers: from the question and the honest answers, what it yields
    associations  at most so many at once; seen: what it was asked, by level;  cancelled: C-CANCELs that came
    """

    held: Sequence[Holding] = ()
    behave: Callable[[Dataset, Answers], Answers] | None = None
    title: str = "SCP"
    strict: bool = False
    associations: int = 10
    extended: bytes | None = None
    contexts: Sequence[Any] = (
        Verification,
        StudyRootQueryRetrieveInformationModelFind,
        PatientRootQueryRetrieveInformationModelFind,
    )
    tls: Any = None
    seen: list[Dataset] = field(default_factory=list)
    calling: list[str] = field(default_factory=list)
    opened: list[object] = field(default_factory=list)
    closed: list[object] = field(default_factory=list)
    cancelled: int = 0
    port: int = 0
    server: Any = None

    def __enter__(self) -> Self:
        ae = AE(self.title)
        ae.supported_contexts = []
        for context in self.contexts:
            ae.add_supported_context(context, "1.2.840.10008.1.2")
        ae.require_called_aet = self.strict
        ae.maximum_associations = self.associations
        handlers: list[Any] = [
            (evt.EVT_C_FIND, self._find),
            (evt.EVT_CONN_OPEN, self._open),
            (evt.EVT_CONN_CLOSE, self._close),
            (evt.EVT_REQUESTED, self._requested),
        ]
        if self.extended is not None:
            handlers.append((evt.EVT_SOP_EXTENDED, lambda e: dict.fromkeys(e.app_info, self.extended)))
        self.server = ae.start_server((HOST, 0), block=False, evt_handlers=handlers, ssl_context=self.tls)
        self.port = self.server.server_address[1]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for association in list(self.server.active_associations):
            association.abort()
        self.server.shutdown()

    @property
    def levels(self) -> list[str]:
        """The levels of what it was asked."""
        return [str(keys.QueryRetrieveLevel) for keys in self.seen]

    def settled(self, seconds: float = 3.0) -> bool:
        """Whether every connection is closed, soon."""
        return _soon(lambda: len(self.opened) == len(self.closed), seconds)

    def idle(self, seconds: float = 3.0) -> bool:
        """Whether its own threads have noticed that, soon."""
        return _soon(lambda: not self.server.active_associations, seconds)

    def _open(self, event: Any) -> None:
        self.opened.append(event.assoc)

    def _close(self, event: Any) -> None:
        self.closed.append(event.assoc)

    def _requested(self, event: Any) -> None:
        self.calling.append(event.assoc.requestor.primitive.calling_ae_title)

    def _find(self, event: Any) -> Answers:
        keys = event.identifier
        self.seen.append(keys)
        for status, found in (self.behave or (lambda _, honest: honest))(keys, self._honest(keys)):
            if event.is_cancelled:
                self.cancelled += 1
                yield 0xFE00, None
                return
            yield status, found

    def _honest(self, keys: Dataset) -> Answers:
        level = Level[keys.QueryRetrieveLevel]
        for record in self._records(level):
            if all(self._fits(keys, record, name) for name in ("StudyInstanceUID", "SeriesInstanceUID")):
                yield PENDING, answer(keys, record, level.name)

    def _records(self, level: Level) -> Iterator[Record]:
        for held in self.held:
            if level is not Level.SERIES:
                yield held["study"]
            else:
                yield from ({**held["study"], **series} for series in held["series"])

    def _fits(self, keys: Dataset, record: Record, name: str) -> bool:
        if name == "SeriesInstanceUID" and keys.QueryRetrieveLevel != "SERIES":
            return True
        asked = keys.get(name)
        wanted = [asked] if isinstance(asked, str) else list(asked or [])
        return not any(wanted) or record.get(name) in wanted


def _soon(holds: Callable[[], bool], seconds: float) -> bool:
    end = time.monotonic() + seconds
    while not holds() and time.monotonic() < end:
        time.sleep(0.02)
    return holds()


@asynccontextmanager
async def raw(*replies: bytes, drip: float = 0.0, first: bytes | None = None) -> Any:
    """A TCP server that answers with these bytes: `first` to the first read, then `replies` one by one.

    With `drip`, a byte at a time, so many seconds apart. Gives its port and a list that fills with closings.
    """
    closed: list[float] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            for reply in (first, *replies):
                if reply is None or not await reader.read(65536):
                    break
                for part in [reply[i : i + 1] for i in range(len(reply))] if drip else [reply]:
                    writer.write(part)
                    await writer.drain()
                    await asyncio.sleep(drip)
            await reader.read()
        except ConnectionError:
            pass
        finally:
            closed.append(time.monotonic())
            writer.close()

    async with await asyncio.start_server(talk, HOST, 0) as server:
        yield server.sockets[0].getsockname()[1], closed


__all__ = ["HOST", "IGNORED", "PENDING", "USUAL", "Scp", "answer", "raw", "studies"]
