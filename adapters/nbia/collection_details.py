"""What an NBIA archive tells of one collection: modalities and body parts of its series, and how many it has.

Values come from `getModalityValues` and `getBodyPartValues`, one short reply each. A server that ignored the
collection would give those of all its series, so each is first asked of a collection that there is not.
Studies and series are those of `getPatientStudy`, patients those of `getPatient`, whose rows name their
collection.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any

from adapters.nbia.service import Door, Reply
from adapters.shared.collections import each
from broker.errors import Malformed
from catalog.collection import Collection, Count

VALUES = {
    "modalities": ("getModalityValues", "Modality"),
    "body_parts": ("getBodyPartValues", "BodyPartExamined"),
}
TELLS = frozenset({*VALUES, "patients", "studies", "series"})
CUT = 15  # characters of a body part; what is so long may have been longer
NOBODY = "no collection has this name"


async def more(
    door: Door, found: Sequence[Collection], wanted: frozenset[str], width: int
) -> AsyncGenerator[Collection, None]:
    """The collections with what is told of each. Raises ArchiveError at the end for those that failed."""
    asking = _Asking(door, wanted)
    await asking.check()
    async with aclosing(each(found, asking.tell, width)) as told:
        async for c in told:
            yield c


@dataclass(frozen=True, slots=True)
class _Asking:
    door: Door
    wanted: frozenset[str]

    async def check(self) -> None:
        """Raises Malformed where values come for a collection that there is not."""
        for endpoint, keyword in (VALUES[field] for field in sorted(self.wanted & VALUES.keys())):
            if (await self._values(endpoint, keyword, NOBODY))[0]:
                raise Malformed(f"its {endpoint} ignores which collection is asked for", "condition_ignored")

    async def tell(self, c: Collection) -> Collection:
        """One collection. Raises ArchiveError."""
        lists: dict[str, Any] = {}
        partial = set(c.partial)
        for field in sorted(self.wanted & VALUES.keys()):
            lists[field], whole = await self._values(*VALUES[field], c.id)
            partial -= {field}
            partial |= set() if whole else {field}
        counts = {**c.counts, **await self._counts(c)}
        return replace(c, counts=counts, partial=frozenset(partial), **lists)

    async def _values(self, endpoint: str, keyword: str, name: str) -> tuple[tuple[str, ...], bool]:
        """The values, and whether they are all: a series without one is an empty record."""
        reply = await self.door.get(endpoint, {"Collection": name})
        given = [str(row.get(keyword) or "").strip() for row in reply.rows]
        cut = keyword == "BodyPartExamined" and any(len(text) >= CUT for text in given)
        return tuple(sorted({text for text in given if text})), all(given) and not (reply.bad or cut)

    async def _counts(self, c: Collection) -> dict[str, Count]:
        """What is wanted and not told yet, as far as this version tells it.

        That a collection which is listed had none would be a contradiction: nothing is known then.
        """
        found: dict[str, int | None] = {}
        wanted = self.wanted - c.counts.keys()
        if "patients" in wanted:
            patients = await self._rows("getPatient", c.id, "PatientID")
            found["patients"] = len({row["PatientID"] for row in patients.rows}) or None
        if wanted & {"studies", "series"}:
            studies = await self._rows("getPatientStudy", c.id, "StudyInstanceUID")
            found["studies"] = len({row["StudyInstanceUID"] for row in studies.rows}) or None
            found["series"] = self._series(studies) or None
        return {what: Count.read(n) for what, n in found.items() if n is not None}

    async def _rows(self, endpoint: str, name: str, unique: str) -> Reply:
        reply = await self.door.get(endpoint, {"Collection": name})
        if reply.bad or not all(row.get(unique) for row in reply.rows):
            raise Malformed(f"records of its {endpoint} cannot be read", "bad_shape")
        if any(str(row.get("Collection", name)).upper() != name.upper() for row in reply.rows):
            raise Malformed(f"its {endpoint} ignores which collection is asked for", "condition_ignored")
        return reply

    def _series(self, studies: Reply) -> int | None:
        """By what each study says; before v4 that counted series that are not public too."""
        of_each = {
            str(r["StudyInstanceUID"]): str(r.get("NumberOfStudyRelatedSeries", "")) for r in studies.rows
        }
        if self.door.version != "v4" or not all(n.isdecimal() and len(n) < 10 for n in of_each.values()):
            return None
        return sum(map(int, of_each.values()))
