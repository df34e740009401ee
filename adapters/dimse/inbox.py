"""Bytes of an association, as they come, into whole responses (PS3.8 9.3.5, PS3.7 6.3), without any I/O."""

from __future__ import annotations

from collections.abc import Iterator

from adapters.dimse.pdu import ABORT, DATA, MAX_PDU, MAX_REPLY, RELEASE_RQ, Reply, reply
from broker.errors import ArchiveError, Malformed, TooMuch, Unreachable


class Inbox:
    """Bytes as they come, into responses: `feed` it, then take with `next`.

    `context` is the presentation context of the question that is under way; None: any.
    """

    def __init__(self, most: int = MAX_REPLY) -> None:
        self.context: int | None = None
        self._raw = bytearray()
        self._at = 0
        self._most = most
        self._parts: list[list[bytes]] = [[], []]  # of data, of the command
        self._size = 0
        self._command: Reply | None = None
        self._known: dict[bytes, Reply] = {}

    @property
    def empty(self) -> bool:
        """Whether nothing has come that was not taken."""
        return self._at == len(self._raw) and not any(self._parts) and self._command is None

    def feed(self, raw: bytes) -> None:
        """What came."""
        if self._at:
            del self._raw[: self._at]
            self._at = 0
        self._raw += raw

    def pdu(self) -> tuple[int, bytes] | None:
        """The next PDU, type and all of its bytes, if it is there. Raises Malformed."""
        raw, at = self._raw, self._at
        if len(raw) - at < 6:
            return None
        length = int.from_bytes(raw[at + 2 : at + 6], "big")
        if length > MAX_PDU:
            if raw.startswith(b"HTTP/", at):
                raise Malformed("HTTP is spoken at this port, not DIMSE", "bad_protocol")
            raise Malformed(f"a PDU is larger than the {MAX_PDU:,} bytes agreed on", "bad_protocol")
        if len(raw) - at < 6 + length:
            return None
        self._at = at + 6 + length
        return raw[at], bytes(raw[at : self._at])

    def next(self) -> tuple[Reply, bytes | None] | None:
        """The next response and its identifier, if it is there.

        Raises Unreachable where the other side ends the association, Malformed for anything else.
        """
        while (found := self.pdu()) is not None:
            kind, pdu = found
            if kind != DATA:
                raise ended(kind)
            done = self._data(pdu)
            if done is not None:
                return done
        return None

    def _data(self, pdu: bytes) -> tuple[Reply, bytes | None] | None:
        """One P-DATA-TF; it rarely holds more than one fragment, and never the end of two responses."""
        done = None
        for context, control, part in fragments(pdu):
            if done is not None:
                raise Malformed("a P-DATA-TF holds too much", "bad_protocol")
            if self.context not in (None, context):
                raise Malformed("it answers in another presentation context", "bad_protocol")
            done = self._fragment(part, control)
        return done

    def _fragment(self, part: bytes, control: int) -> tuple[Reply, bytes | None] | None:
        is_command = control & 1
        if bool(is_command) == (self._command is not None):
            raise Malformed("commands and identifiers come in a wrong order", "bad_protocol")
        parts = self._parts[is_command]
        self._size += len(part)
        if self._size > self._most:
            raise TooMuch(f"one record holds more than {self._most:,} bytes")
        parts.append(part)
        if not control & 2:
            return None
        whole = part if len(parts) == 1 else b"".join(parts)
        parts.clear()
        return self._whole(whole, is_command)

    def _whole(self, whole: bytes, is_command: int) -> tuple[Reply, bytes | None] | None:
        if is_command:
            self._command = self._read(whole)
            if self._command.has_data:
                return None
        answered, self._command, self._size = self._command, None, 0
        assert answered is not None  # noqa: S101 - the order was checked
        return answered, None if is_command else whole

    def _read(self, raw: bytes) -> Reply:
        """Every response to one question but the last has the very same command set."""
        known = self._known.get(raw)
        if known is None:
            known = reply(raw)
            if len(self._known) < 16:
                self._known[raw] = known
        return known


def fragments(pdu: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Context, message control header and bytes of every fragment of a P-DATA-TF. Raises Malformed."""
    at = 6
    while at < len(pdu):
        length = int.from_bytes(pdu[at : at + 4], "big")
        end = at + 4 + length
        if length < 2 or end > len(pdu):
            raise Malformed("a fragment has an impossible length", "bad_protocol")
        yield pdu[at + 4], pdu[at + 5], pdu[at + 6 : end]
        at = end


def ended(kind: int) -> ArchiveError:
    """What a PDU that holds no data means in the middle of a question."""
    if kind == ABORT:
        return Unreachable("it aborted the association", "dimse_abort")
    if kind == RELEASE_RQ:
        return Unreachable("it released the association in the middle", "dimse_abort")
    return Malformed(f"a PDU of type {kind} has no place here", "bad_protocol")
