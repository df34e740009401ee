"""Files that appear whole, or not at all."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO


@contextlib.contextmanager
def whole(place: Path, private: bool = False) -> Iterator[IO[bytes]]:
    """A stream whose content becomes the file when the block ends well. Raises OSError.

    `private`: only the user may read it. Where nothing was written, there is no file.
    """
    handle, part = tempfile.mkstemp(dir=place.parent, prefix=f".{place.name}.")
    try:
        with os.fdopen(handle, "wb") as stream:
            yield stream
            written = stream.tell()
        if written:
            Path(part).chmod(0o600 if private else 0o666 & ~_umask())
            Path(part).replace(place)
    finally:
        Path(part).unlink(missing_ok=True)


@contextlib.contextmanager
def named(place: Path) -> Iterator[IO[bytes]]:
    """As `whole`, of a file that a user names: a pipe or device is written to, and never replaced by a file.

    Raises OSError.
    """
    if place.parts[:2] in (("/", "dev"), ("/", "proc")) or (place.exists() and not place.is_file()):
        with place.open("wb") as stream:
            yield stream
    else:
        with whole(place) as stream:
            yield stream


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
