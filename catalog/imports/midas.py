"""What a MIDAS server gives: replies of its API as JSON, or its tables as XML (`dataset`).

An item is a series; DICOM's attributes stand in its metadata with the element `DICOM`, some under the names
that DCMTK gave them before 2011 (PatientsSex).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import PurePath
from typing import Any

from catalog.imports import json_file, words, xml_tree
from catalog.imports.rows import File, Found, Options, Rejected, Row
from catalog.imports.text import label
from catalog.imports.xml_tree import Node
from catalog.keywords import Level, UnknownKeyword, keyword
from catalog.problems import BadFile

VERSION = 1
_TAG = re.compile(rb'"(?:metadata_id|item_id)"')
_TABLES = re.compile(rb"<(?:item|metadata|itemrevision) \w*_id=")


def fits(beginning: bytes) -> bool:
    """Whether it is a reply with items or metadata, or a `dataset` of its tables."""
    bare = beginning.lstrip(b"\xef\xbb\xbf \t\r\n")
    if bare[:1] in (b"{", b"["):
        return _TAG.search(beginning) is not None
    return xml_tree.root_of(beginning) == "dataset" and _TABLES.search(beginning) is not None


def read(files: list[File], options: Options) -> Found:
    """A row for each item that has metadata of DICOM's."""
    del options
    for file in files:
        beginning = _beginning(file)
        told = _items_of_xml(xml_tree.tree(file)) if beginning == b"<" else _items_of_json(file)
        for item in told:
            yield _row(item, file.name)


def _beginning(file: File) -> bytes:
    with file.open() as stream:
        return stream.read(256).lstrip(b"\xef\xbb\xbf \t\r\n")[:1]


Item = tuple[str, str, int, list[tuple[str, str]], str]
"""Its ID, its name, its line, its metadata, and how it is told apart where a file's name is its ID."""

_APART = "name each file after the item_id of its item, or say another --archive"


def _items_of_json(file: File) -> Iterator[Item]:
    """Items with a list `metadata`; or the metadata of one item, which the file is named after."""
    said = json_file.load(file)
    if isinstance(said, dict) and "body" in said:
        said = said["body"]
    if isinstance(said, dict) and "stat" in said:
        if said.get("stat") != "ok":
            raise BadFile(f"{label(file)}: MIDAS refused this request: {said.get('message')}")
        said = said.get("data")
    found = said if isinstance(said, list) else [said]
    if found and all(isinstance(one, dict) and "qualifier" in one for one in found):
        yield PurePath(file.name or file.path).stem, "", 0, _pairs(found), _APART
        return
    for one in found:
        if isinstance(one, dict) and one.get("item_id"):
            yield str(one["item_id"]), str(one.get("name") or ""), 0, _pairs(one.get("metadata")), ""


def _pairs(metadata: Any) -> list[tuple[str, str]]:
    told = [one for one in metadata if isinstance(one, dict)] if isinstance(metadata, list) else []
    return [
        (str(one.get("qualifier")), str(one.get("value") or ""))
        for one in told
        if one.get("element") == "DICOM"
    ]


def _items_of_xml(root: Node) -> Iterator[Item]:
    """Items of the tables, with the values of their last revision."""
    tables: dict[str, list[Node]] = {}
    for node in root.children:
        tables.setdefault(node.name, []).append(node)
    kinds = {n.said.get("metadata_id"): n.said for n in tables.get("metadata", ())}
    item_of = {n.said.get("itemrevision_id"): n.said.get("item_id") for n in tables.get("itemrevision", ())}
    values: dict[str | None, list[tuple[str, str]]] = {}
    for node in tables.get("metadatavalue", ()):
        kind: Mapping[str, str] = kinds.get(node.said.get("metadata_id"), {})
        if kind.get("element") == "DICOM":
            item = node.said.get("item_id") or item_of.get(node.said.get("itemrevision_id"))
            values.setdefault(item, []).append((kind.get("qualifier", ""), node.said.get("value", "")))
    for node in tables.get("item", ()):
        item = node.said.get("item_id", "")
        yield item, node.said.get("name", ""), node.line, values.get(item, []), ""


def _row(told: Item, file: str) -> Row | Rejected:
    item, name, line, pairs, apart = told
    said: dict[str, str | None] = {}
    for qualifier, value in pairs:
        known = _keyword(qualifier)
        if known:
            said[known] = words.said(value)
    if not said:
        return Rejected(line, f"item {item} has no metadata of DICOM's", file)
    return Row(
        Level.SERIES, {"SeriesDescription": name or None, **said, "SeriesKey": item}, line, file, apart
    )


def _keyword(qualifier: str) -> str:
    """The keyword of a qualifier, also by an old name; "" for what is no attribute."""
    for name in (
        qualifier,
        re.sub(r"^Patients(?=[A-Z])", "Patient", qualifier),
        qualifier.replace("rsM", "rM"),
    ):
        try:
            key = keyword(name)
        except UnknownKeyword:
            continue
        return "" if key.vr == "SQ" or key.sequence else key.name
    return ""
