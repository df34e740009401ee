"""What is proposed for C-GET: SOP classes, in each transfer syntax by itself (PS3.8 9.3)."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from adapters.dimse import pdu
from adapters.dimse.line import Peer
from broker.adapter import Wanted
from broker.errors import Malformed, RefusedByArchive

CONTEXTS = 128  # of one association (PS3.8 9.3.2.2: odd numbers of one byte)

_PLAIN = ["1.2.840.10008.1.2.1", pdu.IMPLICIT]
# most first: an archive that holds an instance compressed sends it so where it may (PS3.4 C.4.3)
_COMPRESSED = [f"1.2.840.10008.1.2.4.{n}" for n in (90, 91, 80, 81, 70, 57, 50, 51, 201, 202, 203, 100, 102)]
_COMPRESSED += ["1.2.840.10008.1.2.5", "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2"]


def classes_of(wanted: Wanted) -> list[str]:
    """The SOP classes of what is missing; where the archive does not tell them, those of images first."""
    listed = wanted.listed or {}
    missing = [sop for uid, sop in listed.items() if uid not in wanted.here and sop]
    return list(dict.fromkeys(missing))[:60] if missing and all(listed.values()) else _usual()


def _usual() -> list[str]:
    from pynetdicom import StoragePresentationContexts

    known = [str(c.abstract_syntax) for c in StoragePresentationContexts]
    first = [
        f"1.2.840.10008.5.1.4.1.1.{n}" for n in ("2", "2.1", "4", "4.1", "1", "1.1", "128", "20", "7", "66.4")
    ]
    return list(dict.fromkeys([*first, *known]))[:63]


def offered(peer: Peer, classes: Sequence[str]) -> bytes:
    """The A-ASSOCIATE-RQ: C-GET, then the SOP classes, of which the archive is the SCU (PS3.7 D.3.3.4).

    An acceptor picks one transfer syntax of a context, and then sends no instance in another.
    """
    room = (CONTEXTS - 1) // len(classes)
    contexts = [(pdu.GET[peer.root], [pdu.IMPLICIT])]
    contexts += [(sop, syntaxes) for sop in classes for syntaxes in _grouped(room)]
    roles = b"".join(
        pdu.item(0x54, struct.pack(">H", len(sop)) + sop + b"\0\1") for sop in map(str.encode, classes)
    )
    return pdu.proposal(peer.calling, peer.called, contexts, roles)


def _grouped(room: int) -> list[list[str]]:
    """The transfer syntaxes in so many contexts, the usual ones by themselves."""
    if room < 3:
        return [_PLAIN, _COMPRESSED][:room]
    each = [*_PLAIN, *_COMPRESSED]
    return [[s] for s in each[: room - 1]] + ([each[room - 1 :]] if each[room - 1 :] else [])


def agreed(answer: bytes) -> tuple[dict[int, str], int]:
    """Context -> transfer syntax, and the longest PDU that may be sent, of an A-ASSOCIATE-AC (PS3.8 9.3.3).

    Raises RefusedByArchive where C-GET is not in it, and Malformed.
    """
    if len(answer) < pdu.FIXED:
        raise Malformed("its answer to the association request is cut short", "bad_protocol")
    found, largest = dict[int, str](), 0
    for kind, raw in pdu.items(answer[pdu.FIXED :]):
        if kind == 0x21 and len(raw) >= 4 and raw[2] == 0:
            told = dict(pdu.items(raw[4:]))
            found[raw[0]] = told.get(0x40, b"").decode("ascii", "replace")
        elif kind == 0x50:
            largest = int.from_bytes(dict(pdu.items(raw)).get(0x51, b"")[:4], "big")
    if found.pop(1, None) is None:
        raise RefusedByArchive("it does not offer C-GET", "not_supported")
    return found, pdu.bounded(largest)
