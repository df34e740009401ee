"""A C-GET server of our own (pynetdicom), and its lying and silent twins, on loopback."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pydicom import dcmread
from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    Verification,
)

HOST = "127.0.0.1"
Sends = Callable[[list[Dataset]], Sequence[Dataset]]


@dataclass
class GetScp:
    """It holds files. `sends`: what it sends instead of what was asked for; `mute`: nothing to C-GET.

    `opened` counts the associations that it accepted.
    """

    files: Sequence[Path]
    sends: Sends | None = None
    mute: bool = False
    lists: bool = True
    port: int = 0
    opened: int = 0
    asked: list[Dataset] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)
    server: Any = None

    def __post_init__(self) -> None:
        self.held = [dcmread(f) for f in self.files]

    def __enter__(self) -> Self:
        ae = AE("GETTER")
        ae.add_supported_context(Verification)
        ae.add_supported_context(StudyRootQueryRetrieveInformationModelFind)
        ae.add_supported_context(StudyRootQueryRetrieveInformationModelGet)
        for sop in {str(d.SOPClassUID) for d in self.held}:
            syntaxes = sorted({str(d.file_meta.TransferSyntaxUID) for d in self.held})
            ae.add_supported_context(sop, syntaxes, scu_role=True, scp_role=True)
        handlers: list[Any] = [(evt.EVT_C_FIND, self._find), (evt.EVT_C_GET, self._get)]
        handlers += [(evt.EVT_ACCEPTED, self._accepted)]
        self.server = ae.start_server((HOST, 0), block=False, evt_handlers=handlers)
        self.port = self.server.server_address[1]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.ended.set()
        open_ = list(self.server.active_associations)
        for association in open_:
            association.abort()
        self.server.shutdown()
        for association in open_:  # else its socket is left to the garbage collector
            association.join(5)

    def _accepted(self, event: Any) -> None:
        self.opened += 1

    def _matching(self, keys: Dataset) -> list[Dataset]:
        names = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
        wanted = {n: v for n in names if (v := keys.get(n))}
        return [
            d
            for d in self.held
            if all(d[n].value in ([v] if isinstance(v, str) else list(v)) for n, v in wanted.items())
        ]

    def _find(self, event: Any) -> Iterator[tuple[int, Dataset | None]]:
        keys = event.identifier
        level = {"STUDY": "StudyInstanceUID", "SERIES": "SeriesInstanceUID"}.get(keys.QueryRetrieveLevel)
        once = {d[level or "SOPInstanceUID"].value: d for d in self._matching(keys)}
        for held in once.values():
            found = Dataset()
            for element in keys:
                setattr(found, element.keyword, held.get(element.keyword, element.value or None))
            found.QueryRetrieveLevel = keys.QueryRetrieveLevel
            yield 0xFF00, found

    def _get(self, event: Any) -> Iterator[Any]:
        self.asked.append(event.identifier)
        if self.mute:
            self.ended.wait(30)
        found = self._matching(event.identifier)
        sent = list(self.sends(found)) if self.sends else found
        yield len(sent)
        for held in sent:
            if event.is_cancelled:
                yield 0xFE00, None
                return
            yield 0xFF00, held
