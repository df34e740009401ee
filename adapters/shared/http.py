"""HTTP as every adapter needs it: bounded, on its own origin, with errors of ours.

One session (and one cookie jar) per archive; nothing from the environment: no proxies, no netrc, no shared
cookies. Status is judged before the body is read; the body is counted after decompression.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar
from urllib.parse import urljoin, urlsplit
from weakref import WeakKeyDictionary

import aiohttp
from tenacity import AsyncRetrying, retry_if_exception, stop_after_attempt, wait_random
from yarl import URL

from adapters.shared import unreachable
from adapters.shared.connector import Connector
from adapters.shared.pace import Pace, Tokens
from broker.errors import (
    ArchiveError,
    BadConfig,
    Forbidden,
    Limited,
    Malformed,
    RefusedByArchive,
    ServerFault,
    TimedOut,
    TooMuch,
    Unreachable,
)
from broker.setup.credentials import Secret
from broker.setup.limits import Limits
from broker.setup.network import Network

T = TypeVar("T")

for _name in ("aiohttp.client", "aiohttp.internal"):  # they warn of cookies in the words of the archive
    logging.getLogger(_name).setLevel(logging.ERROR)

LOOPBACK = ("127.0.0.1", "localhost", "::1")


_TURNS: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = WeakKeyDictionary()


@contextlib.asynccontextmanager
async def turn() -> AsyncIterator[None]:
    """For reading one reply at a time, others having had their turn in between.

    Replies of many archives come at once; read in one go they would hold the loop, and the first records
    would come to whoever waits for them only after the last reply was read.
    """
    async with _TURNS.setdefault(asyncio.get_running_loop(), asyncio.Lock()):
        await asyncio.sleep(0)
        yield


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back: the body, None for a 204, and the cookies that were set with it."""

    body: bytes | None = None
    cookies: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Http:
    """One archive's HTTP side. `headers` log in; they are only sent to the origin of `base`.

    keeps_cookies  whether cookies are sent back as they come; otherwise the caller keeps them
    private        whether the caller sends secrets in other ways than by `headers`
    """

    base: str
    headers: Mapping[str, Secret] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)
    network: Network = field(default_factory=Network)
    keeps_cookies: bool = True
    private: bool = False
    _session: aiohttp.ClientSession | None = None
    _pace: Pace = field(init=False)

    def __post_init__(self) -> None:
        parts = urlsplit(self.base)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise BadConfig(f"not an HTTP address: {self.base!r}")
        secret = self.headers or self.private
        if secret and parts.scheme == "http" and parts.hostname not in LOOPBACK:
            raise BadConfig(f"credentials would travel in the clear to {parts.hostname}: use https")
        self._pace = Pace(self.limits)

    async def get(self, target: str, accept: str) -> bytes | None:
        """The body of a 200, None for a 204. `target` is an encoded path and query below `base`.

        Asked again at most once, and only where nothing was lost by the first try. Raises ArchiveError.
        """
        return await self._asked(self._get, self.base.rstrip("/") + target, accept)

    async def post(self, target: str, form: Mapping[str, str | Secret], accept: str) -> bytes | None:
        """The body of the reply to a question that is asked as a form; otherwise as `get`.

        Only for questions that may be asked twice. A redirect is not followed: it would lose the form.
        """
        return await self._asked(self._post, self.base.rstrip("/") + target, form, accept)

    async def ask(
        self,
        target: str,
        accept: str,
        method: str = "GET",
        form: Mapping[str, str | Secret] | None = None,
        headers: Mapping[str, Secret] | None = None,
    ) -> Reply:
        """The reply with its cookies, for archives that keep sessions; otherwise as `get`.

        What `accept` names may come back, beside JSON. No redirect is followed.
        """
        return await self._asked(
            self._ask, self.base.rstrip("/") + target, accept, method, form, headers or {}
        )

    @contextlib.asynccontextmanager
    async def streamed(
        self, target: str, accept: str, headers: Mapping[str, Secret] | None = None
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """A reply whose body is still to be read, for files. Asked once; no redirect is followed.

        What aiohttp raises while it is read becomes an ArchiveError here. The reader counts the bytes.
        """
        url = self.base.rstrip("/") + target
        sent = {"Accept": accept, "Accept-Encoding": "identity", **_revealed(self.headers)}
        async with self._pace:
            try:
                asked = self._open().get(
                    URL(url, encoded=True),
                    headers={**sent, **_revealed(headers or {})},
                    allow_redirects=False,
                    proxy=self.network.proxy,
                )
                async with asyncio.timeout(self.limits.connect + self.limits.first_byte):
                    reply = await asked
                async with reply:
                    if reply.status in (301, 302, 303, 307, 308):
                        self._allowed(url, reply.headers.get("Location", ""), 0)
                    judge(reply.status, reply.headers)
                    yield reply
            except (aiohttp.ClientError, TimeoutError, ConnectionError) as error:
                raise _translated(error) from error

    async def _asked(self, how: Callable[..., Awaitable[T]], *what: object) -> T:
        tokens = Tokens.of(self.base)
        tokens.earn()
        again = AsyncRetrying(
            stop=stop_after_attempt(2),
            wait=wait_random(0.05, 0.3),
            retry=retry_if_exception(lambda error: _worth_another(error) and tokens.take()),
            reraise=True,
        )
        async with self._pace:
            return await again(how, *what)

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _get(self, url: str, accept: str, hops: int = 2) -> bytes | None:
        moved, reply = await self._request("GET", url, accept)
        if moved is not None:
            return await self._get(self._allowed(url, moved, hops), accept, hops - 1)
        return reply.body

    async def _post(self, url: str, form: Mapping[str, str | Secret], accept: str) -> bytes | None:
        return (await self._ask(url, accept, "POST", form, {})).body

    async def _ask(
        self,
        url: str,
        accept: str,
        method: str,
        form: Mapping[str, str | Secret] | None,
        headers: Mapping[str, Secret],
    ) -> Reply:
        sent = None if form is None else _revealed(form)
        moved, reply = await self._request(method, url, accept, sent, _revealed(headers))
        if moved is not None:
            self._allowed(url, moved, 0)
        return reply

    async def _request(
        self,
        method: str,
        url: str,
        accept: str,
        form: Mapping[str, str] | None = None,
        own: Mapping[str, str] | None = None,
    ) -> tuple[str | None, Reply]:
        """Where it redirects to, or the reply."""
        headers = {"Accept": accept, **_revealed(self.headers), **(own or {})}
        there = URL(url, encoded=True)
        try:
            asked = self._open().request(
                method, there, data=form, headers=headers, allow_redirects=False, proxy=self.network.proxy
            )
            async with asyncio.timeout(self.limits.connect + self.limits.first_byte):
                reply = await asked
            async with reply:
                if reply.status in (301, 302, 303, 307, 308):
                    return reply.headers.get("Location", ""), Reply()
                judge(reply.status, reply.headers)
                body = None if reply.status == 204 else await self._body(reply, accept)
                return None, Reply(body, {name: morsel.value for name, morsel in reply.cookies.items()})
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise _translated(error) from error

    def _allowed(self, url: str, location: str, hops: int) -> str:
        """Only on the same origin, and never to a log-in page."""
        try:
            target = urljoin(url, location)
            here, there = urlsplit(url), urlsplit(target)
        except ValueError as error:
            raise RefusedByArchive(
                "it redirects to what is no address, which is not followed", "redirect_refused"
            ) from error
        same = (here.scheme, here.netloc) == (there.scheme, there.netloc)
        if same and ("login" in there.path.lower() or "signin" in there.path.lower()):
            raise Forbidden("it redirects to a log-in page: credentials are needed")
        if not same or hops == 0:
            raise RefusedByArchive("it redirects elsewhere, which is not followed", "redirect_refused")
        return target

    async def _body(self, reply: aiohttp.ClientResponse, accept: str) -> bytes:
        kind = reply.content_type
        usual = "json" in kind or kind.startswith(("application/octet", "text/plain"))
        if not usual and kind not in accept:
            raise Malformed(f"it answered {kind or 'without a content type'} instead of JSON", "not_json")
        body = bytearray()
        async for chunk in reply.content.iter_chunked(256 * 1024):
            body += chunk
            if len(body) > self.limits.bytes:
                body.clear()
                raise TooMuch(f"one reply holds more than {self.limits.bytes:,} bytes")
        return bytes(body)

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            timeout = aiohttp.ClientTimeout(
                total=None, sock_connect=self.limits.connect, sock_read=self.limits.idle
            )
            connector = Connector(limit=self.limits.connections, ssl=self.network.tls())
            self._session = aiohttp.ClientSession(
                timeout=timeout,
                connector=connector,
                cookie_jar=aiohttp.CookieJar(unsafe=True) if self.keeps_cookies else aiohttp.DummyCookieJar(),
                trust_env=False,
                headers={"User-Agent": "imaging-broker"},
            )
        return self._session


def _revealed(given: Mapping[str, str | Secret] | Mapping[str, Secret]) -> dict[str, str]:
    return {name: value.reveal() if isinstance(value, Secret) else value for name, value in given.items()}


def judge(status: int, headers: Mapping[str, str]) -> None:
    """The status decides before any body is read. Raises ArchiveError."""
    if status in (200, 204):
        return
    if status == 401:
        raise Forbidden("401: it wants credentials, or others: see auth of its entry")
    if status == 403:
        raise Forbidden("403: the credentials do not permit this", "forbidden")
    if status == 429 or (status == 503 and "Retry-After" in headers):
        raise Limited(f"{status}: it asks to be left alone", _seconds(headers.get("Retry-After")))
    if status == 404:
        raise RefusedByArchive("404: nothing is served at this address", "not_found")
    if status == 413:
        raise RefusedByArchive("413: it finds the question too broad", "too_broad")
    if status >= 500:
        raise ServerFault(f"{status}: it failed on its side")
    raise RefusedByArchive(
        f"{status}: it refused the question; if it refuses all, check the path of its url", f"http_{status}"
    )


def _seconds(text: str | None) -> float | None:
    return float(text) if text and text.isdecimal() else None


def _worth_another(error: BaseException) -> bool:
    """Refused connections, bodies cut short and server faults: asking twice loses nothing.

    A connection that closed before any reply has been tried again by aiohttp itself.
    """
    cut = isinstance(error.__cause__, aiohttp.ClientPayloadError)
    refused = isinstance(error, Unreachable) and error.reason == "unreachable"
    return isinstance(error, ServerFault) or cut or refused


def _translated(error: Exception) -> ArchiveError:
    """A library's error as one of ours; texts of theirs may repeat the address with its values."""
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return TimedOut("no connection in time", "timeout_connect")
    if isinstance(error, TimeoutError | asyncio.TimeoutError):
        return TimedOut("it fell silent")
    if isinstance(error, aiohttp.ClientSSLError):
        return unreachable.insecure(getattr(error, "certificate_error", None))
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return unreachable.unknown_host(error.host)
    if isinstance(error, aiohttp.ClientConnectorError):
        return unreachable.connecting(error.os_error, error.host, error.port)
    if isinstance(error, aiohttp.ClientPayloadError | aiohttp.ServerDisconnectedError | ConnectionError):
        return Unreachable("the connection broke in the middle", "truncated_body")
    return Malformed(f"it does not speak HTTP properly ({type(error).__name__})", "bad_protocol")
