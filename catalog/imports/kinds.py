"""Which kinds of files can be imported, and of which kind a file is, by its content."""

from __future__ import annotations

from collections import Counter

from catalog.imports import (
    bids,
    csv_mapped,
    dicom,
    dicomdir,
    loni_csv,
    loni_xml,
    midas,
    nda,
    ome,
    sidecar,
    text,
    xcede,
)
from catalog.imports.rows import File, Kind
from catalog.problems import BadFile, Unrecognized

LOOKED_AT = 200  # files of a folder that are looked into

_ALL = (
    Kind("dicomdir", "a DICOMDIR", dicomdir.VERSION, dicomdir.fits, dicomdir.read),
    Kind("dicom", "DICOM files, their headers", dicom.VERSION, dicom.fits, dicom.read, whole=True),
    Kind("bids", "a BIDS data set", bids.VERSION, bids.fits, bids.read, whole=True, unread=bids.is_data),
    Kind("sidecar", "the JSON of dcm2niix", sidecar.VERSION, sidecar.fits, sidecar.read),
    Kind("idaxs", "XML of LONI's IDA", loni_xml.VERSION, loni_xml.fits, loni_xml.read, "loni-ida"),
    Kind("loni", "tables of LONI's IDA", loni_csv.VERSION, loni_csv.fits, loni_csv.read, "loni-ida"),
    Kind("nda", "image03 of the NIMH Data Archive", nda.VERSION, nda.fits, nda.read, "nda"),
    Kind("xcede", "XCEDE of BIRN", xcede.VERSION, xcede.fits, xcede.read, "function-birn", whole=True),
    Kind("midas", "replies or tables of MIDAS", midas.VERSION, midas.fits, midas.read),
    Kind("ome", "OME-XML", ome.VERSION, ome.fits, ome.read),
    Kind("csv", "any table, by a mapping", csv_mapped.VERSION, csv_mapped.fits, csv_mapped.read),
)
KINDS: dict[str, Kind] = {kind.name: kind for kind in _ALL}


def kind(name: str) -> Kind:
    """A kind by its name. Raises BadFile with those that are known."""
    if name not in KINDS:
        raise BadFile(f"unknown kind {name!r}; known are {', '.join(KINDS)}")
    return KINDS[name]


def recognized(files: list[File], delimiter: str = "") -> Kind:
    """The kind of a file, or the one kind of a folder. Raises BadFile where none, or several, fit.

    `delimiter` divides the columns of tables, if the user says what does.
    """
    if len(files) > 1 and any(file.name in bids.MARKS for file in files):
        return KINDS["bids"]
    found: Counter[str] = Counter()
    for file in _looked_at(files):
        name = _of(file, delimiter)
        if name:
            found[name] += 1
    if not found:
        raise Unrecognized(f"{_what(files)}: {_how(files, delimiter)}")
    if "dicom" in found:
        found.pop("dicomdir", None)
    if len(found) > 1:
        told = ", ".join(f"{name} ({n})" for name, n in found.most_common())
        raise BadFile(f"{_what(files)}: files of several kinds: {told}; say with --as which to take")
    return KINDS[next(iter(found))]


def _how(files: list[File], delimiter: str) -> str:
    if not any(file.size for file in files):
        return "it is empty" if len(files) == 1 else "they are all empty"
    other = text.divided_by(text.first_line(text.head(files[0]))) if len(files) == 1 else ""
    if other and not delimiter:
        return f"nothing that is known by its content, but {text.divided(other)}"
    return f"nothing that is known by its content; say --as {'|'.join(KINDS)}"


def _what(files: list[File]) -> str:
    return files[0].path if len(files) == 1 else f"{len(files):,} files"


def _of(file: File, delimiter: str) -> str:
    beginning = text.head(file)
    if text.is_utf16(beginning):
        raise BadFile(f"{file.path}: {text.UTF16}")
    if delimiter:
        beginning = text.with_commas(beginning, delimiter)
    return next((k.name for k in KINDS.values() if k.fits(beginning)), "")


def _looked_at(files: list[File]) -> list[File]:
    """Some from everywhere."""
    step = max(1, len(files) // LOOKED_AT)
    return files[::step]
