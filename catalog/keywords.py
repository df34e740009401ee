"""DICOM keywords, the level each one belongs to, and its VR.

The usual keywords of a search stand in `USUAL`, because DICOM's data dictionary does not say to which
level an attribute belongs (PS3.4 C.6.1.1, C.6.2.1 and PS3.18 10.6.3.3 do) and because reading pydicom's
dictionary costs a quarter of a second. Every other keyword comes from pydicom, when it is first asked for.
"""

from __future__ import annotations

import enum
import functools
import re
from dataclasses import dataclass


class UnknownKeyword(ValueError):
    """No such DICOM keyword or tag; the message suggests the nearest one."""


class Level(enum.IntEnum):
    """A level of the DICOM information model (PS3.4 C.6), coarse to fine."""

    PATIENT = 1
    STUDY = 2
    SERIES = 3

    @property
    def uid(self) -> str:
        """The keyword that names an entity of this level."""
        return _UNIQUE[self]


_UNIQUE = {
    Level.PATIENT: "PatientID",
    Level.STUDY: "StudyInstanceUID",
    Level.SERIES: "SeriesInstanceUID",
}


@dataclass(frozen=True, slots=True)
class Keyword:
    """An attribute that can be asked for.

    `tag` is eight hexadecimal digits, or "" for the few attributes that are ours and not DICOM's
    (`Collection`, `License` ...). `level` is the level at which archives keep the attribute.

    An attribute of the items of a sequence has the path to it, `Sequence.Attribute` and `gggg.gggg` of tags
    as PS3.18 8.3.4 writes them, and its own VR.
    """

    name: str
    tag: str
    vr: str
    level: Level

    @property
    def sequence(self) -> str:
        """The keyword of the sequence that it stands in, or ""."""
        return self.name.rpartition(".")[0]

    @property
    def leaf(self) -> str:
        """The keyword without the sequence."""
        return self.name.rpartition(".")[2]


_P, _T, _S = Level.PATIENT, Level.STUDY, Level.SERIES

# level: "keyword tag vr", as PS3.6 has them; tests compare them with pydicom's dictionary
_USUAL_TEXT: dict[Level, str] = {
    _P: """
    PatientName 00100010 PN|PatientID 00100020 LO|IssuerOfPatientID 00100021 LO
    PatientBirthDate 00100030 DA|PatientBirthTime 00100032 TM|PatientSex 00100040 CS
    OtherPatientIDs 00101000 LO|OtherPatientNames 00101001 PN|EthnicGroup 00102160 SH
    PatientComments 00104000 LT|PatientSpeciesDescription 00102201 LO
    NumberOfPatientRelatedStudies 00201200 IS|NumberOfPatientRelatedSeries 00201202 IS
    NumberOfPatientRelatedInstances 00201204 IS""",
    _T: """
    StudyInstanceUID 0020000D UI|StudyID 00200010 SH|StudyDate 00080020 DA|StudyTime 00080030 TM
    AccessionNumber 00080050 SH|ReferringPhysicianName 00080090 PN|StudyDescription 00081030 LO
    ModalitiesInStudy 00080061 CS|SOPClassesInStudy 00080062 UI|PatientAge 00101010 AS
    PatientSize 00101020 DS|PatientWeight 00101030 DS|AdmittingDiagnosesDescription 00081080 LO
    NumberOfStudyRelatedSeries 00201206 IS|NumberOfStudyRelatedInstances 00201208 IS""",
    _S: """
    SeriesInstanceUID 0020000E UI|Modality 00080060 CS|SeriesNumber 00200011 IS
    SeriesDescription 0008103E LO|SeriesDate 00080021 DA|SeriesTime 00080031 TM
    BodyPartExamined 00180015 CS|ProtocolName 00181030 LO|Laterality 00200060 CS
    PatientPosition 00185100 CS|Manufacturer 00080070 LO|ManufacturerModelName 00081090 LO
    InstitutionName 00080080 LO|StationName 00081010 SH|SoftwareVersions 00181020 LO
    PerformingPhysicianName 00081050 PN|OperatorsName 00081070 PN|FrameOfReferenceUID 00200052 UI
    PerformedProcedureStepStartDate 00400244 DA|PerformedProcedureStepStartTime 00400245 TM
    SOPClassUID 00080016 UI|TransferSyntaxUID 00020010 UI|PhotometricInterpretation 00280004 CS
    ContrastBolusAgent 00180010 LO|MagneticFieldStrength 00180087 DS|SliceThickness 00180050 DS
    NumberOfSeriesRelatedInstances 00201209 IS|SpecificCharacterSet 00080005 CS""",
}

_OURS_TEXT = {
    _P: "Collection  LO",
    _T: "StudyKey  LO",
    _S: "SeriesKey  LO|AnalysisResult  LO|License  LO|SourceDOI  LO|DataURL  UR|SizeInMB  DS|Version  LO",
}

OURS: dict[str, str] = {
    "Collection": "the archive's own name of the collection or project",
    "StudyKey": "the archive's own identifier of a study without DICOM UID; `derived:` if it names none",
    "SeriesKey": "the archive's own identifier of a series, or image, without DICOM UID",
    "AnalysisResult": "the analysis-results collection that a derived series belongs to",
    "License": "the licence under which the data may be used, in the archive's short form",
    "SourceDOI": "the DOI to cite for the data",
    "DataURL": "where the archive keeps the data itself",
    "Version": "which state of the data it is: the archive's revision, ETag, hash or versioned identifier",
    "SizeInMB": "size of the data in megabytes (10**6 bytes)",
}

OWN_KEYS = {Level.STUDY: "StudyKey", Level.SERIES: "SeriesKey"}
"""The archive's own identifier of an entity, by level."""

# usual keywords that may have several values in one record: those of VM 1-n in PS3.6, and a collection
SEVERAL = frozenset({
    "OtherPatientIDs", "OtherPatientNames", "ModalitiesInStudy", "SOPClassesInStudy", "SoftwareVersions",
    "AdmittingDiagnosesDescription", "PerformingPhysicianName", "OperatorsName", "SpecificCharacterSet",
    "Collection",
})  # fmt: skip


def _read(text: dict[Level, str]) -> dict[str, Keyword]:
    found: dict[str, Keyword] = {}
    for level, rows in text.items():
        for row in rows.replace("\n", "|").split("|"):
            if row.strip():
                name, tag, vr = re.split(r"\s", row.strip())
                found[name] = Keyword(name, tag, vr, level)
    return found


USUAL: dict[str, Keyword] = {**_read(_USUAL_TEXT), **_read(_OURS_TEXT)}
_BY_TAG = {k.tag: k for k in USUAL.values() if k.tag}
_BY_LOWER = {name.lower(): name for name in USUAL}
_TAG = re.compile(r"\(?([0-9A-Fa-f]{4}),?([0-9A-Fa-f]{4})\)?")


def keyword(text: str) -> Keyword:
    """The attribute meant by a DICOM keyword or tag (`Modality`, `00080060`, `(0008,0060)`).

    Two of them with a dot between mean an attribute of the items of a sequence.

    Raises UnknownKeyword, with the nearest keyword, when the dictionary has none.
    """
    known = USUAL.get(text)
    return known if known is not None else _look_up(text)


@functools.cache
def _every() -> dict[str, str]:
    """All keywords of single attributes that can be searched, by their lower case."""
    from pydicom._dicom_dict import DicomDictionary

    told = {entry[4].lower(): entry[4] for entry in DicomDictionary.values() if entry[4] and entry[0] != "SQ"}
    return told | _BY_LOWER


def in_any_case(text: str) -> str:
    """The keyword that is written so in upper or lower case; "" if there is none."""
    return _BY_LOWER.get(text.lower()) or _every().get(text.lower(), "")


@functools.lru_cache(maxsize=1024)
def _look_up(text: str) -> Keyword:
    if "." in text:
        return _in_sequence(text)
    as_tag = _TAG.fullmatch(text)
    if as_tag:
        tag = (as_tag[1] + as_tag[2]).upper()
        return _BY_TAG.get(tag) or _from_pydicom(text, int(tag, 16))
    from pydicom.datadict import tag_for_keyword

    number = tag_for_keyword(text)
    if number is None:
        raise UnknownKeyword(f"unknown DICOM keyword {text!r}{_suggest(text)}")
    return _from_pydicom(text, number)


def _in_sequence(text: str) -> Keyword:
    """An attribute of the items of a sequence (PS3.4 C.2.2.2.6). One level: no use of more is known."""
    names = text.split(".")
    if len(names) > 2:
        raise UnknownKeyword(f"{text!r} is nested too deeply: write SEQUENCE.KEYWORD, one level")
    outer, inner = keyword(names[0]), keyword(names[1])
    if outer.vr != "SQ":
        raise UnknownKeyword(f"{text!r}: {outer.name} is not a sequence")
    if not inner.tag:
        raise UnknownKeyword(f"{text!r}: {inner.name} does not stand in DICOM sequences")
    return Keyword(f"{outer.name}.{inner.name}", f"{outer.tag}.{inner.tag}", inner.vr, outer.level)


def _from_pydicom(text: str, number: int) -> Keyword:
    from pydicom.datadict import dictionary_VR, keyword_for_tag, tag_for_keyword

    name = keyword_for_tag(number)
    if not name:
        raise UnknownKeyword(f"unknown DICOM tag {text!r}: it is not in the public data dictionary")
    if tag_for_keyword(name) != number:  # OverlayRows, for one, is 60xx0010
        raise UnknownKeyword(f"{text!r} is one of many tags for {name}, which cannot be searched")
    vr = dictionary_VR(number).split(" ")[0]
    # an attribute of unknown level is kept with the finest entity that we ask for
    return Keyword(name, f"{number:08X}", vr, Level.SERIES)


def _suggest(text: str) -> str:
    import difflib

    from pydicom._dicom_dict import DicomDictionary

    names = {entry[4] for entry in DicomDictionary.values() if entry[4]} | set(USUAL)
    folded = _BY_LOWER.get(text.lower())
    near = [folded] if folded else difflib.get_close_matches(text, list(USUAL), 1, 0.85)
    near = near or difflib.get_close_matches(text, sorted(names), 1, 0.6)
    return f"; did you mean {near[0]}?" if near else ""
