"""Columns of a table by their names, which archives spell in several ways."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from catalog.imports import words


class Columns:
    """Where the columns are that a reader knows: its word -> the place of the first alias that is there."""

    def __init__(self, header: Iterable[str], aliases: Mapping[str, Iterable[str]]) -> None:
        places = {_bare(name): at for at, name in enumerate(header)}
        found = {
            word: next((places[b] for b in map(_bare, told) if b in places), None)
            for word, told in aliases.items()
        }
        self._at = {word: at for word, at in found.items() if at is not None}

    def has(self, word: str) -> bool:
        """Whether there is such a column."""
        return word in self._at

    def of(self, cells: list[str]) -> dict[str, str | None]:
        """What a line says, by word."""
        return {word: words.said(cells[at]) for word, at in self._at.items()}


def _bare(name: str) -> str:
    """A name as programs write it differently: `Image Data ID` is `Image.Data.ID` in R."""
    return re.sub(r"[\s._-]+", " ", name).strip().lower()
