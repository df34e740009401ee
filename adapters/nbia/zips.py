"""DICOM files in a zip that an archive sent: its names are looked at, and never used."""

from __future__ import annotations

import contextlib
import csv
import io
import lzma
import re
import stat
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from adapters.shared.download import CHUNK, Budget, Files, bad_name
from broker.adapter import Received
from broker.errors import Malformed, TooMuch
from broker.safe import line

DIRECTORY = 64 * 2**20  # bytes of a central directory; some 500,000 entries
_END, _END_SIZE = b"PK\x05\x06", 22 + 65535
_SUMS = "md5hashes.csv"
_MD5 = re.compile(r"[0-9a-f]{32}")


def instances(place: Path, files: Files, budget: Budget) -> Iterator[Received]:
    """The DICOM files of a zip, unpacked one by one; what else is in it is left out. Raises ArchiveError.

    An entry whose name leaves its folder, a link, or an encrypted one is refused and named.
    """
    _directory(place)
    try:
        with _reading():
            opened = zipfile.ZipFile(place)
        with opened as packed:
            sums = _sums(packed, budget)
            for entry in packed.infolist():
                found = _entry(packed, entry, files, budget, sums)
                if found is not None:
                    yield found
    except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        raise Malformed("its zip is cut short or not well formed", "bad_zip") from error


@contextlib.contextmanager
def _reading() -> Iterator[None]:
    """What a decompressor raises is the archive's doing; an OSError otherwise would be that of our folder."""
    try:
        yield
    except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
        raise Malformed("its zip is not well formed", "bad_zip") from error


def _directory(place: Path) -> None:
    """The list of a zip is read whole, so it must not be too large (APPNOTE 4.3.16)."""
    with place.open("rb") as stream:
        stream.seek(max(place.stat().st_size - _END_SIZE, 0))
        tail = stream.read()
    end = tail.rfind(_END)
    if end < 0:
        raise Malformed("its zip is cut short, or is none", "bad_zip")
    if int.from_bytes(tail[end + 12 : end + 16], "little") > DIRECTORY:
        raise TooMuch(f"the list of its zip has more than {DIRECTORY:,} bytes")


def _entry(
    packed: zipfile.ZipFile, entry: zipfile.ZipInfo, files: Files, budget: Budget, sums: dict[str, str]
) -> Received | None:
    wrong = _wrong(entry)
    if wrong:
        return Received(None, wrong=f"{wrong} in its zip")
    if entry.is_dir() or not entry.filename.lower().endswith(".dcm"):
        return None
    place = files.next()
    try:
        _unpacked(packed, entry, place, budget)
    except zipfile.BadZipFile:
        place.unlink(missing_ok=True)
        return Received(None, wrong=f"{line(entry.orig_filename)[:200]!r} in its zip has a wrong CRC")
    return Received(place, sums.get(entry.filename, ""))


def _wrong(entry: zipfile.ZipInfo) -> str:
    """What is wrong with an entry, by what the zip says of it."""
    hostile = bad_name(entry.orig_filename)
    if hostile:
        return hostile
    if stat.S_ISLNK(entry.external_attr >> 16):
        return f"a symbolic link {line(entry.filename)[:200]!r}"
    return f"an encrypted file {line(entry.filename)[:200]!r}" if entry.flag_bits & 1 else ""


def _unpacked(packed: zipfile.ZipFile, entry: zipfile.ZipInfo, place: Path, budget: Budget) -> None:
    """An entry as a file, counted as it comes: what the zip says of its size may be wrong."""
    size = 0
    with place.open("xb") as target, _opened(packed, entry) as stream:
        while chunk := _read(stream, CHUNK):
            size += len(chunk)
            budget.take(len(chunk), size)
            target.write(chunk)


def _opened(packed: zipfile.ZipFile, entry: zipfile.ZipInfo) -> IO[bytes]:
    with _reading():
        return packed.open(entry)


def _read(stream: IO[bytes], size: int) -> bytes:
    with _reading():
        return stream.read(size)


def _sums(packed: zipfile.ZipFile, budget: Budget) -> dict[str, str]:
    """Name -> MD5 in lower case, as getImageWithMD5Hash lists them: `Filename,MD5Hash`, then a line a file.

    A file of which NBIA knows no sum has an empty one (V4_getImageWithMD5Hash, FormatOutput.toCsv).
    """
    found: dict[str, str] = {}
    for entry in packed.infolist():
        if entry.filename == _SUMS and not _wrong(entry):
            with _opened(packed, entry) as stream:
                text = _read(stream, DIRECTORY)
            budget.take(len(text))
            for row in csv.DictReader(io.StringIO(text.decode("utf-8", "replace"))):
                md5 = (row.get("MD5Hash") or "").lower()
                if _MD5.fullmatch(md5):
                    found[str(row.get("Filename"))] = md5
    return found
