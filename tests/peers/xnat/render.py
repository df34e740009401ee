"""Replies as XNAT writes them: tables in JSON put together by hand, CSV; items; Restlet's status page."""

from __future__ import annotations

import csv
import html
import io
import json
from collections.abc import Mapping
from typing import Any

from peers.xnat import fields
from peers.xnat.listings import Table
from peers.xnat.model import Project, Scan, Session, Subject

Item = dict[str, Any]
START = "2023-09-27 17:31:21.352"
LOGIN_PAGE = (
    '<!DOCTYPE html><html><head><title>Login</title></head><body><form name="form1" method="post" '
    'action="/xnat/login"><input name="username"/><input name="password" type="password"/></form>'
    "</body></html>"
)


def table(found: Table, form: str, header_fault: bool = False) -> tuple[str, str]:
    """A table and its content type. Every value is a text; the tail is not escaped (which may be a fault)."""
    if form == "csv":
        return _csv(found), "text/csv"
    if form == "xml":
        return f"<results><title>{html.escape(found.title)}</title></results>", "text/xml"
    if form == "html":
        return f"<html><body><table>{len(found.rows)} rows</table></body></html>", "text/html"
    rows = json.dumps(found.rows, ensure_ascii=False)
    tail = "".join(
        f', "{name}": "{value}"'
        for name, value in (
            ("rootElementName", found.root),
            ("totalRecords", found.total),
            ("title", found.title),
        )
        if value not in ("", None)
    )
    if header_fault:
        tail += ', "title": "a header with "quotes" in it"'
    described = json.dumps(found.described, ensure_ascii=False)
    head = f'"Columns":{described},' if found.described else ""
    return f'{{"ResultSet":{{{head}"Result":{rows}{tail}}}}}', "application/json"


def _csv(found: Table) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, found.columns, lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    writer.writerows(found.rows)
    return text.getvalue()


def items(item: Item, history: int = 0) -> str:
    """An item, with old versions of it before it."""
    old = [item | {"meta": item["meta"] | {"isHistory": True}, "children": []}] * history
    return json.dumps({"items": [*old, item]}, ensure_ascii=False)


def _item(xsi: str, data: Mapping[str, str], children: list[Item] | None = None) -> Item:
    meta = {"create_event_id": 1, "xsi:type": xsi, "isHistory": False, "start_date": START}
    filled = {key: value for key, value in data.items() if value != ""}
    return {"children": children or [], "meta": meta, "data_fields": filled}


def _child(field: str, held: list[Item]) -> list[Item]:
    return [{"field": field, "items": held}] if held else []


def project(p: Project) -> Item:
    """A project as an item."""
    return _item(
        "xnat:projectData", {"ID": p.id, "name": p.id, "secondary_ID": p.id, "description": p.description}
    )


def subject(s: Subject) -> Item:
    """A subject as an item, with its demographics as a child."""
    known = _item("xnat:demographicData", {"gender": s.gender, "dob": s.dob})
    return _item(
        "xnat:subjectData",
        {"ID": s.id, "project": s.project, "label": s.label},
        _child("demographics", [known] if known["data_fields"] else []),
    )


def session(s: Session) -> Item:
    """A session as an item, whole: with its scans, and who it is shared with."""
    shared = [
        _item("xnat:experimentData_share", {"project": project, "label": label})
        for project, label in s.shared.items()
    ]
    children = _child("scans/scan", [scan(each, s) for each in s.scans]) + _child("sharing/share", shared)
    return _item(s.xsi, _named(fields.of_session(s), fields.EXPERIMENT), children)


def scan(s: Scan, of: Session) -> Item:
    """A scan as an item, with its resources as children."""
    held = [
        _item(
            "xnat:resourceCatalog",
            {
                "xnat_abstractresource_id": str(r.number),
                "label": r.label,
                "format": r.format,
                "content": r.content,
            },
        )
        for r in s.resources
    ]
    data = _named(fields.of_scan(s), fields.SCAN) | {"image_session_ID": of.id}
    return _item(s.xsi, data, _child("file", held))


_PROPER = (
    "bodyPartExamined",
    "startTime",
    "dcmPatientBirthDate",
    "subject_ID",
    "protocolName",
    "fieldStrength",
)
_META = ("meta/insert_date", "meta/insert_user/login", "extension_item/element_name", "sharing/share/project")


def _named(values: Mapping[str, str], shortcuts: Mapping[str, str]) -> dict[str, str]:
    """Values by the names that the schema gives them, which are not in lower case."""
    proper = {name.lower(): name for name in (*shortcuts, *_PROPER)} | {"id": "ID", "uid": "UID"}
    return {proper.get(key, key): value for key, value in values.items() if key not in _META}


def status_page(status: int, message: str) -> str:
    """Restlet 1.1's page for an error."""
    head = "<html>\n<head>\n<title>Status page</title>\n</head>\n"
    return f"{head}<body>\n<h3>{html.escape(message)}</h3><p>{status}</p>\n</body>\n</html>\n"


def front_page(user: str | None) -> str:
    """The home page; xnatpy looks in it for who is logged in."""
    who = (
        '<span style="color:red;">Guest</span>'
        if user is None
        else f'&nbsp;<a href="/app/account">{user}</a>'
    )
    return f'<!DOCTYPE html><html><body><span id="user_info">Logged in as: {who}</span></body></html>'
