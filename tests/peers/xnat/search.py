"""POST /data/search: a stored search as XML (`xdat:bundle`), answered with a table.

Sessions and subjects only: their fields by display name or XML path, and criteria on them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from xml.etree import ElementTree

from peers.xnat import fields
from peers.xnat.listings import Asked, Refused, Table
from peers.xnat.model import Session

XDAT = "{http://nrg.wustl.edu/security}"
DISPLAY = {
    "SESSION_ID": "id", "PROJECT": "project", "LABEL": "label", "DATE": "date", "SUBJECT_ID": "subject_id",
    "INSERT_DATE": "meta/insert_date", "MODALITY": "modality", "UID": "uid",
}  # fmt: skip
DISPLAY_SUBJECT = {"SUBJECT_ID": "id", "PROJECT": "project", "SUBJECT_LABEL": "label", "SUBJECTID": "id"}
_DIRECT = {"id": "session_id", "project": "project", "subject_id": "subject_id"}  # paths with a display field
Values = Mapping[str, str]


def search(asked: Asked, body: bytes) -> Table:
    """The rows of the root element that satisfy every criterion. Raises Refused: 422 for no search."""
    try:
        root = ElementTree.fromstring(body)  # noqa: S314 - our own tests write it
    except ElementTree.ParseError as error:
        raise Refused(422, "Unprocessable document") from error
    if root.tag not in (f"{XDAT}bundle", f"{XDAT}search"):
        raise Refused(422, "wrong document")
    element = root.findtext(f"{XDAT}root_element_name") or ""
    wanted = [_field(node) for node in root.iter(f"{XDAT}search_field")]
    where = root.find(f"{XDAT}search_where")
    test = _all(where) if where is not None else _anything
    rows = []
    for values in _rows(asked, element):
        if test(values):
            row = {key: values.get(name, "") for key, name in wanted}
            rows.append(row | {"quarantine_status": "active"})
    described = [{"key": key, "type": "string"} for key, _ in wanted] + [{"key": "quarantine_status"}]
    names = [*(key for key, _ in wanted), "quarantine_status"]
    return Table(names, rows, "", len(rows), element, described)


def _rows(asked: Asked, element: str) -> list[Values]:
    if element == "xnat:subjectData":
        return [fields.of_subject(s) for s in asked.site.visible_subjects(asked.user)]
    if element.lower() not in fields.OF_SESSIONS:
        raise Refused(500, f"Element not found: {element}")
    seen = [s for s in asked.site.visible(asked.user) if _is(s, element)]
    return [fields.of_session(s) for s in seen]


def _is(session: Session, element: str) -> bool:
    return session.xsi == element or element in fields.GENERIC


def _field(node: ElementTree.Element) -> tuple[str, str]:
    """The key of a field in the reply, and the value that it means. Raises Refused."""
    name = node.findtext(f"{XDAT}field_ID") or ""
    element = node.findtext(f"{XDAT}element_name") or ""
    if "/" in name:
        path = name.partition("/")[2].lower()
        kind = element.partition(":")[2].lower()
        return _DIRECT.get(path, f"xnat_col_{kind}{re.sub('[^a-z0-9]', '', path)}"), path
    known = DISPLAY_SUBJECT if element == "xnat:subjectData" else DISPLAY
    if name.upper() not in known:
        raise Refused(500, f"Display field not found: {name}")
    return name.lower(), known[name.upper()]


def _anything(values: Values) -> bool:
    del values
    return True


def _all(node: ElementTree.Element) -> Callable[[Values], bool]:
    """The criteria below a node, joined by its method."""
    tests = [_criterion(child) for child in node.findall(f"{XDAT}criteria")]
    tests += [_all(child) for child in node.findall(f"{XDAT}child_set")]
    join = any if node.get("method") == "OR" else all
    return lambda values: not tests or join(test(values) for test in tests)


def _criterion(node: ElementTree.Element) -> Callable[[Values], bool]:
    path = node.findtext(f"{XDAT}schema_field") or ""
    sign = (node.findtext(f"{XDAT}comparison_type") or "=").strip()
    wanted = node.findtext(f"{XDAT}value") or ""
    element, _, name = path.partition("/")
    known = DISPLAY_SUBJECT if element == "xnat:subjectData" else DISPLAY
    field = known.get(name.upper(), name.lower())
    return lambda values: _compare(values.get(field, ""), sign, wanted)


def _compare(held: str, sign: str, wanted: str) -> bool:
    if sign == "LIKE":
        pattern = "".join({"%": ".*", "_": "."}.get(c, re.escape(c)) for c in wanted)
        return re.fullmatch(pattern, held, re.DOTALL) is not None
    if re.fullmatch(r"\d\d/\d\d/\d{4}", wanted):
        wanted = datetime.strptime(wanted, "%m/%d/%Y").date().isoformat()
        held = held[:10]
    return {
        "=": held == wanted, "!=": held != wanted, ">": held > wanted, ">=": held >= wanted,
        "<": held < wanted, "<=": held <= wanted, "IN": held in wanted.split(","),
    }.get(sign, False)  # fmt: skip
