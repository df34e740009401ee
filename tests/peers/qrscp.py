"""pynetdicom's query/retrieve application on loopback: it answers one record for every instance."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path

from peers.child import Child, free_ports
from peers.dcmqrscp import store

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


class Qrscp(Child):
    """``python -m pynetdicom qrscp`` holding ``files``. It needs sqlalchemy, and storescu to be filled."""

    aet = "QRSCP"
    port = 0

    @staticmethod
    def missing() -> str | None:
        """Why it cannot be started on this machine, or ``None`` when it can."""
        return None if importlib.util.find_spec("sqlalchemy") else "sqlalchemy is not installed"

    def start(self) -> None:
        (self.port,) = free_ports(1)
        config = self.folder / "qrscp.ini"
        config.write_text(CONFIG.format(aet=self.aet, port=self.port, folder=self.folder), encoding="ascii")
        self.launch(sys.executable, "-m", "pynetdicom", "qrscp", "-q", "-c", str(config))
        self.listens_on(self.port)

    def load(self, files: Sequence[Path]) -> None:
        store(self.port, self.aet, files)
