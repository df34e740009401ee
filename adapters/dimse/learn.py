"""Planted questions to a C-FIND SCP, harmless and few: what it really matches, and how.

Entities that the archive has just shown are asked for again in other ways. An answer is believed by its rows:
an archive that ignores a key says `pending` as if it had matched it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import aclosing
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from adapters.dimse.levels import Question, Row, Talk
from broker.errors import RefusedByArchive, ServerFault
from broker.matching import Value
from broker.query import Condition, Match, condition
from catalog.capability import Can, Kind, Proof
from catalog.keywords import Level, keyword

_FIELDS = (
    "unique key",
    "PatientName",
    "SpecificCharacterSet",
    "ModalitiesInStudy",
    "NumberOfStudyRelatedSeries",
    "NumberOfStudyRelatedInstances",
)
COUNTED = _FIELDS[3:]
"""What an archive has to count for itself, and may leave out."""

_SHOWN = 50
_DAYS = (30, 730, 36_500)  # how far back studies are looked for, nearest first: no archive is listed whole
_NOBODY = "ZZ"  # no modality of PS3.3 C.7.3.1.1.1


async def learned(talk: Talk, can: Can, level: Level) -> Can:
    """The capabilities with what was open now known, as far as its entities of a level allow.

    The level is the one at which the archive can be asked first: studies, or patients. Raises ArchiveError.
    """
    test = _Test(talk, level)
    await test.look()
    if not test.rows:
        return can
    if can.any_case_pn is Proof.OPEN:
        can = replace(can, any_case_pn=await test.any_case())
    if can.any_text is Proof.OPEN:
        can = replace(can, any_text=await test.any_text())
    if level is Level.STUDY:
        kept = {"ModalitiesInStudy": await test.modalities(), "StudyInstanceUID": await test.lists()}
        found = {
            at: {k: kinds for k, kinds in hoped.items() if kept.get(k)} for at, hoped in can.hopes.items()
        }
        can = replace(can.promising(found), absent=can.absent | test.lacking())
    return replace(can, cite=f"{can.cite}; a self-test just now")


class _Test:
    """The questions, about some rows of unique key, name, modalities and character set."""

    def __init__(self, talk: Talk, level: Level) -> None:
        self._talk = talk
        self._level = level
        self.rows: list[tuple[str, ...]] = []

    async def look(self) -> None:
        """Some entities: the first of the newest studies, or the first patients."""
        for conditions in self._samples():
            self.rows = [tuple(map(_written, row)) for row in await self._shown(conditions) if row[0]]
            if self.rows:
                return

    def _samples(self) -> Iterator[tuple[Condition, ...]]:
        if self._level is Level.PATIENT:
            yield ()
            return
        for days in _DAYS:
            since = datetime.now(UTC) - timedelta(days=days)
            yield (condition(f"StudyDate={since:%Y%m%d}-"),)

    async def any_case(self) -> Proof:
        """The letters of a known name in the other case, as a wildcard."""
        for uid, name, *_ in self.rows:
            word = next((w for w in name.replace("=", "^").split("^") if w.isascii() and w.isalpha()), "")
            if len(word) > 1:
                return Proof.YES if uid in await self._named(uid, word.swapcase()) else Proof.NO
        return Proof.OPEN

    async def any_text(self) -> Proof:
        """A known name beyond ASCII, as a wildcard.

        Only an archive that says all its names in UTF-8 is believed: one that keeps every study in a
        character set of its own may find some and miss others.
        """
        names = [(uid, name, charset) for uid, name, charset, *_ in self.rows if not name.isascii()]
        if not names or any(charset != "ISO_IR 192" for *_, charset in names):
            return Proof.OPEN
        for uid, name, _ in (names[0], names[-1]):
            word = max(name.replace("=", "^").split("^"), key=lambda w: (not w.isascii(), len(w)))
            if uid not in await self._named(uid, word):
                return Proof.NO
        return Proof.YES

    async def modalities(self) -> bool:
        """Whether studies are found by the last of their modalities, and not by one that nobody has."""
        several = sorted(((row[0], row[3]) for row in self.rows if row[3]), key=lambda pair: -len(pair[1]))
        if not several:
            return False
        uid, told = several[0]
        found = await self._found(uid, _one("ModalitiesInStudy", told.split("\\")[-1]))
        return found == {uid} and not await self._found(uid, _one("ModalitiesInStudy", _NOBODY))

    def lacking(self) -> frozenset[str]:
        """What every study has, if it is counted, and no study came with."""
        columns = list(zip(*(row[3:] for row in self.rows), strict=True))
        return frozenset(name for name, column in zip(COUNTED, columns, strict=True) if not any(column))

    async def lists(self) -> bool:
        """Whether two UIDs in one question find both."""
        uids = list(dict.fromkeys(row[0] for row in self.rows))[:2]
        return len(uids) == 2 and await self._found("\\".join(uids)) == set(uids)

    async def _named(self, uid: str, word: str) -> set[str]:
        name = Condition(keyword("PatientName"), (Match(Kind.WILDCARD, f"*{word}*"),))
        return await self._found(uid, name)

    async def _found(self, uid: str, *conditions: Condition) -> set[str]:
        """The unique keys that a question about one entity finds, or about several in a list."""
        rows = await self._shown((_one(self._level.uid, *uid.split("\\")), *conditions))
        return {str(row[0]) for row in rows}

    async def _shown(self, conditions: tuple[Condition, ...]) -> list[Row]:
        """The first rows that a question finds; none where the archive refuses it."""
        fields = (self._level.uid, *(_FIELDS[1:] if self._level is Level.STUDY else _FIELDS[1:3]))
        found: list[Row] = []
        try:
            async with aclosing(self._talk.rows(Question(self._level, conditions, fields))) as batches:
                async for rows in batches:
                    found += rows
                    if len(found) >= _SHOWN:
                        break
        except (RefusedByArchive, ServerFault):
            return []
        return found[:_SHOWN]


def _one(name: str, *texts: str) -> Condition:
    """A condition whose values the archive itself has given, as they are."""
    return Condition(keyword(name), tuple(Match(Kind.SINGLE, text) for text in texts))


def _written(value: Value) -> str:
    """A value as DICOM writes it."""
    return value if isinstance(value, str) else "\\".join(str(v) for v in value or ())
