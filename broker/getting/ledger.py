"""What is here already: a line of JSON for each instance that was taken; a torn last line is nothing."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import IO


@dataclass(frozen=True, slots=True)
class Entry:
    """One instance: its UIDs, SHA-256 and size of its file, the archive that sent it, and its word for it."""

    study: str
    series: str
    uid: str
    sha256: str
    size: int
    archive: str
    key: str = ""


class Ledger:
    """The entries of a folder, in a file that only grows. Raises OSError."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.entries: dict[tuple[str, str], Entry] = {}
        self._read()
        self._stream: IO[bytes] = file.open("ab", buffering=0)

    def add(self, entry: Entry) -> None:
        """One more instance; it is in the file when this returns."""
        self._stream.write(json.dumps(asdict(entry)).encode() + b"\n")
        self.entries[entry.series, entry.uid] = entry

    def close(self) -> None:
        """Close the file."""
        os.fsync(self._stream.fileno())
        self._stream.close()

    def _read(self) -> None:
        if not self._file.exists():
            return
        raw = self._file.read_bytes()
        for text in raw.splitlines():
            entry = _entry(text)
            if entry is not None:
                self.entries[entry.series, entry.uid] = entry
        if raw and not raw.endswith(b"\n"):  # it was killed while it wrote; the next line begins anew
            with self._file.open("ab") as stream:
                stream.write(b"\n")


def _entry(text: bytes) -> Entry | None:
    """An entry as it was written, or None for what is none."""
    try:
        told = json.loads(text)
        entry = Entry(**told)
    except (ValueError, TypeError):
        return None
    kinds = {f.name: int if f.name == "size" else str for f in fields(Entry)}
    return entry if all(isinstance(getattr(entry, name), kind) for name, kind in kinds.items()) else None
