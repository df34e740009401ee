"""Whether a file is the whole instance that was asked for. What an archive calls it does not count."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from broker.meaning import values
from broker.safe import line

CHUNK = 2**20
LARGE = 4096  # bytes of a value from which on it is only skipped
DEFLATED = "1.2.840.10008.1.2.1.99"


class Wrong(Exception):
    """A file is not what was asked for; the text says why."""


@dataclass(frozen=True, slots=True)
class Instance:
    """What a file says of itself, and its SHA-256 and size."""

    uid: str
    sha256: str
    size: int


def instance(place: Path, study: str, series: str, md5: str = "") -> Instance:
    """The instance in a file (PS3.10). Raises Wrong where it is no whole instance of the series, OSError.

    `md5` is what the archive says of the file, or nothing.
    """
    sha256, own = _hashes(place, with_md5=bool(md5))
    if md5 and md5.lower() != own:
        raise Wrong(f"a file has not the MD5 that the archive gives: {own}, not {line(md5)[:64]}")
    head = _read(place)
    uid = _uid(head, "SOPInstanceUID")
    if not uid:
        raise Wrong("a file holds no valid SOPInstanceUID")
    for keyword, asked in (("StudyInstanceUID", study), ("SeriesInstanceUID", series)):
        if _uid(head, keyword) != asked:
            told = line(_text(head, keyword))[:70] or "none"
            raise Wrong(f"instance {uid} is not of the {keyword} that was asked for: {told}")
    return Instance(uid, sha256, place.stat().st_size)


def _hashes(place: Path, *, with_md5: bool) -> tuple[str, str]:
    sha256, md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
    with place.open("rb") as stream:
        while chunk := stream.read(CHUNK):
            sha256.update(chunk)
            if with_md5:
                md5.update(chunk)
    return sha256.hexdigest(), md5.hexdigest()


def _read(place: Path) -> Any:
    """Every element of it, large values skipped. Raises Wrong where it ends in the middle, or is no DICOM."""
    import pydicom
    from pydicom.dataelem import RawDataElement
    from pydicom.errors import InvalidDicomError

    try:
        found = pydicom.dcmread(place, defer_size=LARGE)
        raw: Any = found.get_item(max(found.keys()), keep_deferred=True) if len(found) else None
    except InvalidDicomError as error:
        raise Wrong("a file is not DICOM (no DICM after its preamble)") from error
    except OSError:
        raise
    except Exception as error:  # pydicom raises many kinds for bytes that are not DICOM
        raise Wrong(f"a file cannot be read as DICOM ({type(error).__name__})") from error
    deflated = getattr(found.file_meta, "TransferSyntaxUID", "") == DEFLATED
    if not deflated and isinstance(raw, RawDataElement) and raw.length != 0xFFFFFFFF:
        _ended(place, raw.value_tell + raw.length)
    return found


def _ended(place: Path, end: int) -> None:
    """Whether the last element is whole, and no part of another follows. Some files are padded with zeros."""
    size = place.stat().st_size
    with place.open("rb") as stream:
        stream.seek(min(end, size))
        left = stream.read(CHUNK)
    if end > size or left.strip(b"\0"):
        raise Wrong("a file ends in the middle of an element")


def _uid(head: Any, keyword: str) -> str:
    return values.uid(_text(head, keyword)) or ""


def _text(head: Any, keyword: str) -> str:
    """A UID as it is written; pydicom would warn of one that is none."""
    found = head.get_item(keyword)
    value = None if found is None else found.value
    return value.decode("ascii", "replace") if isinstance(value, bytes) else str(value or "")
