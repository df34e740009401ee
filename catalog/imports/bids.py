"""BIDS: a folder with participants, sessions, and a JSON sidecar beside, or above, each image.

A patient is a participant of the data set, a study a session, a series an image. A sidecar further up holds
for every image whose name has all of its entities and its suffix (the inheritance principle).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from catalog.imports import json_file, text, words
from catalog.imports.rows import File, Found, Options, Rejected, Row
from catalog.imports.sidecar import described
from catalog.keywords import Level
from catalog.problems import BadFile

VERSION = 2
MARKS = ("dataset_description.json", "participants.tsv")
_NEEDED = (*MARKS, "participants.json")  # it says whether ages are in months
DATATYPES = {
    **dict.fromkeys(("anat", "func", "dwi", "fmap", "perf", "mrs"), "MR"),
    "pet": "PT", "eeg": "EEG", "micr": "GM", "ct": "CT", "meg": None, "ieeg": None, "nirs": None,
}  # fmt: skip
_APART = "give the data set a Name of its own in dataset_description.json, or say another --archive"
_IMAGE = re.compile(r"(sub-[A-Za-z0-9]+)/(?:(ses-[A-Za-z0-9]+)/)?([a-z]+)/([^/]+)")
_ENDS = (
    ".nii.gz",
    ".nii",
    ".json",
    ".fif",
    ".ds",
    ".edf",
    ".vhdr",
    ".set",
    ".bdf",
    ".snirf",
    ".ome.tif",
    ".tif",
)


def fits(beginning: bytes) -> bool:
    """Whether it describes a BIDS data set, or lists participants."""
    return b'"BIDSVersion"' in beginning or beginning.lstrip(b"\xef\xbb\xbf").startswith(b"participant_id\t")


@dataclass(slots=True)
class _Set:
    """What the files of a data set say."""

    name: str = ""
    about: dict[str, str | None] = field(default_factory=dict)
    months: bool = False
    people: dict[str, tuple[int, dict[str, str | None]]] = field(default_factory=dict)
    sessions: dict[tuple[str, str], dict[str, str | None]] = field(default_factory=dict)
    dates: dict[str, str | None] = field(default_factory=dict)
    sidecars: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)


def read(files: list[File], options: Options) -> Found:
    """A row for each image, and for each participant without any."""
    told = _Set()
    for file in files:
        yield from _note(told, file, options)
    seen: set[str] = set()
    for stem, file in _images(files):
        found = _IMAGE.match(stem)
        if found is None or (found[3] not in DATATYPES and not is_data(file.name)):
            continue
        if found[3] not in DATATYPES:
            yield Rejected(0, f"{found[3]!r} is no datatype that is known", file.name)
            continue
        seen.add(found[1])
        yield Row(Level.SERIES, _values(told, stem, found), 0, file.name, _APART)
    for who, (line, said) in told.people.items():
        if who not in seen:
            values = {**_shared(told), "PatientID": who, **said}
            yield Row(Level.PATIENT, values, line, "participants.tsv", _APART)


def _note(told: _Set, file: File, options: Options) -> Found:
    """Take in what a file says about others; what is damaged is rejected by itself, but for participants."""
    name = PurePosixPath(file.name or PurePosixPath(file.path).name)
    try:
        if name.name == "participants.tsv":
            yield from _people(told, file, options)
        elif name.name.endswith("_sessions.tsv"):
            yield from _sessions(told, file, options)
        elif name.name.endswith("_scans.tsv"):
            yield from _scans(told, file, name, options)
        elif name.name == "dataset_description.json":
            _about(told, _described(json_file.load(file), name.name))
        elif name.name == "participants.json":
            told.months = "month" in str(_described(json_file.load(file), name.name).get("age", "")).lower()
        elif name.suffix == ".json":
            said = json_file.load(file)
            if isinstance(said, dict):
                told.sidecars.setdefault(str(name.parent), {})[name.stem] = said
    except BadFile as error:
        if name.name in _NEEDED:
            raise
        yield Rejected(0, str(error).removeprefix(f"{file.name}: "), file.name)


def _described(said: Any, name: str) -> dict[str, Any]:
    if not isinstance(said, dict):
        raise BadFile(f"{name}: no description")
    return said


def _about(told: _Set, said: dict[str, Any]) -> None:
    told.name = str(said.get("Name") or "")
    doi = str(said.get("DatasetDOI") or "").removeprefix("doi:")
    told.about = {"License": words.said(str(said.get("License") or "")), "SourceDOI": words.said(doi)}


def _table(file: File, options: Options) -> Iterator[tuple[int, dict[str, str | None]] | Rejected]:
    table = text.table(file, options, "\t")
    names = [name.lower() for name in table.names]
    for item in table.lines:
        if isinstance(item, Rejected):
            yield item
        else:
            yield item[0], dict(zip(names, map(words.said, item[1]), strict=True))


def _people(told: _Set, file: File, options: Options) -> Iterator[Rejected]:
    for item in _table(file, options):
        if isinstance(item, Rejected):
            yield item
            continue
        line, said = item
        if "participant_id" not in said:
            raise BadFile(
                "participants.tsv: it has no column participant_id; are its columns divided by tabs?"
            )
        if said["participant_id"] is None:
            yield Rejected(line, "no participant_id", file.name)
            continue
        who = _labelled("sub-", said["participant_id"])
        if who in told.people:
            yield Rejected(line, f"{who} is listed twice", file.name)
        else:
            told.people[who] = (line, _person(told, said))


def _person(told: _Set, said: dict[str, str | None]) -> dict[str, str | None]:
    named = next((name for name in said if re.fullmatch(r"age(_at_.*|_years|_months)?", name)), "")
    age, months = said.get(named), told.months or "month" in named
    return {
        "PatientSex": words.or_raw(words.sex, said.get("sex") or said.get("gender")),
        "PatientAge": words.or_raw(_months if months else words.age_in_years, age),
        "PatientWeight": said.get("weight"),
        "PatientSpeciesDescription": said.get("species"),
    }


def _months(age: str) -> str | None:
    months = words.whole(age)
    return None if months is None or months < 0 else words.age_in_months(months)


def _sessions(told: _Set, file: File, options: Options) -> Iterator[Rejected]:
    who = (file.name or file.path).split("/")[-1].partition("_")[0]
    for item in _table(file, options):
        if isinstance(item, Rejected):
            yield item
        elif item[1].get("session_id"):
            told.sessions[who, _labelled("ses-", str(item[1]["session_id"]))] = item[1]


def _labelled(begin: str, name: str) -> str:
    """A label as folders have it, which many tables leave out."""
    return name if name.startswith(begin) else begin + name


def _scans(told: _Set, file: File, name: PurePosixPath, options: Options) -> Iterator[Rejected]:
    for item in _table(file, options):
        if isinstance(item, Rejected):
            yield item
        elif item[1].get("filename"):
            told.dates[_stem(str(name.parent / str(item[1]["filename"])))] = item[1].get("acq_time")


def is_data(name: str) -> bool:
    """Whether a file is data by its name, which alone is taken of it."""
    stem = _stem(name)
    return stem != name and not name.endswith(".json") and _IMAGE.match(stem) is not None


def _images(files: list[File]) -> Iterator[tuple[str, File]]:
    """Each image once: by its data file, or its own sidecar."""
    seen: set[str] = set()
    for file in files:
        stem = _stem(file.name)
        if stem != file.name and stem not in seen and _IMAGE.match(stem):
            seen.add(stem)
            yield stem, file


def _stem(name: str) -> str:
    end = next((end for end in _ENDS if name.endswith(end)), "")
    return name[: len(name) - len(end)] if end else name


def _shared(told: _Set) -> dict[str, str | None]:
    return {"Collection": told.name or None, **told.about}


def _values(told: _Set, stem: str, found: re.Match[str]) -> dict[str, Any]:
    who, session, datatype = found[1], found[2], found[3]
    person = told.people.get(who, (0, {}))[1]
    visit = told.sessions.get((who, session or ""), {})
    moment = told.dates.get(stem) or visit.get("acq_time")
    own = described(_inherited(told, PurePosixPath(stem)))
    return {
        **_shared(told),
        "SeriesDescription": PurePosixPath(stem).name,
        "Modality": DATATYPES[datatype],
        "StudyDate": words.or_raw(words.date, moment),
        "StudyTime": words.time(moment),
        **{k: v for k, v in own.items() if k not in ("PatientID", "PatientName")},
        **{k: v for k, v in person.items() if v},
        **({"PatientAge": words.or_raw(words.age_in_years, visit["age"])} if visit.get("age") else {}),
        "PatientID": who,
        "StudyKey": None if own.get("StudyInstanceUID") else _key(told, who, session),
        "SeriesKey": None if own.get("SeriesInstanceUID") else _key(told, stem),
        "ClinicalTrialTimePointID": session,
    }


def _key(told: _Set, *parts: str | None) -> str:
    """A key of an archive with several data sets, all of which have a `sub-01`."""
    return "/".join(part for part in (told.name, *parts) if part)


def _inherited(told: _Set, stem: PurePosixPath) -> dict[str, Any]:
    """What sidecars at and above an image say, with its suffix and some of its entities; the nearest wins."""
    *own, last = stem.name.split("_")
    said: dict[str, Any] = {}
    for folder in reversed(stem.parents):
        for name, values in told.sidecars.get(str(folder), {}).items():
            *entities, suffix = name.split("_")
            if suffix == last and set(entities) <= set(own):
                said |= values
    return said
