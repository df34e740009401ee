"""xnatpy's and pyxnat's own view of an XNAT: what they see, as plain values. Blocking: for a thread."""

from __future__ import annotations

import io
import logging
import tempfile
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

QUIET = logging.getLogger("tests.xnatpy")
QUIET.setLevel(logging.ERROR)
Seen = set[tuple[str, ...]]


@contextmanager
def xnatpy(url: str, **login: Any) -> Iterator[Any]:
    """An xnatpy connection."""
    import xnat

    with xnat.connect(url, logger=QUIET, **login) as connection:
        yield connection


@contextmanager
def pyxnat(url: str, **login: Any) -> Iterator[Any]:
    """A pyxnat interface; what it does is full of deprecated things."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pyxnat import Interface

        interface = Interface(url, **login)
        yield interface
        interface.disconnect()


def sessions_of_xnatpy(url: str, **login: Any) -> Seen:
    """Experiment ID, UID, date, description, PatientID and subject label of every session."""
    with xnatpy(url, **login) as c:
        held = {e.id: e for p in c.projects.values() for e in p.experiments.values()}
        return {
            (
                e.id,
                e.uid or "",
                str(e.date or ""),
                e.session_type or "",
                e.dcm_patient_id or "",
                e.subject.label,
            )
            for e in held.values()
        }


def scans_of_xnatpy(url: str, **login: Any) -> Seen:
    """Experiment ID, scan ID, UID, modality and description of every scan."""
    with xnatpy(url, **login) as c:
        held = {e.id: e for p in c.projects.values() for e in p.experiments.values()}
        return {
            (e.id, s.id, s.uid or "", s.modality or "", s.series_description or "")
            for e in held.values()
            for s in e.scans.values()
        }


COLUMNS = ["UID", "date", "session_type", "dcmPatientId", "subject_label"]
SCANS = [f"xnat:imageScanData/{name}" for name in ("UID", "modality", "series_description")]


def sessions_of_pyxnat(url: str, **login: Any) -> Seen:
    """The same by pyxnat's arrays, which leave out what is only readable where it was shared into."""
    with pyxnat(url, **login) as i:
        found = i.array.experiments(experiment_type="xnat:imageSessionData", columns=COLUMNS).data
    return {(row["ID"], *(row[c] for c in COLUMNS)) for row in found}


def scans_of_pyxnat(url: str, **login: Any) -> Seen:
    """The same."""
    with pyxnat(url, **login) as i:
        found = i.array.scans(columns=SCANS).data
    return {(r["ID"], r["xnat:imagescandata/id"], *(r[c.lower()] for c in SCANS)) for r in found}


def files_of_xnatpy(url: str, project: str, label: str, **login: Any) -> dict[str, bytes]:
    """Every file of a session, one by one, and again from its zip: name -> content."""
    with xnatpy(url, **login) as c:
        session = c.projects[project].experiments[label]
        found = {}
        for scan in session.scans.values():
            resource = scan.resources["DICOM"]
            for file in resource.files.values():
                stream = io.BytesIO()
                file.download_stream(stream)
                found[file.path] = stream.getvalue()
        packed = io.BytesIO()
        c.download_stream(f"{session.fulluri}/scans/ALL/files", packed, format="zip")
        with zipfile.ZipFile(packed) as archive:
            again = {Path(name).name: archive.read(name) for name in archive.namelist()}
    assert again == found
    return found


def files_of_pyxnat(url: str, project: str, label: str, **login: Any) -> dict[str, bytes]:
    """The same by pyxnat."""
    with pyxnat(url, **login) as i, tempfile.TemporaryDirectory() as folder:
        subjects = i.select.project(project).subjects()
        session = next(e for s in subjects for e in s.experiments() if e.label() == label)
        found = {}
        for number, scan in enumerate(session.scans()):
            for resource in scan.resources():
                for file in resource.files():
                    found[file.id()] = Path(file.get(str(Path(folder) / "one"))).read_bytes()
                place = Path(folder) / str(number)
                place.mkdir()
                again = {Path(p).name: Path(p).read_bytes() for p in resource.get(str(place), extract=True)}
                assert all(found[name] == content for name, content in again.items())
    return found
