"""Character sets: bytes by their Specific Character Set, and texts that somebody decoded wrongly.

PS3.3 C.12.1.1.2, PS3.5 6.1. pydicom does the decoding; what is here decides which decoding is right, and says
so when it had to differ from the label.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence

_ESCAPES = {
    b"\x1b$B": "ISO 2022 IR 87",
    b"\x1b(J": "ISO 2022 IR 13",
    b"\x1b)I": "ISO 2022 IR 13",
    b"\x1b$(D": "ISO 2022 IR 159",
    b"\x1b$)C": "ISO 2022 IR 149",
    b"\x1b$)A": "ISO 2022 IR 58",
    b"\x1b-A": "ISO 2022 IR 100",
    b"\x1b-B": "ISO 2022 IR 101",
    b"\x1b-L": "ISO 2022 IR 144",
    b"\x1b-F": "ISO 2022 IR 126",
    b"\x1b-G": "ISO 2022 IR 127",
    b"\x1b-H": "ISO 2022 IR 138",
    b"\x1b-M": "ISO 2022 IR 148",
    b"\x1b-T": "ISO 2022 IR 166",
}
_PLAIN: dict[tuple[str, ...], str] = {("ISO_IR 192",): "utf-8", ("ISO_IR 100",): "latin-1"}
_MISREAD = re.compile(r"[\xc2-\xf4][\x80-\xbf]")


def decoded(raw: bytes, charset: Sequence[str] = ()) -> tuple[str, bool]:
    """The text of a value, and whether its label was wrong.

    `charset` is the value of Specific Character Set, "" or none meaning ASCII. Bytes that do not fit it are
    read as UTF-8 if they are UTF-8, else as Latin-1, which fits everything.
    """
    try:
        return _by_label(raw, charset), False
    except (UnicodeDecodeError, LookupError, ValueError):
        pass
    try:
        return raw.decode("utf-8"), True
    except UnicodeDecodeError:
        return raw.decode("latin-1"), True


def _by_label(raw: bytes, charset: Sequence[str]) -> str:
    if raw.isascii() and b"\x1b" not in raw:
        return raw.decode("ascii")
    if not any(charset) and b"\x1b" not in raw:
        return raw.decode("ascii")
    if tuple(charset) in _PLAIN and b"\x1b" not in raw:
        return raw.decode(_PLAIN[tuple(charset)])  # without pydicom, which takes a while to load
    from pydicom.charset import convert_encodings, decode_bytes

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            return decode_bytes(raw, convert_encodings(list(charset) or [""]), {0x5C, 0x5E, 0x3D})
        except UserWarning as error:
            raise ValueError(str(error)) from error


def repaired(text: str) -> str:
    """A text that was decoded as Latin-1 although it was not: UTF-8 or ISO 2022 escapes. Else the same.

    >>> repaired("M\xc3\xbcller")
    'Müller'
    """
    try:
        raw = text.encode("latin-1")
    except UnicodeEncodeError:
        return text
    if b"\x1b" in raw:
        return _escaped(raw) or text
    if not _MISREAD.search(text):
        return text
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return text


def _escaped(raw: bytes) -> str | None:
    names = [name for escape, name in _ESCAPES.items() if escape in raw]
    try:
        return _by_label(raw, ["", *names]) if names else None
    except (UnicodeDecodeError, LookupError, ValueError):
        return None
