"""OME-XML: images of microscopes. An image is a series of general microscopy (DICOM's term GM)."""

from __future__ import annotations

from pathlib import PurePath

from catalog.imports import words, xml_tree
from catalog.imports.rows import BY_FOLDER, File, Found, Options, Rejected, Row
from catalog.imports.xml_tree import Node
from catalog.keywords import Level

VERSION = 1


def fits(beginning: bytes) -> bool:
    """Whether its root is `OME`."""
    return xml_tree.root_of(beginning) == "OME"


def read(files: list[File], options: Options) -> Found:
    """A row for each image of each file."""
    del options
    for file in files:
        root = xml_tree.tree(file)
        name = file.name or PurePath(file.path).name
        images = list(root.every("Image"))
        for image in images:
            yield Row(Level.SERIES, _values(root, image, name), image.line, file.name, BY_FOLDER)
        if not images:
            yield Rejected(root.line, "it tells of no image", file.name)


def _values(root: Node, image: Node, name: str) -> dict[str, str | None]:
    said = {kind: node.said.get("Name") for kind in ("Project", "Dataset") for node in root.every(kind)}
    moment = image.child("AcquisitionDate")
    scope = next((m for i in _used(root, image) for m in i.every("Microscope")), None)
    return {
        "Collection": said.get("Project"),
        "StudyDescription": said.get("Dataset"),
        "StudyKey": name,
        "StudyDate": words.date(moment),
        "SeriesKey": f"{name}#{image.said.get('ID', '')}",
        "SeriesDescription": image.said.get("Name") or image.child("Name"),
        "SeriesDate": words.date(moment),
        "SeriesTime": words.time(moment),
        "Modality": "GM",
        "Manufacturer": scope.said.get("Manufacturer") if scope else None,
        "ManufacturerModelName": scope.said.get("Model") if scope else None,
        "ImageComments": image.child("Description"),
    }


def _used(root: Node, image: Node) -> list[Node]:
    """The instruments that an image refers to."""
    wanted = {node.said.get("ID") for node in image.every("InstrumentRef")}
    return [node for node in root.every("Instrument") if node.said.get("ID") in wanted]
