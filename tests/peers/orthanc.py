"""A real Orthanc with DICOMweb, on loopback, for as long as a ``with`` block lasts."""

from __future__ import annotations

import base64
import functools
import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self

PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
SHIM = Path(__file__).with_name("shim.c")
HOST = "127.0.0.1"
START_SECONDS = 30.0
START_ATTEMPTS = 3
WRITERS = 4
LOG_TAIL = 2000


class OrthancError(RuntimeError):
    """Orthanc did not start, or did not take a file."""


def _program() -> str | None:
    return shutil.which("Orthanc") or shutil.which("Orthanc", path="/usr/sbin")


def _compiler() -> str | None:
    return shutil.which("cc") or shutil.which("gcc")


@functools.cache
def _shim_folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="orthanc-shim-")


@functools.cache
def shim() -> Path:
    """The compiled ``shim.c``, made once a process and removed at its end."""
    library = Path(_shim_folder().name) / "shim.so"
    options = ["-shared", "-fPIC", "-O1", "-o", str(library), str(SHIM), "-ldl", "-lpthread"]
    done = subprocess.run([_compiler() or "cc", *options], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise OrthancError(f"{SHIM.name} does not compile: {done.stderr}")
    return library


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


class Orthanc:
    """An Orthanc as Debian packages it, holding ``files``; with ``decode`` its percent-decoding is mended.

    ``users`` turns authentication on; ``settings`` go into its configuration as they are.
    """

    aet = "ORTHANC"

    def __init__(
        self,
        folder: Path,
        files: Iterable[Path] = (),
        *,
        decode: bool = False,
        users: Mapping[str, str] | None = None,
        settings: Mapping[str, object] | None = None,
    ) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="orthanc-", dir=folder))
        self.files = list(files)
        self.decode = decode
        self.users = dict(users or {})
        self.settings = dict(settings or {})
        self.http_port = self.dicom_port = 0
        self.process: subprocess.Popen[bytes] | None = None

    @staticmethod
    def missing() -> str | None:
        """Why no Orthanc can be started on this machine, or ``None`` when one can."""
        if sys.platform != "linux":
            return "the shim that keeps Orthanc on loopback needs Linux"
        if _program() is None:
            return "Orthanc is not installed (Debian: orthanc)"
        if not PLUGIN.exists():
            return "Orthanc's DICOMweb plugin is not installed (Debian: orthanc-dicomweb)"
        return None if _compiler() else "no C compiler for the shim that keeps Orthanc on loopback"

    @property
    def url(self) -> str:
        """The root of its DICOMweb services."""
        return f"http://{HOST}:{self.http_port}/dicom-web"

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
        """Start it on free ports and wait until it answers."""
        for attempt in range(1, START_ATTEMPTS + 1):
            self._launch()
            if self._answers():
                return
            self.stop()
            # A port that was free a moment ago may have been taken: once more, on others.
            if attempt == START_ATTEMPTS or "port" not in self._log():
                raise OrthancError(f"Orthanc did not start: {self._log()}")

    def stop(self) -> None:
        """End it at once; what it holds is not wanted any more, and a polite end takes 1.5 s."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def load(self, files: Sequence[Path]) -> None:
        """Store the files over REST, several at a time."""
        with ThreadPoolExecutor(WRITERS) as pool:
            for done in [pool.submit(self._store, files[first::WRITERS]) for first in range(WRITERS)]:
                done.result()

    def _store(self, files: Sequence[Path]) -> None:
        connection = http.client.HTTPConnection(HOST, self.http_port, timeout=START_SECONDS)
        try:
            for file in files:
                connection.request("POST", "/instances", file.read_bytes(), self._credentials())
                answer = connection.getresponse()
                body = answer.read()
                if answer.status != 200:
                    raise OrthancError(f"{file.name} not stored: {answer.status} {body!r}: {self._log()}")
        finally:
            connection.close()

    def _launch(self) -> None:
        self.http_port, self.dicom_port = free_ports(2)
        config = self.folder / "orthanc.json"
        config.write_text(json.dumps(self._config(), indent=1), encoding="utf-8")
        environment = os.environ | {
            "LD_PRELOAD": str(shim()),
            "ORTHANC_SHIM_DECODE": "1" if self.decode else "0",
            "ORTHANC_SHIM_PARENT": str(os.getpid()),
        }
        with self._log_file.open("wb") as log:
            self.process = subprocess.Popen(
                [_program() or "Orthanc", str(config)],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def _answers(self) -> bool:
        """Whether it answers in good time; false as soon as it has ended."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self.process is None or self.process.poll() is not None:
                return False
            if self._status("/dicom-web/studies?limit=1") == 200:
                return True
            time.sleep(0.05)
        return False

    def _status(self, path: str) -> int | None:
        connection = http.client.HTTPConnection(HOST, self.http_port, timeout=1.0)
        try:
            connection.request("GET", path, headers=self._credentials())
            return connection.getresponse().status
        except OSError:
            # Not listening yet; the caller asks again until its deadline.
            return None
        finally:
            connection.close()

    def _credentials(self) -> dict[str, str]:
        for user, password in self.users.items():
            token = base64.b64encode(f"{user}:{password}".encode()).decode()
            return {"Authorization": f"Basic {token}"}
        return {}

    def _config(self) -> dict[str, object]:
        return {
            "Name": "peer",
            "HttpPort": self.http_port,
            "DicomPort": self.dicom_port,
            "DicomAet": self.aet,
            "DicomAlwaysAllowFind": True,
            "DicomAlwaysAllowGet": True,
            "StorageDirectory": str(self.folder / "storage"),
            "IndexDirectory": str(self.folder / "storage"),
            "Plugins": [str(PLUGIN)],
            "DefaultEncoding": "Utf8",
            "RemoteAccessAllowed": False,
            "AuthenticationEnabled": bool(self.users),
            "RegisteredUsers": self.users,
        } | self.settings

    @property
    def _log_file(self) -> Path:
        return self.folder / "orthanc.log"

    def _log(self) -> str:
        """The tail of its log, for error messages."""
        return self._log_file.read_text(encoding="utf-8", errors="replace")[-LOG_TAIL:]
