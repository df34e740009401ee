"""What an XNAT tells of one project: how many scans it has, of which modalities and body parts.

One listing of the scans of its image sessions, as a search of series reads it: what is shared into the
project included, scans of one Series Instance UID being one series. A session's own `modality` is not asked:
it is one word for all its scans, `PT` also where some are CT.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from urllib.parse import quote

from adapters.shared.collections import each
from adapters.xnat.fields import OF_SCAN, SCAN_ID, SESSION, column
from adapters.xnat.session import XnatSession
from adapters.xnat.table import table
from catalog.collection import Collection, Count

VALUES = {"modalities": OF_SCAN["Modality"][0], "body_parts": OF_SCAN["BodyPartExamined"][0]}
TELLS = frozenset({*VALUES, "series"})
_UID = OF_SCAN["SeriesInstanceUID"][0]


async def more(
    session: XnatSession, found: Sequence[Collection], wanted: frozenset[str], width: int
) -> AsyncGenerator[Collection, None]:
    """The projects with what is told of each. Raises ArchiveError at the end for those that failed."""
    values = {field: name for field, name in VALUES.items() if field in wanted}
    async with aclosing(each(found, _Asking(session, values).tell, width)) as told:
        async for c in told:
            yield c


@dataclass(frozen=True, slots=True)
class _Asking:
    session: XnatSession
    values: dict[str, str]

    async def tell(self, c: Collection) -> Collection:
        """One project, by one request. Raises ArchiveError."""
        columns = ("ID", SCAN_ID, _UID, *self.values.values())
        target = f"/data/projects/{quote(c.id, safe='')}/experiments?xsiType={SESSION}"
        found = await table(self.session, f"{target}&columns={','.join(columns)}")
        found.has(columns)
        scans = [i for i, key in enumerate(column(found, SCAN_ID)) if key]
        uids = column(found, _UID)
        places = list(zip(column(found, "ID"), column(found, SCAN_ID), strict=True))
        series = len({uids[i] or places[i] for i in scans})
        lists, partial = {}, set(c.partial)
        for field, name in self.values.items():
            said = column(found, name)
            given = [said[i].strip() for i in scans]
            lists[field] = tuple(sorted({text for text in given if text}))
            partial -= {field}
            partial |= set() if all(given) else {field}
        counts = {**c.counts, "series": Count.read(series)}
        return replace(c, counts=counts, partial=frozenset(partial), **lists)  # type: ignore[arg-type]
