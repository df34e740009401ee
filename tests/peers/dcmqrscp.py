"""A real dcmqrscp (dcmtk) on loopback, for as long as a ``with`` block lasts."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

from peers import shim
from peers.child import Child, PeerError, free_ports
from peers.dcmtk import dcmtk
from peers.loopback import HOST

PROGRAMS = ("dcmqrscp", "storescu", "findscu")
NO_DELAY = {"TCP_NODELAY": "1"}
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


class Dcmqrscp(Child):
    """dcmqrscp as Debian packages it, holding ``files``. It knows one AE title and refuses every other."""

    aet = "DCMQRSCP"
    port = 0

    def __init__(self, folder: Path, files: Iterable[Path] = (), *, associations: int = 16) -> None:
        super().__init__(folder, files)
        self.associations = associations

    @staticmethod
    def missing() -> str | None:
        """Why none can be started on this machine, or ``None`` when one can."""
        if not all(dcmtk(name) for name in PROGRAMS):
            return "dcmtk is not installed (Debian: dcmtk)"
        return shim.missing("dcmqrscp")

    def start(self) -> None:
        (self.port,) = free_ports(1)
        storage = self.folder / "storage"
        storage.mkdir()
        config = self.folder / "dcmqrscp.cfg"
        text = CONFIG.format(port=self.port, associations=self.associations, aet=self.aet, storage=storage)
        config.write_text(text, encoding="ascii")
        self.launch("dcmqrscp", "-c", str(config), environment=shim.environment(**NO_DELAY))
        self.listens_on(self.port)

    def load(self, files: Sequence[Path]) -> None:
        store(self.port, self.aet, files)


def store(port: int, aet: str, files: Sequence[Path]) -> None:
    """Store files by C-STORE, as scanners do. Raises PeerError for what is not taken."""
    if not files:
        return
    told = [str(dcmtk("storescu")), "-R", "-aec", aet, HOST, str(port), *map(str, files)]
    done = subprocess.run(
        told, env=os.environ | NO_DELAY, capture_output=True, text=True, check=False, timeout=120
    )
    if done.returncode != 0 or "Fail" in done.stderr:
        raise PeerError(f"storescu: {done.stderr[-2000:]}")
