"""Values from archives, made harmless for where they are shown. What an archive said is never trusted."""

from __future__ import annotations

import re

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]")
_ESCAPES = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")  # controls that are neither tab nor line end
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def line(text: str) -> str:
    """Text for a terminal: no control characters, escapes or reversals of direction; one line."""
    return _CONTROL.sub("�", text.replace("\n", " ").replace("\t", " "))


def cell(text: str | None) -> str:
    """Text for a CSV cell: what a spreadsheet would run as a formula begins with an apostrophe.

    Escapes are replaced, for CSV is shown on terminals; line ends stay. JSON keeps every character.
    """
    if not text:
        return ""
    text = _ESCAPES.sub("�", text)
    bare = text.lstrip()
    if bare[:1] in ("=", "@") or text[:1] in ("\t", "\r", "\n"):
        return f"'{text}"
    if bare[:1] in ("+", "-") and not _NUMBER.fullmatch(bare):
        return f"'{text}"
    return text
