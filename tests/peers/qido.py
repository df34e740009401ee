"""A QIDO-RS server on loopback, and its lying, slow and broken twins.

Honest by default: exact, wildcard, range and UID-list matching, ``limit`` and ``offset``, ``includefield``.
As a program it serves synthetic archives to benchmarks: ``python tests/peers/qido.py --servers 9``.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import itertools
import json
import re
import zlib
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import KW_ONLY, dataclass, field
from types import TracebackType
from typing import Any, Self, TypedDict
from urllib.parse import parse_qsl

from aiohttp import web
from pydicom.datadict import dictionary_VR, keyword_for_tag, tag_for_keyword

Value = str | list[str]
Record = dict[str, Value]


class Holding(TypedDict):
    """One study with its series, as in ``fixtures/truth.json``."""

    study: Record
    series: list[Record]


HOST = "127.0.0.1"
ROOT = "/dicom-web"
DICOM_JSON = "application/dicom+json"
ENDLESS_PAGE = 100
BOMB_MIB = 300
LOGIN_PAGE = "<!DOCTYPE html><html><body><form>Please log in</form></body></html>"
STUDY_FIELDS = frozenset(
    {
        *("StudyDate", "StudyTime", "AccessionNumber", "ModalitiesInStudy", "ReferringPhysicianName"),
        *("PatientName", "PatientID", "PatientBirthDate", "PatientSex"),
        *("StudyInstanceUID", "StudyID", "NumberOfStudyRelatedSeries", "NumberOfStudyRelatedInstances"),
    }
)
SERIES_FIELDS = frozenset(
    {"Modality", "SeriesDescription", "SeriesInstanceUID", "SeriesNumber", "NumberOfSeriesRelatedInstances"}
)
SERIES_OF_STUDY = re.compile(rf"{ROOT}/studies/([0-9.]+)/series")


_vr = functools.cache(dictionary_VR)


def _values(value: Value) -> list[str]:
    return value if isinstance(value, list) else [value]


def _name_to_json(value: str) -> dict[str, str]:
    groups = zip(("Alphabetic", "Ideographic", "Phonetic"), value.split("="), strict=False)
    return {label: group for label, group in groups if group}


def _value_to_json(value: str, vr: str) -> object:
    if vr == "PN":
        return _name_to_json(value)
    return int(value) if vr == "IS" else float(value) if vr == "DS" else value


def to_json(record: Mapping[str, Value]) -> dict[str, Any]:
    """The record in the DICOM JSON model; an empty value becomes an element without ``Value``."""
    told: dict[str, Any] = {}
    for keyword, value in sorted(record.items(), key=lambda item: tag_for_keyword(item[0]) or 0):
        vr = _vr(keyword)
        values = [] if value == "" else [_value_to_json(each, vr) for each in _values(value)]
        told[f"{tag_for_keyword(keyword):08X}"] = {"vr": vr, "Value": values} if values else {"vr": vr}
    return told


def _wildcard(pattern: str, text: str) -> bool:
    translated = "".join({"*": ".*", "?": "."}.get(letter, re.escape(letter)) for letter in pattern)
    return re.fullmatch(translated, text, re.DOTALL) is not None


def _in_range(wanted: str, text: str) -> bool:
    first, _, last = wanted.partition("-")
    return text.isdigit() and first <= text and (not last or text <= last)


def _name_matches(wanted: str, text: str) -> bool:
    """Any case, against the whole name or one of its component groups; trailing ``^`` mean nothing."""
    wanted = wanted.casefold().rstrip("^")
    return any(_wildcard(wanted, each.casefold().rstrip("^")) for each in [text, *text.split("=")])


def _one_matches(wanted: str, text: str, vr: str) -> bool:
    if vr == "PN":
        return _name_matches(wanted, text)
    if vr == "DA" and "-" in wanted:
        return _in_range(wanted, text)
    if vr == "UI":
        return text in wanted.split(",")
    return _wildcard(wanted, text)


def matches(record: Mapping[str, Value], conditions: Mapping[str, str]) -> bool:
    """Whether the record meets every condition; an absent attribute meets none but the universal one."""
    return all(
        not wanted or any(_one_matches(wanted, text, _vr(key)) for text in _values(record.get(key, [])))
        for key, wanted in conditions.items()
    )


def _keyword(name: str) -> str:
    """The keyword for ``0020000D`` or ``StudyInstanceUID``; empty for neither."""
    if re.fullmatch("[0-9A-Fa-f]{8}", name):
        return keyword_for_tag(int(name, 16))
    return name if tag_for_keyword(name) is not None else ""


@dataclass(frozen=True)
class Search:
    """One search as the server understood it; ``study`` is the one that the path names."""

    level: str
    study: str | None
    conditions: Mapping[str, str]
    fields: frozenset[str]
    limit: int | None
    offset: int


def _pairs(query: str, decode: bool) -> list[tuple[str, str]]:
    if decode:
        return parse_qsl(query, keep_blank_values=True)
    return [(name, value) for name, _, value in (part.partition("=") for part in query.split("&")) if name]


def _fields(level: str, study: str | None, asked: set[str]) -> frozenset[str]:
    """What a reply contains (PS3.18 10.6.3.3): each level's own, and what was asked for."""
    usual = STUDY_FIELDS if level == "STUDY" else SERIES_FIELDS | {"StudyInstanceUID"}
    above = STUDY_FIELDS if study is None else frozenset[str]()
    return usual | above | {_keyword(name) for name in asked} | ({"all"} & asked)


def read_search(target: str, decode: bool = True) -> Search | None:
    """The search that a request target asks for; ``None`` when nothing is served there."""
    path, _, query = target.partition("?")
    inside = SERIES_OF_STUDY.fullmatch(path)
    if not inside and path not in (f"{ROOT}/studies", f"{ROOT}/series"):
        return None
    level, study = "STUDY" if path.endswith("/studies") else "SERIES", inside[1] if inside else None
    pairs = _pairs(query, decode)
    conditions = {_keyword(name): value for name, value in pairs if _keyword(name)}
    asked = {name for key, value in pairs if key == "includefield" for name in value.split(",")}
    paging = {name: int(value) for name, value in pairs if name in ("limit", "offset")}
    fields = _fields(level, study, asked | conditions.keys())
    return Search(level, study, conditions, fields, paging.get("limit"), paging.get("offset", 0))


@functools.cache
def _bomb() -> bytes:
    """An empty list behind ``BOMB_MIB`` of white space, in a few hundred kB of gzip."""
    packer = zlib.compressobj(6, wbits=31)
    blanks = [packer.compress(b" " * 2**20) for _ in range(BOMB_MIB)]
    return b"".join([*blanks, packer.compress(b"[]"), packer.flush()])


@dataclass
class QidoServer:
    """An archive that speaks QIDO-RS on loopback while its ``async with`` block lasts.

    Each keyword from ``ignores_paging`` on is one way to misbehave; ``requests`` are the raw targets it saw.
    """

    holdings: Sequence[Holding]
    _: KW_ONLY
    port: int = 0
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
    answering: int = field(default=0, init=False)
    """How many requests are being answered just now."""

    def __post_init__(self) -> None:
        self._runner: web.AppRunner | None = None
        self._numbers = itertools.count(1)
        series = [held["study"] | row for held in self.holdings for row in held["series"]]
        self._held = {"STUDY": [held["study"] for held in self.holdings], "SERIES": series}
        self._known = {level: {key for row in rows for key in row} for level, rows in self._held.items()}

    @property
    def url(self) -> str:
        """The root of its DICOMweb services."""
        return f"http://{HOST}:{self.port}{ROOT}"

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, HOST, self.port)
        await site.start()
        self.port = int(self._runner.addresses[0][1])
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _handle(self, request: web.Request) -> web.Response:
        self.requests.append(request.raw_path)
        self.answering += 1
        try:
            return await self._respond(request)
        finally:
            self.answering -= 1

    async def _respond(self, request: web.Request) -> web.Response:
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
            search = read_search(target, decode=not self.no_decode)
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


def synthetic(archive: int, studies: int) -> list[Holding]:
    """That many studies of two series each; those of different archives differ in every UID."""
    return [_synthetic_study(archive, number) for number in range(1, studies + 1)]


def _synthetic_study(archive: int, number: int) -> Holding:
    uid = f"2.25.{(archive + 1) * 10**6 + number}"
    modality = ("CT", "MR", "PT", "MG", "US")[number % 5]
    study: Record = {
        "StudyInstanceUID": uid,
        "PatientName": f"PATIENT^{number:05}",
        "PatientID": f"{archive:03}-{number:05}",
        "PatientSex": "FM"[number % 2],
        "StudyDate": f"{2000 + number % 20}{1 + number % 12:02}{1 + number % 28:02}",
        "StudyTime": f"{number % 24:02}{number % 60:02}00",
        "AccessionNumber": f"A{archive:03}{number:05}",
        "StudyDescription": f"{modality} study {number}",
        "ModalitiesInStudy": [modality, "SR"],
        "NumberOfStudyRelatedSeries": "2",
        "NumberOfStudyRelatedInstances": "101",
    }
    series = [(modality, "CHEST", "Axial", "100"), ("SR", "", "Report", "1")]
    keywords = ("Modality", "BodyPartExamined", "SeriesDescription", "NumberOfSeriesRelatedInstances")
    rows: list[Record] = []
    for n, told in enumerate(series, start=1):
        rows.append({"SeriesInstanceUID": f"{uid}.{n}", "SeriesNumber": str(n)})
        rows[-1].update(zip(keywords, told, strict=True))
    return {"study": study, "series": rows}


async def _serve(first_port: int, servers: int, studies: int, latency: float) -> None:
    async with AsyncExitStack() as stack:
        ports = []
        for number in range(servers):
            port = first_port + number if first_port else 0
            server = BenchmarkServer(synthetic(number, studies), port=port, delay=latency)
            ports.append((await stack.enter_async_context(server)).port)
        print(json.dumps({"ports": ports, "root": ROOT}), flush=True)
        await asyncio.Event().wait()


def main() -> None:
    """Serve synthetic archives until ended; their ports are one line of JSON on standard output."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--port", type=int, default=0, help="the first port; 0: any free ones")
    parser.add_argument("--studies", type=int, default=200)
    parser.add_argument("--latency", type=float, default=0.0, help="seconds before every answer")
    parser.add_argument("--servers", type=int, default=1)
    told = parser.parse_args()
    asyncio.run(_serve(told.port, told.servers, told.studies, told.latency))


if __name__ == "__main__":
    main()
