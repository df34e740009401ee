"""DICOMweb through a `requests` session: that of a dicomweb-client, for sites that need its log-in.

dicomweb-client waits up to 130 s for a hanging server, asks again five times and takes an error object for a
record. So only its session is used: one request, in a thread of its own, with our limits and our errors.
Leaving shuts the socket that the thread waits for; one that is still connecting ends with `limits.connect`.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import socket
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

from adapters.shared.http import LOOPBACK, judge
from adapters.shared.pace import Pace
from broker.errors import (
    ArchiveError,
    BadConfig,
    Forbidden,
    Malformed,
    RefusedByArchive,
    TimedOut,
    TooMuch,
    Unreachable,
)
from broker.setup.credentials import Secret
from broker.setup.limits import Limits
from broker.setup.network import Network

if TYPE_CHECKING:
    import requests
    from dicomweb_client import DICOMwebClient

_CHUNK = 256 * 1024


class Transport(Protocol):
    """How a QIDO-RS server is reached: `adapters.shared.http.Http`, or a session of `requests`."""

    base: str

    async def get(self, target: str, accept: str) -> bytes | None:
        """The body of a 200, None for a 204. Raises ArchiveError."""
        ...

    async def close(self) -> None:
        """Let go of connections and threads."""
        ...


class Requests:
    """One archive through a session of `requests`. `make` gives the session, in the thread that uses it."""

    def __init__(
        self,
        base: str,
        make: Callable[[], requests.Session],
        limits: Limits,
        login: Mapping[str, Secret] | None = None,
        network: Network | None = None,
    ) -> None:
        self.base = base
        self._make = make
        self._limits = limits
        self._login = dict(login or {})
        self._network = network or Network()
        self._pace = Pace(limits)
        self._session: requests.Session | None = None
        self._pool: ThreadPoolExecutor | None = None
        self._sockets: dict[int, socket.socket] = {}
        self._using = threading.Lock()  # the thread of a question that was left may still be ending
        _not_in_the_clear(base, bool(self._login))

    @classmethod
    def of(cls, client: DICOMwebClient, limits: Limits) -> Requests:
        """Through the session of a dicomweb-client, which stays the caller's. Raises BadConfig."""
        session = getattr(client, "_session", None)
        if session is None:
            raise BadConfig(f"{type(client).__name__} has no session of `requests` to ask with")
        prefix = getattr(client, "qido_url_prefix", None)
        return cls("/".join(filter(None, [client.base_url.rstrip("/"), prefix])), lambda: session, limits)

    @classmethod
    def named(
        cls,
        archive: str,
        url: str,
        place: object,
        login: Mapping[str, Secret],
        limits: Limits,
        network: Network,
    ) -> Requests:
        """Through the session that a function gives, named `package.module:function`. Raises BadConfig."""
        module, _, function = str(place).partition(":")
        try:
            make = getattr(importlib.import_module(module), function)
        except (ImportError, AttributeError, ValueError) as error:
            raise BadConfig(
                f"archive {archive}: option session = {place!r} must name a function that gives a session of "
                f"`requests`, as package.module:function ({error})"
            ) from error
        return cls(url, make, limits, login, network)

    async def get(self, target: str, accept: str) -> bytes | None:
        """The body of a 200, None for a 204. Asked once. Raises ArchiveError."""
        async with self._pace:
            pool = self._pool = self._pool or ThreadPoolExecutor(1, thread_name_prefix="dicomweb")
            thread: list[int] = []
            asked = asyncio.get_running_loop().run_in_executor(
                pool, self._get, self.base.rstrip("/") + target, accept, thread
            )
            try:
                return await asked
            except asyncio.CancelledError:
                self._wake(thread)
                raise

    async def close(self) -> None:
        """End the thread and drop idle connections. The session itself can be used again."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.submit(self._drop)
            pool.shutdown(wait=False)

    def _drop(self) -> None:
        with self._using:
            for manager in self._managers():
                _emptied(manager)

    def _managers(self) -> list[Any]:
        if self._session is None:
            return []
        adapter = self._session.get_adapter(self.base)
        return [m for m in [getattr(adapter, "poolmanager", None)] if m is not None]

    def _wake(self, thread: list[int]) -> None:
        """Shut the socket that the thread reads from, so that it ends."""
        waiting = self._sockets.pop(thread[0], None) if thread else None
        if waiting is not None:
            with contextlib.suppress(OSError):  # it has just been closed
                waiting.shutdown(socket.SHUT_RDWR)

    def _get(self, url: str, accept: str, thread: list[int]) -> bytes | None:
        """One request, in the thread."""
        thread.append(threading.get_ident())
        try:
            with self._using:
                return self._read(self._opened(), url, accept)
        except ArchiveError:
            raise
        except Exception as error:
            raise _translated(error) from error
        finally:
            self._sockets.pop(threading.get_ident(), None)

    def _opened(self) -> requests.Session:
        if self._session is None:
            self._session = self._make()
            for manager in self._managers():
                _watch(manager, self._sockets)
        return self._session

    def _reached(self) -> dict[str, Any]:
        """Of the `network` table what the session has not settled by itself."""
        own = self._network
        verify: dict[str, Any] = {"verify": own.ca_file or False} if own.ca_file or own.insecure else {}
        proxies = {"http": own.proxy, "https": own.proxy}
        return {**verify, "proxies": proxies} if own.proxy else verify

    def _read(self, session: requests.Session, url: str, accept: str) -> bytes | None:
        headers = {"Accept": accept, **{name: value.reveal() for name, value in self._login.items()}}
        times = (self._limits.connect, self._limits.first_byte)
        own = self._reached()
        with session.get(
            url,
            headers=headers,
            stream=True,
            timeout=times,
            allow_redirects=False,
            auth=_exactly(url, session),
            **own,
        ) as reply:
            if reply.is_redirect:
                raise RefusedByArchive("it redirects elsewhere, which is not followed", "redirect_refused")
            judge(reply.status_code, reply.headers)
            return None if reply.status_code == 204 else self._body(reply)

    def _body(self, reply: requests.Response) -> bytes:
        kind = reply.headers.get("Content-Type", "").partition(";")[0].strip()
        if "json" not in kind and not kind.startswith(("application/octet", "text/plain")):
            raise Malformed(f"it answered {kind or 'without a content type'} instead of JSON", "not_json")
        body = bytearray()
        for chunk in reply.iter_content(_CHUNK):
            body += chunk
            if len(body) > self._limits.bytes:
                raise TooMuch(f"one reply holds more than {self._limits.bytes:,} bytes")
        return bytes(body)


def _not_in_the_clear(base: str, secret: bool) -> None:
    parts = urlsplit(base)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise BadConfig(f"not an HTTP address: {base!r}")
    if secret and parts.scheme == "http" and parts.hostname not in LOOPBACK:
        raise BadConfig(f"credentials would travel in the clear to {parts.hostname}: use https")


def _exactly(url: str, session: requests.Session) -> Callable[[Any], Any]:
    """The log-in of the session, and the address as it is: `requests` decodes some of what is encoded."""

    def prepared(request: Any) -> Any:
        request = session.auth(request) if callable(session.auth) else request
        if isinstance(session.auth, tuple):
            from requests.auth import HTTPBasicAuth

            request = HTTPBasicAuth(*session.auth)(request)
        request.url = url
        return request

    return prepared


def _watch(manager: Any, sockets: dict[int, socket.socket]) -> None:
    """Let the connections of a session tell which socket a thread waits for."""
    classes = dict(manager.pool_classes_by_scheme)
    manager.pool_classes_by_scheme = {scheme: _watched(pool, sockets) for scheme, pool in classes.items()}
    _emptied(manager)


def _emptied(manager: Any) -> None:
    """Close its idle connections. Clearing alone leaves that to the garbage collector (urllib3 2)."""
    for key in list(manager.pools.keys()):
        pool = manager.pools.get(key)
        if pool is not None:
            pool.close()
    manager.clear()


def _watched(pool: Any, sockets: dict[int, socket.socket]) -> Any:
    class Watched(pool.ConnectionCls):  # type: ignore[misc]
        def request(self, *given: Any, **named: Any) -> None:
            super().request(*given, **named)
            sockets[threading.get_ident()] = self.sock

    return type("Watched", (pool,), {"ConnectionCls": Watched})


def _translated(error: Exception) -> ArchiveError:
    """An error of `requests`, or of a session made by others, as one of ours, without the address."""
    from requests import exceptions

    told = str(error)
    if isinstance(error, exceptions.ConnectTimeout):
        return TimedOut("no connection in time", "timeout_connect")
    if isinstance(error, exceptions.Timeout) or "Read timed out" in told:
        return TimedOut("it fell silent")
    if isinstance(error, exceptions.SSLError):
        return Unreachable("its TLS certificate or protocol is not acceptable", "tls")
    if isinstance(error, exceptions.ChunkedEncodingError) or "Connection aborted" in told:
        return Unreachable("the connection broke in the middle", "truncated_body")
    if isinstance(error, exceptions.ConnectionError):
        dns = "NameResolution" in told
        return Unreachable(*(("its host name does not exist", "dns") if dns else ("it refuses connections",)))
    if isinstance(error, exceptions.RequestException):
        return Malformed(f"it does not speak HTTP properly ({type(error).__name__})", "bad_protocol")
    return Forbidden(f"its session could not log in ({type(error).__name__})", "session")
