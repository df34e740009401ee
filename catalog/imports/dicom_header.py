"""The header of one DICOM file: the attributes that a catalog keeps.

pydicom's parser finds the elements. Plain text, which nearly all of them are, is taken as it stands; other
values, and files that are not as PS3.10 wants them, are pydicom's to read. Pixels are never read.
"""

from __future__ import annotations

import functools
import io
import os
import zlib
from collections.abc import Iterable, MutableSequence
from pathlib import Path
from typing import Any, BinaryIO

from pydicom import config, dcmread
from pydicom.charset import convert_encodings
from pydicom.dataelem import DataElement, RawDataElement, convert_raw_data_element
from pydicom.errors import InvalidDicomError
from pydicom.filereader import ENCODED_VR, data_element_generator
from pydicom.tag import Tag
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    MediaStorageDirectoryStorage,
)
from pydicom.valuerep import EXPLICIT_VR_LENGTH_32

from catalog.keywords import USUAL, keyword

Values = dict[str, tuple[str, ...]]

_MORE = (
    "ImageType",
    "MRAcquisitionType",
    "RepetitionTime",
    "EchoTime",
    "FlipAngle",
    "ConvolutionKernel",
    "KVP",
)
_NOT = frozenset({"SpecificCharacterSet", "ModalitiesInStudy", "SOPClassesInStudy"})
KEYWORDS = (
    *(k for k, key in USUAL.items() if key.tag and not k.startswith("NumberOf") and k not in _NOT),
    *_MORE,
)

INFLATED = 64 << 20  # bytes that a deflated file may become before its header has ended
_HEAD = 1 << 16  # bytes that hold the header of nearly every file
_PREFIXED, _CHARSET, _END = 132, 0x00080005, 0x52  # groups from 52xx on describe frames, or are pixels
_UNDEFINED = 0xFFFFFFFF  # a length that is not said (PS3.5 7.1.1)
_NAMES = {int(Tag(name)): (name, keyword(name).vr) for name in (*KEYWORDS, "SOPInstanceUID")}
_TAGS: list[Any] = [Tag(tag) for tag in _NAMES]
_TEXT = frozenset("AE AS CS DA DS DT IS LO LT PN SH ST TM UC UI UR UT".split())
_SINGLE = frozenset({"LT", "ST", "UR", "UT"})  # a backslash is part of the value (PS3.5 6.4)
_AFTER = b"\xfc\xff\xfc\xffUL\0\0"  # an element behind the last: it is found if that one is whole
_META = (b"\2\0\0\0", b"\2\0\1\0", b"\2\0\2\0")  # the beginning of file meta information without the prefix
_BARE = tuple(bytes((8, 0, element, 0)) for element in (0x00, 0x01, 0x05, 0x08, 0x16, 0x18))

config.settings.reading_validation_mode = config.IGNORE


CUT = "cut off: it ends within an element"


class Damaged(Exception):
    """Why a file cannot be taken."""


def header(path: str) -> Values | str:
    """What a file says of its image, series, study and patient, or why it cannot be read."""
    try:
        with Path(path).open("rb") as file:
            return _header(file, os.fstat(file.fileno()).st_size)
    except InvalidDicomError:
        return "not a DICOM file"
    except Damaged as error:
        return str(error)
    except OSError as error:
        return f"it cannot be read: {error.strerror}"
    except Exception as error:  # noqa: BLE001 - a damaged file can raise anything in a parser
        return f"its header cannot be read ({type(error).__name__})"


def _header(file: BinaryIO, size: int) -> Values:
    head = file.read(_HEAD)
    begin = _PREFIXED if head[128:_PREFIXED] == b"DICM" else 0
    if not begin and not head.startswith(_META):
        return _bare(file, head)
    stream = io.BytesIO(head + _AFTER if len(head) == size else head)
    storage, syntax = _meta(stream, begin)
    if storage == MediaStorageDirectoryStorage:
        raise Damaged("a DICOMDIR: the files themselves are read")
    if not syntax:
        return _of(_by_pydicom(file))
    begin = stream.tell()
    if syntax == DeflatedExplicitVRLittleEndian:
        found: list[Any] | None = _inflated(file, begin)
    else:
        found = _elements(stream, size, begin, syntax)
        if found is None:
            found = _elements(file, size, begin, syntax)
    return {**_of(found or ()), "TransferSyntaxUID": (syntax,)}


def _bare(file: BinaryIO, head: bytes) -> Values:
    """A data set without PS3.10's prefix, as old devices wrote it: taken only if it names its series."""
    said = _of(_by_pydicom(file)) if head.startswith(_BARE) else {}
    if not said.get("SOPInstanceUID") or not said.get("SeriesInstanceUID"):
        raise Damaged("not a DICOM file")
    return said


def _by_pydicom(file: BinaryIO) -> Iterable[Any]:
    """The elements of a file that does not say how it is written."""
    file.seek(0)
    found = list(dcmread(file, force=True, stop_before_pixels=True, specific_tags=_TAGS).elements())
    _complete(found)
    return found


def _meta(stream: BinaryIO, begin: int) -> tuple[str, str]:
    """The storage class and the transfer syntax of the file meta information (PS3.10 7.1), which is read."""
    stream.seek(begin)
    elements = data_element_generator(stream, False, True, lambda tag, *_: tag >> 16 != 2)
    said = {int(element.tag): element.value for element in elements}
    return _text(said.get(0x00020002)), _text(said.get(0x00020010))


def _text(value: Any) -> str:
    return bytes(value or b"").decode("ascii", "replace").strip(" \0")


def _elements(stream: BinaryIO, size: int, begin: int, syntax: str) -> list[Any] | None:
    """The elements that are wanted; None where more of the file is needed than `stream` has.

    Raises Damaged for a file that ends within an element.
    """
    stopped: list[int] = []
    stream.seek(begin)
    implicit = syntax == ImplicitVRLittleEndian and stream.read(6)[4:] not in ENCODED_VR  # some say it only

    def stop(tag: int, vr: str | None, length: int) -> bool:
        if tag >> 24 < _END:  # a shift is quicker than pydicom's comparison of tags
            return False
        stopped.append(0 if length == _UNDEFINED else length + (12 if vr in EXPLICIT_VR_LENGTH_32 else 8))
        return True

    stream.seek(begin)
    little = syntax != ExplicitVRBigEndian
    found = list(data_element_generator(stream, implicit, little, stop, specific_tags=_TAGS))
    _complete(found)
    end = stream.tell()
    if stopped and end == size:  # without pixels, and whole
        return found
    if isinstance(stream, io.BytesIO) and not stopped and len(stream.getbuffer()) < size:
        return None
    if end + sum(stopped) > size + 1:  # the last byte may be padding that was forgotten
        raise Damaged(CUT)
    return found


def _complete(elements: Iterable[Any]) -> None:
    """Raises Damaged where a value is shorter than it says, which pydicom passes over."""
    for one in elements:
        if isinstance(one, RawDataElement) and len(one.value or b"") < one.length != _UNDEFINED:
            raise Damaged(CUT)


def _inflated(file: BinaryIO, begin: int) -> list[Any]:
    """The elements of a deflated data set (PS3.5 A.5), of which no more is inflated than a header takes."""
    file.seek(begin)
    inflating, inflated = zlib.decompressobj(-zlib.MAX_WBITS), bytearray()
    while len(inflated) < INFLATED and not inflating.eof:
        part = inflating.unconsumed_tail or file.read(_HEAD)
        if not part:
            raise Damaged(CUT)
        inflated += inflating.decompress(part, INFLATED - len(inflated))
    size = len(inflated) if inflating.eof else 1 << 62
    found = _elements(io.BytesIO(inflated + _AFTER if inflating.eof else inflated), size, 0, "")
    if found is None:
        raise Damaged(f"its header is not within {INFLATED:,} inflated bytes")
    return found


def _of(elements: Iterable[Any]) -> Values:
    """The values of elements by keyword, in DICOM's text."""
    several = {int(element.tag): element for element in elements}
    encodings: list[str] = []
    found: Values = {}
    for tag, (name, vr) in _NAMES.items():
        element = several.get(tag)
        if element is None:
            continue
        values = _plain_values(element, vr)
        if values is None:
            encodings = encodings or _encodings(several.get(_CHARSET))
            values = _converted(element, encodings)
        if values:
            found[name] = values
    return found


def _plain_values(element: Any, vr: str) -> tuple[str, ...] | None:
    """The values of an element of text in ASCII; None for any other."""
    if vr not in _TEXT or not isinstance(element, RawDataElement) or element.VR not in (vr, None):
        return None
    return _plain(element.value or b"", vr in _SINGLE)


@functools.lru_cache(50_000)
def _plain(value: bytes, single: bool) -> tuple[str, ...] | None:
    if not value.isascii() or b"\x1b" in value:  # an escape sequence changes what follows
        return None
    text = value.decode("ascii")
    several = [text] if single else text.split("\\")
    return tuple(bare for one in several if (bare := one.strip(" \0")))


def _encodings(element: Any) -> list[str]:
    if isinstance(element, RawDataElement):
        element = convert_raw_data_element(element)
    return convert_encodings(element.value if element is not None else None)


def _converted(element: Any, encodings: list[str]) -> tuple[str, ...]:
    if isinstance(element, RawDataElement):
        element = convert_raw_data_element(element, encoding=encodings)
    return _shown(element)


def _shown(element: DataElement) -> tuple[str, ...]:
    value = element.value
    if value is None or value == "":
        return ()
    several = value if isinstance(value, MutableSequence | tuple) else [value]
    return tuple(text for one in several if (text := str(one).strip(" \0")))


def texts(data: Any, name: str) -> tuple[str, ...]:
    """The values of an attribute of a pydicom data set, as DICOM writes them."""
    element = data.get(Tag(name))
    return () if element is None else _shown(element)
