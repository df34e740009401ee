"""Whether a file is the whole instance that was asked for. What an archive calls it does not count."""

from __future__ import annotations

import hashlib
import io
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from broker.meaning import values
from broker.safe import line

CHUNK = 2**20
WHOLE = 4 * 2**20  # bytes of a file up to which it is read at once
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
    with place.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        # opening a file costs more than reading a small one; a large one is not held in memory
        stream = io.BytesIO(file.read()) if size <= WHOLE else file
        sha256 = _hashed(stream, md5)
        head = _read(stream, size)
    uid = _uid(head, "SOPInstanceUID")
    if not uid:
        raise Wrong("a file holds no valid SOPInstanceUID")
    for keyword, asked in (("StudyInstanceUID", study), ("SeriesInstanceUID", series)):
        if _uid(head, keyword) != asked:
            told = line(_text(head, keyword))[:70] or "none"
            raise Wrong(f"instance {uid} is not of the {keyword} that was asked for: {told}")
    return Instance(uid, sha256, size)


def _hashed(stream: BinaryIO, md5: str) -> str:
    """The SHA-256 of all of it. Raises Wrong where its MD5 is not the one that is given."""
    sha256, own = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
    while chunk := stream.read(CHUNK):
        sha256.update(chunk)
        if md5:
            own.update(chunk)
    if md5 and md5.lower() != own.hexdigest():
        raise Wrong(f"a file has not the MD5 that the archive gives: {own.hexdigest()}, not {line(md5)[:64]}")
    return sha256.hexdigest()


def _read(stream: BinaryIO, size: int) -> Any:
    """Every element of it, large values skipped. Raises Wrong where it ends in the middle, or is no DICOM."""
    import pydicom
    from pydicom.dataelem import RawDataElement
    from pydicom.errors import InvalidDicomError

    stream.seek(0)
    try:
        found = pydicom.dcmread(stream, defer_size=LARGE)
        raw: Any = found.get_item(max(found.keys()), keep_deferred=True) if len(found) else None
    except InvalidDicomError as error:
        raise Wrong("a file is not DICOM (no DICM after its preamble)") from error
    except OSError:
        raise
    except Exception as error:  # pydicom raises many kinds for bytes that are not DICOM
        raise Wrong(f"a file cannot be read as DICOM ({type(error).__name__})") from error
    deflated = getattr(found.file_meta, "TransferSyntaxUID", "") == DEFLATED
    if not deflated and isinstance(raw, RawDataElement) and raw.length != 0xFFFFFFFF:
        _ended(stream, size, raw.value_tell + raw.length)
    return found


def _ended(stream: BinaryIO, size: int, end: int) -> None:
    """Whether the last element is whole, and no part of another follows. Some files are padded with zeros."""
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
