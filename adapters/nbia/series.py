"""Series of an NBIA archive, with what only other endpoints say of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from urllib.parse import quote

from adapters.nbia.rows import OF_METADATA, OF_STUDIES, Said, filled_in, missing
from adapters.nbia.scopes import Scope, batches, only
from adapters.nbia.service import Door, Reply
from adapters.shared.ahead import Job, in_order

BATCH = 500  # series whose metadata are asked for in one request

_STUDY = "StudyInstanceUID"
_SERIES = "SeriesInstanceUID"


@dataclass(frozen=True, slots=True)
class Series:
    """Series as a question wants them.

    studies  asks getPatientStudy
    lookups  how many series of one reply may be asked for one by one
    """

    door: Door
    studies: Callable[[Scope], Awaitable[Reply]]
    fields: tuple[str, ...]
    width: int
    lookups: int

    async def reply(self, scope: Scope) -> Reply:
        """The series of a scope. Raises ArchiveError."""
        found = await self._found(scope)
        if found.rows:
            await self._with_studies(found, scope)
            await self._with_metadata(found)
        for row in found.rows:
            uid = quote(str(row.get(_SERIES)), safe="")
            row["DataURL"] = f"{self.door.http.base.rstrip('/')}/getImage?SeriesInstanceUID={uid}"
        return found

    async def _found(self, scope: Scope) -> Reply:
        if _SERIES not in scope or self.door.version != "v1":
            return await self.door.get("getSeries", scope)
        return await self._by_uid(scope)

    async def _by_uid(self, scope: Scope) -> Reply:
        """A series by its UID in v1, where older servers ignore this parameter and then send everything."""
        uid = scope[_SERIES]
        known = await self.door.get("getSeriesMetaData", {_SERIES: uid})
        studies = {str(row[_STUDY]) for row in known.rows if row.get(_STUDY)}
        found = Reply(bad=known.bad + sum(not row.get(_STUDY) for row in known.rows))
        for study in studies if scope.get(_STUDY) in (None, *studies) else ():
            rest = {name: text for name, text in scope.items() if name != _SERIES}
            part = await self.door.get("getSeries", {**rest, _STUDY: study})
            found.rows += [row for row in part.rows if row.get(_SERIES) == uid]
        return found

    async def _with_studies(self, found: Reply, scope: Scope) -> None:
        if not missing(found.rows, self.fields, OF_STUDIES):
            return
        bounds = only(scope, "Collection", "PatientID", _STUDY)
        asked = [bounds] if bounds else [{_STUDY: uid} for uid in _column(found.rows, _STUDY)]
        more = await self._all(partial(self.studies, s) for s in asked)
        filled_in(found.rows, [_STUDY], more.rows, OF_STUDIES)

    async def _with_metadata(self, found: Reply) -> None:
        """Licence, size and the like, where getSeries says nothing of them; in v1 series by series."""
        if not missing(found.rows, self.fields, OF_METADATA):
            return
        uids = _column(found.rows, _SERIES)
        if self.door.version == "v1" and len(uids) > self.lookups:
            found.notes = (*found.notes, f"licence and size of more than {self.lookups} series not looked up")
            return
        more = await self._all(self._lookups(uids))
        found.bad += more.bad
        filled_in(found.rows, [_SERIES], more.rows, OF_METADATA)

    def _lookups(self, uids: list[str]) -> Iterator[Job[Reply]]:
        if self.door.version == "v1":
            return (partial(self.door.get, "getSeriesMetaData", {_SERIES: uid}) for uid in uids)
        return (partial(self.door.metadata, batch) for batch in batches(uids, BATCH))

    async def _all(self, jobs: Iterable[Job[Reply]]) -> Reply:
        found = Reply()
        async with aclosing(in_order(jobs, self.width)) as replies:
            async for reply in replies:
                found.rows += reply.rows
                found.bad += reply.bad
        return found


def _column(rows: list[Said], name: str) -> list[str]:
    return [value for value in dict.fromkeys(row.get(name) for row in rows) if isinstance(value, str)]
