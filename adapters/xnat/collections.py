"""The projects of an XNAT as collections: its subjects as patients, its image sessions as studies.

What is shared into a project is counted there too, as it is found there by a query. Two sessions of one Study
Instance UID are one study.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import aclosing
from functools import partial
from urllib.parse import quote

from adapters.shared.ahead import in_order
from adapters.shared.collections import asked_now, told
from adapters.xnat.session import XnatSession
from adapters.xnat.table import Table, table
from broker.errors import Forbidden, Malformed, RefusedByArchive, ServerFault, TooMuch
from catalog.collection import Collection
from catalog.evidence import Source

PROJECTS = "/data/projects?columns=ID,name,description"
REPLIES = 2  # of each project


async def collections(
    archive: str, session: XnatSession, base: str, most: int, width: int
) -> list[Collection]:
    """Every project of the user; one whose counts cannot be had says why. Raises ArchiveError.

    most  so many replies are read;  width  so many projects are asked at once
    """
    listed = await table(session, PROJECTS)
    listed.has(["ID"])
    if len(listed.rows) * REPLIES >= most:
        raise TooMuch("it has more projects than replies are read", "page_limit")
    source = asked_now(archive, "XNAT REST", base.rstrip("/") + PROJECTS)
    project = _Project(archive, session, source, listed)
    jobs = (partial(project.read, row) for row in listed.rows)
    async with aclosing(in_order(jobs, width)) as found:
        return [collection async for collection in found]


class _Project:
    """Reads one project after the other."""

    def __init__(self, archive: str, session: XnatSession, source: Source, listed: Table) -> None:
        self._archive, self._session, self._source = archive, session, source
        self._keys = {name: listed.key(name) or "" for name in ("ID", "name", "description")}

    async def read(self, row: Mapping[str, str]) -> Collection:
        said = {name: row.get(key, "") for name, key in self._keys.items()}
        counts, note = await self._counts(said["ID"])
        about = " ".join(said["description"].split())
        title = said["name"] or said["ID"]
        return told(self._archive, said["ID"], self._source, counts, title=title, about=about, note=note)

    async def _counts(self, project: str) -> tuple[dict[str, float | None], str]:
        place = f"/data/projects/{quote(project, safe='')}"
        try:
            subjects = await self._distinct(f"{place}/subjects?columns=ID", "ID")
            sessions = f"{place}/experiments?xsiType=xnat:imageSessionData&columns=ID,UID"
            studies = await self._distinct(sessions, "UID", "ID")
        except (Forbidden, RefusedByArchive, ServerFault, Malformed) as error:
            return {}, f"Its subjects and sessions could not be counted ({error.reason})."
        note = "Patients are its subjects, studies its image sessions, what is shared into it included."
        return {"patients": subjects, "studies": studies}, note

    async def _distinct(self, target: str, *columns: str) -> int:
        """How many different values a listing holds, each the first of some columns that is not empty."""
        found = await table(self._session, target)
        found.has(columns[-1:])
        keys = [key for name in columns if (key := found.key(name))]
        return len({next((text for key in keys if (text := row.get(key))), "") for row in found.rows} - {""})
