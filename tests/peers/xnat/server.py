"""An XNAT on loopback that unmodified xnatpy and pyxnat accept, with its quirks, its faults, and its traps.

It proves that clients are spoken to as they expect, not how fast or how right a real XNAT's SQL is.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field

from aiohttp import web
from peers.loopback import Loopback
from peers.xnat import render
from peers.xnat.accounts import Accounts, Who, Wrong
from peers.xnat.criteria import SqlError
from peers.xnat.listings import Refused
from peers.xnat.model import Site
from peers.xnat.rest import Rest

REALM = {"WWW-Authenticate": 'Basic realm="XNAT Protected Area"'}
OPEN = re.compile(r"/data/(JSESSION|services/auth)|/xapi/siteConfig/(buildInfo|siteId|siteUrl)|/app/.*")


@dataclass(frozen=True, slots=True)
class Logged:
    """One request that the server saw: `path` with its query, `ms` until it was answered."""

    method: str
    path: str
    ms: float
    agent: str


@dataclass
class XnatServer(Loopback):
    """An XNAT while its `async with` block lasts. Every keyword from `context` on is a knob."""

    site: Site
    _: KW_ONLY
    context: str = ""  # a context path, as `/ir`
    users: Mapping[str, str] = field(default_factory=lambda: {"alice": "pass:wörd", "bob": "b"})
    version: str = "1.8.11"
    require_login: bool = False
    session_timeout: float = 900.0
    forgets: str = ""  # where the path matches this expression, no session is known
    max_sessions: int = 1000
    latency: float = 0.0
    xsd_latency: float = 0.0
    field_latency: float = 0.0
    block_search: bool = False  # POST /data/search: 403 from a firewall
    extra_elements: int = 0
    dicomweb: bool = False  # the DICOMweb plug-in
    drops: frozenset[str] = frozenset()  # columns that this XNAT does not know
    encoding: str = "utf-8"  # the JVM's default
    gzip: bool = True
    header_fault: bool = False  # a tail with quotes that are not escaped
    ignores_filters: bool = False  # in project listings, as XNAT did before 1.8
    redirect: str = ""  # every request is sent there, as a retired archive does
    html: bool = False
    truncated: bool = False
    empty_body: bool = False
    short: int = 0  # so many rows are left out, and totalRecords still counts them
    status: int = 0  # this status instead of an answer
    headers: Mapping[str, str] = field(default_factory=dict)
    only: str = ""  # the faults above only where the path matches this expression
    times: int | None = None  # ... and only for so many requests
    keep: bool = False  # answers are kept, so that a client is what gets measured
    log: list[Logged] = field(default_factory=list, init=False)
    aborted: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self._faulty = 0
        self._kept: dict[tuple[Who, str], tuple[bytes, str]] = {}
        self.accounts = Accounts(self.users, self.session_timeout, self.max_sessions)
        self._rest = Rest(self)

    @property
    def url(self) -> str:
        """Where it is."""
        return f"{self.origin}{self.context}"

    def asked(self, part: str = "") -> list[str]:
        """The paths of the requests that hold a text."""
        return [entry.path for entry in self.log if part in entry.path]

    async def respond(self, request: web.Request) -> web.StreamResponse:
        start = time.perf_counter()
        try:
            return await self._answer(request)
        except asyncio.CancelledError:
            self.aborted += 1
            raise
        finally:
            ms = 1000 * (time.perf_counter() - start)
            agent = request.headers.get("User-Agent", "")
            self.log.append(Logged(request.method, request.path_qs, ms, agent))

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(self.latency)
        path = request.path.removeprefix(self.context) or "/"
        if self.context and not request.path.startswith(self.context):
            return web.Response(status=404, text="no such context")
        fault = self._fault(request.path_qs)
        if fault is not None:
            return fault
        try:
            who, token = self._who(request)
        except Wrong as error:
            return self._refusal(401, str(error), REALM)
        if who is None and self.require_login and not OPEN.fullmatch(path):
            return self._unknown(request)
        return self._with_cookies(await self._reply(request, path, who, token), request, token)

    def _who(self, request: web.Request) -> tuple[Who, str]:
        """Who asks, and in which session: a dead one is silently replaced by a guest's. Raises Wrong."""
        alive, who = self.accounts.of(request.cookies.get("JSESSIONID"))
        if self.forgets and re.search(self.forgets, request.path):
            alive, who = False, None
        header = request.headers.get("Authorization", "")
        if header.startswith("Basic ") and who is None:
            who = self.accounts.basic(header)
            return who, self.accounts.open(who)
        if alive:
            return who, request.cookies["JSESSIONID"]
        return None, self.accounts.open(None)

    def _unknown(self, request: web.Request) -> web.Response:
        """A closed site: browsers are sent to a page, everybody else is told."""
        if "Mozilla" in request.headers.get("User-Agent", ""):
            return web.Response(status=302, headers={"Location": f"{self.context}/app/template/Login.vm"})
        return self._refusal(401, "The request requires user authentication", REALM)

    async def _reply(self, request: web.Request, path: str, who: Who, token: str) -> web.StreamResponse:
        key = (who, request.path_qs)
        if key in self._kept:
            body, kind = self._kept[key]
            return web.Response(body=body, content_type=kind)
        try:
            reply = await self._rest.answer(request, path, who, token)
        except Refused as error:
            return self._refusal(error.status, error.message)
        except SqlError as error:
            swallowed = "/projects/" in path  # XNAT catches it there, and answers nothing at all
            return web.Response(body=b"") if swallowed else self._refusal(500, str(error))
        if self.keep and request.method == "GET" and reply.status == 200 and isinstance(reply.body, bytes):
            self._kept[key] = (reply.body, reply.content_type)
        return reply

    def _fault(self, path: str) -> web.Response | None:
        """What a broken twin says instead of an answer."""
        broken = self.redirect or self.html or self.status or self.empty_body
        if not broken or re.search(self.only, path) is None:
            return None
        self._faulty += 1
        if self.times is not None and self._faulty > self.times:
            return None
        if self.redirect:
            return web.Response(status=302, headers={"Location": self.redirect})
        if self.html:
            return web.Response(text=render.LOGIN_PAGE, content_type="text/html")
        if self.empty_body:
            return web.Response(body=b"")
        return self._refusal(self.status, "a fault", self.headers)

    def _refusal(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> web.Response:
        page = render.status_page(status, message)
        return web.Response(status=status, text=page, content_type="text/html", headers=headers)

    def _with_cookies(
        self, reply: web.StreamResponse, request: web.Request, token: str
    ) -> web.StreamResponse:
        """The session's cookie where it is new, and on every reply when the session would end."""
        if request.cookies.get("JSESSIONID") != token and "Set-Cookie" not in reply.headers:
            reply.headers.add("Set-Cookie", f"JSESSIONID={token}; Path={self.context or '/'}; HttpOnly")
        ends = f'"{int(time.time() * 1000)},{int(self.session_timeout * 1000)}"'
        reply.headers.add(
            "Set-Cookie", f"SESSION_EXPIRATION_TIME={ends}; Version=1; Path={self.context or '/'}"
        )
        reply.headers["Server"] = "Noelios-Restlet-Engine/1.1.10"
        return reply
