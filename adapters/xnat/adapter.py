"""XNAT archives, through their REST interface: tables with chosen columns, project by project.

A session is a study, a scan a series, a project a collection. Project listings are the unit: only they hold
what was shared into a project from one that may not be read, first records come early, and XNAT's pages have
no order. Filters are only sent where they lose nothing.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import msgspec

from adapters.shared.ahead import in_order
from adapters.shared.http import Http
from adapters.shared.options import Options
from adapters.xnat.fields import XNAT
from adapters.xnat.files import scan_files
from adapters.xnat.objects import Objects
from adapters.xnat.project import Naming, Part, Reader
from adapters.xnat.session import XnatSession
from adapters.xnat.table import table
from broker.adapter import Ask, Page, Received, Wanted
from broker.errors import ArchiveError, Forbidden, Malformed, RefusedByArchive, TooMuch
from broker.matching import compiled
from broker.setup.credentials import Login, login
from broker.setup.limits import Limits
from broker.setup.network import Network
from catalog.archives import Archive
from catalog.capability import Can

if TYPE_CHECKING:
    from broker.probing.finding import Probed
    from catalog.collection import Collection

PROJECTS = "/data/projects?columns=ID"
REPLIES = 2000  # of one question, where the federation file says nothing else: up to three a project
QIDO = "application/dicom+json, application/json;q=0.5"


class Xnat:
    """One XNAT."""

    def __init__(
        self,
        name: str,
        http: Http,
        user: Login | None = None,
        can: Can = XNAT,
        patients: Naming = Naming.BOTH,
        provider: str = "",
    ) -> None:
        self.name = name
        self.can = can
        self.via = "XNAT REST"
        self.patients = patients
        self._http = http
        self._session = XnatSession(http, user or Login("none"), provider)

    @classmethod
    def configured(cls, archive: Archive) -> Xnat:
        """From a federation entry. Options: see `docs/federation.md`. Raises BadConfig."""
        options = Options(archive)
        network = Network.of(archive.name, archive.network)
        provider = options.text("provider")
        patients = Naming(options.one_of("patient_id", tuple(n.value for n in Naming)))
        can = replace(XNAT, lists_all=options.switch("lists_all", True))
        can = can.without(options.keywords("never_ask"))
        options.done()
        limits = Limits.of(archive.name, {"pages": REPLIES, **archive.limits})
        user = login(archive.name, archive.auth, archive.url)
        private = user.kind != "none"
        http = Http(archive.url, {}, limits, network, keeps_cookies=False, private=private)
        return cls(archive.name, http, user, can, patients, provider)

    def request(self, ask: Ask) -> str:
        """The address of the first request, which lists the projects; theirs follow."""
        del ask
        return f"{self._http.base.rstrip('/')}{PROJECTS}&format=json"

    async def find(self, ask: Ask) -> AsyncIterator[Page]:
        """A page a project, in the order of the projects. Raises ArchiveError.

        A project that fails does not keep the others from being told; it is raised at the end. One that the
        user may not read is only noted, unless there is no other.
        """
        seen, names = await self._projects(ask)
        replies = self._http.limits.pages - 1
        reader = Reader(self._session, self._http.base, seen, ask, self.patients, replies)
        jobs: list[Callable[[], Awaitable[Part]]] = [partial(reader.part, name) for name in names]
        tally = _Tally(ask.limit)
        async with aclosing(in_order(jobs, self._http.limits.connections)) as parts:
            async for part in parts:
                page = tally.take(part)
                if page.rows or page.notes or page.bad:
                    yield page
                if tally.full:
                    return
        tally.judge(len(names))

    async def check(self) -> str:
        """The version that it says; with credentials, that they are accepted. Raises ArchiveError."""
        try:
            version = _version(await self._session.get("/xapi/siteConfig/buildInfo"))
        except RefusedByArchive as error:
            if error.reason != "not_found":
                raise
            version = "before 1.7"
        found = await table(self._session, PROJECTS)
        return f"XNAT {version}" + ("" if found.rows else ", no project to be read")

    async def collections(self) -> list[Collection]:
        """Its projects, with how many subjects and image sessions each has. Raises ArchiveError."""
        from adapters.xnat.collections import collections

        limits = self._http.limits
        return await collections(self.name, self._session, self._http.base, limits.pages, limits.connections)

    @property
    def tells(self) -> frozenset[str]:
        """What `more` adds to a project."""
        from adapters.xnat.collection_details import TELLS

        return TELLS

    async def more(self, found: Sequence[Collection], wanted: frozenset[str]) -> AsyncIterator[Collection]:
        """Each project with its scans and their modalities and body parts. Raises ArchiveError."""
        from adapters.xnat.collection_details import more

        async with aclosing(more(self._session, found, wanted, self._http.limits.connections)) as told:
            async for c in told:
                yield c

    async def probe(self) -> Probed:
        """Projects, data types, the DICOMweb plug-in. Raises ArchiveError."""
        from adapters.xnat.probe import findings
        from broker.probing.finding import Probed

        return Probed(*await findings(self._session, PROJECTS, self.dicomweb))

    async def instances(self, wanted: Wanted) -> Mapping[str, str] | None:
        """It cannot tell: it lists files, not SOP Instance UIDs."""
        del wanted
        return None

    async def fetch(self, wanted: Wanted, folder: Path) -> AsyncIterator[Received]:
        """The files of the scan's DICOM resources, one by one. Raises ArchiveError."""
        async with aclosing(scan_files(self._session, self._http, wanted, folder)) as parts:
            async for part in parts:
                yield part

    async def close(self) -> None:
        """End the session on the server and close the connections."""
        await self._session.close()

    def objects(self, model: bool = True) -> Objects:
        """xnatpy on the same session: projects, subjects, scans, files as objects; an async context manager.

        Without `model` the classes of this XNAT are not built, which takes a request for every data type;
        then only xnatpy's plain requests can be used. See `adapters.xnat.objects.Objects`.
        """
        return Objects(self.name, self._session, self._http, model)

    async def dicomweb(self, project: str) -> str | None:
        """Where a project can be spoken to by the `dicomweb` adapter; None without XNAT's DICOMweb plug-in.

        One request. Raises ArchiveError, also where the project may not be read.
        """
        root = f"/xapi/dicomweb/projects/{quote(project, safe='')}"
        try:
            await self._session.get(f"{root}/studies?limit=1", QIDO)
        except (RefusedByArchive, Malformed) as error:
            if error.reason in ("not_found", "not_json", "http_405"):
                return None
            raise
        return self._http.base.rstrip("/") + root

    async def _projects(self, ask: Ask) -> tuple[frozenset[str], list[str]]:
        """All projects, and those to look into in the order of the archive. Raises ArchiveError."""
        found = await table(self._session, PROJECTS)
        found.has(["ID"])
        names = [row[str(found.key("ID"))] for row in found.rows]
        wanted = [compiled(c) for c in ask.conditions if c.keyword == "Collection"]
        chosen = [name for name in dict.fromkeys(names) if name and all(test(name) for test in wanted)]
        return frozenset(names), chosen


class _Tally:
    """What came of the projects so far: how many records, and what went wrong."""

    def __init__(self, limit: int | None) -> None:
        self._limit = limit
        self._count = 0
        self._seen: set[str] = set()
        self._errors: list[ArchiveError] = []
        self._unreadable = 0

    @property
    def full(self) -> bool:
        """Whether no more records are of use."""
        return self._limit is not None and self._count >= self._limit

    def take(self, part: Part) -> Page:
        """The part of a project that is new: what is shared between projects is told once."""
        fresh = [row for key, row in part.rows.items() if key not in self._seen]
        self._seen.update(part.rows)
        self._count += len(fresh)
        self._unreadable += part.unreadable
        if part.error is not None:
            self._errors.append(part.error)
        return Page(part.keywords, fresh, part.bad, part.notes)

    def judge(self, projects: int) -> None:
        """Raise what made the answer incomplete, if anything did."""
        if self._errors:
            first = self._errors[0]
            kind = TooMuch if isinstance(first, TooMuch) else type(first)
            text = f"{len(self._errors)} of {projects} projects could not be read; the first: {first}"
            raise kind(text, first.reason) from first
        if projects and self._unreadable == projects:
            raise Forbidden("none of its projects may be read", "forbidden")


def _version(body: bytes) -> str:
    try:
        told = msgspec.json.decode(body, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise Malformed("it does not say its version as XNAT does") from error
    return str(told.get("version", "of an unknown version"))
