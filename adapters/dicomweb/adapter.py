"""DICOMweb archives: QIDO-RS, PS3.18 10.6.

Series are asked for at /series, with the keys of their studies; where a server does not list series without
a study, its studies are listed first, and then the series of each. Studies are asked for at /studies, never
with keys of their series, which servers judge in ways of their own. `paging` reads the pages.
"""

from __future__ import annotations

import functools
import re
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from adapters.dicomweb.dicomjson import Decoder
from adapters.dicomweb.learn import learn
from adapters.dicomweb.options import Settings
from adapters.dicomweb.paging import Listing
from adapters.dicomweb.question import Habits, Paging
from adapters.dicomweb.requests_session import Requests, Transport
from adapters.dicomweb.retrieve import listed, retrieved
from adapters.dicomweb.series import Row, joined, series_ask, side_by_side, study_ask
from adapters.shared.halves import splits
from adapters.shared.http import Http, turn
from broker.adapter import Ask, Page, Received, Wanted
from broker.errors import RefusedByArchive
from broker.query import Condition
from broker.setup.credentials import headers
from broker.setup.limits import Limits
from catalog.archives import Archive
from catalog.capability import Can, Kind, Proof
from catalog.keywords import OURS, Level, keyword

if TYPE_CHECKING:
    from dicomweb_client import DICOMwebClient

    from broker.probing.finding import Probed

__all__ = ["QIDO", "DicomWeb", "Paging"]

ACCEPT = "application/dicom+json, application/json;q=0.5"

_TEXT = frozenset({Kind.SINGLE, Kind.WILDCARD})
_UIDS = frozenset({Kind.SINGLE, Kind.ANY_OF})
_DATE = frozenset({Kind.SINGLE, Kind.RANGE})

# PS3.18 table 10.6.1-5, less what archives are known to apply in ways of their own (times, numbers)
STANDARD: dict[str, frozenset[Kind]] = {
    "StudyInstanceUID": _UIDS,
    "SeriesInstanceUID": _UIDS,
    "StudyDate": _DATE,
    "AccessionNumber": _TEXT,
    "PatientID": _TEXT,
    "PatientName": _TEXT,
    "ReferringPhysicianName": _TEXT,
    "StudyID": _TEXT,
    "ModalitiesInStudy": frozenset({Kind.SINGLE}),
    "Modality": frozenset({Kind.SINGLE}),
}

COMPUTED = frozenset(
    [
        "ModalitiesInStudy",
        "SOPClassesInStudy",
        "NumberOfPatientRelatedStudies",
        "NumberOfPatientRelatedSeries",
        "NumberOfPatientRelatedInstances",
        "NumberOfStudyRelatedSeries",
        "NumberOfStudyRelatedInstances",
    ]
)

QIDO = Can(
    levels=frozenset({Level.STUDY, Level.SERIES}),
    matches=STANDARD,
    any_text=Proof.OPEN,
    any_case_pn=Proof.OPEN,
    own_level=COMPUTED,
    absent=frozenset(OURS),
    stars=3,
    odd="%",  # Orthanc finds no PatientID with it by a wildcard
    cite="PS3.18 table 10.6.1-5",
)


_HABITS: dict[str, Habits] = {}
"""What was seen of the archives of a federation in this process, by address."""

_NO_SERVICE = re.compile(r"not_found|http_4\d\d")


class DicomWeb:
    """One DICOMweb archive."""

    def __init__(
        self,
        name: str,
        http: Transport,
        can: Can = QIDO,
        paging: Paging | None = None,
        habits: Habits | None = None,
    ) -> None:
        self.name = name
        self.can = can
        self.via = "QIDO-RS"
        self._http = http
        self._paging = paging or Paging()
        self._habits = habits or Habits()

    @classmethod
    def configured(cls, archive: Archive) -> DicomWeb:
        """From a federation entry. Options: see `docs/federation.md`. Raises BadConfig."""
        told = Settings.of(archive, QIDO)
        login = headers(archive.name, archive.auth, archive.url)
        http: Transport
        if told.session:
            http = Requests.named(archive.name, archive.url, told.session, login, told.limits, told.network)
        else:
            http = Http(archive.url, login, told.limits, told.network)
        habits = _HABITS.setdefault(archive.url, Habits())
        habits.alone = habits.alone if told.alone is Proof.OPEN else told.alone
        return cls(archive.name, http, told.can, told.paging, habits)

    @classmethod
    def over(
        cls,
        name: str,
        client: DICOMwebClient,
        can: Can = QIDO,
        paging: Paging | None = None,
        limits: Limits | None = None,
    ) -> DicomWeb:
        """An archive asked through the session of a dicomweb-client: its log-in, its proxies.

        Requests go out in threads of their own, each once: none of the client's retries, which can hold a
        thread for 130 s. The session stays the caller's.
        """
        return cls(name, Requests.of(client, limits or Limits()), can, paging)

    def request(self, ask: Ask) -> str:
        """The address of the first page."""
        if self._by_study(ask):
            ask = study_ask(ask, self.can)
        path = _path(ask)
        return self._http.base.rstrip("/") + _target(path, ask, self._listing(ask, path).first(), 0)

    async def find(self, ask: Ask) -> AsyncIterator[Page]:
        """Pages until nothing new comes. Raises ArchiveError."""
        if not self._by_study(ask):
            try:
                async with aclosing(self._listing(ask, _path(ask)).pages()) as pages:
                    async for page in pages:
                        self._alone(ask)
                        yield page
            except RefusedByArchive as error:
                if not await self._wants_study(ask, error):
                    raise
        if self._by_study(ask):
            async with aclosing(self._within_studies(ask)) as pages:
                async for page in pages:
                    yield page

    async def learn(self) -> Can:
        """Whether encoded values arrive, and whether names match in any case. Raises ArchiveError."""
        self.can = await learn(self._http, self.can)
        return self.can

    async def check(self) -> str:
        """One study, whichever: it speaks QIDO-RS. Raises ArchiveError."""
        body = await self._http.get("/studies?limit=1", ACCEPT)
        page = Page((), []) if body is None else Decoder(("StudyInstanceUID",)).page(body)
        return "QIDO-RS" + ("" if page.rows else ", no study")

    async def instances(self, wanted: Wanted) -> Mapping[str, str]:
        """By QIDO-RS at the instance level. Raises ArchiveError."""
        return await listed(self._streaming(), wanted)

    async def fetch(self, wanted: Wanted, folder: Path) -> AsyncIterator[Received]:
        """By WADO-RS, in the transfer syntax that they are stored in. Raises ArchiveError."""
        async with aclosing(retrieved(self._streaming(), wanted, folder)) as parts:
            async for part in parts:
                yield part

    async def probe(self) -> Probed:
        """Limits, offsets, fuzzy names, unknown keys, encodings, WADO-RS. Raises ArchiveError."""
        from adapters.dicomweb.probe import findings
        from broker.probing.finding import Probed

        found, count = await findings(self._http, self.can)
        # each planted question is one request: what pages hide is not the matter of the self-test
        bare = DicomWeb(self.name, self._http, self.can, Paging(exact=True), self._habits)
        return Probed(found, count, bare.find)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()

    def _streaming(self) -> Http:
        if not isinstance(self._http, Http):
            raise RefusedByArchive("instances are not fetched through a session of `requests`", "no_fetch")
        return self._http

    def _by_study(self, ask: Ask) -> bool:
        return ask.level is Level.SERIES and self._habits.alone is Proof.NO

    def _alone(self, ask: Ask) -> None:
        if ask.level is Level.SERIES and self._habits.alone is Proof.OPEN:
            self._habits.alone = Proof.YES

    async def _wants_study(self, ask: Ask, error: RefusedByArchive) -> bool:
        """Whether a refusal is that of a server which lists series only within a study. It is remembered."""
        if ask.level is not Level.SERIES or self._habits.alone is not Proof.OPEN:
            return False
        if not _NO_SERVICE.fullmatch(error.reason):
            return False
        await self.check()
        self._habits.alone = Proof.NO
        return True

    def _listing(self, ask: Ask, path: str, inside: bool = False, told: int | None = None) -> Listing:
        """A question as pages; `inside` one study, of which it was told how many series it has."""
        decoder = Decoder(ask.fields)

        async def get(limit: int | None, offset: int, asked: tuple[Condition, ...] | None = None) -> Page:
            question = ask if asked is None else replace(ask, conditions=asked)
            body = await self._http.get(_target(path, question, limit, offset), ACCEPT)
            async with turn():
                return Page(decoder.fields, []) if body is None else decoder.page(body)

        dates = self.can.at(ask.level).kinds("StudyDate")
        return Listing(
            get,
            self._paging,
            self._habits,
            form=(ask.level, inside, *((c.keyword, c.kinds, str(c).isascii()) for c in ask.conditions)),
            conditions=ask.conditions,
            columns=decoder.fields,
            unique=decoder.fields.index(ask.level.uid),
            split=not inside and "StudyDate" in decoder.fields and splits(ask.conditions, dates),
            limit=ask.limit,
            among=path,
            told=told,
        )

    async def _within_studies(self, ask: Ask) -> AsyncGenerator[Page, None]:
        """The series of every study in which they may be."""
        fields, fine = Decoder(ask.fields).fields, series_ask(ask)
        count = 0
        async with aclosing(self._listing(study_ask(ask, self.can), "/studies").pages()) as studies:
            async for page in studies:
                if page.bad or page.notes:
                    yield Page(fields, [], page.bad, page.notes)
                series_of = functools.partial(self._series_of, fine, fields, page)
                async with aclosing(side_by_side(page.rows, series_of)) as found:
                    async for series in found:
                        yield series
                        count += len(series.rows)
                        if ask.limit is not None and count >= ask.limit:
                            return

    async def _series_of(self, ask: Ask, fields: tuple[str, ...], page: Page, row: Row) -> list[Page]:
        said = dict(zip(page.keywords, row, strict=True))
        uid, told = said["StudyInstanceUID"], said.get("NumberOfStudyRelatedSeries")
        if not isinstance(uid, str) or not uid:
            return [Page(fields, [], bad=1)]
        count = int(told) if isinstance(told, str) and told.isdecimal() else None
        listing = self._listing(ask, f"/studies/{quote(uid, safe='')}/series", inside=True, told=count)
        return [joined(fields, page, row, series) async for series in listing.pages()]


def _path(ask: Ask) -> str:
    return "/series" if ask.level is Level.SERIES else "/studies"


def _target(path: str, ask: Ask, limit: int | None, offset: int) -> str:
    pairs = [(c.keyword, _value(c)) for c in ask.conditions]
    empty = any(Kind.EMPTY in c.kinds for c in ask.conditions)
    pairs += [("emptyvaluematching", "true")] if empty else []  # PS3.18 8.3.4
    pairs += [("includefield", keyword(f).tag) for f in ask.fields if keyword(f).tag]
    pairs += [("limit", str(limit))] if limit is not None else []
    pairs += [("offset", str(offset))] if limit is not None or offset else []
    return f"{path}?" + "&".join(f"{name}={value}" for name, value in pairs)


def _value(c: Condition) -> str:
    """The value of a condition, percent-encoded, with `*`, `?` and the list comma as they are."""
    return ",".join(quote(str(m), safe="*?") for m in c.matches)
