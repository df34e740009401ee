"""NBIA's downloads: a series as a zip (getImageWithMD5Hash, else getImage), or instances (getSingleImage).

By the source of NBIA's REST API, June 2026: v4 refuses every parameter that an endpoint does not know, and
getImage knows only SeriesInstanceUID and NewFileNames, whatever its documentation says of IncludeMD5.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path

import aiohttp

from adapters.nbia import zips
from adapters.nbia.service import Door
from adapters.shared.download import Budget, Files, written
from adapters.shared.replies import JSON, decoded, listed
from broker.adapter import Received, Wanted
from broker.errors import Malformed, RefusedByArchive
from broker.meaning import values
from broker.safe import line

BINARY = "application/zip, application/octet-stream, application/dicom"
_KINDS = ("application/zip", "application/x-zip", "application/octet-stream", "application/dicom")


async def instance_uids(door: Door, wanted: Wanted) -> dict[str, str] | None:
    """The SOP Instance UIDs of a series (getSOPInstanceUIDs); None where it is not served there."""
    try:
        body = await door.http.get(f"/getSOPInstanceUIDs?SeriesInstanceUID={wanted.series}&format=json", JSON)
    except RefusedByArchive:
        return None
    if not body or not body.strip():
        return None
    records, _ = listed(decoded(body)[0])
    found = (values.uid(str(r.get("SOPInstanceUID") or r.get("SOPInstanceUid") or "")) for r in records)
    return {uid: "" for uid in found if uid} or None


async def images(door: Door, wanted: Wanted, folder: Path) -> AsyncGenerator[Received, None]:
    """What is missing, as files. Raises ArchiveError."""
    limits, files = door.http.limits, Files(folder)
    if wanted.few:
        budget = Budget(wanted.most, limits.instance, limits.idle)
        for uid in wanted.missing:
            target = f"/getSingleImage?SeriesInstanceUID={wanted.series}&SOPInstanceUID={uid}"
            yield Received(await _file(door, target, files, budget))
        return
    # sent packed, counted again as it is unpacked
    packed = await _packed(door, wanted, files)
    found = zips.instances(packed, files, Budget(wanted.most, limits.instance, limits.idle))
    while (part := await asyncio.to_thread(_next, found)) is not None:
        yield part


async def _packed(door: Door, wanted: Wanted, files: Files) -> Path:
    """The zip of a series: with MD5 sums, where that is served."""
    named = f"?SeriesInstanceUID={wanted.series}"
    budget = Budget(wanted.most, wanted.most, door.http.limits.idle)
    try:
        return await _file(door, "/getImageWithMD5Hash" + named, files, budget)
    except RefusedByArchive:
        return await _file(door, "/getImage" + named, files, budget)


def _next(found: Iterator[Received]) -> Received | None:
    return next(found, None)


async def _file(door: Door, target: str, files: Files, budget: Budget) -> Path:
    async with door.http.streamed(target, BINARY) as reply:
        _binary(reply)
        return await written(reply, files.next(), budget)


def _binary(reply: aiohttp.ClientResponse) -> None:
    """NBIA says errors as plain text, with the status 200 too."""
    if not reply.content_type.startswith(_KINDS):
        kind = line(reply.content_type) or "without a content type"
        raise Malformed(f"it answered {kind} instead of files", "not_dicom")
