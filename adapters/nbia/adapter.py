"""NBIA archives, such as The Cancer Imaging Archive: its REST API v4, or v1 where there is no v4.

Nothing can be asked there but exact collections, patients, UIDs and modalities, and no reply has pages. So
an archive is asked collection by collection, several at once; the collections' names are listed and matched
here. A collection whose reply would be too large is asked patient by patient.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping, Sequence
from contextlib import aclosing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from adapters.nbia.counts import COUNTING, Counting
from adapters.nbia.images import images, instance_uids
from adapters.nbia.rows import OF_PATIENTS, Said, filled_in, missing
from adapters.nbia.scopes import NBIA, Scope, narrower, only, scopes
from adapters.nbia.series import Series
from adapters.nbia.service import Door, Reply, Service
from adapters.shared.ahead import in_order
from adapters.shared.http import Http
from adapters.shared.options import Options
from broker.adapter import Ask, Facet, Page, Received, Tally, Wanted
from broker.errors import RefusedByArchive, TooMuch
from broker.setup.credentials import headers
from broker.setup.limits import Limits
from broker.setup.network import Network
from catalog.archives import Archive
from catalog.keywords import USUAL, Level

if TYPE_CHECKING:
    from broker.probing.finding import Probed
    from catalog.collection import Collection

EMPTY = "listed_collection_is_empty"  # a reply without a body is how it says that there is nothing
LOOKUPS = 100  # series of one reply whose metadata are asked for one by one, where no list can be asked


class Nbia:
    """One NBIA archive."""

    def __init__(self, name: str, service: Service, width: int = 4, lookups: int = LOOKUPS) -> None:
        self.name = name
        self.can = NBIA
        self.counting = COUNTING
        self.via = ""
        self._service = service
        self._width = width
        self._lookups = lookups

    @classmethod
    def configured(cls, archive: Archive) -> Nbia:
        """From a federation entry. Options: see `docs/federation.md`. Raises BadConfig."""
        options = Options(archive)
        limits = Limits.of(archive.name, archive.limits)
        lookups = options.number("max_lookups", LOOKUPS)
        network = Network.of(archive.name, archive.network)
        v1_url = options.address("v1_url", archive.url)
        options.done()
        login = headers(archive.name, archive.auth, archive.url)
        mine = login if _origin(v1_url) == _origin(archive.url) else {}
        doors = (
            Door("v4", Http(_root(archive.url) + "/v4", login, limits, network)),
            Door("v1", Http(_root(v1_url) + "/v1", mine, limits, network)),
        )
        return cls(archive.name, Service(doors), limits.connections, lookups)

    def request(self, ask: Ask) -> str:
        """The address of the first request: which version is there, and which collections it has."""
        del ask
        return self._service.door.url("getCollectionValues", {})

    async def find(self, ask: Ask) -> AsyncIterator[Page]:
        """A page for each collection, patient or UID. Raises ArchiveError."""
        door, collections = await self._service.opened()
        self.via = f"NBIA REST {door.version}"
        asked = _Asked(door, ask, self._width, self._lookups)
        async with aclosing(asked.pages(scopes(ask, collections))) as pages:
            async for page in pages:
                yield page

    async def count(self, ask: Ask, facets: tuple[Facet, ...]) -> Tally | None:
        """Patients by collection and modality, series by what studies say. Raises ArchiveError."""
        door, collections = await self._service.opened()
        self.via = f"NBIA REST {door.version}"
        return await Counting(door, collections, self._width).tally(ask, facets)

    async def check(self) -> str:
        """Which version answers, and how many collections it lists. Raises ArchiveError."""
        door, collections = await self._service.opened()
        return f"NBIA REST {door.version}, {len(collections)} collections"

    async def collections(self) -> list[Collection]:
        """Its collections with their patients and descriptions, as far as it tells. Raises ArchiveError."""
        from adapters.nbia.collections import collections

        return await collections(self.name, *await self._service.opened())

    @property
    def tells(self) -> frozenset[str]:
        """What `more` adds to a collection."""
        from adapters.nbia.collection_details import TELLS

        return TELLS

    async def more(self, found: Sequence[Collection], wanted: frozenset[str]) -> AsyncIterator[Collection]:
        """Each collection with the modalities, body parts or counts that it has. Raises ArchiveError."""
        from adapters.nbia.collection_details import more

        async with aclosing(more(await self._service.found(), found, wanted, self._width)) as told:
            async for c in told:
                yield c

    async def probe(self) -> Probed:
        """Which endpoints are served, and how many collections there are. Raises ArchiveError.

        No record is asked for: a reply without pages may be a whole collection.
        """
        from adapters.nbia.probe import findings
        from broker.probing.finding import Probed

        found, count = await findings(*await self._service.opened())
        return Probed(found, count, samples=())

    async def instances(self, wanted: Wanted) -> Mapping[str, str] | None:
        """By getSOPInstanceUIDs, where that is served. Raises ArchiveError."""
        return await instance_uids(await self._service.found(), wanted)

    async def fetch(self, wanted: Wanted, folder: Path) -> AsyncIterator[Received]:
        """By getImage, or getSingleImage where little is missing. Raises ArchiveError."""
        door = await self._service.found()
        async with aclosing(images(door, wanted, folder)) as parts:
            async for part in parts:
                yield part

    async def close(self) -> None:
        """Close the connections."""
        await self._service.close()


class _Asked:
    """One question under way at one version."""

    def __init__(self, door: Door, ask: Ask, width: int, lookups: int) -> None:
        self._door = door
        self._ask = ask
        self._width = width
        self._series = Series(door, self._studies, ask.fields, width, lookups)

    async def pages(self, among: Iterable[Scope]) -> AsyncGenerator[Page, None]:
        """The pages of scopes, in their order."""
        async with aclosing(in_order((partial(self._page, s) for s in among), self._width)) as found:
            async for page in found:
                if isinstance(page, Page):
                    yield page
                    continue
                patients, lost = await self._patients_of(page)
                if lost:
                    yield Page(self._ask.fields, [], lost)
                async with aclosing(self.pages(patients)) as parts:
                    async for part in parts:
                        yield part

    async def _page(self, scope: Scope) -> Page | Scope:
        """The page of a scope, or the scope itself where it is too large for one reply."""
        try:
            reply = await self._reply(scope)
            if scope.keys() == {"Collection"} and not reply.rows and not reply.bad:
                reply.notes = (*reply.notes, EMPTY)
            return self._paged(reply)
        except TooMuch:
            if "Collection" not in scope or "PatientID" in scope:
                raise
            return scope

    async def _patients_of(self, scope: Scope) -> tuple[list[Scope], int]:
        """The scope patient by patient, and how many patients cannot be asked for."""
        reply = await self._door.get("getPatient", only(scope, "Collection"))
        known = [
            narrower(scope, PatientID=str(row["PatientID"])) for row in reply.rows if row.get("PatientID")
        ]
        return known, reply.bad + len(reply.rows) - len(known)

    async def _reply(self, scope: Scope) -> Reply:
        if self._ask.level is Level.SERIES:
            return await self._series.reply(scope)
        if self._ask.level is Level.STUDY:
            return await self._studies(scope)
        return await self._patients(scope)

    async def _patients(self, scope: Scope) -> Reply:
        """Patients, with what their studies say of them; in v1 getPatient knows no PatientID."""
        if "PatientID" in scope and self._door.version == "v1":
            return _of_patients(await self._studies(scope))
        found = await self._door.get("getPatient", scope)
        if found.rows and missing(found.rows, self._ask.fields, OF_PATIENTS):
            more = await self._studies(scope)
            filled_in(found.rows, ("Collection", "PatientID"), more.rows, OF_PATIENTS)
        return found

    async def _studies(self, scope: Scope) -> Reply:
        """Studies by any bound; with its collection, found by getSeries, where the archive insists on one.

        NBIA's documentation does, its source does not.
        """
        try:
            return await self._door.get("getPatientStudy", scope)
        except RefusedByArchive as error:
            if "Collection" in scope or error.reason != "http_400":
                raise
            series = await self._door.get("getSeries", scope)
        lost = sum(not row.get("Collection") for row in series.rows)
        found = Reply(bad=series.bad + lost, notes=series.notes)
        for name in dict.fromkeys(str(row["Collection"]) for row in series.rows if row.get("Collection")):
            part = await self._door.get("getPatientStudy", narrower(scope, Collection=name))
            found.rows += part.rows
            found.bad += part.bad
        return found

    def _paged(self, reply: Reply) -> Page:
        """Rows in the order of the fields; what has no identifier of its level cannot be read."""
        fields, unique = self._ask.fields, self._ask.level.uid
        rows = [tuple(map(row.get, fields)) for row in reply.rows if row.get(unique)]
        return Page(fields, rows, reply.bad + len(reply.rows) - len(rows), reply.notes)


def _of_patients(studies: Reply) -> Reply:
    """What studies say of their patients, once each."""
    rows: dict[object, Said] = {}
    for study in studies.rows:
        row = {k: v for k, v in study.items() if k in USUAL and USUAL[k].level is Level.PATIENT}
        rows.setdefault((row.get("Collection"), row.get("PatientID")), row)
    return Reply(list(rows.values()), studies.bad, studies.notes)


def _root(url: str) -> str:
    """The address that versions stand below: `.../services` of `.../services/v4/`."""
    bare = url.rstrip("/")
    return bare[:-3] if bare.endswith(("/v1", "/v2", "/v4")) else bare


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc
