"""What an XNAT tells of itself: its projects, its data types and how many of each it counts."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from adapters.xnat.session import XnatSession
from adapters.xnat.table import Table, table
from broker.errors import Forbidden, Malformed, RefusedByArchive, ServerFault
from broker.probing.finding import Finding
from catalog.evidence import Status
from catalog.probes import BEHAVIOUR

ELEMENTS = "/data/search/elements?"


async def findings(
    session: XnatSession, projects: str, dicomweb: Callable[[str], Awaitable[str | None]]
) -> tuple[list[Finding], int]:
    """Sizes, data types, the DICOMweb plug-in; and how many questions that took. Raises ArchiveError."""
    listed = await table(session, projects)
    names = [name for row in listed.rows if (name := row.get(listed.key("ID") or "", ""))]
    types = await _types(session)
    sessions = {n: c for n, c in types.items() if n.endswith("SessionData")}
    size = f"{len(names)} projects" + (f", {sum(sessions.values()):,} image sessions" if sessions else "")
    found = [Finding("size", Status.TEXT, size, note="Sessions as it counts them.")]
    if types:
        said = ", ".join(f"{name} {count:,}" for name, count in sorted(types.items()) if count)
        found.append(Finding(BEHAVIOUR, Status.TEXT, said or "none has data", "data types"))
    if names:
        found.append(await _plugin(names[0], dicomweb))
    return found, 2 + bool(names)


async def _types(session: XnatSession) -> dict[str, int]:
    """Data types with how many there are of each; none where an XNAT does not tell."""
    try:
        found = await table(session, ELEMENTS)
    except (RefusedByArchive, Forbidden, ServerFault, Malformed):
        return {}
    return dict(_counted(found))


def _counted(found: Table) -> list[tuple[str, int]]:
    name, count = found.key("ELEMENT_NAME"), found.key("COUNT")
    if name is None or count is None:
        return []
    return [(row[name], int(row[count])) for row in found.rows if row.get(count, "").isdecimal()]


async def _plugin(project: str, dicomweb: Callable[[str], Awaitable[str | None]]) -> Finding:
    """Whether a project can be asked by QIDO-RS too."""
    try:
        place = await dicomweb(project)
    except (Forbidden, ServerFault):
        return Finding(BEHAVIOUR, Status.UNKNOWN, "its project may not be asked", "DICOMweb plug-in")
    if place is None:
        return Finding(BEHAVIOUR, Status.NO, "not there", "DICOMweb plug-in")
    note = "The DICOMweb plug-in answered for a project."
    return Finding("dicom_transfer_protocol", Status.YES, "QIDO-RS", note=note)
