"""Sites to serve: one of the fixture patients (and what only an XNAT has), and a large one by a rule."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import replace

from peers.xnat.model import File, Project, Resource, Scan, Session, Site, Subject

from fixtures.dicom import Holding, truth

OWNER = "alice"
PROJECTS = (
    Project("LUNG", description="lungs of the fixtures"),
    Project("BRAIN", description='heads, with a "quote"'),
    Project("NIFTI", description="imported without DICOM"),
    Project("SECRET", "private", frozenset({OWNER, "bob"})),
    Project("SHOWN", "protected", frozenset({OWNER})),
)
_SESSION = {"CT": "ct", "MR": "mr", "PT": "pet", "MG": "mg", "US": "us", "CR": "cr"}
_SCAN = _SESSION | {"SEG": "seg", "SR": "sr"}
_GENDER = {"M": "male", "F": "female", "": "unknown"}


def fixture_site(split: bool = True) -> Site:
    """Studies of archive `a` and some of `b`, in projects; with sharing, a split study, what has no UID."""
    site = Site([replace(project) for project in PROJECTS])
    numbers = itertools.count(1001)
    told = truth()["archives"]
    known = {h["study"]["StudyInstanceUID"] for h in told["a"]}
    more = [h for h in told["b"] if h["study"]["StudyInstanceUID"] not in known]
    for holding in (*told["a"], *more[:4]):
        _add(site, holding, numbers)
    _share(site)
    if split:
        _split(site)
    _without_uids(site, numbers)
    return site


def _add(site: Site, holding: Holding, numbers: Iterator[int]) -> None:
    study, series = holding["study"], holding["series"]
    number = int(str(study["StudyID"]))
    modality = str(next((s["Modality"] for s in series if s.get("Modality")), ""))
    project = {"MR": "BRAIN", "CR": "SECRET", "MG": "SHOWN"}.get(modality, "LUNG")
    birth = _date(study.get("PatientBirthDate", ""))
    subject = _subject(site, project, str(study["PatientID"]), number)
    subject.gender = _GENDER.get(str(study.get("PatientSex", "")), "") if "PatientSex" in study else ""
    subject.dob = birth if number % 2 else ""
    session = Session(
        f"XNAT_E{number:05}", project, f"session_{number}", subject,
        xsi=f"xnat:{_SESSION.get(modality, 'otherDicom')}SessionData",
        uid=str(study["StudyInstanceUID"]), date=_date(study.get("StudyDate", "")),
        time=_time(study.get("StudyTime", "")), modality=modality,
        session_type=str(study.get("StudyDescription", "")), accession=str(study.get("AccessionNumber", "")),
        patient_id=str(study["PatientID"]), patient_name=str(study["PatientName"]),
        birth_date="" if number % 2 else birth, study_id=str(number), history=number % 2,
    )  # fmt: skip
    for each in series:
        session.scans.append(_scan(each, next(numbers)))
    site.sessions.append(session)


def _scan(series: dict[str, str | list[str]], number: int) -> Scan:
    said = {key: value if isinstance(value, str) else value[0] for key, value in series.items()}
    modality = said.get("Modality", "")
    count = int(said["NumberOfSeriesRelatedInstances"])
    uid = said["SeriesInstanceUID"]
    files = [File(f"{uid}.{n}.dcm", f"instance {n} of {uid}\n".encode()) for n in range(1, count + 1)]
    return Scan(
        said["SeriesNumber"], number, xsi=f"xnat:{_SCAN.get(modality, 'otherDicom')}ScanData", uid=uid,
        type=re.sub(r"\W+", "_", said.get("SeriesDescription", "")) or "unknown",
        series_description=said.get("SeriesDescription", ""), modality=modality, frames=str(count),
        body_part=said.get("BodyPartExamined", ""),
        resources=[Resource(90000 + number, "DICOM", files, counted=number % 3 != 0)],
    )  # fmt: skip


def _subject(site: Site, project: str, patient: str, number: int) -> Subject:
    """The subject of a patient, who may have several sessions in a project; labels hold few characters."""
    label = patient if re.fullmatch(r"[A-Za-z0-9_-]+", patient) else f"patient_{number}"
    for known in site.subjects:
        if (known.project, known.label) == (project, label):
            return known
    site.subjects.append(Subject(f"XNAT_S{number:05}", project, label))
    return site.subjects[-1]


def _share(site: Site) -> None:
    """One session of a public project in another, and one that can only be read where it is shared into."""
    public = next(s for s in site.sessions if s.project == "LUNG" and s.scans)
    public.shared["BRAIN"] = "lung_in_brain"
    public.subject.shared["BRAIN"] = "subject_in_brain"
    hidden = next(s for s in site.sessions if s.project == "SECRET")
    hidden.shared["LUNG"] = "from_elsewhere"
    hidden.subject.shared["LUNG"] = "subject_from_elsewhere"


def _split(site: Site) -> None:
    """A PET/CT study in two sessions with one UID, as XNAT's splitting of PET from MR leaves it."""
    whole = next(s for s in site.sessions if {"CT", "PT"} <= {each.modality for each in s.scans})
    part = Session(
        f"{whole.id}_PT", whole.project, f"{whole.label}_PT", whole.subject, xsi="xnat:petSessionData",
        uid=whole.uid, date=whole.date, time=whole.time, modality="PT", session_type=whole.session_type,
        accession=whole.accession, patient_id=whole.patient_id, patient_name=whole.patient_name,
        birth_date=whole.birth_date, study_id=whole.study_id,
    )  # fmt: skip
    part.scans = [s for s in whole.scans if s.modality == "PT"]
    whole.scans = [s for s in whole.scans if s.modality != "PT"]
    site.sessions.append(part)


def _without_uids(site: Site, numbers: Iterator[int]) -> None:
    """Sessions that never were DICOM, one without scans, and one with something else for a UID."""
    for number in range(1, 4):
        subject = _subject(site, "NIFTI", f"sub-{number:02}", 500 + number)
        subject.gender = ("F", "M", "other")[number - 1]
        session = Session(
            f"XNAT_E{500 + number:05}", "NIFTI", f"sub-{number:02}_ses-1", subject, date=f"2022-0{number}-01"
        )
        for name in ("T1w", "bold") if number > 1 else ():
            kept = File(f"{name}.nii.gz", name.encode())
            resource = Resource(90000 + next(numbers), "NIFTI", [kept], format="NIFTI")
            scan = Scan(name, next(numbers), type=name, series_description=name, resources=[resource])
            session.scans.append(scan)
        site.sessions.append(session)
    site.sessions[-1].uid = "not a UID"


def _date(dicom: str | list[str]) -> str:
    """A date as XNAT keeps it."""
    digits = re.sub(r"\D", "", str(dicom))
    return f"{digits[:4]}-{digits[4:6]}-{digits[6:]}" if digits else ""


def _time(dicom: str | list[str]) -> str:
    """A time as XNAT keeps it: without fractions."""
    digits = re.sub(r"\D", "", str(dicom).partition(".")[0])
    padded = digits.ljust(6, "0")
    return f"{padded[:2]}:{padded[2:4]}:{padded[4:]}" if digits else ""


def large_site(sessions: int = 1000, scans: int = 10, projects: int = 4) -> Site:
    """That many sessions of that many scans each, evenly in public projects."""
    site = Site([Project(f"P{number:02}") for number in range(projects)])
    for number in range(sessions):
        project = site.projects[number * projects // sessions].id
        subject = Subject(f"XNAT_S{number:05}", project, f"subj{number:05}", "FM"[number % 2], "1970-01-02")
        site.subjects.append(subject)
        uid = f"2.25.{7_000_000 + number}"
        session = Session(
            f"XNAT_E{number:05}", project, f"subj{number:05}_MR1", subject, uid=uid, modality="MR",
            date=f"{2000 + number % 20}-{1 + number % 12:02}-{1 + number % 28:02}", time="10:11:12",
            session_type="Brain", patient_id=f"subj{number:05}", patient_name=f"SUBJECT^{number:05}",
        )  # fmt: skip
        session.scans = [
            Scan(
                str(n), number * scans + n, uid=f"{uid}.{n}", type="T1w", series_description=f"T1 {n}",
                modality="MR", frames="176", body_part="BRAIN",
            )
            for n in range(1, scans + 1)
        ]  # fmt: skip
        site.sessions.append(session)
    return site
