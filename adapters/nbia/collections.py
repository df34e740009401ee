"""The collections of an NBIA archive: how many patients each has, its description and its DOI.

`getCollectionValuesAndCounts` and `getCollectionDescriptions` are served by v4. Where they are not, the names
stand alone, and each record says what is missing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from adapters.nbia.rows import doi
from adapters.nbia.service import Door
from adapters.shared.collections import asked_now, plain, told
from broker.errors import Forbidden, Malformed, RefusedByArchive, ServerFault
from catalog.collection import Collection
from catalog.evidence import Source

COUNTS = "getCollectionValuesAndCounts"
DESCRIPTIONS = "getCollectionDescriptions"
TWICE = "Patients as it counts them: one of two sites counts twice."
LONGEST = 12  # digits of a number of patients

_NAME = (
    "criteria",
    "collection",
    "collectionname",
)  # its source says the first, its documentation the second


async def collections(archive: str, door: Door, names: Iterable[str]) -> list[Collection]:
    """Every collection that can be searched. Raises ArchiveError."""
    counts, uncounted = await _records(door, COUNTS, {"format": "json"})
    about, undescribed = await _records(door, DESCRIPTIONS, {})
    source = asked_now(archive, f"NBIA REST {door.version}", door.url("getCollectionValues", {}))
    note = " ".join(text for text in (uncounted or TWICE, undescribed) if text)
    return [_collection(archive, n, source, counts.get(n, {}), about.get(n, {}), note) for n in names]


async def patients(door: Door) -> dict[str, int]:
    """How many patients each collection has, where that is served. Raises ArchiveError."""
    counts, _ = await _records(door, COUNTS, {"format": "json"})
    return {name: n for name, record in counts.items() if (n := _number(record)) is not None}


async def _records(
    door: Door, endpoint: str, parameters: Mapping[str, str]
) -> tuple[dict[str, Mapping[str, Any]], str]:
    """The records of an endpoint by collection; none, and why, where it is not served."""
    try:
        found = await door.records(endpoint, parameters)
    except (RefusedByArchive, Forbidden, ServerFault, Malformed) as error:
        return {}, f"{endpoint} is not served ({error.reason})."
    low = [{str(k).lower(): v for k, v in record.items()} for record in found]
    named = ((next((r[k] for k in _NAME if isinstance(r.get(k), str)), ""), r) for r in low)
    return {name: record for name, record in named if name}, ""


def _collection(
    archive: str,
    name: str,
    source: Source,
    counted: Mapping[str, Any],
    described: Mapping[str, Any],
    note: str,
) -> Collection:
    cited = doi(str(described.get("descriptionuri") or ""))
    return told(
        archive,
        name,
        source,
        {"patients": _number(counted)},
        dois=(cited,) if cited.startswith("10.") else (),
        about=plain(str(described.get("description") or "")),
        note=note,
    )


def _number(record: Mapping[str, Any]) -> int | None:
    text = str(record.get("count", ""))
    return int(text) if text.isdecimal() and len(text) < LONGEST else None
