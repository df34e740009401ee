"""DICOMweb archives: QIDO-RS, PS3.18 10.6.

Series are asked for at /series, with the keys of their studies; studies at /studies. A page may be shorter
than asked for and yet not be the last, and a server may ignore `limit` or `offset`: the loop ends when
nothing new comes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote

from adapters.dicomjson import Decoder
from adapters.http import Http, turn
from adapters.options import nothing_left, number
from adapters.qido_learn import learn
from broker.adapter import Ask, Page
from broker.errors import BadConfig, TooMuch
from broker.query import Condition
from broker.setup.credentials import headers
from broker.setup.limits import Limits
from catalog.archives import Archive
from catalog.capability import Can, Kind, Proof
from catalog.keywords import OURS, Level, keyword

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
    cite="PS3.18 table 10.6.1-5",
)


@dataclass(frozen=True, slots=True)
class Paging:
    """How pages are asked for: rows a page, pages at most, whether a short page is surely the last."""

    size: int = 1000
    pages: int = 50
    exact: bool = False


class DicomWeb:
    """One DICOMweb archive."""

    def __init__(self, name: str, http: Http, can: Can = QIDO, paging: Paging | None = None) -> None:
        self.name = name
        self.can = can
        self.via = "QIDO-RS"
        self._http = http
        self._paging = paging or Paging()

    @classmethod
    def configured(cls, archive: Archive) -> DicomWeb:
        """From a federation entry. Options: see `docs/federation.md`. Raises BadConfig."""
        options = dict(archive.options)
        can = _can(archive.name, options)
        limits = Limits.of(archive.name, archive.limits)
        paging = Paging(
            size=number(archive.name, options, "page_size", Paging().size),
            pages=limits.pages,
            exact=bool(options.pop("exact_pages", False)),
        )
        ca_file = options.pop("ca_file", None)
        nothing_left(archive.name, options, "dicomweb")
        login = headers(archive.name, archive.auth, archive.url)
        return cls(archive.name, Http(archive.url, login, limits, ca_file), can, paging)

    def request(self, ask: Ask) -> str:
        """The address of the first page."""
        return self._http.base.rstrip("/") + self._target(ask, 0)

    async def find(self, ask: Ask) -> AsyncIterator[Page]:
        """Pages until nothing new comes. Raises ArchiveError."""
        decoder = Decoder(ask.fields)
        unique = decoder.fields.index(ask.level.uid)
        seen: set[object] = set()
        for turned in range(self._paging.pages):
            body = await self._http.get(self._target(ask, turned), ACCEPT)
            async with turn():
                page = Page(decoder.fields, []) if body is None else decoder.page(body)
            fresh = {row[unique] for row in page.rows} - seen
            count = len(page.rows) + page.bad
            if page.rows and not fresh:
                raise TooMuch("it repeats the same page: offset is ignored", "paging_loop")
            seen |= fresh
            if count:
                yield page
            if self._last(ask, count, len(seen)):
                return
        raise TooMuch(f"more than {self._paging.pages} pages of {self._paging.size}", "page_limit")

    async def learn(self) -> Can:
        """Whether encoded values arrive, and whether names match in any case. Raises ArchiveError."""
        self.can = await learn(self._http, self.can)
        return self.can

    async def check(self) -> str:
        """One study, whichever: it speaks QIDO-RS. Raises ArchiveError."""
        body = await self._http.get("/studies?limit=1", ACCEPT)
        page = Page((), []) if body is None else Decoder(("StudyInstanceUID",)).page(body)
        return "QIDO-RS" + ("" if page.rows else ", no study")

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()

    def _last(self, ask: Ask, count: int, total: int) -> bool:
        """Whether nothing can follow a page of `count` rows.

        More rows than asked for: limit is ignored, so that was everything. Fewer: the end, unless the
        server may have counted before it filtered; then the first empty page is taken for it.
        """
        if ask.limit is not None and total >= ask.limit:
            return True
        size = self._size(ask)
        short = count < size and (self._paging.exact or not ask.conditions)
        return count == 0 or count > size or short

    def _size(self, ask: Ask) -> int:
        return min(self._paging.size, ask.limit or self._paging.size)

    def _target(self, ask: Ask, number: int) -> str:
        where = "/series" if ask.level is Level.SERIES else "/studies"
        pairs = [(c.keyword, _value(c)) for c in ask.conditions]
        pairs += [("includefield", keyword(f).tag) for f in ask.fields if keyword(f).tag]
        size = self._size(ask)
        pairs += [("limit", str(size)), ("offset", str(number * size))]
        return f"{where}?" + "&".join(f"{name}={value}" for name, value in pairs)


def _value(c: Condition) -> str:
    """The value of a condition, percent-encoded, with `*`, `?` and the list comma as they are."""
    return ",".join(quote(str(m), safe="*?") for m in c.matches)


def _can(name: str, options: dict[str, Any]) -> Can:
    """The capabilities, as far as the federation file knows better than the standard."""
    can = replace(QIDO, lists_all=bool(options.pop("lists_all", False)))
    can = replace(can, any_text=_proof(options, "any_text"), any_case_pn=_proof(options, "any_case_pn"))
    if "matches" in options:
        can = replace(can, matches=_matches(name, options.pop("matches")), cite="the federation file")
    return can.without(options.pop("never_ask", ()))


def _proof(options: dict[str, Any], option: str) -> Proof:
    if option not in options:
        return Proof.OPEN
    return Proof.YES if options.pop(option) else Proof.NO


def _matches(name: str, given: Any) -> Mapping[str, frozenset[Kind]]:
    where = f"archive {name}: options.matches"
    if not isinstance(given, dict):
        raise BadConfig(f"{where}: write a table of keyword = [kinds of matching]")
    kinds = {k.value: k for k in Kind}
    for key, words in given.items():
        unknown = [w for w in words if w not in kinds]
        if unknown:
            raise BadConfig(f"{where}.{key}: unknown kind {unknown[0]!r}; known are {', '.join(kinds)}")
    return {key: frozenset(kinds[w] for w in words) for key, words in given.items()}
