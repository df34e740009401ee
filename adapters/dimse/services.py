"""What a peer agrees to when everything is proposed: the services of DICOM's Query/Retrieve class."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Mapping
from dataclasses import dataclass

from adapters.dimse import pdu
from adapters.dimse.inbox import Inbox
from adapters.dimse.line import CHUNK, Peer, connected
from broker.errors import Malformed, TimedOut, Unreachable

_QR = "1.2.840.10008.5.1.4.1.2"
SERVICES: Mapping[str, str] = {
    pdu.VERIFICATION: "C-ECHO",
    f"{_QR}.2.1": "C-FIND Study Root",
    f"{_QR}.1.1": "C-FIND Patient Root",
    f"{_QR}.2.2": "C-MOVE Study Root",
    f"{_QR}.1.2": "C-MOVE Patient Root",
    f"{_QR}.2.3": "C-GET Study Root",
    f"{_QR}.1.3": "C-GET Patient Root",
    "1.2.840.10008.5.1.4.31": "C-FIND Modality Worklist",
}
EXTENDED = ("relational queries", "combined date and time", "fuzzy names", "time zones")
"""The bytes of C-FIND's extended negotiation (PS3.4 table C.5-2)."""


@dataclass(frozen=True, slots=True)
class Offer:
    """Services that were accepted, and what was agreed on for C-FIND; None: nothing was said of it."""

    services: tuple[str, ...]
    extended: tuple[str, ...] | None


async def offer(peer: Peer) -> Offer:
    """Open an association that proposes everything, and end it. Raises ArchiveError."""
    reader, writer = await connected(peer)
    try:
        async with asyncio.timeout(peer.limits.connect):
            writer.write(proposal(peer.calling, peer.called))
            inbox = Inbox()
            while (found := inbox.pdu()) is None:
                raw = await reader.read(CHUNK)
                if not raw:
                    raise Unreachable("it closed the connection in the middle", "dimse_closed")
                inbox.feed(raw)
            writer.write(pdu.ABORTED)
    except TimeoutError as error:
        raise TimedOut("it fell silent") from error
    except OSError as error:
        raise Unreachable("the connection broke in the middle", "dimse_closed") from error
    finally:
        writer.transport.abort()
    kind, answer = found
    if kind == pdu.RJ:
        raise pdu.rejection(answer)
    if kind != pdu.AC:
        raise Malformed("it does not answer a proposal of several services", "bad_protocol")
    return read(answer)


def proposal(calling: str, called: str) -> bytes:
    """An A-ASSOCIATE-RQ (PS3.8 9.3.2) for every service, with extended negotiation of every C-FIND."""
    extended = b"".join(
        pdu.item(0x56, struct.pack(">H", len(sop)) + sop + b"\x01\x01\x01\x01")
        for sop in map(str.encode, pdu.FIND.values())
    )
    return pdu.proposal(calling, called, [(sop, [pdu.IMPLICIT]) for sop in SERVICES], extended)


def read(answer: bytes) -> Offer:
    """What an A-ASSOCIATE-AC says to it. Raises Malformed."""
    services, about = [], list[tuple[int, bytes]]()
    sops = list(SERVICES)
    for kind, raw in pdu.items(answer[pdu.FIXED :]):
        if kind == 0x21 and len(raw) >= 4 and raw[2] == 0 and raw[0] // 2 < len(sops):
            services.append(SERVICES[sops[raw[0] // 2]])
        elif kind == 0x50:
            about += pdu.items(raw)
    extended = [raw[2 + int.from_bytes(raw[:2], "big") :] for kind, raw in about if kind == 0x56]
    agreed = None
    if extended:
        agreed = tuple(n for n, flag in zip(EXTENDED, extended[0], strict=False) if flag == 1)
    return Offer(tuple(s for s in SERVICES.values() if s in services), agreed)
