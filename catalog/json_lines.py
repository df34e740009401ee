"""The lines of a file to which JSON is appended, within bounds: no file costs much memory or time.

Loaded by every plan, so it imports next to nothing.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Self

LONGEST = 100_000  # bytes of a line that are read; a longer one is damaged
MOST = (
    32_000_000  # bytes of a file that are read: its last, for of two lines on one matter the later one counts
)


class Lines:
    """The lines of a file, as a context manager; those of its end where it is larger than MOST.

    Raises OSError where it cannot be read, and where it is no file.
    """

    def __init__(self, file: Path) -> None:
        # nobody writes into a pipe that lies in its place: opening it as a file would wait for ever
        handle = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        state = os.fstat(handle)
        if not stat.S_ISREG(state.st_mode):
            os.close(handle)
            raise OSError(errno.EINVAL, "it is not a file", str(file))
        self._stream = os.fdopen(handle, "rb")
        self.skipped = max(state.st_size - MOST, 0)
        """Bytes at the beginning that are not read."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._stream.close()

    def __iter__(self) -> Iterator[tuple[int, bytes | None]]:
        """Each line with its number, from 1 (0 where the beginning is not read); None for one too long."""
        if self.skipped:
            self._stream.seek(self.skipped - 1)
            _rest(self._stream)
        number = 0
        while line := self._stream.readline(LONGEST + 1):
            number += not self.skipped
            if len(line) > LONGEST:
                yield number, None
                if not line.endswith(b"\n"):
                    _rest(self._stream)
            else:
                yield number, line


def _rest(stream: IO[bytes]) -> None:
    """On to the next line, piece by piece."""
    while (piece := stream.readline(LONGEST)) and not piece.endswith(b"\n"):
        pass
