"""Which known word a word that nobody knows was meant to be."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def near(word: str, known: Iterable[str]) -> str:
    """`; did you mean X?` with the known word nearest to this one, in any case; or nothing."""
    found = nearest(word, known)
    return f"; did you mean {found}?" if found else ""


def nearest(word: str, known: Iterable[str]) -> str:
    """The known word nearest to this one, in any case, or nothing."""
    folded = {k.lower(): k for k in known}
    found = difflib.get_close_matches(word.lower(), list(folded), 1, 0.66)
    return folded[found[0]] if found else ""
