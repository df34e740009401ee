"""The DICOM files of a scan, one by one, with the digests that XNAT keeps of them."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from pathlib import Path
from urllib.parse import urlsplit

from adapters.shared.download import Budget, Files, bad_name, written
from adapters.shared.http import Http
from adapters.xnat.session import XnatSession
from adapters.xnat.table import table
from broker.adapter import Received, Wanted
from broker.errors import Malformed, RefusedByArchive
from broker.safe import line

DICOM = ("DICOM", "SECONDARY")  # labels and formats of resources with DICOM files
_PLACE = re.compile(r"/(?:data|REST)/(?:archive/)?[A-Za-z0-9._~%@:+,()' /-]+", re.ASCII)
_MD5 = re.compile(r"[0-9a-fA-F]{32}")


async def scan_files(
    session: XnatSession, http: Http, wanted: Wanted, folder: Path
) -> AsyncGenerator[Received, None]:
    """Every DICOM file of the scan that is not here yet. Raises ArchiveError."""
    base = http.base.rstrip("/")
    if not wanted.address.startswith(f"{base}/data/"):
        raise RefusedByArchive("it gives no address of the scan in its own REST interface", "no_address")
    scan = wanted.address.removeprefix(base)
    found = await table(session, f"{scan}/files?")
    files, budget = Files(folder), Budget(wanted.most, http.limits.instance, http.limits.idle)
    for row in found.rows:
        if not {row.get("collection", "").upper(), row.get("file_format", "").upper()} & set(DICOM):
            continue
        digest = row.get("digest", "")
        key = digest or row.get("URI", "")
        if key in wanted.keys:
            continue
        wrong = _wrong(row.get("Name", ""), row.get("URI", ""))
        if wrong:
            yield Received(None, wrong=wrong)
            continue
        async with session.streamed(_target(row["URI"])) as reply:
            if reply.content_type == "text/html":
                raise Malformed("it answered a page instead of a file", "not_dicom")
            place = await written(reply, files.next(), budget)
        yield Received(place, digest if _MD5.fullmatch(digest) else "", key)


def _wrong(name: str, uri: str) -> str:
    """What is wrong with the name of a file, or its address; neither becomes a path here."""
    if bad_name(name):
        return bad_name(name)
    parts = urlsplit(uri)
    outside = parts.scheme or parts.netloc or parts.query or parts.fragment
    climbs = re.search(r"(^|/)(\.|%2e){1,2}(/|$)|%2f|%5c", uri, re.IGNORECASE)
    if outside or climbs or not _PLACE.fullmatch(uri):
        return f"hostile address {line(uri)[:200]!r}"
    return ""


def _target(uri: str) -> str:
    """The address of a file, encoded; XNAT encodes it already, but for blanks of some versions."""
    return uri.replace(" ", "%20")
