"""xnatpy on the session of an archive: XNAT's projects, subjects, scans and files as objects.

xnatpy blocks, shares one connection without locks and cannot be cancelled, so all is done in one thread
of its own. It looks for credentials in the environment, so it is given the session that is open already, and
does not end it. Proxies and certificates it takes from the environment, as `requests` does.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any, Self, TypeVar

from adapters.shared.http import Http
from adapters.xnat.session import COOKIE, XnatSession
from broker.errors import ArchiveError, Forbidden, Malformed, TimedOut, Unreachable

T = TypeVar("T")
PATIENCE = 1.0  # seconds that leaving waits for a call that is still under way; then its thread ends it alone
log = logging.getLogger("broker.xnatpy")


class Objects:
    """An xnatpy connection, made when it is first used.

        async with broker.archive("my-xnat").objects() as objects:
            names = await objects(lambda xnat: [project.name for project in xnat.projects.values()])

    The function is called in the connection's own thread with an `xnat.session.BaseXNATSession`, and its
    result is awaited. Objects of xnatpy belong to that thread: take values out of them, not the objects. Its
    `map` and `search` cannot be used here: they install a signal handler, which only a main thread may.
    """

    def __init__(self, name: str, session: XnatSession, http: Http, model: bool) -> None:
        self._name = name
        self._session = session
        self._http = http
        self._model = model
        self._token = ""
        self._connection: Any = None
        self._pool: ThreadPoolExecutor | None = None

    async def __aenter__(self) -> Self:
        self._session.holders += 1
        self._pool = ThreadPoolExecutor(1, thread_name_prefix=f"xnatpy-{self._name}")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pool, self._pool = self._pool, None
        self._session.holders -= 1
        try:
            if pool is not None:
                ended = pool.submit(self._disconnect)
                pool.shutdown(wait=False)
                await asyncio.wait([asyncio.wrap_future(ended)], timeout=PATIENCE)
        finally:
            await self._session.close()

    async def __call__(self, work: Callable[[Any], T]) -> T:
        """What `work` makes of the connection. Raises what it raises, or ArchiveError.

        Cancelled, it returns at once; a request that is under way ends in its own time, in its thread.
        """
        if self._pool is None:
            raise RuntimeError("use it inside `async with archive.objects() as objects`")
        if not self._token:
            self._token = await self._session.token()
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._do, work)

    def _do(self, work: Callable[[Any], T]) -> T:
        if self._connection is None:
            self._connection = self._connect()
        found = work(self._connection)
        self._kept()
        return found

    def _connect(self) -> Any:
        import requests
        import xnat
        from xnat.exceptions import XNATError

        log.setLevel(max(log.level, logging.ERROR))  # it logs addresses, and they may hold names
        limits = self._http.limits
        try:
            return xnat.connect(
                self._http.base,
                jsession=self._token,
                cli=True,  # the session is not its own to end
                logger=log,
                verify=self._http.network.ca_file or not self._http.network.insecure,
                no_parse_model=not self._model,
                default_timeout=(limits.connect, limits.idle),
            )
        except requests.Timeout as error:
            raise TimedOut("xnatpy waited in vain for it") from error
        except requests.RequestException as error:
            raise Unreachable("xnatpy cannot reach it") from error
        except XNATError as error:
            raise _translated(error) from error

    def _kept(self) -> None:
        """xnatpy does not notice that it has become a guest."""
        held = {c.value for c in self._connection.interface.cookies if c.name == COOKIE}
        if held != {self._token}:
            raise Forbidden("xnatpy's session has ended: what came may be what a guest sees", "session_lost")

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.disconnect()


def _translated(error: Exception) -> ArchiveError:
    from xnat.exceptions import XNATAuthError, XNATLoginFailedError

    if isinstance(error, XNATAuthError | XNATLoginFailedError):
        return Forbidden("xnatpy is not accepted with the session of the broker", "session_lost")
    return Malformed("xnatpy cannot read its data model", "bad_model")
