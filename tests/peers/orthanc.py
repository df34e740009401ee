"""A real Orthanc with DICOMweb, on loopback, for as long as a ``with`` block lasts."""

from __future__ import annotations

import base64
import http.client
import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from peers import shim
from peers.child import START_SECONDS, Child, PeerError, free_ports
from peers.loopback import HOST

PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
START_ATTEMPTS = 3
WRITERS = 4


def _program() -> str | None:
    return shutil.which("Orthanc") or shutil.which("Orthanc", path="/usr/sbin")


class Orthanc(Child):
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
        super().__init__(folder, files)
        self.decode = decode
        self.users = dict(users or {})
        self.settings = dict(settings or {})
        self.http_port = self.dicom_port = 0

    @staticmethod
    def missing() -> str | None:
        """Why no Orthanc can be started on this machine, or ``None`` when one can."""
        if _program() is None:
            return "Orthanc is not installed (Debian: orthanc)"
        if not PLUGIN.exists():
            return "Orthanc's DICOMweb plugin is not installed (Debian: orthanc-dicomweb)"
        return shim.missing("Orthanc")

    @property
    def url(self) -> str:
        """The root of its DICOMweb services."""
        return f"http://{HOST}:{self.http_port}/dicom-web"

    def start(self) -> None:
        for attempt in range(1, START_ATTEMPTS + 1):
            self._launch()
            if self.comes_up(self._answers):
                return
            self.stop()
            # A port that was free a moment ago may have been taken: once more, on others.
            if attempt == START_ATTEMPTS or "port" not in self.log():
                raise PeerError(f"Orthanc did not start: {self.log()}")

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
                    raise PeerError(f"{file.name} not stored: {answer.status} {body!r}: {self.log()}")
        finally:
            connection.close()

    def _launch(self) -> None:
        self.http_port, self.dicom_port = free_ports(2)
        config = self.folder / "orthanc.json"
        config.write_text(json.dumps(self._config(), indent=1), encoding="utf-8")
        decode = "1" if self.decode else "0"
        words = (_program() or "Orthanc", str(config))
        self.launch(*words, environment=shim.environment(ORTHANC_SHIM_DECODE=decode))

    def _answers(self) -> bool:
        return self._status("/dicom-web/studies?limit=1") == 200

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
