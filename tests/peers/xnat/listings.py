"""The listings of XNAT's REST interface as tables: what is asked for, by whom, in which project."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product

from peers.xnat import fields
from peers.xnat.criteria import Test, criterion
from peers.xnat.fields import Column, column
from peers.xnat.model import Project, Scan, Session, Site

Row = dict[str, str]
DEFAULT_EXPERIMENT = ("ID", "project", "date", "xsiType", "label", "insert_date")
DEFAULT_SUBJECT = ("ID", "project", "label", "insert_date", "insert_user")
DEFAULT_SCAN = ("xnat_imagescandata_id", "ID", "type", "quality", "xsiType", "note", "series_description")
ACCESSIBLE = ("accessible", "data", "owner", "member", "collaborator", "recent", "favorite", "prefs")


class Refused(Exception):
    """An error reply: its status and message."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message


@dataclass(slots=True)
class Table:
    """A listing; `total` is None where XNAT leaves totalRecords out, as it does for pages."""

    columns: list[str]
    rows: list[Row]
    title: str = ""
    total: int | None = None
    root: str = ""
    described: list[Row] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Asked:
    """Who asks what of a listing; `pages` is whether this version of XNAT knows limit and offset."""

    site: Site
    user: str | None
    params: Mapping[str, str]
    pages: bool = True
    project_filters: bool = True

    def names(self, usual: tuple[str, ...]) -> list[str]:
        """The columns that are asked for."""
        given = self.params.get("columns", "DEFAULT")
        return list(usual) if given == "DEFAULT" else [name for name in given.split(",") if name]


def project_of(asked: Asked, name: str) -> Project:
    """A project whose data may be read. Raises Refused: what may not be seen is not found."""
    found = asked.site.project(name)
    if found is None or (found.access == "private" and not found.readable(asked.user)):
        raise Refused(404, f"Unable to identify project {name}")
    if not found.readable(asked.user):
        raise Refused(403, f"Unable to read experiments for Project: {name}")
    return found


def projects(asked: Asked) -> Table:
    """`accessible=true` and the like give another table, in which protected projects stand too."""
    if any(name in asked.params for name in ACCESSIBLE):
        shown = [p for p in asked.site.projects if p.access != "private" or p.readable(asked.user)]
        rows = [
            {"id": p.id, "name": p.id, "project_access": p.access, "description": p.description}
            for p in shown
        ]
        return Table(["id", "name", "project_access", "description"], rows, "Projects", len(rows))
    readable = [p for p in asked.site.projects if p.readable(asked.user)]
    rows = [
        {
            "ID": p.id, "secondary_ID": p.id, "name": p.id, "description": p.description,
            "pi_firstname": "", "pi_lastname": "", "URI": f"/data/projects/{p.id}",
        }
        for p in readable
    ]  # fmt: skip
    return _picked(Table(list(rows[0]) if rows else ["ID"], rows, "Projects", len(rows)), asked)


def _picked(table: Table, asked: Asked) -> Table:
    names = [n for n in (*asked.names(tuple(table.columns)), "URI") if n in table.columns]
    names = list(dict.fromkeys(names))
    table.rows = [{n: row[n] for n in names} for row in table.rows]
    table.columns = names
    return table


def subjects(asked: Asked, project: str | None = None) -> Table:
    """Subjects of a project or of the site; for a user who can read nothing XNAT fails."""
    if project is None and not asked.site.readable(asked.user):
        raise Refused(500, "ERROR: syntax error at or near ')'")
    if project is not None:
        project_of(asked, project)
    held = [
        s
        for s in asked.site.visible_subjects(asked.user)
        if project is None or project == s.project or project in s.shared
    ]
    wanted = _columns(asked.names(DEFAULT_SUBJECT), "subject")
    tests = _tests(asked.params, "subject")
    rows = []
    for subject in held:
        values = dict(fields.of_subject(subject))
        values["label"] = subject.shared.get(project or "") or subject.label
        if all(test(values[c.field]) for c, test in tests):
            row = {c.key: values[c.field] for c in wanted}
            rows.append(row | {"URI": f"/data/subjects/{subject.id}"})
    return _table(rows, asked, "Subjects")


def experiments(asked: Asked, project: str | None = None, subject: str | None = None) -> Table:
    """Experiments of a subject, a project or the site. Raises Refused and SqlError."""
    root = asked.params.get("xsiType", "xnat:experimentData")
    roots = [name.lower() for name in root.split(",")]
    if not set(roots) <= fields.OF_SESSIONS:
        raise Refused(500, f"Element not found: {root}")
    if project is not None:
        project_of(asked, project)
    generic = all(name in {g.lower() for g in fields.GENERIC} for name in roots)
    tests = _tests(asked.params, "experiment") if project is None or asked.project_filters else []
    wanted = _columns(asked.names(DEFAULT_EXPERIMENT), "experiment")
    scanned = next((c.element for c in (*wanted, *(c for c, _ in tests)) if c.kind == "scan"), "")
    shared = any(c.field == "sharing/share/project" for c in (*wanted, *(c for c, _ in tests)))
    held = [s for s in _scope(asked, project, subject, generic) if generic or s.xsi.lower() in roots]
    rows = []
    for session in held:
        for scan, share in product(_joined(session, scanned), _shares(session, shared)):
            values = _values(session, scan, project)
            values["session", "sharing/share/project"] = share
            if all(test(values[c.kind, c.field]) for c, test in tests):
                row = {c.key: values[c.kind, c.field] for c in wanted}
                own = {f"{roots[0]}/id": session.id, "URI": f"/data/experiments/{session.id}"}
                rows.append(row | {k: v for k, v in own.items() if k not in row})
    table = _table(rows, asked, "Matching experiments")
    if generic and project is None:  # rows that may not be read are taken away after the page was cut
        names = {p.id for p in asked.site.readable(asked.user)}
        owner = {s.id: s.project for s in asked.site.sessions}
        table.rows = [row for row in table.rows if owner[row[f"{roots[0]}/id"]] in names]
        table.total = None if table.total is None else len(table.rows)
    return table


def _scope(asked: Asked, project: str | None, subject: str | None, generic: bool) -> list[Session]:
    site = asked.site
    held = list(site.sessions if project is None and generic else site.visible(asked.user))
    if project is not None:
        held = [s for s in held if s.project == project or project in s.shared]
    if subject is not None:
        held = [s for s in held if subject in (s.subject.id, s.subject.label)]
    return held


def _joined(session: Session, scan_type: str) -> Iterator[Scan | None]:
    """One row a scan where scans are asked for, and one without where there is none (a left join)."""
    held = [s for s in session.scans if scan_type in ("xnat:imagescandata", s.xsi.lower())]
    if held:
        yield from held
    else:
        yield None


def _shares(session: Session, asked: bool) -> list[str]:
    """One row a project that it is shared into, where that is asked for (a left join too)."""
    return (list(session.shared) if asked else []) or [""]


def _values(session: Session, scan: Scan | None, project: str | None) -> dict[tuple[str, str], str]:
    found = {("session", k): v for k, v in fields.of_session(session).items()}
    found["session", "label"] = session.label_in(project)
    found |= {("subject", k): v for k, v in fields.of_subject(session.subject).items()}
    empty = scan or Scan("", 0, xsi="")
    found |= {("scan", k): v if scan else "" for k, v in fields.of_scan(empty).items()}
    return found


def scans(session: Session, asked: Asked) -> Table:
    """The scans of a session: columns are heeded, filters and pages are not."""
    wanted = _columns(asked.names(DEFAULT_SCAN), "scan")
    rows = []
    for scan in session.scans:
        values = fields.of_scan(scan)
        row = {c.key: values[c.field] for c in wanted}
        rows.append(row | {"URI": f"/data/experiments/{session.id}/scans/{scan.id}"})
    return Table(list(rows[0]) if rows else [c.key for c in wanted], rows, "Scans", len(rows))


def _columns(names: list[str], root: str) -> list[Column]:
    """The known columns; XNAT drops the others without a word."""
    found = (column(name, root) for name in names)
    return list({c.key: c for c in found if c is not None}.values())


def _tests(params: Mapping[str, str], root: str) -> list[tuple[Column, Test]]:
    """The filters with a known name; XNAT ignores the others without a word. Raises SqlError."""
    named = ((column(name, root), value) for name, value in params.items() if name != "xsiType")
    return [(c, criterion(c, value)) for c, value in named if c is not None]


def _table(rows: list[Row], asked: Asked, title: str) -> Table:
    """All of it, or the page that is asked for. Nothing is sorted."""
    total: int | None = len(rows)
    if asked.pages and ("limit" in asked.params or "offset" in asked.params):
        first = int(asked.params.get("offset", "0"))
        limit = asked.params.get("limit", "100")
        rows = rows[first:] if limit == "*" else rows[first : first + int(limit)]
        total = None
    return Table(list(rows[0]) if rows else [], rows, title, total)
