"""The data model that the server describes: a small XML schema of our own; what can be searched."""

from __future__ import annotations

from peers.xnat.fields import SCAN_TYPES, SESSION_TYPES, SESSIONS
from peers.xnat.listings import Table
from peers.xnat.model import Project

HEAD = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    '<xs:schema targetNamespace="http://nrg.wustl.edu/xnat" xmlns:xnat="http://nrg.wustl.edu/xnat" '
    'xmlns:xdat="http://nrg.wustl.edu/xdat" xmlns:xs="http://www.w3.org/2001/XMLSchema" '
    'elementFormDefault="qualified" attributeFormDefault="unqualified">\n'
)
LABEL = '<xs:annotation><xs:appinfo><xdat:element displayIdentifiers="label"/></xs:appinfo></xs:annotation>'


def _elements(*names: str, type_: str = "xs:string") -> str:
    return "".join(f'<xs:element name="{name}" type="{type_}" minOccurs="0"/>' for name in names)


def _attributes(*names: str) -> str:
    return "".join(f'<xs:attribute name="{name}" type="xs:string"/>' for name in names)


def _list(name: str, item: str, type_: str) -> str:
    one = f'<xs:element name="{item}" type="{type_}" minOccurs="0" maxOccurs="unbounded"/>'
    return (
        f'<xs:element name="{name}" minOccurs="0"><xs:complexType><xs:sequence>{one}</xs:sequence>'
        "</xs:complexType></xs:element>"
    )


def _type(name: str, body: str, attributes: str = "", base: str = "", note: str = "") -> str:
    inside = f"<xs:sequence>{body}</xs:sequence>{attributes}"
    if base:
        inside = (
            f'<xs:complexContent><xs:extension base="xnat:{base}">{inside}</xs:extension></xs:complexContent>'
        )
    return f'<xs:complexType name="{name}">{note}{inside}</xs:complexType>\n'


def _xnat() -> str:
    scanner = (
        '<xs:element name="scanner" minOccurs="0"><xs:complexType><xs:simpleContent><xs:extension '
        f'base="xs:string">{_attributes("manufacturer", "model")}</xs:extension></xs:simpleContent>'
        "</xs:complexType></xs:element>"
    )
    share = _list("sharing", "share", "xnat:experimentData_share")
    types = [
        _type("abstractResource", _elements("note"), _attributes("label", "file_count", "file_size")),
        _type("resource", "", _attributes("URI", "format", "content"), "abstractResource"),
        _type("resourceCatalog", "", "", "resource"),
        _type("experimentData_share", "", _attributes("label", "project")),
        _type("abstractDemographicData", ""),
        _type(
            "demographicData",
            _elements("dob", type_="xs:date") + _elements("gender", "handedness"),
            "",
            "abstractDemographicData",
        ),
        _type("projectData", _elements("name", "description", "keywords"), _attributes("ID", "secondary_ID")),
        _type(
            "subjectData",
            '<xs:element name="demographics" type="xnat:abstractDemographicData" minOccurs="0"/>' + share,
            _attributes("ID", "project", "label", "group", "src"),
            note=LABEL,
        ),
        _type(
            "experimentData",
            _elements("date", type_="xs:date") + _elements("time", "note") + share,
            _attributes("ID", "project", "label", "visit_id"),
            note=LABEL,
        ),
        _type("subjectAssessorData", _elements("subject_ID"), "", "experimentData"),
        _type(
            "imageSessionData",
            scanner
            + _elements("dcmAccessionNumber", "dcmPatientId", "dcmPatientName", "operator", "prearchivePath")
            + _elements("dcmPatientBirthDate", type_="xs:date")
            + _list("scans", "scan", "xnat:imageScanData"),
            _attributes("UID", "modality", "session_type", "study_id"),
            "subjectAssessorData",
        ),
        _type(
            "imageScanData",
            scanner
            + _elements("image_session_ID", "note", "quality", "condition", "series_description", "frames")
            + _elements("startTime", "start_date", "bodyPartExamined", "protocolName")
            + '<xs:element name="file" type="xnat:abstractResource" minOccurs="0" maxOccurs="unbounded"/>',
            _attributes("ID", "UID", "type", "modality", "xnat_imagescandata_id"),
        ),
    ]
    types += [_type(name.removeprefix("xnat:"), "", "", "imageSessionData") for name in SESSION_TYPES]
    types += [_type(name.removeprefix("xnat:"), "", "", "imageScanData") for name in SCAN_TYPES]
    return f"{HEAD}{''.join(types)}</xs:schema>\n"


SCHEMAS = {"xnat": _xnat(), "xdat": f"{HEAD.replace('wustl.edu/xnat', 'wustl.edu/xdat')}</xs:schema>\n"}


def elements(counts: dict[str, int], extra: int) -> Table:
    """The elements that can be searched; `extra` further ones, as plug-ins bring them."""
    names = {"xnat:projectData": "Project", "xnat:subjectData": "Subject"}
    names |= {f"xnat:{short}SessionData": f"{title} Session" for short, title in SESSIONS.items()}
    names |= {f"ext:type{number}Data": f"Extension {number}" for number in range(extra)}
    rows = [
        {
            "ELEMENT_NAME": name, "SINGULAR": title, "PLURAL": f"{title}s", "SECURED": "true",
            "COUNT": str(counts.get(name, 0)),
        }
        for name, title in names.items()
    ]  # fmt: skip
    return Table(list(rows[0]), rows, "Data-Types", len(rows))


def element_fields(element: str, names: list[str], readable: list[Project]) -> Table:
    """The fields of an element: its own, and one for every project that the user may read."""
    kind = element.upper().replace(":", "_")
    own = [(name, name.title()) for name in names]
    own += [(f"{kind}_PROJECT_IDENTIFIER={p.id}", f"Label within the {p.id} project.") for p in readable]
    rows = [
        {
            "FIELD_ID": name, "HEADER": title, "SUMMARY": f"{kind}.{name}", "TYPE": "string",
            "REQUIRES_VALUE": "false", "DESC": title, "ELEMENT_NAME": element, "SRC": "0",
        }
        for name, title in own
    ]  # fmt: skip
    return Table(list(rows[0]) if rows else ["FIELD_ID"], rows, "Search Fields", len(rows))
