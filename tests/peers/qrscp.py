"""pynetdicom's query/retrieve application on loopback: it answers one record for every instance."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

from peers.dcmqrscp import listens, load
from peers.orthanc import HOST, free_ports

CONFIG = """[DEFAULT]
ae_title: {aet}
port: {port}
max_pdu: 16382
acse_timeout: 30
dimse_timeout: 30
network_timeout: 30
bind_address: 127.0.0.1
instance_location: {folder}/instances
database_location: {folder}/instances.sqlite
log_identifier: False
"""


class Qrscp:
    """``python -m pynetdicom qrscp`` holding ``files``. It needs sqlalchemy, and storescu to be filled."""

    aet = "QRSCP"

    def __init__(self, folder: Path, files: Iterable[Path] = ()) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="qrscp-", dir=folder))
        self.files = list(files)
        self.port = 0
        self.process: subprocess.Popen[bytes] | None = None

    @staticmethod
    def missing() -> str | None:
        """Why it cannot be started on this machine, or ``None`` when it can."""
        return None if importlib.util.find_spec("sqlalchemy") else "sqlalchemy is not installed"

    def __enter__(self) -> Self:
        try:
            self._start()
            load(self.port, self.aet, self.files)
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """End it."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def _start(self) -> None:
        (self.port,) = free_ports(1)
        config = self.folder / "qrscp.ini"
        config.write_text(CONFIG.format(aet=self.aet, port=self.port, folder=self.folder), encoding="ascii")
        told = [sys.executable, "-m", "pynetdicom", "qrscp", "-q", "-c", str(config)]
        with (self.folder / "log").open("wb") as log:
            self.process = subprocess.Popen(told, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        listens(self.port, self.process, self.folder / "log")


__all__ = ["HOST", "Qrscp"]
