"""One project of an XNAT: its sessions, scans and subjects, asked for as tables, made into records."""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote

from adapters.xnat_fields import (
    OF_SCAN,
    OF_SESSION,
    OF_SUBJECT,
    OWN,
    SCAN,
    SCAN_ID,
    SESSION,
    SHARED,
    Wanted,
    column,
    filters,
    lacking,
    text,
)
from adapters.xnat_session import XnatSession
from adapters.xnat_table import Table, table
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


@dataclass(slots=True)
class _Session:
    """One session: its row as it came, by column, and the projects that it is shared into."""

    said: Mapping[str, str]
    shared: list[str] = field(default_factory=list)


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
        made = _Maker(self._base, project, self._seen, self._naming, keywords, sessions, subjects)
        part = made.of_scans(scans, self._wanted.scan) if series else made.of_sessions()
        odd = lacking(sessions, self._wanted.session) + lacking(subjects, self._wanted.subject)
        odd += lacking(scans, self._wanted.scan) if series else []
        notes = dict.fromkeys([*part.notes, *sessions.notes, *subjects.notes, *odd])
        part.notes = tuple(notes)
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
    """Puts the listings of one project together."""

    def __init__(
        self,
        base: str,
        project: str,
        seen: frozenset[str],
        naming: Naming,
        keywords: tuple[str, ...],
        sessions: Table,
        subjects: Table,
    ) -> None:
        self._base = base
        self._project = project
        self._seen = seen
        self._naming = naming
        self._keywords = keywords
        self._columns = sessions
        self._sessions = self._grouped(sessions)
        genders = {name: column(subjects, where) for name, (where, _) in OF_SUBJECT.items()}
        ids = column(subjects, "ID")
        self._subjects = {
            name: {key: values[n] for key, values in genders.items()} for n, name in enumerate(ids)
        }

    def _grouped(self, found: Table) -> dict[str, _Session]:
        """Session ID -> session; a shared one comes in a row for each project that it is shared into."""
        held: dict[str, _Session] = {}
        for row, own, project in zip(found.rows, column(found, "ID"), column(found, SHARED), strict=True):
            one = held.setdefault(own, _Session(row))
            if project and project not in one.shared:
                one.shared.append(project)
        return dict(sorted(held.items()))

    def of_sessions(self) -> Part:
        """A record a session."""
        rows = {own: self._row(own, one, {}) for own, one in self._sessions.items() if own}
        return Part(self._keywords, rows)

    def of_scans(self, scans: Table, columns: tuple[str, ...]) -> Part:
        """A record a scan; sessions without scans come as rows without one."""
        held = {name: column(scans, name) for name in columns}
        found: dict[tuple[str, str], dict[str, str]] = {}
        bad = 0
        for n, (own, scan) in enumerate(zip(column(scans, "ID"), held[SCAN_ID], strict=True)):
            if scan and own in self._sessions:
                found.setdefault((own, scan), {name: values[n] for name, values in held.items()})
            elif scan:
                bad += 1
        rows = {
            f"{own}/{scan}": self._row(own, self._sessions[own], said)
            for (own, scan), said in sorted(found.items(), key=lambda item: _order(*item[0]))
        }
        return Part(self._keywords, rows, bad, tuple(scans.notes))

    def _row(self, own: str, one: _Session, scan: Mapping[str, str]) -> Row:
        subject = self._subjects.get(self._said(one, "subject_ID"), {})
        return tuple(self._value(k, own, one, subject, scan) for k in self._keywords)

    def _said(self, one: _Session, name: str) -> str:
        key = self._columns.key(name)
        return "" if key is None else one.said.get(key, "")

    def _value(
        self, keyword: str, own: str, one: _Session, subject: Mapping[str, str], scan: Mapping[str, str]
    ) -> Value:
        if keyword in OF_SCAN:
            where, read = OF_SCAN[keyword]
            return read(scan.get(where, ""))
        if keyword in OF_SESSION:
            where, read = OF_SESSION[keyword]
            found = read(self._said(one, where))
            if found is not None or keyword not in OF_SUBJECT:
                return found
        if keyword in OF_SUBJECT:
            return OF_SUBJECT[keyword][1](subject.get(keyword, ""))
        if keyword == "DataURL":
            return self._address(own, scan.get(SCAN_ID, ""))
        if keyword == "Collection":
            # its own project, those that it is shared into, the one that lists it: those that are seen
            found_in = [self._said(one, "project"), *sorted(one.shared), self._project]
            return _several([name for name in found_in if name in self._seen])
        label, dicom = self._said(one, "subject_label"), self._said(one, "dcmPatientId")
        if keyword == "PatientID":
            chosen = {Naming.SUBJECT: [label], Naming.DICOM: [dicom or label]}
            return _several(chosen.get(self._naming, [label, dicom]))
        return _several([label, dicom, self._said(one, "subject_ID")])

    def _address(self, own: str, scan: str) -> str:
        """Where XNAT keeps it: its own ID, which it also has where there is no UID."""
        place = f"{self._base}/data/experiments/{quote(own, safe='')}"
        return f"{place}/scans/{quote(scan, safe='')}" if scan else place


def _several(values: list[str]) -> Value:
    """One text, or several where they differ."""
    found = tuple(dict.fromkeys(v for v in values if v))
    return text(found[0]) if len(found) == 1 else found or None


def _order(own: str, scan: str) -> tuple[str, int, str]:
    """Scans by number where they have one."""
    digits = scan.partition("-")[0]
    return own, int(digits) if digits.isdecimal() else 0, scan
