"""Questions that only QIDO-RS and WADO-RS have: limits, offsets, fuzzy names, unknown keys, encodings."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import quote

from adapters.dicomweb.dicomjson import Decoder
from adapters.dicomweb.learn import learn
from adapters.dicomweb.requests_session import Transport
from adapters.shared.replies import decoded, listed
from broker.adapter import Page
from broker.errors import Malformed, RefusedByArchive, ServerFault
from broker.matching import Value
from broker.planning.measured import ANY_TEXT
from broker.probing.finding import Finding
from catalog.capability import Can, Proof
from catalog.evidence import Status
from catalog.probes import BEHAVIOUR, MATCHING

ACCEPT = "application/dicom+json, application/json;q=0.5"
_UID = "StudyInstanceUID"


async def findings(http: Transport, can: Can) -> tuple[list[Finding], int]:
    """What a server showed of itself, and by how many requests. Raises ArchiveError."""
    asked = _Asked(http)
    rows = await asked.rows("/studies?limit=2", (_UID, "PatientName"))
    found = [await asked.alone()]
    if rows:
        found += [
            await asked.limit(),
            await asked.offset(),
            await asked.unknown(),
            await asked.all_fields(_text(rows[0][0])),
            await asked.fuzzy(rows),
            await asked.decodes(can),
            await asked.retrieves(_text(rows[0][0])),
        ]
    if len(rows) > 1:
        found.append(await asked.early(_text(rows[1][0])))
    return found, asked.count


class _Asked:
    """Requests to one server, counted."""

    def __init__(self, http: Transport) -> None:
        self._http = http
        self.count = 0

    async def rows(self, target: str, fields: tuple[str, ...] = (_UID,)) -> list[tuple[Value, ...]]:
        """The rows of a reply. Raises ArchiveError."""
        self.count += 1
        body = await self._http.get(target, ACCEPT)
        return (Page(fields, []) if body is None else Decoder(fields).page(body)).rows

    async def alone(self) -> Finding:
        """Whether series are listed without naming a study."""
        count = await self._count("/series?limit=1", "SeriesInstanceUID")
        if isinstance(count, str):
            return _said("series", Status.NO, f"not listed without a study ({count})")
        return _said("series", Status.YES, "listed without a study")

    async def limit(self) -> Finding:
        """Whether `limit` is obeyed."""
        count = await self._count("/studies?limit=1")
        if count == 1:
            return _said("limit", Status.YES, "obeyed")
        return _said("limit", Status.NO, f"{count} records for a limit of 1")

    async def offset(self) -> Finding:
        """Whether `offset` moves on."""
        first = await self.rows("/studies?limit=1")
        second = await self._try("/studies?limit=1&offset=1")
        if second and second != first:
            return _said("offset", Status.YES, "obeyed")
        return _said("offset", Status.NO, "does not move on" if second else "nothing is found behind it")

    async def early(self, uid: str) -> Finding:
        """Whether `limit` counts matches, or candidates before they are filtered."""
        count = await self._count(f"/studies?{_UID}={uid}&limit=1")
        if count == 1:
            return _said("limit with conditions", Status.YES, "counts matches")
        return _said("limit with conditions", Status.NO, "counts candidates before the filter")

    async def unknown(self) -> Finding:
        """What becomes of a key that nobody knows."""
        count = await self._count("/studies?NoSuchAttribute=1&limit=1")
        if isinstance(count, str):
            return _said("unknown key", Status.NO, f"refused ({count})")
        return _said("unknown key", Status.PARTIAL, "ignored" if count else "nothing is found")

    async def all_fields(self, uid: str) -> Finding:
        """Whether `includefield=all` brings more attributes than come anyway (PS3.18 8.3.4.3)."""
        target = f"/studies?{_UID}={uid}&limit=1"
        try:
            usual, every = (
                await self._attributes(target),
                await self._attributes(f"{target}&includefield=all"),
            )
        except (RefusedByArchive, ServerFault) as error:
            return _said("includefield=all", Status.NO, f"refused ({error.reason})")
        note = f"{every} attributes of one study instead of {usual}."
        found = (Status.YES, "brings more attributes") if every > usual else (Status.NO, "brings no more")
        return Finding(BEHAVIOUR, *found, "includefield=all", note)

    async def _attributes(self, target: str) -> int:
        """How many attributes the first record of a reply has."""
        self.count += 1
        body = await self._http.get(target, ACCEPT)
        records, _ = ([], 0) if body is None else listed(decoded(body)[0])
        return len(records[0]) if records else 0

    async def fuzzy(self, rows: list[tuple[Value, ...]]) -> Finding:
        """Whether `fuzzymatching` finds a name of which two letters are exchanged."""
        for uid, name in rows:
            word = next((w for w in _text(name).split("^") if w.isascii() and w.isalpha() and len(w) > 3), "")
            if word:
                wrong = word[0] + word[2] + word[1] + word[3:]
                count = await self._count(
                    f"/studies?{_UID}={_text(uid)}&PatientName={wrong}&fuzzymatching=true&limit=1"
                )
                if isinstance(count, str):
                    return _said("fuzzymatching", Status.NO, f"refused ({count})")
                return _said("fuzzymatching", *((Status.YES, "finds misspelled names") if count else _NONE))
        return _said("fuzzymatching", Status.UNKNOWN, "no name to try it with")

    async def decodes(self, can: Can) -> Finding:
        """Whether percent-encoded values arrive."""
        self.count += 2
        told = await learn(self._http, replace(can, any_text=Proof.OPEN, any_case_pn=Proof.YES))
        status = {Proof.YES: Status.YES, Proof.NO: Status.NO}.get(told.any_text, Status.UNKNOWN)
        note = "A UID that it had just shown, every character percent-encoded."
        return Finding(MATCHING, status, ANY_TEXT, note=note)

    async def retrieves(self, uid: str) -> Finding:
        """Whether the metadata of one image can be had (WADO-RS), which costs no pixels."""
        series = await self._try(f"/studies/{quote(uid, safe='')}/series?limit=1", "SeriesInstanceUID")
        place = f"/studies/{uid}/series/{_text(series[0][0])}/instances" if series else ""
        images = await self._try(f"{place}?limit=1", "SOPInstanceUID") if place else []
        told = await self._try(f"{place}/{_text(images[0][0])}/metadata", "SOPInstanceUID") if images else []
        value = "QIDO-RS, WADO-RS" if told else "QIDO-RS"
        note = "The metadata of one image came." if told else "No metadata of an image came."
        return Finding("dicom_transfer_protocol", Status.YES, value, note=note)

    async def _try(self, target: str, field: str = _UID) -> list[tuple[Value, ...]]:
        """The rows of a reply; none where the question is refused."""
        try:
            return await self.rows(target, (field,))
        except (RefusedByArchive, ServerFault, Malformed):
            return []

    async def _count(self, target: str, field: str = _UID) -> int | str:
        """How many records come, or the word with which the question is refused. Raises ArchiveError."""
        try:
            return len(await self.rows(target, (field,)))
        except (RefusedByArchive, ServerFault) as error:
            return error.reason


_NONE = (Status.NO, "accepted, without effect")


def _said(about: str, status: Status, value: str) -> Finding:
    return Finding(BEHAVIOUR, status, value, about)


def _text(value: Value) -> str:
    return value if isinstance(value, str) else ""
