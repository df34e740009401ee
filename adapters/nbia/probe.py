"""Which endpoints of its REST API an NBIA archive serves, asked for what nobody has; and its collections."""

from __future__ import annotations

from collections.abc import Mapping

from adapters.nbia.collections import COUNTS, patients
from adapters.nbia.service import Door
from broker.errors import Forbidden, Malformed, RefusedByArchive, ServerFault
from broker.probing.finding import Finding
from catalog.evidence import Status
from catalog.probes import BEHAVIOUR

NOBODYS = "2.25.1"
ENDPOINTS: dict[str, dict[str, str]] = {
    "getModalityValues": {},
    "getBodyPartValues": {},
    "getPatient": {"Collection": NOBODYS},
    "getPatientStudy": {"Collection": NOBODYS},
    "getSeries": {"Collection": NOBODYS},
}
"""Each with a parameter that every version knows: v1 answers with everything to one that it does not know."""


async def findings(door: Door, collections: tuple[str, ...]) -> tuple[list[Finding], int]:
    """The endpoints and how much they hold; and how many questions that took. Raises ArchiveError."""
    found, served = list[Finding](), ["getCollectionValues"]
    for name, parameters in ENDPOINTS.items():
        status, said = await _served(door, name, parameters)
        found.append(Finding(BEHAVIOUR, status, said, f"{door.version} {name}"))
        served += [name] if status is Status.YES else []
    counted = await patients(door)
    about = f"{door.version} {COUNTS}"
    found.append(
        Finding(BEHAVIOUR, *((Status.YES, "served") if counted else (Status.NO, "not served")), about)
    )
    served += [COUNTS] if counted else []
    api = f"NBIA REST {door.version}: {', '.join(served)}"
    found.append(Finding("public_api", Status.YES, api))
    found.append(_size(collections, counted))
    return found, len(ENDPOINTS) + 2


def _size(collections: tuple[str, ...], counted: Mapping[str, int]) -> Finding:
    if not counted:
        note = "As getCollectionValues lists them."
        return Finding("size", Status.TEXT, f"{len(collections)} collections", note=note)
    said = f"{len(collections)} collections, {sum(counted.values()):,} patients"
    return Finding("size", Status.TEXT, said, note=f"As {COUNTS} counts them, collection by collection.")


async def _served(door: Door, name: str, parameters: dict[str, str]) -> tuple[Status, str]:
    try:
        reply = await door.get(name, parameters)
    except (RefusedByArchive, Forbidden, ServerFault, Malformed) as error:
        return Status.NO, f"not served ({error.reason})"
    if parameters and reply.rows:
        return Status.PARTIAL, "answers with records for what nobody has"
    return Status.YES, "served" if parameters else f"{len(reply.rows)} values"
