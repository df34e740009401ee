"""One project of an XNAT: its sessions, scans and subjects, asked for as tables, made into records."""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import quote

from adapters.xnat.fields import (
    OF_SCAN,
    OF_SESSION,
    OF_SUBJECT,
    OWN,
    SCAN,
    SCAN_ID,
    SESSION,
    SHARED,
    Read,
    Wanted,
    column,
    filters,
    lacking,
    text,
)
from adapters.xnat.session import XnatSession
from adapters.xnat.table import Table, table
from broker.adapter import Ask
from broker.errors import (
    ArchiveError,
    Forbidden,
    Malformed,
    RefusedByArchive,
    ServerFault,
    TooMuch,
)
from broker.matching import Value
from catalog.keywords import Level

Row = tuple[Value, ...]


class Naming(enum.Enum):
    """What PatientID is: the subject's label, the session's DICOM attribute, or both where they differ."""

    BOTH = "both"
    SUBJECT = "subject"
    DICOM = "dicom"


@dataclass(slots=True)
class Part:
    """What one project gave. `rows` is XNAT's own ID of each session or scan -> its record.

    unreadable  whether the user may not read it;  error  why it could not be read
    """

    keywords: tuple[str, ...]
    rows: dict[str, Row] = field(default_factory=dict)
    bad: int = 0
    notes: tuple[str, ...] = ()
    unreadable: bool = False
    error: ArchiveError | None = None


class Reader:
    """Reads projects for one question. `seen`: all projects of the user; `replies`: how many are read."""

    def __init__(
        self, session: XnatSession, base: str, seen: frozenset[str], ask: Ask, naming: Naming, replies: int
    ) -> None:
        self._session = session
        self._base = base.rstrip("/")
        self._seen = seen
        self._ask = ask
        self._naming = naming
        self._left = replies
        self._wanted = Wanted.of(ask.fields, ask.level)
        found = filters(ask.conditions)
        self._filters = {k: v for k, v in found.items() if not k.startswith(SCAN)}
        self._scan_filters = {k: v for k, v in found.items() if k.startswith(SCAN)}

    async def part(self, project: str) -> Part:
        """One project. Raises ArchiveError only for what concerns the others too."""
        keywords = self._wanted.fields
        try:
            return await self._read(project, keywords)
        except (Forbidden, RefusedByArchive) as error:
            if error.reason in ("forbidden", "not_found"):
                return Part(keywords, unreadable=True, notes=("unreadable_projects",))
            raise
        except (ServerFault, Malformed, TooMuch) as error:
            if error.reason == "page_limit":
                raise
            return Part(keywords, error=error)

    async def _read(self, project: str, keywords: tuple[str, ...]) -> Part:
        """The listings: all at once; where conditions are sent, the filtered one first, and perhaps alone."""
        series = self._ask.level is Level.SERIES
        if series and (self._filters or self._scan_filters):
            scans = await self._scans(project)
            if not scans.rows:
                return Part(keywords, notes=tuple(scans.notes))
            sessions, subjects = await _together(self._sessions(project), self._subjects(project))
        elif series:
            sessions, scans, subjects = await _together(
                self._sessions(project), self._scans(project), self._subjects(project)
            )
        elif self._filters:
            sessions = await self._sessions(project)
            subjects = await self._subjects(project) if sessions.rows else Table([])
        else:
            sessions, subjects = await _together(self._sessions(project), self._subjects(project))
        names = (project, self._seen, self._naming)
        made = _Maker(self._base, names, self._wanted, sessions, subjects)
        part = made.of_scans(scans) if series else made.of_sessions()
        odd = lacking(sessions, self._wanted.session) + lacking(subjects, self._wanted.subject)
        read = [sessions, subjects]
        if series:
            read.append(scans)
            odd += lacking(scans, self._wanted.scan)
        part.notes = tuple(dict.fromkeys([*(note for found in read for note in found.notes), *odd]))
        return part

    async def _sessions(self, project: str) -> Table:
        found = await self._filtered(project, self._wanted.session, self._filters)
        found.has(OWN)
        return found

    async def _scans(self, project: str) -> Table:
        found = await self._filtered(project, self._wanted.scan, {**self._filters, **self._scan_filters})
        found.has(["ID", SCAN_ID])
        return found

    async def _subjects(self, project: str) -> Table:
        if not self._wanted.subject:
            return Table([])
        target = f"/data/projects/{quote(project, safe='')}/subjects?columns={','.join(self._wanted.subject)}"
        found = await self._table(target)
        found.has(["ID"])
        return found

    async def _filtered(self, project: str, columns: tuple[str, ...], sent: Mapping[str, str]) -> Table:
        """A listing with filters; where it fails, once more without them, for all is checked here anyway."""
        target = f"/data/projects/{quote(project, safe='')}/experiments?xsiType={SESSION}"
        target += f"&columns={','.join(columns)}"
        query = "".join(f"&{name}={quote(value, safe='/,.')}" for name, value in sent.items())
        try:
            return await self._table(target + query)
        except (ServerFault, Malformed):
            if not sent:
                raise
        found = await self._table(target)
        found.notes.append("filter_refused")
        return found

    async def _table(self, target: str) -> Table:
        self._left -= 1
        if self._left < 0:
            raise TooMuch("it has more projects than replies are read", "page_limit")
        return await table(self._session, target)


async def _together(*work: object) -> list[Table]:
    """Several listings at once; where one fails the others are cancelled."""
    tasks = [asyncio.ensure_future(each) for each in work]  # type: ignore[call-overload]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class _Maker:
    """Puts the listings of one project together, by columns; what a session says is read once for its scans.

    The records have the session's attributes first, then the scan's, then where XNAT keeps them.
    """

    def __init__(
        self,
        base: str,
        names: tuple[str, frozenset[str], Naming],
        wanted: Wanted,
        sessions: Table,
        subjects: Table,
    ) -> None:
        self._address = f"{base}/data/experiments/"
        self._project, self._seen, self._naming = names
        self._wanted = wanted
        self._sessions = sessions
        self._places = _grouped(sessions)
        self._subjects = dict(zip(column(subjects, "ID"), range(len(subjects.rows)), strict=True))
        self._demographics = {
            name: [read(v) for v in column(subjects, where)] for name, (where, read) in OF_SUBJECT.items()
        }

    def of_sessions(self) -> Part:
        """A record a session."""
        nothing: Row = (None,) * len(self._wanted.of_scan)
        said = self._said()
        rows = {own: (*row, *nothing, self._address + _quoted(own)) for own, row in said.items()}
        return Part(self._wanted.fields, rows)

    def of_scans(self, scans: Table) -> Part:
        """A record a scan; sessions without scans come as rows without one."""
        said = self._said()
        columns = [_read(column(scans, OF_SCAN[f][0]), OF_SCAN[f][1]) for f in self._wanted.of_scan]
        values = list(zip(*columns, strict=True)) if columns else [()] * len(scans.rows)
        rows: dict[tuple[str, str], Row] = {}
        bad = 0
        for own, scan, row in zip(column(scans, "ID"), column(scans, SCAN_ID), values, strict=True):
            session = said.get(own)
            if session is not None and scan:
                place = f"{self._address}{_quoted(own)}/scans/{_quoted(scan)}"
                rows[own, scan] = (*session, *row, f"{own}/{scan}", place)
            elif scan:
                bad += 1
        ordered = sorted(rows, key=_order)
        return Part(self._wanted.fields, {f"{o}/{s}": rows[o, s] for o, s in ordered}, bad)

    def _said(self) -> dict[str, Row]:
        """Session ID -> what it says, in the order of the sessions' fields."""
        columns = [self._column(f) for f in self._wanted.of_session]
        values = list(zip(*columns, strict=True)) if columns else [()] * len(self._sessions.rows)
        return {own: values[n] for own, (n, _) in self._places.items() if own}

    def _column(self, keyword: str) -> list[Value]:
        """One attribute of every session."""
        found: list[Value] = [None] * len(self._sessions.rows)
        if keyword in OF_SESSION:
            where, read = OF_SESSION[keyword]
            found = _read(column(self._sessions, where), read)
        if keyword in OF_SUBJECT:
            told = self._demographics[keyword]
            who = [self._subjects.get(own) for own in column(self._sessions, "subject_ID")]
            found = [v if v is not None or n is None else told[n] for v, n in zip(found, who, strict=True)]
        if keyword == "Collection":
            for n, shared in self._places.values():
                found[n] = self._projects(n, shared)
        if keyword in ("PatientID", "OtherPatientIDs"):
            return self._patients(keyword)
        return found

    def _projects(self, row: int, shared: list[str]) -> Value:
        """Its own project, those that it is shared into, the one that lists it; of those that are seen."""
        key = self._sessions.key("project") or ""
        found = [self._sessions.rows[row].get(key, ""), *sorted(shared), self._project]
        return _several(name for name in found if name in self._seen)

    def _patients(self, keyword: str) -> list[Value]:
        names = [column(self._sessions, c) for c in ("subject_label", "dcmPatientId", "subject_ID")]
        rows = zip(*names, strict=True)
        if keyword == "OtherPatientIDs":
            return [_several(row) for row in rows]
        if self._naming is Naming.SUBJECT:
            return [text(label) for label, _, _ in rows]
        if self._naming is Naming.DICOM:
            return [text(dicom or label) for label, dicom, _ in rows]
        return [_several((label, dicom)) for label, dicom, _ in rows]


def _grouped(found: Table) -> dict[str, tuple[int, list[str]]]:
    """Session ID -> its row, and the projects that it is shared into: it comes in a row for each of them."""
    held: dict[str, tuple[int, list[str]]] = {}
    for n, (own, project) in enumerate(zip(column(found, "ID"), column(found, SHARED), strict=True)):
        _, shared = held.setdefault(own, (n, []))
        if project and project not in shared:
            shared.append(project)
    return dict(sorted(held.items()))


def _read(values: list[str], read: Read) -> list[Value]:
    """Values as they read in DICOM, each different one read once."""
    known = {v: read(v) for v in set(values)}
    return [known[v] for v in values]


def _several(values: Iterable[str]) -> Value:
    """One text, or several where they differ."""
    found = tuple(dict.fromkeys(v for v in values if v))
    return text(found[0]) if len(found) == 1 else found or None


def _quoted(name: str) -> str:
    return name if name.isascii() and name.isalnum() else quote(name, safe="")


def _order(key: tuple[str, str]) -> tuple[str, int, str]:
    """Scans by number where they have one."""
    own, scan = key
    digits = scan.partition("-")[0]
    return own, int(digits) if digits.isdecimal() else 0, scan
