"""C-GET as an SCU (PS3.4 C.4.3): the archive stores the instances over the association that asks for them.

pynetdicom does it, in a thread of its own for each series: its blocking calls are woken when nobody waits
any more. What comes is counted as it is received, and written as it came, without being decoded.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from adapters.dimse.link import Peer
from adapters.dimse.pool import Pool
from adapters.dimse.rows import Decoder, of_instances
from adapters.shared.download import Budget, Files
from broker.adapter import Received, Wanted
from broker.errors import (
    ArchiveError,
    Forbidden,
    Limited,
    RefusedByArchive,
    ServerFault,
    TimedOut,
    TooMuch,
    Unreachable,
)
from broker.meaning import values

FIELDS = ("SOPInstanceUID", "SOPClassUID")
CONTEXTS = 128  # of one association (PS3.8 9.3.2.2: odd numbers of one byte)
ROLES = {"study": "1.2.840.10008.5.1.4.1.2.2.3", "patient": "1.2.840.10008.5.1.4.1.2.1.3"}
LARGEST = 128 * 1024  # bytes of a PDU, as we announce it
BYE = 2.0  # seconds that an abandoned thread may take to end

_IMPLICIT, _EXPLICIT = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1"
# most first: an archive that holds an instance compressed sends it so where it may (PS3.4 C.4.3)
_COMPRESSED = [f"1.2.840.10008.1.2.4.{n}" for n in (90, 91, 80, 81, 70, 57, 50, 51, 201, 202, 203, 100, 102)]
_COMPRESSED += ["1.2.840.10008.1.2.5", "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2"]
SUCCESS, PENDING, REFUSED = 0x0000, (0xFF00, 0xFF01), 0xA702


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


async def retrieved(peer: Peer, wanted: Wanted, folder: Path) -> AsyncGenerator[Received, None]:
    """What is missing, as files. Raises ArchiveError."""
    came: asyncio.Queue[Received | ArchiveError | None] = asyncio.Queue()
    loop = asyncio.get_running_loop()

    def tell(what: Received | ArchiveError | None) -> None:
        with suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(came.put_nowait, what)

    get = _Get(peer, wanted, Files(folder), tell)
    thread = threading.Thread(target=get.run, name="c-get", daemon=True)
    thread.start()
    try:
        while (found := await came.get()) is not None:
            if isinstance(found, ArchiveError):
                raise found
            yield found
    finally:
        get.stop()
        await asyncio.shield(asyncio.to_thread(thread.join, BYE))


class _Get:
    """One C-GET in its thread. `tell` is given every instance, then the error or None."""

    def __init__(
        self, peer: Peer, wanted: Wanted, files: Files, tell: Callable[[Received | ArchiveError | None], None]
    ) -> None:
        self._peer, self._wanted, self._files, self._tell = peer, wanted, files, tell
        self._budget = Budget(wanted.most, peer.limits.instance, peer.limits.idle)
        self._unfinished = 0  # bytes since the last whole instance
        self._association: Any = None
        self._stopped = False
        self._error: ArchiveError | None = None

    def run(self) -> None:
        """The whole of it, in the thread."""
        try:
            self._ask()
            self._tell(self._error)
        except ArchiveError as error:
            self._tell(self._error or error)
        except Exception as error:  # noqa: BLE001 - whatever it is, somebody waits to be told
            told = ServerFault(f"its C-GET ended in {type(error).__name__}", "dimse_get")
            told.__cause__ = error
            self._tell(self._error or told)

    def stop(self) -> None:
        """Wake the thread, and abort the association. From any thread; more than once does no harm."""
        self._stopped = True
        association = self._association
        if association is not None and association.is_alive():
            # without this a waiting call would only end with its own timeout
            association.dimse.msg_queue.put((None, None))
            if association.dul.socket is not None:
                association.dul.socket.close()

    def _ask(self) -> None:
        from pydicom.dataset import Dataset

        association = self._associated()
        try:
            query = Dataset()
            query.QueryRetrieveLevel = "IMAGE" if self._wanted.few else "SERIES"
            query.StudyInstanceUID = self._wanted.study
            query.SeriesInstanceUID = self._wanted.series
            if self._wanted.few:
                query.SOPInstanceUID = self._wanted.missing
            last = None
            for status, _ in association.send_c_get(query, ROLES[self._peer.root]):
                last = status
                if status.get("Status") not in PENDING:
                    break
            self._ended(last)
        finally:
            if association.is_established and not self._stopped:
                association.release()
            else:
                association.abort()

    def _ended(self, status: Any) -> None:
        """Raises ArchiveError unless it ended well (PS3.4 table C.4-3)."""
        code = None if status is None else status.get("Status")
        if code is None:
            raise Unreachable("it broke off, or fell silent, before all had come", "dimse_closed")
        if code == SUCCESS:
            return
        failed = status.get("NumberOfFailedSuboperations", 0)
        if code == 0xB000:
            raise ServerFault(f"it could not send {failed} of the instances", "dimse_B000")
        raise ServerFault(f"it ended C-GET with the status {code:04X}", f"dimse_{code:04X}")

    def _associated(self) -> Any:
        from pynetdicom import AE, build_role, evt

        ae, limits = AE(self._peer.calling), self._peer.limits
        ae.connection_timeout = ae.acse_timeout = limits.connect
        ae.dimse_timeout = ae.network_timeout = max(limits.first_byte, limits.idle)
        ae.maximum_pdu_size = LARGEST
        contexts = _contexts(ROLES[self._peer.root], self._wanted)
        made = ae.associate(
            self._peer.host,
            self._peer.port,
            contexts,
            ae_title=self._peer.called,
            ext_neg=[
                build_role(sop, scp_role=True) for sop in _once(c.abstract_syntax for c in contexts[1:])
            ],
            tls_args=(self._peer.tls, self._peer.host) if self._peer.tls else None,
            evt_handlers=[
                (evt.EVT_CONN_OPEN, self._guarded),
                (evt.EVT_DATA_RECV, self._counted),
                (evt.EVT_C_STORE, self._stored),
            ],
        )
        self._association = made
        if made.is_rejected:
            raise _rejection(made)
        if self._stopped or not made.is_established:
            made.abort()
            raise Unreachable("no association could be opened for C-GET")
        if not any(c.abstract_syntax == ROLES[self._peer.root] for c in made.accepted_contexts):
            made.release()
            raise RefusedByArchive("it does not offer C-GET", "not_supported")
        return made

    def _guarded(self, event: Any) -> None:
        """pynetdicom reads a PDU whole, whatever length it announces; here no more than we allow."""
        holder = event.assoc.dul.socket
        plain = holder.recv

        def recv(count: int) -> Any:
            if count > LARGEST:
                self._error = self._error or TooMuch(f"it announces a PDU of {count:,} bytes", "dimse_pdu")
                raise OSError("a PDU that is too large")
            _at_once(holder)  # the system forgets it with everything that is sent
            return plain(count)

        holder.recv = recv

    def _counted(self, event: Any) -> None:
        """Bytes as they are received, before an instance is whole: an endless one is left."""
        self._unfinished += len(event.data)
        try:
            self._budget.take(len(event.data), self._unfinished)
        except (TooMuch, TimedOut) as error:
            self._error = self._error or error
            self.stop()

    def _stored(self, event: Any) -> int:
        """An instance came: written as it is, with its file meta information (PS3.10 7.1)."""
        if self._stopped:
            return REFUSED
        place = self._files.next()
        place.write_bytes(event.encoded_dataset())
        self._unfinished = 0
        self._tell(Received(place))
        return SUCCESS


def _contexts(get: str, wanted: Wanted) -> list[Any]:
    """What is proposed: C-GET, and for each SOP class each transfer syntax by itself, the usual ones first.

    An acceptor picks one transfer syntax of a context, and then sends no instance in another.
    """
    from pynetdicom import build_context

    classes = _once(sop for uid, sop in (wanted.listed or {}).items() if uid not in wanted.here and sop)
    classes = list(classes)[:60] if classes and all((wanted.listed or {}).values()) else _usual()
    room = (CONTEXTS - 1) // len(classes)
    made = [build_context(get, [_IMPLICIT])]
    for sop in classes:
        if room < 3:
            made += [build_context(sop, [_EXPLICIT, _IMPLICIT]), build_context(sop, _COMPRESSED)][:room]
        else:
            each = [_EXPLICIT, _IMPLICIT, *_COMPRESSED]
            groups = [[s] for s in each[: room - 1]] + ([each[room - 1 :]] if each[room - 1 :] else [])
            made += [build_context(sop, group) for group in groups]
    return made


def _usual() -> list[str]:
    """The SOP classes to propose where the archive does not tell them: those of images first."""
    from pynetdicom import StoragePresentationContexts

    known = [str(c.abstract_syntax) for c in StoragePresentationContexts]
    first = [
        f"1.2.840.10008.5.1.4.1.1.{n}" for n in ("2", "2.1", "4", "4.1", "1", "1.1", "128", "20", "7", "66.4")
    ]
    return list(_once([*first, *known]))[:63]


def _once(found: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(found))


def _at_once(holder: Any) -> None:
    """Send at once, and acknowledge at once (Linux): otherwise each message waits for the other, 40 ms."""
    with suppress(OSError, AttributeError):  # it has just been closed
        holder.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if _QUICK is not None:
            holder.socket.setsockopt(socket.IPPROTO_TCP, _QUICK, 1)


_QUICK: int | None = getattr(socket, "TCP_QUICKACK", None)


def _rejection(association: Any) -> ArchiveError:
    primitive = association.acceptor.primitive
    if primitive is not None and primitive.result == 2:
        return Limited("it takes no more associations for now", reason="dimse_reject")
    return Forbidden("it rejects the association: its AE title, or ours, is not known there", "dimse_reject")
