"""A real dcmqrscp (dcmtk) on loopback, for as long as a ``with`` block lasts."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from peers.orthanc import HOST, free_ports, shim

PROGRAMS = ("dcmqrscp", "storescu", "findscu")
START_SECONDS = 20.0
CONFIG = """NetworkTCPPort = {port}
MaxPDUSize = 16384
MaxAssociations = {associations}
HostTable BEGIN
HostTable END
VendorTable BEGIN
VendorTable END
AETable BEGIN
{aet} {storage} RW (500, 1024mb) ANY
AETable END
"""


class DcmqrscpError(RuntimeError):
    """dcmqrscp did not start, or did not take the files."""


class Dcmqrscp:
    """dcmqrscp as Debian packages it, holding ``files``. It knows one AE title and refuses every other."""

    aet = "DCMQRSCP"

    def __init__(self, folder: Path, files: Iterable[Path] = (), *, associations: int = 16) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="dcmqrscp-", dir=folder))
        self.files = list(files)
        self.associations = associations
        self.port = 0
        self.process: subprocess.Popen[bytes] | None = None

    @staticmethod
    def missing() -> str | None:
        """Why none can be started on this machine, or ``None`` when one can."""
        if sys.platform != "linux":
            return "the shim that keeps dcmqrscp on loopback needs Linux"
        if not all(shutil.which(name) for name in PROGRAMS):
            return "dcmtk is not installed (Debian: dcmtk)"
        return None if shutil.which("cc") else "no C compiler for the shim that keeps dcmqrscp on loopback"

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
        storage = self.folder / "storage"
        storage.mkdir()
        config = self.folder / "dcmqrscp.cfg"
        text = CONFIG.format(port=self.port, associations=self.associations, aet=self.aet, storage=storage)
        config.write_text(text, encoding="ascii")
        environment = os.environ | {
            "LD_PRELOAD": str(shim()),
            "ORTHANC_SHIM_PARENT": str(os.getpid()),
            "TCP_NODELAY": "1",
        }
        with (self.folder / "log").open("wb") as log:
            self.process = subprocess.Popen(
                ["dcmqrscp", "-c", str(config)],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        listens(self.port, self.process, self.folder / "log")


def listens(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until somebody listens on the port. Raises DcmqrscpError if the process ends first."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex((HOST, port)) == 0:
                return
        time.sleep(0.05)
    raise DcmqrscpError(f"{process.args!r} did not start: {log.read_text(errors='replace')[-2000:]}")


def load(port: int, aet: str, files: Sequence[Path]) -> None:
    """Store files by C-STORE, as scanners do."""
    if not files:
        return
    told = ["storescu", "-R", "-aec", aet, HOST, str(port), *map(str, files)]
    done = subprocess.run(
        told, env=os.environ | {"TCP_NODELAY": "1"}, capture_output=True, text=True, check=False, timeout=120
    )
    if done.returncode != 0 or "Fail" in done.stderr:
        raise DcmqrscpError(f"storescu: {done.stderr[-2000:]}")
