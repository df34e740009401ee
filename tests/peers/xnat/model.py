"""What an XNAT holds: projects, subjects, image sessions, scans, resources, files; and who may read what."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import KW_ONLY, dataclass, field


@dataclass(slots=True)
class File:
    """One file of a resource."""

    name: str
    content: bytes


@dataclass(slots=True)
class Resource:
    """A folder of files with a label; `counted` is false where XNAT has not built its statistics."""

    number: int
    label: str
    files: list[File] = field(default_factory=list)
    counted: bool = True
    format: str = "DICOM"
    content: str = "RAW"


@dataclass(slots=True)
class Scan:
    """A scan of a session. `id` is unique in its session, `number` (xnat_imagescandata_id) on the site."""

    id: str
    number: int
    _: KW_ONLY
    xsi: str = "xnat:mrScanData"
    uid: str = ""
    type: str = ""
    series_description: str = ""
    modality: str = ""
    frames: str = ""
    body_part: str = ""
    start_date: str = ""
    start_time: str = ""
    manufacturer: str = ""
    model: str = ""
    note: str = ""
    resources: list[Resource] = field(default_factory=list)


@dataclass(slots=True)
class Subject:
    """A subject: its label is unique in its project, its ID on the site."""

    id: str
    project: str
    label: str
    gender: str = ""
    dob: str = ""
    shared: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Session:
    """An image session (an experiment). `shared` is project -> label there; `history` old versions of it."""

    id: str
    project: str
    label: str
    subject: Subject
    _: KW_ONLY
    xsi: str = "xnat:mrSessionData"
    uid: str = ""
    date: str = ""
    time: str = ""
    modality: str = ""
    session_type: str = ""
    accession: str = ""
    patient_id: str = ""
    patient_name: str = ""
    birth_date: str = ""
    study_id: str = ""
    station: str = ""
    manufacturer: str = ""
    note: str = ""
    inserted: str = "2023-09-27 17:31:21.352"
    scans: list[Scan] = field(default_factory=list)
    shared: dict[str, str] = field(default_factory=dict)
    history: int = 0

    def label_in(self, project: str | None) -> str:
        """Its label, as a project that it is shared into knows it."""
        return self.shared.get(project or "") or self.label


@dataclass(slots=True)
class Project:
    """A project. Everybody reads a public one, members the others; a protected one shows that it exists."""

    id: str
    access: str = "public"
    members: frozenset[str] = frozenset()
    description: str = ""

    def readable(self, user: str | None) -> bool:
        """Whether a user (None: a guest) may read its data."""
        return self.access == "public" or (user is not None and user in self.members)


@dataclass(slots=True)
class Site:
    """Everything on one XNAT."""

    projects: list[Project] = field(default_factory=list)
    subjects: list[Subject] = field(default_factory=list)
    sessions: list[Session] = field(default_factory=list)

    def readable(self, user: str | None) -> list[Project]:
        """The projects of which a user may read the data."""
        return [p for p in self.projects if p.readable(user)]

    def project(self, name: str) -> Project | None:
        """The project of that ID."""
        return next((p for p in self.projects if p.id == name), None)

    def session(self, name: str, project: str | None, user: str | None) -> Session | None:
        """The session of that ID (or label in a project) that a user may read."""
        found = (s for s in self.visible(user) if project is None or _in(project, s.project, s.shared))
        return next((s for s in found if name == s.id or (project and name == s.label_in(project))), None)

    def visible(self, user: str | None) -> Iterable[Session]:
        """The sessions that a user may read: their project, or one that they are shared into."""
        names = {p.id for p in self.readable(user)}
        return (s for s in self.sessions if s.project in names or not names.isdisjoint(s.shared))

    def visible_subjects(self, user: str | None) -> list[Subject]:
        """The subjects that a user may read."""
        names = {p.id for p in self.readable(user)}
        return [s for s in self.subjects if s.project in names or not names.isdisjoint(s.shared)]


def _in(project: str, own: str, shared: dict[str, str]) -> bool:
    return project == own or project in shared
