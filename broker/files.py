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


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
