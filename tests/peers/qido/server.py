"""A QIDO-RS server on loopback, and its lying, slow and broken twins.

Honest by default: exact, wildcard, range and UID-list matching, ``limit`` and ``offset``, ``includefield``.
"""

from __future__ import annotations

import asyncio
import functools
import itertools
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field

from aiohttp import web
from peers.loopback import LOGIN_PAGE, Loopback
from peers.qido.dicomjson import to_json
from peers.qido.matching import matches
from peers.qido.searching import ROOT, Search, read_search

from fixtures.dicom import Holding, Record

DICOM_JSON = "application/dicom+json"
ENDLESS_PAGE = 100
BOMB_MIB = 300


@functools.cache
def _bomb() -> bytes:
    """An empty list behind ``BOMB_MIB`` of white space, in a few hundred kB of gzip."""
    packer = zlib.compressobj(6, wbits=31)
    blanks = [packer.compress(b" " * 2**20) for _ in range(BOMB_MIB)]
    return b"".join([*blanks, packer.compress(b"[]"), packer.flush()])


@dataclass
class QidoServer(Loopback):
    """An archive that speaks QIDO-RS on loopback while its ``async with`` block lasts.

    Each keyword from ``ignores_paging`` on is one way to misbehave; ``requests`` are the raw targets it saw.
    """

    holdings: Sequence[Holding]
    _: KW_ONLY
    ignores_paging: bool = False  # the whole list, whatever limit and offset say
    ignores_offset: bool = False  # always the first page
    endless: bool = False  # always a full page of studies never seen before
    ignores_filters: bool = False
    limit_before_filter: bool = False
    cap: int | None = None  # never more than so many, and not a word about it
    page_cap: int | None = None  # nor in one page, though the others can be had
    lost_offset: bool = False  # with conditions, nothing is found behind an offset (orthanc-dicomweb 1.7)
    alone: int = 200  # the status of /series without a study
    exact_only: bool = False  # `*` and `?` are characters, as for the proxy of IDC
    one_instance: bool = (
        False  # keys of series at /studies are judged by the first series (orthanc-dicomweb 1.20)
    )
    no_empties: bool = False  # emptyvaluematching is not known
    delay: float = 0.0
    hang: bool = False
    status: int = 0  # this status instead of an answer, with `body` and `headers`
    times: int | None = None  # ... but only for so many requests
    body: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    html: bool = False
    empty_body: bool = False
    object_body: bool = False
    truncated: bool = False
    redirect: str = ""
    bad_record: bool = False  # the first record's StudyInstanceUID is a number
    latin1: bool = False  # Latin-1 bytes that claim to be UTF-8
    gzip_bomb: bool = False
    needs: Mapping[str, str] = field(default_factory=dict)  # request headers; 401 without
    no_decode: bool = False  # percent-encoded values are taken literally
    requests: list[str] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        self._numbers = itertools.count(1)
        series = [held["study"] | row for held in self.holdings for row in held["series"]]
        self._held = {"STUDY": [held["study"] for held in self.holdings], "SERIES": series}
        self._known = {level: {key for row in rows for key in row} for level, rows in self._held.items()}

    @property
    def url(self) -> str:
        """The root of its DICOMweb services."""
        return f"{self.origin}{ROOT}"

    async def respond(self, request: web.Request) -> web.Response:
        self.requests.append(request.raw_path)
        if any(request.headers.get(name) != value for name, value in self.needs.items()):
            return web.Response(status=401, headers={"WWW-Authenticate": 'Bearer realm="peer"'})
        if self.hang:
            await asyncio.Event().wait()
        await asyncio.sleep(self.delay)
        canned = self._canned()
        if canned is not None:
            return canned
        status, body = self.reply(request.raw_path)
        kind = DICOM_JSON if status == 200 else "text/plain"
        return web.Response(status=status, body=body, content_type=kind)

    def _canned(self) -> web.Response | None:
        """What a twin says whatever it is asked."""
        if self.redirect:
            return web.Response(status=302, headers={"Location": self.redirect})
        if self.status and (self.times is None or len(self.requests) <= self.times):
            return web.Response(status=self.status, text=self.body, headers=dict(self.headers))
        if self.html:
            return web.Response(text=LOGIN_PAGE, content_type="text/html")
        if self.empty_body or self.object_body:
            text = '{"error":"denied"}' if self.object_body else ""
            return web.Response(text=text, content_type=DICOM_JSON)
        if self.gzip_bomb:
            return web.Response(body=_bomb(), content_type=DICOM_JSON, headers={"Content-Encoding": "gzip"})
        return None

    def reply(self, target: str) -> tuple[int, bytes]:
        """Status and body for one request target."""
        try:
            search = read_search(target, decode=not self.no_decode, empties=not self.no_empties)
        except ValueError as error:
            return 400, str(error).encode()
        if search is None:
            return 404, b"no such service"
        if self.alone != 200 and search.level == "SERIES" and search.study is None:
            return self.alone, b"series are listed by study"
        rows = self._page(search)
        return (200, self._encode(rows, search)) if rows else (204, b"")

    def _page(self, search: Search) -> list[Record]:
        rows = self._held[search.level]
        if self.endless:
            return self._never_seen(rows, ENDLESS_PAGE if search.limit is None else search.limit)
        if search.study is not None:
            rows = [row for row in rows if row["StudyInstanceUID"] == search.study]
        if self.limit_before_filter:
            return self._filter(self._cut(rows, search), search)
        return self._cut(self._filter(rows, search), search)

    def _filter(self, rows: list[Record], search: Search) -> list[Record]:
        """The rows that match; keys unknown at the level are ignored, as PS3.18 lets a server do."""
        if self.ignores_filters:
            return rows
        known = self._known["SERIES" if self.one_instance else search.level]
        conditions = {key: wanted for key, wanted in search.conditions.items() if key in known}
        if self.exact_only:
            return [row for row in rows if all(row.get(k) == v or "-" in v for k, v in conditions.items())]
        return [row for row in rows if matches(self._judged(row, search), conditions)]

    def _judged(self, row: Record, search: Search) -> Record:
        """What conditions are compared with."""
        if not (self.one_instance and search.level == "STUDY"):
            return row
        uid = row["StudyInstanceUID"]
        return next((series for series in self._held["SERIES"] if series["StudyInstanceUID"] == uid), row)

    def _cut(self, rows: list[Record], search: Search) -> list[Record]:
        rows = rows[: self.cap]
        if self.ignores_paging:
            return rows
        first = 0 if self.ignores_offset else search.offset
        if self.lost_offset and first and search.conditions:
            return []
        last = len(rows) if search.limit is None else first + search.limit
        return rows[first : min(last, first + (self.page_cap or last))]

    def _never_seen(self, rows: list[Record], count: int) -> list[Record]:
        uids = [f"2.25.{number}" for number in itertools.islice(self._numbers, count)]
        return [rows[0] | {"StudyInstanceUID": uid, "SeriesInstanceUID": f"{uid}.1"} for uid in uids]

    def _encode(self, rows: list[Record], search: Search) -> bytes:
        wanted = search.fields
        told = [to_json({k: v for k, v in row.items() if k in wanted or "all" in wanted}) for row in rows]
        if self.bad_record and search.offset == 0:
            told[0]["0020000D"] = {"vr": "UI", "Value": [5]}
        text = json.dumps(told, ensure_ascii=False, separators=(",", ":"))
        body = text.encode("latin-1", errors="replace") if self.latin1 else text.encode()
        return body[: len(body) // 2] if self.truncated else body


class BenchmarkServer(QidoServer):
    """A server that encodes the answer to a target once, so that the client is what gets measured."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._replies: dict[str, tuple[int, bytes]] = {}

    def reply(self, target: str) -> tuple[int, bytes]:
        """The reply to an earlier request for the same target, if there was one."""
        if target not in self._replies:
            self._replies[target] = super().reply(target)
        return self._replies[target]
