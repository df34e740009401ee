"""Planted questions to a QIDO-RS server, harmless and few: what really reaches it, what it really matches.

A row that the server has just shown is asked for again in other ways; its status is not trusted, only
whether the row comes back. Debian's Orthanc, for one, never decodes `%5E` and answers 200 with nothing.
"""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import quote

from adapters.dicomweb.dicomjson import Decoder
from adapters.dicomweb.requests_session import Transport
from broker.matching import Value
from catalog.capability import Can, Proof

_FIELDS = ("StudyInstanceUID", "PatientName")
_ACCEPT = "application/dicom+json"
_SHOWN = 50


async def learn(http: Transport, can: Can) -> Can:
    """The capabilities with what was open now known, as far as its rows allow. Raises ArchiveError."""
    rows = await _rows(http, f"limit={_SHOWN}&includefield=00100010")
    uids = [uid for uid, _ in rows if uid]
    if not uids:
        return can
    if can.any_text is Proof.OPEN:
        can = replace(can, any_text=await _decodes(http, uids[0]))
    if can.any_case_pn is Proof.OPEN:
        can = replace(can, any_case_pn=await _any_case(http, rows))
    return replace(can, cite=f"{can.cite}; a self-test just now")


async def _decodes(http: Transport, uid: str) -> Proof:
    """A known UID with every character percent-encoded: a server that decodes must find it."""
    encoded = "".join(f"%{ord(c):02X}" for c in uid)
    found = await _rows(http, f"StudyInstanceUID={encoded}&limit=2")
    return Proof.YES if [row[0] for row in found] == [uid] else Proof.NO


async def _any_case(http: Transport, rows: list[tuple[str, str]]) -> Proof:
    """The letters of a known name in the other case, as a wildcard."""
    for uid, name in rows:
        word = next((w for w in name.replace("=", "^").split("^") if w.isascii() and w.isalpha()), "")
        if len(word) > 1:
            asked = quote(word.swapcase())
            found = await _rows(http, f"PatientName=*{asked}*&StudyInstanceUID={uid}&limit=2")
            return Proof.YES if uid in [row[0] for row in found] else Proof.NO
    return Proof.OPEN


async def _rows(http: Transport, query: str) -> list[tuple[str, str]]:
    body = await http.get(f"/studies?{query}", _ACCEPT)
    page = Decoder(_FIELDS).page(b"[]" if body is None else body)
    return [(_one(row[0]), _one(row[1])) for row in page.rows]


def _one(value: Value) -> str:
    return value if isinstance(value, str) else ""
