"""Who is logged in to an XNAT: users, sessions that expire, alias tokens, how many sessions one may have."""

from __future__ import annotations

import base64
import binascii
import secrets
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field

Who = str | None
"""A user name; None for a guest."""


class Wrong(Exception):
    """The credentials are wrong, or no further session is permitted."""


@dataclass(slots=True)
class Accounts:
    """`users` is name -> password; `timeout` the seconds after which an unused session ends."""

    users: Mapping[str, str] = field(default_factory=dict)
    timeout: float = 900.0
    most: int = 1000
    _sessions: dict[str, tuple[Who, float]] = field(default_factory=dict)
    _aliases: dict[str, tuple[str, str]] = field(default_factory=dict)

    def check(self, name: str, password: str) -> str:
        """The user of a name (or alias) and password. Raises Wrong."""
        user, known = self._aliases.get(name, (name.rpartition("/")[2], ""))
        if (known or self.users.get(user)) != password:
            raise Wrong("Login attempt failed. Please try again.")
        return user

    def basic(self, header: str) -> str:
        """The user of an Authorization header. Raises Wrong."""
        try:
            pair = base64.b64decode(header.removeprefix("Basic "))
        except binascii.Error as error:
            raise Wrong("unreadable credentials") from error
        try:
            name, _, password = pair.decode().partition(":")
        except UnicodeDecodeError:
            name, _, password = pair.decode("latin-1").partition(":")  # as requests sends it
        return self.check(name, password)

    def open(self, who: Who) -> str:
        """A new session. Raises Wrong when a user has too many."""
        if who is not None and sum(user == who for user, _ in self._alive().values()) >= self.most:
            raise Wrong("Maximum sessions of 1 for this principal exceeded")
        token = secrets.token_hex(16).upper()
        self._sessions[token] = (who, time.monotonic() + self.timeout)
        return token

    def of(self, token: str | None) -> tuple[bool, Who]:
        """Whether a session is alive, and whose it is; being used prolongs it."""
        if token not in self._alive():
            return False, None
        who = self._sessions[str(token)][0]
        self._sessions[str(token)] = (who, time.monotonic() + self.timeout)
        return True, who

    def close(self, token: str | None) -> None:
        """End a session."""
        self._sessions.pop(token or "", None)

    def expire(self) -> None:
        """End every session, as time would."""
        self._sessions.clear()

    def issue(self, who: str) -> dict[str, str]:
        """An alias token."""
        alias, secret = str(uuid.uuid4()), secrets.token_urlsafe(32)
        self._aliases[alias] = (who, secret)
        return {"alias": alias, "secret": secret}

    @property
    def open_of_users(self) -> int:
        """How many sessions of users (not of guests) are alive."""
        return sum(who is not None for who, _ in self._alive().values())

    def _alive(self) -> dict[str, tuple[Who, float]]:
        now = time.monotonic()
        return {token: told for token, told in self._sessions.items() if told[1] > now}
