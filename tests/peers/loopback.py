"""What our HTTP peers have in common: a server on loopback, its request log, and the ways it fails."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field
from types import TracebackType
from typing import Any, Self

from aiohttp import web

HOST = "127.0.0.1"
LOGIN_PAGE = "<!DOCTYPE html><html><body><form>Please log in</form></body></html>"


@dataclass(frozen=True)
class Fault:
    """What comes instead of an answer: a status with a text, as plain text if nothing else is said."""

    status: int = 500
    text: str = "Server was not able to process your request"
    kind: str = "text/plain"
    charset: str = "utf-8"


@dataclass
class Loopback:
    """A server on loopback while its ``async with`` block lasts.

    port       0: any free one, which stands here once it has started
    answering  how many requests are being answered just now;  most: the most that ever were
    """

    _: KW_ONLY
    port: int = 0
    answering: int = field(default=0, init=False)
    most: int = field(default=0, init=False)

    @property
    def origin(self) -> str:
        """Its scheme, host and port."""
        return f"http://{HOST}:{self.port}"

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=8 * 1024**2)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, HOST, self.port, backlog=512).start()
        self.port = int(self._runner.addresses[0][1])
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._runner.cleanup()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        self.answering += 1
        self.most = max(self.most, self.answering)
        try:
            return await self.respond(request)
        finally:
            self.answering -= 1

    async def respond(self, request: web.Request) -> web.StreamResponse:
        """The reply to one request."""
        raise NotImplementedError


@dataclass
class RestServer(Loopback):
    """An archive with a REST interface, and the ways in which it may fail.

    requests  the raw targets it saw, oldest first;  forms: what came as forms, in the same order
    faults    part of a target, or ``""`` for every one -> what it gets instead
    """

    _: KW_ONLY
    delay: float = 0.0
    hang: bool = False
    faults: Mapping[str, Fault] = field(default_factory=dict)
    truncated: bool = False
    empty: bool = False
    requests: list[str] = field(default_factory=list, init=False)
    forms: list[dict[str, str]] = field(default_factory=list, init=False)

    async def respond(self, request: web.Request) -> web.Response:
        form = {name: str(value) for name, value in (await request.post()).items()}
        self.requests.append(request.raw_path)
        self.forms.append(form)
        if self.hang:
            await asyncio.Event().wait()
        await asyncio.sleep(self.delay)
        return self._spoilt(request) or self.answer(request, form)

    def _spoilt(self, request: web.Request) -> web.Response | None:
        fault = next((f for part, f in self.faults.items() if part in request.raw_path), None)
        if fault is not None:
            body = fault.text.encode(fault.charset)
            return web.Response(status=fault.status, body=body, content_type=fault.kind)
        if self.empty:
            return web.Response(body=b"", content_type="application/json")
        if self.truncated:
            return web.Response(text='[{"Collection": "LI', content_type="application/json")
        return None

    def answer(self, request: web.Request, form: Mapping[str, str]) -> web.Response:
        """What the archive answers when it is well."""
        raise NotImplementedError


def as_json(value: Any, status: int = 200) -> web.Response:
    """A JSON reply."""
    return web.json_response(value, status=status)
