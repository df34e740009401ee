"""Options of a federation entry, read by adapters: each has the right type, and none is left over unknown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from broker.errors import BadConfig
from catalog.archives import Archive
from catalog.capability import Kind, Promises, Proof
from catalog.keywords import UnknownKeyword, keyword
from catalog.nearest import near


class Options:
    """The options of one archive; what is wrong raises BadConfig naming archive and option."""

    def __init__(self, archive: Archive) -> None:
        self.archive = archive.name
        self._adapter = archive.adapter
        self._all = archive.options
        self._left = dict(archive.options)
        self._read: set[str] = set()

    def _take(self, option: str, usual: object) -> Any:
        self._read.add(option)
        return self._left.pop(option, usual)

    def given(self, option: str) -> bool:
        """Whether anything is said."""
        return option in self._all

    def text(self, option: str, usual: str = "") -> str:
        """A text."""
        value = self._take(option, usual)
        if not isinstance(value, str) or "\0" in value:
            raise self.wrong(option, "must be a text")
        return value

    def one_of(self, option: str, known: tuple[str, ...]) -> str:
        """One of some words, the first where nothing is said."""
        value = self.text(option, known[0])
        if value not in known:
            raise self.wrong(option, f"must be one of {', '.join(repr(k) for k in known)}")
        return value

    def address(self, option: str, usual: str) -> str:
        """Where something is reached by HTTP."""
        value = self.text(option, usual)
        if self.given(option) and not value.startswith(("http://", "https://")):
            raise self.wrong(option, "must be an address: write it with its scheme, as in https://host/path")
        return value

    def number(self, option: str, usual: int) -> int:
        """A positive whole number."""
        value = self._take(option, usual)
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise self.wrong(option, "must be a positive whole number")
        return value

    def switch(self, option: str, usual: bool) -> bool:
        """True or false."""
        value = self.flag(option)
        return usual if value is None else value

    def flag(self, option: str) -> bool | None:
        """True or false, or None where nothing is said."""
        value = self._take(option, None)
        if value is not None and not isinstance(value, bool):
            raise self.wrong(option, "must be true or false")
        return value

    def proof(self, option: str) -> Proof:
        """What is declared, or that it is open."""
        return {None: Proof.OPEN, True: Proof.YES, False: Proof.NO}[self.flag(option)]

    def file(self, option: str) -> str | None:
        """A file that is there."""
        value = self.text(option)
        if value and not Path(value).expanduser().is_file():
            raise self.wrong(option, f"there is no file {value}")
        return str(Path(value).expanduser()) if value else None

    def keywords(self, option: str) -> tuple[str, ...]:
        """A list of DICOM keywords."""
        value = self._take(option, [])
        if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
            raise self.wrong(option, "must be a list of keywords")
        try:
            return tuple(keyword(v).name for v in value)
        except UnknownKeyword as error:
            raise self.wrong(option, str(error)) from error

    def records(self, option: str) -> list[dict[str, Any]]:
        """A list of tables keyword = value."""
        given = self._take(option, [])
        if not isinstance(given, list) or not all(isinstance(one, dict) for one in given):
            raise self.wrong(option, "must be a list of tables keyword = value")
        for name in dict.fromkeys(name for one in given for name in one):
            try:
                keyword(name)
            except UnknownKeyword as error:
                raise self.wrong(option, str(error)) from error
        return given

    def promises(self, option: str) -> Promises:
        """A table of keyword = [kinds of matching]."""
        given = self._take(option, {})
        if not isinstance(given, dict) or not all(isinstance(words, list) for words in given.values()):
            raise self.wrong(option, "must be a table of keyword = [kinds of matching]")
        kinds = {k.value: k for k in Kind}
        unknown = sorted({str(w) for words in given.values() for w in words} - kinds.keys())
        if unknown:
            raise self.wrong(option, f"has the unknown kind {unknown[0]!r}; known are {', '.join(kinds)}")
        return {key: frozenset(kinds[w] for w in words) for key, words in given.items()}

    def done(self) -> None:
        """Nothing may be left."""
        if self._left:
            wrong = min(self._left)
            meant = near(wrong, self._read)
            known = f"known are {', '.join(sorted(self._read))}" if self._read else "it has none"
            raise BadConfig(
                f"archive {self.archive}: unknown option {wrong!r} for {self._adapter}; {known}{meant}"
            )

    def wrong(self, option: str, why: str) -> BadConfig:
        """What is wrong with an option, to be raised."""
        return BadConfig(f"archive {self.archive}: option {option} {why}")
