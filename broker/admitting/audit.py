"""An audit trail of queries: one DICOM audit message for each question sent (PS3.15 A.5.3.10, "Query").

Unlike logs, the trail holds what was asked, because that is what it is for: keep its file as you keep patient
data. Messages are lines of a file that is only ever added to, readable by its owner alone. With `required`, a
question that cannot be recorded is not asked.
"""

from __future__ import annotations

import base64
import logging
import os
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as Xml

from broker.errors import ArchiveError, BadConfig

log = logging.getLogger("broker")


@dataclass(frozen=True, slots=True)
class Audit:
    """Where queries are recorded, and whether nothing may be asked without."""

    file: Path
    required: bool = False

    def ready(self) -> None:
        """Whether the trail can be written, before anything is asked. Raises BadConfig where it must be."""
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            os.close(self._open())
        except OSError as error:
            if self.required:
                raise BadConfig(
                    f"audit: {self.file} cannot be written ({error.strerror}), and audit.required says that "
                    "nothing is asked without it"
                ) from error
            log.warning("audit: %s cannot be written: %s", self.file, error.strerror)

    def asked(self, archive: str, address: str, question: str) -> None:
        """Record a question that is about to be sent. Raises ArchiveError where it must be recorded."""
        line = message(archive, address, question, time.time())
        try:
            trail = self._open()
            try:
                os.write(trail, line + b"\n")
                os.fsync(trail)
            finally:
                os.close(trail)
        except OSError as error:
            if self.required:
                raise ArchiveError(
                    f"not asked, because the audit trail cannot be written: {error.strerror}", "audit"
                ) from error
            log.warning("audit: %s cannot be written: %s", self.file, error.strerror)

    def _open(self) -> int:
        return os.open(self.file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)


def message(archive: str, address: str, question: str, at: float) -> bytes:
    """The audit message as one line of XML (PS3.15 A.5.1); the question as it was sent, in base64."""
    root = Xml.Element("AuditMessage")
    moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at)) + f".{int(at % 1 * 1000):03d}Z"
    event = Xml.SubElement(
        root, "EventIdentification", EventActionCode="E", EventDateTime=moment, EventOutcomeIndicator="0"
    )
    _code(event, "EventID", "110112", "Query")
    asker = Xml.SubElement(root, "ActiveParticipant", _participant(f"imaging-broker {os.getpid()}", True))
    _code(asker, "RoleIDCode", "110153", "Source Role ID")
    asked = Xml.SubElement(root, "ActiveParticipant", _participant(archive, False))
    _code(asked, "RoleIDCode", "110152", "Destination Role ID")
    Xml.SubElement(root, "AuditSourceIdentification", AuditSourceID=socket.gethostname())
    held = {"ParticipantObjectID": address or archive, "ParticipantObjectTypeCode": "2"}
    what = Xml.SubElement(root, "ParticipantObjectIdentification", held, ParticipantObjectTypeCodeRole="3")
    _code(what, "ParticipantObjectIDTypeCode", "12", "URI", "RFC-3881")
    Xml.SubElement(what, "ParticipantObjectQuery").text = base64.b64encode(question.encode()).decode("ascii")
    line: bytes = Xml.tostring(root, encoding="utf-8", xml_declaration=False)
    return line


def _participant(name: str, requestor: bool) -> dict[str, str]:
    return {"UserID": name, "UserIsRequestor": "true" if requestor else "false"}


def _code(parent: Xml.Element, name: str, code: str, text: str, system: str = "DCM") -> None:
    given = {"csd-code": code, "codeSystemName": system, "originalText": text}
    Xml.SubElement(parent, name, given)
