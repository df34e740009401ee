"""The XML of LONI's Image Data Archive (`idaxs`), a file for each image beside its data."""

from __future__ import annotations

from collections.abc import Iterator

from catalog.imports import words, xml_tree
from catalog.imports.loni_csv import commented, image_id, study_key, terms
from catalog.imports.rows import File, Found, Options, Rejected, Row
from catalog.imports.xml_tree import Node
from catalog.keywords import Level

VERSION = 1


def fits(beginning: bytes) -> bool:
    """Whether its root is `idaxs`."""
    return xml_tree.root_of(beginning) == "idaxs"


def read(files: list[File], options: Options) -> Found:
    """A row for each image: acquired, derived, and those that these are derived from."""
    del options
    for file in files:
        root = xml_tree.tree(file)
        images = list(_images(root, file.name))
        yield from images or [Rejected(root.line, "it tells of no image", file.name)]


def _images(root: Node, file: str) -> Iterator[Row | Rejected]:
    seen: set[str] = set()
    for place in root.every("imagingProtocol", "derivedProduct", "originalRelatedImage"):
        study, subject = place.within("study"), place.within("subject")
        if study is None or subject is None:
            yield Rejected(place.line, "an image outside of a study", file)
            continue
        image = image_id(place.child("imageUID"))
        if image is None:
            yield Rejected(place.line, f"the imageUID {place.child('imageUID') or ''!r} is no number", file)
        elif image not in seen:
            seen.add(image)
            yield Row(Level.SERIES, _values(place, study, subject, image), place.line, file)


def _values(place: Node, study: Node, subject: Node, image: str) -> dict[str, str | None]:
    project = subject.within("project") or subject
    series = next(iter(study.every("series")), study)
    derived = place.name == "derivedProduct"
    whom, visit = subject.child("subjectIdentifier"), subject.first("visitIdentifier")
    date = words.or_raw(words.date, series.child("dateAcquired"))
    age = study.child("subjectAge") if (study.child("ageQualifier") or "Y") == "Y" else None
    protocol = {p.said.get("term", ""): p.text for p in place.every("protocol")}
    return {
        "Collection": project.child("projectIdentifier"),
        "PatientID": whom,
        "PatientSex": words.or_raw(words.sex, subject.child("subjectSex")),
        "PatientAge": words.or_raw(words.age_in_years, age),
        "PatientWeight": words.number(study.child("weightKg")),
        "PatientComments": commented(subject.child("researchGroup")),
        "StudyKey": study_key(whom or "", visit, date),
        "StudyID": study.child("studyIdentifier"),
        "StudyDate": date,
        "SeriesKey": image,
        "SeriesDate": date,
        "Modality": words.modality(series.child("modality")),
        "SeriesDescription": place.child("processedDataLabel") if derived else place.child("description"),
        "ImageType": "DERIVED" if derived else "ORIGINAL",
        "ClinicalTrialTimePointID": visit,
    } | terms(dict(protocol))
