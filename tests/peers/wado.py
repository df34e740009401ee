"""A DICOMweb server that holds files, with WADO-RS as an honest archive or a liar answers it, on loopback."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web
from peers.loopback import RestServer
from pydicom import dcmread

BOUNDARY = "between-instances"
KIND = f'multipart/related; type="application/dicom"; boundary={BOUNDARY}'
Body = tuple[bytes, str, Mapping[str, str]]
KEYS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID", "Modality", "PatientID")
_TAGS = {
    "StudyInstanceUID": "0020000D", "SeriesInstanceUID": "0020000E", "SOPInstanceUID": "00080018",
    "SOPClassUID": "00080016", "Modality": "00080060", "PatientID": "00100020",
}  # fmt: skip


def multipart(parts: Sequence[bytes], headers: str = "", end: bool = True) -> bytes:
    """Instances as the parts of a reply (PS3.18 8.7.3.5.2)."""
    head = f"--{BOUNDARY}\r\nContent-Type: application/dicom\r\n{headers}\r\n".encode()
    whole = b"".join(head + part + b"\r\n" for part in parts)
    return whole + (f"--{BOUNDARY}--\r\n".encode() if end else b"")


def honest(parts: Sequence[bytes]) -> Body:
    """Every instance that was asked for."""
    return multipart(parts), KIND, {}


@dataclass
class Wado(RestServer):
    """It answers QIDO-RS with what its files say, and retrieval with `sends` of the files asked for.

    counts  what NumberOfSeriesRelatedInstances says beside the truth
    """

    files: Sequence[Path] = ()
    sends: Callable[[Sequence[bytes]], Body] = honest
    counts: int = 0
    held: list[dict[str, str]] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        heads = [dcmread(f, stop_before_pixels=True) for f in self.files]
        self.held = [{k: str(h.get(k, "")) for k in KEYS} for h in heads]

    @property
    def url(self) -> str:
        """The root of its services."""
        return f"{self.origin}/dicom-web"

    def answer(self, request: web.Request, form: Mapping[str, str]) -> web.Response:
        words = request.path.removeprefix("/dicom-web/").split("/")
        named = dict(zip(words[::2], words[1::2], strict=False))
        found = [
            (held, file)
            for held, file in zip(self.held, self.files, strict=True)
            if named.get("studies", held["StudyInstanceUID"]) == held["StudyInstanceUID"]
            and named.get("series", held["SeriesInstanceUID"]) == held["SeriesInstanceUID"]
            and named.get("instances", held["SOPInstanceUID"]) == held["SOPInstanceUID"]
        ]
        if len(words) % 2:
            return self._listed([held for held, _ in found], words[-1], request)
        body, kind, headers = self.sends([file.read_bytes() for _, file in found])
        return web.Response(body=body, headers={"Content-Type": kind, **headers})

    def _listed(self, held: list[dict[str, str]], level: str, request: web.Request) -> web.Response:
        unique = {"studies": KEYS[0], "series": KEYS[1]}.get(level, KEYS[2])
        once = {row[unique]: row for row in held}
        rows = list(once.values()) if request.query.get("offset", "0") == "0" else []
        told: list[dict[str, Any]] = []
        for row in rows:
            said: dict[str, Any] = {
                _TAGS[k]: {"vr": "UI" if "UID" in k else "CS", "Value": [v]} for k, v in row.items()
            }
            count = sum(r[unique] == row[unique] for r in held) + self.counts
            said["00201209"] = {"vr": "IS", "Value": [count]}
            told.append(said)
        return web.Response(text=json.dumps(told), content_type="application/dicom+json")
