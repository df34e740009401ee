"""A server program as a child process, for as long as a ``with`` block lasts."""

from __future__ import annotations

import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from peers.loopback import HOST

START_SECONDS = 30.0
LOG_TAIL = 2000


class PeerError(RuntimeError):
    """A peer did not start, or did not take a file."""


def free_ports(count: int) -> list[int]:
    """Ports of loopback that nobody listens on just now."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind((HOST, 0))
        return [int(each.getsockname()[1]) for each in sockets]
    finally:
        for each in sockets:
            each.close()


class Child:
    """A program with a folder of its own, holding ``files``. A subclass starts and fills it."""

    def __init__(self, folder: Path, files: Iterable[Path] = ()) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix=f"{type(self).__name__.lower()}-", dir=folder))
        self.files = list(files)
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        try:
            self.start()
            self.load(self.files)
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start it on free ports and wait until it answers. Raises PeerError if it does not."""
        raise NotImplementedError

    def load(self, files: Sequence[Path]) -> None:
        """Store files in it. Raises PeerError for what it does not take."""
        raise NotImplementedError

    def stop(self) -> None:
        """End it at once: what it holds is not wanted any more, and a polite end may take seconds."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def launch(self, *words: str, environment: Mapping[str, str] | None = None) -> None:
        """Start the program; what it says is kept for errors."""
        with (self.folder / "log").open("wb") as log:
            self.process = subprocess.Popen(
                words, env=os.environ | (environment or {}), stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def comes_up(self, answers: Callable[[], bool]) -> bool:
        """Wait until it answers; False if it does not in good time, and as soon as it has ended."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self.process is not None and self.process.poll() is None:
            if answers():
                return True
            time.sleep(0.05)
        return False

    def listens_on(self, port: int) -> None:
        """Wait until it listens on a port. Raises PeerError if it does not."""
        if not self.comes_up(lambda: _listening(port)):
            raise PeerError(f"{type(self).__name__} did not start: {self.log()}")

    def log(self) -> str:
        """The tail of what it said, for error messages."""
        return (self.folder / "log").read_text(encoding="utf-8", errors="replace")[-LOG_TAIL:]


def _listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0
