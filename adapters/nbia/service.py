"""The two versions of NBIA's REST API that are in use, as one service.

v4 refuses parameters that it does not know; v1 ignores them, and then answers with everything. Both answer
zero hits with an empty body, and errors with plain text.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from adapters.nbia.rows import Said, said
from adapters.shared.http import Http, turn
from adapters.shared.replies import JSON, decoded, listed
from broker.errors import ArchiveError, Malformed
from broker.undisturbed import undisturbed

# parameters that one endpoint spells differently
_SPELLED = {("getPatient", "PatientID"): "PatientId"}

# with these words for a first reply, a version is not served there, and the next one is tried
_NOT_SERVED = frozenset(
    "unreachable dns tls timeout_connect not_found not_json bad_json bad_shape redirect_refused "
    "upstream_5xx".split()
)


@dataclass(slots=True)
class Reply:
    """The records of one reply; `bad` of them could not be read."""

    rows: list[Said] = field(default_factory=list)
    bad: int = 0
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Door:
    """One version of the API: its name, and the place where its endpoints are."""

    version: str
    http: Http

    def url(self, endpoint: str, parameters: Mapping[str, str]) -> str:
        """The address of a question."""
        return self.http.base.rstrip("/") + _target(endpoint, parameters)

    async def get(self, endpoint: str, parameters: Mapping[str, str]) -> Reply:
        """The records that an endpoint gives for parameters, by DICOM keyword. Raises ArchiveError."""
        return await _read(await self.http.get(_target(endpoint, parameters), JSON))

    async def records(self, endpoint: str, parameters: Mapping[str, str]) -> list[dict[str, Any]]:
        """The records as they came, for what is no attribute of DICOM. Raises ArchiveError."""
        body = await self.http.get(f"/{endpoint}{'?' if parameters else ''}{_query(parameters)}", JSON)
        return listed(decoded(body)[0])[0] if body and body.strip() else []

    async def metadata(self, uids: Sequence[str]) -> Reply:
        """What getSeriesMetadata says of series, all in one request (v4). Raises ArchiveError."""
        form = {"list": ",".join(uids), "format": "json"}
        return await _read(await self.http.post("/getSeriesMetadata", form, JSON))


class Service:
    """An NBIA archive: its versions, in the order in which they are tried."""

    def __init__(self, doors: Iterable[Door]) -> None:
        self._doors = tuple(doors)
        self._found: Door | None = None
        self._finding = asyncio.Lock()

    @property
    def door(self) -> Door:
        """The version that answers; the first one, as long as none has answered."""
        return self._found or self._doors[0]

    async def opened(self) -> tuple[Door, tuple[str, ...]]:
        """The version that answers, and the names of its collections. Raises ArchiveError."""
        async with self._finding:
            if self._found is None:
                self._found, names = await self._first()
                return self._found, names
        return self._found, await _collections(self._found)

    async def found(self) -> Door:
        """The version that answers; asked for once. Raises ArchiveError."""
        return self._found or (await self.opened())[0]

    async def _first(self) -> tuple[Door, tuple[str, ...]]:
        failures: list[ArchiveError] = []
        for door in self._doors:
            try:
                return door, await _collections(door)
            except ArchiveError as error:
                if error.reason not in _NOT_SERVED:
                    raise
                failures.append(error)
        raise failures[0]

    async def close(self) -> None:
        """Close the connections."""
        for door in self._doors:
            await door.http.close()


async def _collections(door: Door) -> tuple[str, ...]:
    """The names of the collections. An archive without any has not answered: nothing would follow from it."""
    reply = await door.get("getCollectionValues", {})
    names = tuple(str(row["Collection"]) for row in reply.rows if row.get("Collection"))
    if not names:
        raise Malformed("it lists no collection", "bad_json")
    return names


def _target(endpoint: str, parameters: Mapping[str, str]) -> str:
    pairs = {_SPELLED.get((endpoint, name), name): text for name, text in parameters.items()}
    return f"/{endpoint}?{_query({**pairs, 'format': 'json'})}"


def _query(pairs: Mapping[str, str]) -> str:
    return "&".join(f"{name}={quote(text, safe='')}" for name, text in pairs.items())


async def _read(body: bytes | None) -> Reply:
    if not body or not body.strip():
        return Reply()
    async with turn():
        with undisturbed():
            value, notes = decoded(body)
            records, bad = listed(value)
            return Reply([said(record) for record in records], bad, notes)
