"""WADO-RS: the instances of a series as they are stored (PS3.18 10.4), whole or one by one."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path

from adapters.dicomweb.dicomjson import Decoder
from adapters.shared.download import Budget, Files, instances
from adapters.shared.http import Http
from broker.adapter import Received, Wanted
from broker.errors import TooMuch
from broker.meaning import values

# transfer-syntax=* asks for instances as they are stored (PS3.18 8.7.3.5.2)
STORED = 'multipart/related; type="application/dicom"; transfer-syntax=*'
QIDO = "application/dicom+json, application/json;q=0.5"
FIELDS = ("SOPInstanceUID", "SOPClassUID")
PAGE = 1000


async def listed(http: Http, wanted: Wanted) -> dict[str, str]:
    """SOP Instance UID -> SOP Class UID, by QIDO-RS at the instance level. Raises ArchiveError."""
    decoder = Decoder(FIELDS)
    places = [decoder.fields.index(name) for name in FIELDS]
    found: dict[str, str] = {}
    for number in range(http.limits.pages):
        body = await http.get(f"{_series(wanted)}/instances?limit={PAGE}&offset={len(found)}", QIDO)
        rows = [] if body is None else decoder.page(body).rows
        told = {_uid(row[places[0]]): _uid(row[places[1]]) for row in rows}
        fresh = {uid: sop for uid, sop in told.items() if uid and uid not in found}
        found |= fresh
        if not fresh or (number == 0 and len(rows) != PAGE):
            return found
    raise TooMuch(f"more than {http.limits.pages} pages of instances came", "page_limit")


async def retrieved(http: Http, wanted: Wanted, folder: Path) -> AsyncGenerator[Received, None]:
    """What is missing, as files. Raises ArchiveError."""
    budget, files = Budget(wanted.most, http.limits.instance, http.limits.idle), Files(folder)
    targets = [_series(wanted)]
    if wanted.few:
        targets = [f"{_series(wanted)}/instances/{uid}" for uid in wanted.missing]
    for target in targets:
        async with http.streamed(target, STORED) as reply, aclosing(instances(reply, files, budget)) as parts:
            async for part in parts:
                yield part


def _series(wanted: Wanted) -> str:
    return f"/studies/{wanted.study}/series/{wanted.series}"


def _uid(value: object) -> str:
    return (values.uid(value) or "") if isinstance(value, str) else ""
