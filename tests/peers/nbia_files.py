"""NBIA's downloads over our NBIA server: zips of real DICOM files, honest or not."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web
from peers.loopback import as_json
from peers.nbia import NbiaServer
from pydicom import dcmread

Packs = Callable[[dict[str, bytes]], bytes]


def packed(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip of files under their names."""
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w", method) as made:
        for name, content in files.items():
            made.writestr(name, content)
    return body.getvalue()


@dataclass
class NbiaFiles(NbiaServer):
    """It gives the files of its series, as NBIA's source (June 2026) and two recorded zips have it.

    packs  makes the zip;  lists  it tells SOP Instance UIDs;  lacks  endpoints that it does not serve
    """

    files: Sequence[Path] = ()
    packs: Packs = packed
    lists: bool = True
    lacks: frozenset[str] = frozenset()
    held: dict[str, dict[str, bytes]] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        for file in self.files:
            head = dcmread(file, stop_before_pixels=True)
            self.held.setdefault(str(head.SeriesInstanceUID), {})[str(head.SOPInstanceUID)] = (
                file.read_bytes()
            )

    def answer(self, request: web.Request, form: Mapping[str, str]) -> web.Response:
        endpoint = request.path.rpartition("/")[2]
        found = self.held.get(request.query.get("SeriesInstanceUID", ""), {})
        if refused := self._refused(request.path.split("/")[-2], endpoint, request.query):
            return refused
        if endpoint in ("getImage", "getImageWithMD5Hash") and endpoint not in self.lacks:
            named = self._named(found, sums=endpoint.endswith("Hash"))
            return web.Response(body=self.packs(named), content_type="application/octet-stream")
        if endpoint == "getSingleImage":
            return web.Response(
                body=found[request.query["SOPInstanceUID"]], content_type="application/octet-stream"
            )
        if endpoint == "getSOPInstanceUIDs" and self.lists:
            return as_json([{"SOPInstanceUID": uid} for uid in found])
        return super().answer(request, form)

    def _named(self, found: Mapping[str, bytes], *, sums: bool) -> dict[str, bytes]:
        """A licence or sums, never both; the lines of sums are in the order of a Java HashMap: any."""
        named = {f"{n:08}.dcm": content for n, content in enumerate(found.values(), start=1)}
        if not sums:
            return {"LICENSE": b"a licence\n", **named}
        md5 = [f"{n},{hashlib.md5(c, usedforsecurity=False).hexdigest()}\n" for n, c in named.items()]
        return {**named, "md5hashes.csv": "".join(["Filename,MD5Hash\n", *reversed(md5)]).encode()}
