"""XCEDE of the Biomedical Informatics Research Network: version 2, and older files with nested elements.

Projects, subjects, visits, studies, episodes and acquisitions refer to each other by attributes, or stand
within each other; each may have a file of its own, so a folder is read at once. Names are matched without
their namespace.
"""

from __future__ import annotations

from catalog.imports import words, xml_tree
from catalog.imports.rows import File, Found, Options, Rejected, Row
from catalog.imports.text import label
from catalog.imports.xml_tree import Node
from catalog.keywords import Level
from catalog.problems import BadFile

VERSION = 1
LEVELS = ("project", "subject", "visit", "study", "episode", "acquisition")
_TYPES = {"mr": "MR", "pet": "PT", "ct": "CT", "eeg": "EEG", "us": "US", "nm": "NM"}
_FIELDS = {
    "Manufacturer": ("manufacturer",),
    "ManufacturerModelName": ("model", "scannermodel", "manufacturermodelname"),
    "MagneticFieldStrength": ("fieldstrength", "magneticfieldstrength"),
    "RepetitionTime": ("tr",),
    "EchoTime": ("te",),
    "FlipAngle": ("flipangle",),
    "SliceThickness": ("slicethickness",),
    "InstitutionName": ("institution", "site"),
}
_PARAMETERS = {
    "seriesnumber": "SeriesNumber",
    "description": "SeriesDescription",
    "seriesdescription": "SeriesDescription",
    "protocol": "ProtocolName",
    "modality": "Modality",
    "bodypart": "BodyPartExamined",
}

_APART = "say --collection NAME, for it names no project, or another --archive"

Names = dict[str, str]


def fits(beginning: bytes) -> bool:
    """Whether its root is `XCEDE`, or whether it is of BIRN's older namespace."""
    root = xml_tree.root_of(beginning)
    return root.lower() == "xcede" or (bool(root) and b"nbirn.net/xcede" in beginning)


def read(files: list[File], options: Options) -> Found:
    """A row for each acquisition; for studies and subjects without any, a row of their own."""
    told = _Told()
    for done, file in enumerate(files, 1):
        with file.open() as stream:
            beginning = stream.read(65_536)
        if len(files) > 1 and not fits(beginning):
            yield Rejected(0, "not of kind xcede", file.name)
        else:
            yield from told.take(xml_tree.tree(file), file)
        if options.progress:
            options.progress(done, len(files))
    yield from told.rows()


class _Told:
    """What all files say, by what it is said of."""

    def __init__(self) -> None:
        self.nodes: dict[str, list[tuple[Names, Node, str]]] = {level: [] for level in LEVELS}
        self.about: dict[tuple[str, str], list[Node]] = {}

    def take(self, root: Node, file: File) -> Found:
        """Note every element that tells of something; those without an ID are rejected."""
        found = 0
        for level in LEVELS:
            for node in root.every(level):
                found += 1
                names = _names(node, level)
                if not names.get(level):
                    yield Rejected(node.line, f"{level} without an ID", file.name)
                else:
                    self.nodes[level].append((names, node, file.name))
                    self.about.setdefault((level, _path(names, level)), []).append(node)
        if not found:
            raise BadFile(f"{label(file)}: it tells of no subject, study or acquisition")

    def rows(self) -> Found:
        """Acquisitions, then studies and subjects that no row tells of."""
        covered: dict[str, set[str]] = {"study": set(), "subject": set()}
        for level, kind in (
            ("acquisition", Level.SERIES),
            ("study", Level.STUDY),
            ("subject", Level.PATIENT),
        ):
            for names, node, file in self.nodes[level]:
                if level != "acquisition" and _path(names, level) in covered[level]:
                    continue
                if level == "acquisition" and not names.get("subject"):
                    yield Rejected(node.line, f"acquisition {names['acquisition']} of no subject", file)
                    continue
                for upper in ("study", "subject"):
                    covered[upper].add(_path(names, upper))
                apart = "" if names.get("project") else _APART
                yield Row(kind, self._values(names, node, kind), node.line, file, apart)

    def _values(self, names: Names, node: Node, kind: Level) -> dict[str, str | None]:
        about = {level: self._info(names, level) for level in ("subject", "visit", "study")}
        whole = [n for level in ("subject", "visit", "study") for n in about[level]]
        found: dict[str, str | None] = {
            "Collection": names.get("project"),
            "PatientID": names.get("subject"),
            "PatientSex": words.or_raw(words.sex, _said(about["subject"], "sex", "gender")),
            "PatientAge": words.or_raw(words.age_in_years, _said(whole, "age")),
        }
        if kind >= Level.STUDY:
            date = _said(
                [node, *about["study"], *about["visit"]], "scandate", "studydate", "date", "timestamp"
            )
            found["StudyKey"] = _path(names, "study")
            found["StudyDate"] = words.or_raw(words.date, date)
            found["StudyDescription"] = _said(about["study"], "description", "name")
            found["ClinicalTrialTimePointID"] = names.get("visit")
        return found | _series(names, node) if kind is Level.SERIES else found

    def _info(self, names: Names, level: str) -> list[Node]:
        """The elements that tell of the subject, visit or study that something belongs to."""
        wanted = _path(names, level)
        return self.about.get((level, wanted), []) if wanted else []


def _series(names: Names, node: Node) -> dict[str, str | None]:
    found: dict[str, str | None] = {key: _said([node], *told) for key, told in _FIELDS.items()}
    for parameter in node.every("param", "acqParam"):
        key = _PARAMETERS.get(parameter.said.get("name", "").lower())
        if key:
            found[key] = words.said(parameter.text)
    found["SeriesKey"] = _path(names, "acquisition")
    found["Modality"] = words.modality(found.get("Modality")) or _modality(node)
    return found


def _modality(node: Node) -> str | None:
    """By the type of its acquisitionInfo: `mrAcquisitionInfo_t`."""
    for info in node.every("acquisitionInfo"):
        kind = info.said.get("type", "").rpartition(":")[2].lower()
        for start, term in _TYPES.items():
            if kind.startswith(f"{start}acquisition"):
                return term
    return None


def _names(node: Node, level: str) -> Names:
    """What an element belongs to, by its attributes or by what it stands in."""
    found: Names = {}
    for upper in LEVELS[: LEVELS.index(level)]:
        around = node.within(upper)
        name = node.said.get(f"{upper}ID") or (_id(around) if around is not None else None)
        if name:
            found[upper] = name
    own = _id(node)
    return {**found, level: own} if own else found


def _id(node: Node) -> str | None:
    return words.said(node.said.get("ID") or node.said.get("id") or node.said.get("name"))


def _path(names: Names, level: str) -> str:
    """What tells an entity from others of its level: subjects by project, what is below by all above it."""
    parts = [names.get(upper, "") for upper in LEVELS[: LEVELS.index(level) + 1]]
    return "/".join(parts) if names.get(level) else ""


def _said(nodes: list[Node], *names: str) -> str | None:
    """The first value of these names, as an element or as a parameter with a name."""
    for node in nodes:
        text = node.first(*names)
        if text:
            return words.said(text)
        for parameter in node.every("param", "acqParam", "subjectVar", "annotation"):
            if parameter.said.get("name", "").lower() in names and parameter.text.strip():
                return words.said(parameter.text)
    return None
