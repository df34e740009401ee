"""One session of an XNAT: logged in to, verified, kept, and never silently exchanged for a guest's.

An XNAT that is open to guests answers an expired session with what a guest may see, status 200 and a new
cookie (`XnatSecureGuard` of XNAT 1.8). So cookies are kept here and not by the library, and a reply that sets
another session is not taken for the user's.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import re
from collections.abc import AsyncIterator

import aiohttp

from adapters.shared.http import Http, Reply
from broker.errors import ArchiveError, BadConfig, Forbidden, Malformed
from broker.setup.credentials import Login, Secret

COOKIE = "JSESSIONID"
KINDS = ("none", "basic", "netrc", "jsession")
BYE = 0.5  # seconds that ending a session may take

_TEXT = "text/plain, text/html"
_TOKEN = re.compile(r"[A-Za-z0-9._-]{8,128}")
_USER = re.compile(r"User '([^'<]*)' is logged in")
_ALIAS = re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_LOST = ("auth", "not_json")  # what an XNAT says to somebody whom it does not know any more


class XnatSession:
    """Requests to an XNAT as one user, or as a guest.

    `login` is a user name and password, an alias token (its alias is the user name), a JSESSIONID that is
    given, or none. `holders` use the session beside the adapter: while there are any, it is not ended.
    """

    def __init__(self, http: Http, login: Login, provider: str = "") -> None:
        if login.kind not in KINDS:
            raise BadConfig(f"an XNAT is logged in to by one of {', '.join(KINDS)}, not by {login.kind!r}")
        self.holders = 0
        self._http = http
        self._login = login
        self._provider = provider
        self._cookie: Secret | None = None
        self._made: Secret | None = None  # opened, perhaps not verified yet
        self._opening: asyncio.Task[Secret] | None = None

    async def get(self, target: str, accept: str = "application/json") -> bytes:
        """The body of a reply to this user. Logs in first, and again once where the session was lost.

        Raises ArchiveError; Forbidden with the reason `session_lost` where it is lost again.
        """
        sent = await self._ready()
        try:
            return await self._as_user(target, accept, sent)
        except _Lost as lost:
            again = await self._again(sent, lost)
        try:
            return await self._as_user(target, accept, again)
        except _Lost as error:
            raise Forbidden("its session is lost again just after logging in", "session_lost") from error

    @contextlib.asynccontextmanager
    async def streamed(self, target: str) -> AsyncIterator[aiohttp.ClientResponse]:
        """A file, still to be read, as this user. Raises ArchiveError, also where the session was lost."""
        sent = await self._ready()
        async with self._http.streamed(target, "*/*", _sending(sent)) as reply:
            new = reply.cookies.get(COOKIE)
            if new is not None and sent is not None and new.value != sent.reveal():
                raise Forbidden("its session was lost while files were fetched", "session_lost")
            yield reply

    async def token(self) -> str:
        """The JSESSIONID, for another client of this session; a guest gets one too. Raises ArchiveError."""
        await self._ready()
        if self._cookie is None:
            reply = await self._http.ask("/data/JSESSION", _TEXT)
            self._cookie = _token(reply)
        return self._cookie.reveal()

    async def close(self) -> None:
        """End the session on the server, unless it was given or is used by others; close the connections."""
        try:
            if self.holders == 0:
                # whoever leaves is not kept waiting by a server that does not answer
                with contextlib.suppress(ArchiveError, TimeoutError):
                    async with asyncio.timeout(BYE):
                        await self._end()
        finally:
            await self._http.close()

    async def _end(self) -> None:
        """End the session on the server, also one that is just being opened. Raises ArchiveError."""
        if self._opening is not None:
            await asyncio.gather(self._opening, return_exceptions=True)
        cookie = self._cookie or self._made
        self._cookie, self._made, self._opening = None, None, None
        if cookie is not None and self._login.kind != "jsession":
            await self._http.ask("/data/JSESSION", _TEXT, "DELETE", headers=_sending(cookie))

    async def _as_user(self, target: str, accept: str, sent: Secret | None) -> bytes:
        """The body. Raises _Lost where the reply is to somebody else."""
        guest = self._login.kind == "none"
        try:
            reply = await self._http.ask(target, accept, headers=_sending(sent))
        except ArchiveError as error:
            if not guest and error.reason in _LOST:
                raise _Lost from error
            raise
        new = reply.cookies.get(COOKIE)
        if new is not None and guest:
            self._cookie = Secret(new)
        elif new is not None and sent is not None and new != sent.reveal():
            raise _Lost
        return reply.body or b""

    async def _ready(self) -> Secret | None:
        """The session, logged in to when it is first needed."""
        if self._cookie is not None or self._login.kind == "none":
            return self._cookie
        if self._opening is None or self._opening.done():
            self._opening = asyncio.create_task(self._log_in())
        # whoever is cancelled meanwhile does not know what the server has opened: `close` waits for it
        return await asyncio.shield(self._opening)

    async def _again(self, lost: Secret | None, why: Exception) -> Secret | None:
        """A new session in place of a lost one; several requests may have found it out at once."""
        if self._login.kind == "jsession":
            raise Forbidden("the session that was given has ended", "session_lost") from why
        if self._cookie is lost:
            self._cookie = None
        return await self._ready()

    async def _log_in(self) -> Secret:
        """A session of the user, verified. Raises ArchiveError."""
        self._made = made = await self._opened()
        reply = await self._http.ask("/data/auth", _TEXT, headers=_sending(made))
        told = _USER.search((reply.body or b"").decode("utf-8", "replace"))
        user = told[1] if told else "guest"
        wanted = self._login.username.rpartition("/")[2]
        known = self._login.kind == "jsession" or _ALIAS.fullmatch(wanted) or user.lower() == wanted.lower()
        if user == "guest" or not known:
            raise Forbidden("it does not say that the user is logged in")
        self._cookie = made
        return made

    async def _opened(self) -> Secret:
        secret, name = self._login.secret, self._login.username
        if secret is None:
            raise Forbidden("there is nothing to log in with")
        if self._login.kind == "jsession":
            return secret
        if _ALIAS.fullmatch(name):
            pair = base64.b64encode(f"{name}:{secret.reveal()}".encode()).decode("ascii")
            headers = {"Authorization": Secret(f"Basic {pair}")}
            return _token(await self._http.ask("/data/JSESSION", _TEXT, headers=headers))
        form: dict[str, str | Secret] = {"username": name, "password": secret}
        if self._provider:
            form["provider"] = self._provider
        return _token(await self._http.ask("/data/services/auth", _TEXT, "PUT", form))


class _Lost(Exception):
    """The reply is not to the user."""


def _sending(cookie: Secret | None) -> dict[str, Secret]:
    return {} if cookie is None else {"Cookie": Secret(f"{COOKIE}={cookie.reveal()}")}


def _token(reply: Reply) -> Secret:
    text = (reply.body or b"").decode("ascii", "replace").strip()
    if not _TOKEN.fullmatch(text):
        raise Malformed("it answers a log-in with something that is not a JSESSIONID", "bad_login")
    return Secret(text)
