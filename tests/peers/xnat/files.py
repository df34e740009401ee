"""Resources and files of scans: listings, one file, everything as a zip or tar.gz."""

from __future__ import annotations

import hashlib
import io
import tarfile
import zipfile
from collections.abc import Iterable
from urllib.parse import quote

from peers.xnat.listings import Refused, Table
from peers.xnat.model import File, Resource, Scan, Session

Held = tuple[Session, Scan, Resource, File]
CATALOG = '<?xml version="1.0" encoding="UTF-8"?>\n<cat:Catalog xmlns:cat="http://nrg.wustl.edu/catalog"/>'


def scans_named(session: Session, names: str) -> list[Scan]:
    """The scans of a session by ID or type, several with commas between, or ALL."""
    wanted = names.split(",")
    return [s for s in session.scans if "ALL" in wanted or s.id in wanted or s.type in wanted]


def resource_named(scan: Scan, name: str) -> Resource:
    """The resource of that label or number. Raises Refused."""
    found = next((r for r in scan.resources if name in (r.label, str(r.number))), None)
    if found is None:
        raise Refused(404, "Unable to find the specified resource")
    return found


def resources(scans: Iterable[Scan]) -> Table:
    """The resources of scans; counts are empty where XNAT has not built them."""
    rows = [
        {
            "xnat_abstractresource_id": str(r.number), "label": r.label, "tags": "",
            "element_name": "xnat:resourceCatalog", "category": "scans", "cat_id": s.id,
            "cat_desc": s.type, "format": r.format, "content": r.content,
            "file_count": str(len(r.files)) if r.counted else "",
            "file_size": str(sum(len(f.content) for f in r.files)) if r.counted else "",
        }
        for s in scans
        for r in s.resources
    ]  # fmt: skip
    return Table(
        list(rows[0]) if rows else ["xnat_abstractresource_id", "label"], rows, "Resources", len(rows)
    )


def held(session: Session, scans: Iterable[Scan], resource: str | None = None) -> list[Held]:
    """Every file of scans, or of one resource of theirs."""
    return [
        (session, s, r, f)
        for s in scans
        for r in s.resources
        if resource is None or resource in (r.label, str(r.number))
        for f in r.files
    ]


def listing(files: Iterable[Held]) -> Table:
    """Files as a table."""
    rows = [
        {
            "Name": f.name, "Size": str(len(f.content)), "collection": r.label, "file_tags": "",
            "URI": f"/data/experiments/{e.id}/scans/{s.id}/resources/{r.number}/files/{quote(f.name)}",
            "file_format": r.format, "file_content": r.content, "cat_ID": str(r.number),
            "digest": hashlib.md5(f.content, usedforsecurity=False).hexdigest(),
        }
        for e, s, r, f in files
    ]  # fmt: skip
    return Table(list(rows[0]) if rows else ["Name", "Size", "URI"], rows, "Files", len(rows))


def _path(of: Held) -> str:
    session, scan, resource, file = of
    return f"{session.label}/scans/{scan.id}-{scan.type}/resources/{resource.label}/files/{file.name}"


def packed(files: list[Held], form: str) -> bytes:
    """Files in a zip, or in a tar.gz."""
    body = io.BytesIO()
    if form == "zip":
        with zipfile.ZipFile(body, "w") as archive:
            for each in files:
                archive.writestr(_path(each), each[3].content)
    else:
        with tarfile.open(fileobj=body, mode="w:gz") as tar:
            for each in files:
                entry = tarfile.TarInfo(_path(each))
                entry.size = len(each[3].content)
                tar.addfile(entry, io.BytesIO(each[3].content))
    return body.getvalue()
