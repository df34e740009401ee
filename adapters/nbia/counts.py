"""What an NBIA archive counts by itself, as far as it means what is asked.

By the source of NBIA's REST API, June 2026 (ValueAndCountDAOImpl, StudyDAOImpl.getPatientStudy_v4):

- get...ValuesAndCounts count patients that have a public series with the value. A patient of two sites of one
  collection counts twice, so these numbers are "at most".
- getPatientStudy tells of each study how many public series it has (SeriesCount). Older servers, and v1,
  count series that are not public too, so this is only used in v4.
- getBodyPartValuesAndCounts folds values into upper case and leaves out those without one: never the values
  that are listed, so it is not used. Studies are counted nowhere.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from functools import partial

from adapters.nbia.rows import OF_STUDIES, Said
from adapters.nbia.scopes import NBIA, matching, scopes
from adapters.nbia.service import Door
from adapters.shared.ahead import in_order
from broker.adapter import Ask, Facet, Tally
from broker.answering.facets import shown
from broker.errors import RefusedByArchive
from broker.language.terms import Condition
from catalog.capability import Kind
from catalog.keywords import Level

COUNTING = replace(
    NBIA,
    relational=True,
    lists_all=True,
    by_level={
        Level.PATIENT: {
            "Collection": NBIA.matches["Collection"],
            "Modality": frozenset({Kind.SINGLE}),  # who has two modalities would count twice
        },
        Level.STUDY: {},
        Level.SERIES: {name: NBIA.matches[name] for name in ("Collection", "StudyInstanceUID")},
    },
)

COLLECTION, MODALITY = Facet("Collection"), Facet("Modality")
_OF_STUDIES = OF_STUDIES | {"Collection", "PatientID", "StudyInstanceUID"}


class _Untold(Exception):
    """This server does not tell, or not of all that is asked: it will be listed."""


def able(ask: Ask, facets: Iterable[Facet]) -> bool:
    """Whether NBIA tells these numbers at all."""
    if ask.level is Level.PATIENT:
        return {COLLECTION, MODALITY}.issuperset(facets)
    return ask.level is Level.SERIES and all(f.keyword in _OF_STUDIES for f in facets)


@dataclass(frozen=True, slots=True)
class Counting:
    """One question at one version of an archive with these collections."""

    door: Door
    collections: Sequence[str]
    width: int

    async def tally(self, ask: Ask, facets: tuple[Facet, ...]) -> Tally | None:
        """The numbers; None where they are not told, as by servers older than v4. Raises ArchiveError."""
        if self.door.version != "v4" or not able(ask, facets):
            return None
        try:
            if ask.level is Level.SERIES:
                return await self._series(ask, facets)
            return await self._patients({c.keyword: c for c in ask.conditions}, facets)
        except _Untold:
            return None
        except RefusedByArchive as error:
            if error.reason in ("http_400", "not_found"):
                return None
            raise

    async def _patients(self, asked: Mapping[str, Condition], facets: tuple[Facet, ...]) -> Tally:
        """Of the collections asked for; by modality in one request where no collection matters."""
        chosen = matching(asked.get("Collection"), self.collections)
        modality = asked["Modality"].matches[0].text if "Modality" in asked else None
        whole = "Collection" not in asked and (modality is None or COLLECTION not in facets)
        by_modality: Mapping[str, Counter[str]] = {}
        if modality is not None or MODALITY in facets:
            by_modality = await self._by_modality([""] if whole else chosen)
        if modality is None:
            counts = await self._values("Collection", {})
            if not counts.keys() >= set(chosen):
                raise _Untold
            own = Counter({name: counts[name] for name in chosen})
            modalities = sum(by_modality.values(), Counter())
        else:
            own = Counter({name: counts[modality] for name, counts in by_modality.items()})
            modalities = Counter({modality: own.total()})
        groups = {COLLECTION: +own, MODALITY: +modalities}
        return Tally(own.total(), {f: groups[f] for f in facets}, exact=False)

    async def _by_modality(self, names: Sequence[str]) -> dict[str, Counter[str]]:
        """Patients by modality, of each collection; under "" of all together."""
        jobs = (partial(self._values, "Modality", {"Collection": n} if n else {}) for n in names)
        async with aclosing(in_order(jobs, self.width)) as replies:
            return dict(zip(names, [counts async for counts in replies], strict=True))

    async def _values(self, of: str, parameters: Mapping[str, str]) -> Counter[str]:
        """Value -> patients. What this user may not see is not counted for a question of his."""
        counts: Counter[str] = Counter()
        for record in await self.door.records(f"get{of}ValuesAndCounts", parameters):
            said = {name.lower(): value for name, value in record.items()}
            value, count = said.get(of.lower(), said.get("criteria")), str(said.get("count", ""))
            if not isinstance(value, str) or not count.isdecimal() or str(said.get("authorized", 1)) != "1":
                raise _Untold
            counts[value.strip()] += int(count)
        return counts

    async def _series(self, ask: Ask, facets: tuple[Facet, ...]) -> Tally:
        """Of every study in a scope, by what the study says."""
        total, groups = 0, {facet: Counter[str]() for facet in facets}
        seen: set[str] = set()
        jobs = (partial(self.door.get, "getPatientStudy", s) for s in scopes(ask, self.collections))
        async with aclosing(in_order(jobs, self.width)) as replies:
            async for reply in replies:
                for study in reply.rows:
                    uid, count = study.get("StudyInstanceUID"), str(study.get(_COUNT, ""))
                    if not isinstance(uid, str) or uid in seen or not count.isdecimal() or reply.bad:
                        raise _Untold
                    seen.add(uid)
                    total += int(count)
                    for facet, group in groups.items():
                        group[_shown(study, facet)] += int(count)
        return Tally(total, groups)


_COUNT = "NumberOfStudyRelatedSeries"


def _shown(study: Said, facet: Facet) -> str:
    """The value of a study as facets show it."""
    value = study.get(facet.keyword)
    return shown(facet, value) if isinstance(value, str) else ""
