"""Which known word a word that nobody knows was meant to be."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable


def near(word: str, known: Iterable[str]) -> str:
    """`; did you mean X?` with the known word nearest to this one, in any case; or nothing."""
    found = nearest(word, known)
    return f"; did you mean {found}?" if found else ""


def nearest(word: str, known: Iterable[str]) -> str:
    """The known word nearest to this one, in any case, or nothing."""
    folded = {k.lower(): k for k in known}
    whole = sorted((low for low in folded if word.lower() in re.split("[-_ ]", low)), key=len)
    if word and whole and all(low.startswith(whole[0]) for low in whole):
        return folded[whole[0]]  # `ida` is loni-ida (or loni-ida-software) rather than midas
    found = difflib.get_close_matches(word.lower(), list(folded), 1, 0.66)
    return folded[found[0]] if found else ""
