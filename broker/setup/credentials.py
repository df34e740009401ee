"""Secrets by reference. A federation file says where a secret is, never what it is.

env:NAME               an environment variable
file:PATH              the first line of a file
keyring:SERVICE/USER   the system's keyring (extra `keyring`)
netrc                  the login for the archive's host in ~/.netrc (kind `netrc`)
"""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from broker.errors import BadConfig

KINDS = {
    "none": (),
    "basic": ("username", "password"),
    "bearer": ("token",),
    "header": ("name", "value"),
    "netrc": (),
    "jsession": ("token",),
}
_SECRETS = frozenset({"password", "token", "value"})


class Secret:
    """A secret that shows itself only on demand; printed, logged or formatted it is `***`."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return "***"

    def reveal(self) -> str:
        """The secret itself, for the one place that sends it."""
        return self._text


@dataclass(frozen=True, slots=True)
class Login:
    """How to log in, every reference followed: the kind, a user name where there is one, and the secret."""

    kind: str
    username: str = ""
    secret: Secret | None = None


def login(archive: str, auth: Mapping[str, str], url: str = "") -> Login:
    """User name and secret, for an archive that is logged in to in a way of its own. Raises BadConfig."""
    kind, read = _followed(archive, auth, url)
    text = next((read[name] for name in ("password", "token", "value") if name in read), None)
    return Login(kind, read.get("username", ""), None if text is None else Secret(text))


def headers(archive: str, auth: Mapping[str, str], url: str = "") -> dict[str, Secret]:
    """HTTP headers that log in to an archive. Raises BadConfig, naming the reference that is missing."""
    where = f"archive {archive}: auth"
    kind, read = _followed(archive, auth, url)
    if kind == "header":
        return {read["name"]: _one_line(where, read["value"])}
    if kind == "bearer":
        return {"Authorization": _one_line(where, f"Bearer {read['token']}")}
    if kind == "jsession":
        return {"Cookie": _one_line(where, f"JSESSIONID={read['token']}")}
    if kind == "none":
        return {}
    pair = f"{read['username']}:{read['password']}".encode()
    return {"Authorization": Secret("Basic " + base64.b64encode(pair).decode("ascii"))}


def _followed(archive: str, auth: Mapping[str, str], url: str) -> tuple[str, dict[str, str]]:
    """The kind of a login and what it needs, read from where it is kept."""
    kind = auth.get("kind", "none")
    where = f"archive {archive}: auth"
    if kind not in KINDS:
        raise BadConfig(f"{where}: unknown kind {kind!r}; write one of {', '.join(KINDS)}")
    missing = [name for name in KINDS[kind] if not auth.get(name)]
    if missing:
        raise BadConfig(f"{where}: kind {kind!r} needs {', '.join(missing)}")
    read = {name: _read(f"{where}.{name}", name, auth[name]) for name in KINDS[kind]}
    return kind, _netrc(where, url) if kind == "netrc" else read


def secret(where: str, reference: str) -> Secret:
    """The secret behind a reference; `where` names the entry in errors. Raises BadConfig."""
    return Secret(_read(where, "password", reference))


def _one_line(where: str, text: str) -> Secret:
    if any(ord(c) < 32 or ord(c) == 127 for c in text):
        raise BadConfig(f"{where}: the secret holds a control character and cannot be sent in a header")
    return Secret(text)


def _read(where: str, name: str, text: str) -> str:
    """Follow a reference. Names and user names may stand for themselves; secrets may not."""
    scheme, colon, rest = text.partition(":")
    if colon and scheme in _READERS:
        return _READERS[scheme](where, rest)
    if name in _SECRETS:
        raise BadConfig(
            f"{where}: a secret stands only by reference here; write env:NAME, file:PATH or keyring:S/U"
        )
    return text


def _env(where: str, name: str) -> str:
    value = os.environ.get(name)
    if not value:
        raise BadConfig(f"{where}: the environment variable {name} is not set")
    return value


def _file(where: str, name: str) -> str:
    try:
        lines = Path(name).expanduser().read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BadConfig(f"{where}: cannot read the file {name}: {type(error).__name__}") from error
    if not lines or not lines[0].strip():
        raise BadConfig(f"{where}: the file {name} is empty")
    return lines[0].strip()


def _keyring(where: str, name: str) -> str:
    service, _, user = name.partition("/")
    try:
        import keyring
    except ImportError as error:
        raise BadConfig(f"{where}: install imaging-broker[keyring] to use a keyring") from error
    value: str | None = keyring.get_password(service, user)
    if not value:
        raise BadConfig(f"{where}: the keyring has nothing for {name}")
    return value


def _netrc(where: str, url: str) -> dict[str, str]:
    import netrc

    host = urlsplit(url).hostname or ""
    try:
        found = netrc.netrc().authenticators(host)
    except (OSError, netrc.NetrcParseError) as error:
        raise BadConfig(f"{where}: cannot read ~/.netrc: {type(error).__name__}") from error
    if not found:
        raise BadConfig(f"{where}: ~/.netrc has no entry for {host}")
    return {"username": found[0], "password": found[2] or ""}


_READERS = {"env": _env, "file": _file, "keyring": _keyring}
