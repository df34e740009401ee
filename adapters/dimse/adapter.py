"""DICOM archives over the network: C-FIND, C-GET and C-ECHO as an SCU (PS3.4 C.4.1, A.4; PS3.7; PS3.8).

One association for one question, no more at once than the archive bears, all of it on the event loop: an
archive that hangs holds neither a thread nor its neighbours.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from adapters.dimse import levels
from adapters.dimse.learn import learned
from adapters.dimse.link import Peer
from adapters.dimse.options import CHARSETS, ROOTS, UTF8, peer, told
from adapters.dimse.pdu import Negotiated
from adapters.dimse.pool import Pool
from adapters.dimse.rows import shown
from adapters.dimse.whole import whole
from adapters.shared.halves import splits
from adapters.shared.options import Options
from broker.adapter import Ask, Page, Received, Wanted
from broker.query import Condition
from catalog.archives import Archive
from catalog.capability import Can, Kind, Promises, Proof
from catalog.keywords import OURS, Level, keyword

if TYPE_CHECKING:
    from adapters.dimse.get import Getters
    from broker.probing.finding import Probed

_TEXT = frozenset({Kind.SINGLE, Kind.WILDCARD})
_ONE = frozenset({Kind.SINGLE})
_LIST = frozenset({Kind.SINGLE, Kind.ANY_OF})
_DATE = frozenset({Kind.SINGLE, Kind.RANGE})

# the required and unique keys of PS3.4 C.6.1.1 and C.6.2.1, less what archives read in ways of their own
_PATIENT: Promises = {"PatientID": _TEXT, "PatientName": _TEXT}
_STUDY: Promises = {
    "StudyInstanceUID": _ONE,
    "StudyDate": _DATE,
    "AccessionNumber": _TEXT,
    "StudyID": _TEXT,
}
_SERIES: Promises = {"SeriesInstanceUID": _ONE, "Modality": _ONE}

_BY_LEVEL: Mapping[Level, Promises] = MappingProxyType(
    {
        Level.PATIENT: _PATIENT,
        Level.STUDY: {**_PATIENT, **_STUDY},
        Level.SERIES: {**_PATIENT, **_STUDY, **_SERIES},
    }
)
_HOPED: Promises = {"StudyInstanceUID": _LIST, "ModalitiesInStudy": _ONE}

STUDY_ROOT = Can(
    levels=frozenset({Level.STUDY, Level.SERIES}),
    by_level={level: _BY_LEVEL[level] for level in (Level.STUDY, Level.SERIES)},
    hopes=dict.fromkeys((Level.STUDY, Level.SERIES), _HOPED),
    any_text=Proof.OPEN,
    any_case_pn=Proof.OPEN,
    absent=frozenset(OURS),
    stars=3,
    odd="%_[",  # Orthanc 1.10 makes spaces of `%` and `_` in what it keeps, and trims them
    cite="PS3.4 C.6.2.1, required keys",
)
PATIENT_ROOT = replace(
    STUDY_ROOT, levels=frozenset(Level), by_level=_BY_LEVEL, cite="PS3.4 C.6.1.1, required keys"
)
CAN = {"study": STUDY_ROOT, "patient": PATIENT_ROOT}


class Dimse:
    """One archive that answers C-FIND."""

    def __init__(
        self,
        name: str,
        at: Peer,
        can: Can | None = None,
        charset: str = UTF8,
        relational: bool | None = None,
    ) -> None:
        self.name = name
        self.can = can or CAN[at.root]
        self.via = f"C-FIND {at.root.capitalize()} Root"
        self._peer = at
        self._charset = charset
        self._known = levels.Known(relational)
        self.negotiated: Negotiated | None = None
        self._pool: Pool | None = None
        self._getters: Getters | None = None
        self._learned = False

    @classmethod
    def configured(cls, archive: Archive) -> Dimse:
        """From a federation entry. Options: see `docs/federation.md`. Raises BadConfig."""
        options = Options(archive)
        root = options.one_of("root", ROOTS)
        charset, relational = options.one_of("character_set", CHARSETS), options.flag("relational")
        can = told(CAN[root], options, charset)
        at = peer(archive, options, root)
        return cls(archive.name, at, can, charset, relational)

    def request(self, ask: Ask) -> str:
        """The identifier of the first question, readable, with level and AE titles."""
        first = self._questions(ask)[0]
        head = f"C-FIND {self._peer.root.capitalize()} Root, {self._peer.calling} to {self._peer.called}"
        where = f"{self._peer.host}:{self._peer.port}"
        return f"{head} at {where}: {shown(first.level, first.conditions, first.fields, self._charset)}"

    async def find(self, ask: Ask) -> AsyncIterator[Page]:
        """Pages as the records come. Raises ArchiveError."""
        await self._negotiate()
        if ask.level is Level.SERIES and {c.keyword for c in ask.conditions} == {"Modality"}:
            await self.learn()  # whether studies can be asked for by their modalities
        talk, asked = self._talk(), self._questions(ask)
        dates = self.can.at(asked[0].level).kinds("StudyDate")
        split = "StudyDate" in asked[0].fields and splits(asked[0].conditions, dates)
        first = whole(talk, asked[0], splits=split)
        async with aclosing(levels.pages(talk, asked, first)) as pages:
            async for page in pages:
                yield page

    async def learn(self) -> Can:
        """What a few harmless questions tell: any case, any text, lists of UIDs. Raises ArchiveError."""
        if not self._learned:
            await self._negotiate()
            patients = self._peer.root == "patient" and not self._known.relational
            self.can = await learned(self._talk(), self.can, Level.PATIENT if patients else Level.STUDY)
            self._learned = True
        return self.can

    async def check(self) -> str:
        """Whether it is there and takes our names: one C-ECHO. Raises ArchiveError."""
        await self._negotiate()
        async with self._open().lent() as association:
            await association.echo()
        return self.via

    async def instances(self, wanted: Wanted) -> Mapping[str, str]:
        """By C-FIND at the IMAGE level. Raises ArchiveError."""
        from adapters.dimse.get import listed  # with it comes aiohttp, which no search needs

        return await listed(self._open(), self._peer.limits.records, wanted)

    async def fetch(self, wanted: Wanted, folder: Path) -> AsyncIterator[Received]:
        """By C-GET, over associations that are used again. Raises ArchiveError."""
        from adapters.dimse.get import Getters

        if self._getters is None or self._getters.loop is not asyncio.get_running_loop():
            self._getters = Getters(self._peer)
        async with aclosing(self._getters.retrieved(wanted, folder)) as parts:
            async for part in parts:
                yield part

    async def probe(self) -> Probed:
        """Services, extended negotiation, names beyond ASCII. Raises ArchiveError.

        Where patients must be asked for first, no record is asked for: a study is only found within one.
        """
        from adapters.dimse import probe
        from adapters.dimse.services import offer
        from broker.probing.finding import Probed

        found = probe.offered(await offer(self._peer))
        await self._negotiate()
        if self._peer.root == "patient" and not self._known.relational:
            return Probed(found, 1, samples=())
        found += await probe.texts(self._talk(), self.can, Level.STUDY)
        return Probed(
            found,
            1 + probe.LEARNED,
            lambda ask: probe.as_asked(self._talk(), ask),
            probe.samples(),
            frozenset({Level.STUDY, Level.SERIES}),
            by_study=True,
        )

    async def close(self) -> None:
        """Release every association."""
        pool, self._pool = self._pool, None
        if pool is not None:
            await pool.close()
        getters, self._getters = self._getters, None
        if getters is not None:
            await getters.close()

    async def _negotiate(self) -> None:
        """Notes what the archive agrees to. Once: the association is then used for the first question."""
        if self.negotiated is None:
            async with self._open().lent() as association:
                self.negotiated = agreed = association.negotiated
            if self._known.relational is None:
                self._known.relational = agreed.relational
            self.via = f"{self.via}, {agreed.implementation}" if agreed.implementation else self.via

    def _questions(self, ask: Ask) -> list[levels.Question]:
        return levels.questions(_narrowed(ask, self.can), self._peer.root, bool(self._known.relational))

    def _open(self) -> Pool:
        """The associations; new ones where another event loop runs than before."""
        if self._pool is None or self._pool.loop is not asyncio.get_running_loop():
            self._pool = Pool(self._peer)
        return self._pool

    def _talk(self) -> levels.Talk:
        return levels.Talk(self._open(), self._charset, self._peer.limits.records, self._known)


def _narrowed(ask: Ask, can: Can) -> Ask:
    """Series of a modality are only looked for in studies that have it, where that can be asked."""
    modality = next((c for c in ask.conditions if c.keyword == "Modality"), None)
    asked = {c.keyword for c in ask.conditions}
    able = Kind.SINGLE in can.at(Level.STUDY).kinds("ModalitiesInStudy")
    if ask.level is not Level.SERIES or modality is None or not able or "ModalitiesInStudy" in asked:
        return ask
    study = Condition(keyword("ModalitiesInStudy"), modality.matches)
    return replace(ask, conditions=(*ask.conditions, study))
