"""The folder that instances go to, as StudyInstanceUID/SeriesInstanceUID/SOPInstanceUID.dcm.

A file has its name only when it was checked: it is written under `.broker`, and renamed. So whoever is killed
leaves no file that is not whole, and whoever comes next keeps all that is there.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from broker.adapter import Received
from broker.errors import BadConfig
from broker.getting.check import Instance, Wrong, instance
from broker.getting.ledger import Entry, Ledger

OWN = ".broker"


class Store:
    """A folder, held by one process at a time. Raises BadConfig where it cannot be used."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._own = folder / OWN
        self._lock = -1
        self._made: set[Path] = set()
        self._free: list[Path] = []
        try:
            self._own.mkdir(parents=True, exist_ok=True)
            self._hold()
            for left in self._own.glob("in-*"):
                shutil.rmtree(left)
            self._ledger = Ledger(self._own / "ledger.jsonl")
        except OSError as error:
            raise BadConfig(f"folder {folder}: {error.strerror}") from error

    def close(self) -> None:
        """Let another process have it."""
        for place in self._free:
            place.rmdir()
        self._ledger.close()
        os.close(self._lock)

    @contextlib.contextmanager
    def incoming(self) -> Iterator[Path]:
        """A folder for what is coming, empty before and afterwards."""
        place = self._free.pop() if self._free else Path(tempfile.mkdtemp(dir=self._own, prefix="in-"))
        try:
            yield place
        finally:
            for left in place.iterdir():
                left.unlink()
            self._free.append(place)

    def place(self, study: str, series: str, uid: str) -> Path:
        """Where an instance belongs. The UIDs are valid, so that this is below the folder."""
        return self.folder / study / series / f"{uid}.dcm"

    def here(self, study: str, series: str, thoroughly: bool = False) -> dict[str, Entry]:
        """The instances of a series that are here whole, by SOP Instance UID.

        A file that is not in the ledger, or not as large as it says, is read again; `thoroughly` every one.
        One that is not what its name says is removed: it will be fetched again.
        """
        found = {}
        for file in sorted((self.folder / study / series).glob("*.dcm")):
            entry = self._ledger.entries.get((series, file.stem))
            size = file.lstat().st_size
            if file.is_symlink() or entry is None or entry.size != size or thoroughly:
                entry = self._again(file, study, series, entry)
            if entry is not None:
                found[file.stem] = entry
        return found

    def _again(self, file: Path, study: str, series: str, known: Entry | None) -> Entry | None:
        own: Instance | None = None
        if not file.is_symlink():
            with contextlib.suppress(Wrong):
                own = instance(file, study, series)
        if own is None or own.uid != file.stem or (known is not None and known.sha256 != own.sha256):
            file.unlink()
            return None
        if known is None:
            known = Entry(study, series, own.uid, own.sha256, own.size, "")
            self._ledger.add(known)
        return known

    def check(self, received: Received, study: str, series: str) -> Instance:
        """What was received, checked. Raises Wrong."""
        if received.path is None:
            raise Wrong(received.wrong)
        return instance(received.path, study, series, received.md5)

    def take(self, received: Received, own: Instance, study: str, series: str, archive: str) -> Entry:
        """Give a checked file its name, and note it. Raises OSError."""
        place = self.place(study, series, own.uid)
        if place.parent not in self._made:
            place.parent.mkdir(parents=True, exist_ok=True)
            self._made.add(place.parent)
        entry = Entry(study, series, own.uid, own.sha256, own.size, archive, received.key)
        if received.path is not None:
            received.path.replace(place)
        self._ledger.add(entry)
        return entry

    def _hold(self) -> None:
        self._lock = os.open(self._own / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(self._lock)
            raise BadConfig(f"folder {self.folder}: another `broker get` is writing there") from error
