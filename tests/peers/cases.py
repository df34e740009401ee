"""Faults of archives by name, with what must be said of each: the contract, as a table."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

from peers import faults
from peers.faults import Fault, canned, http


@dataclass(frozen=True)
class Case:
    """A fault and what must be said of it: status and reason of the report, requests at most, and
    whether it is held against the archive.
    """

    name: str
    fault: Callable[[], Fault]
    status: str
    reason: str
    attempts: int
    counts: bool


def _says(status: str, *headers: str, body: bytes = b"", kind: str = "text/plain") -> Callable[[], Fault]:
    return lambda: canned(http(status, body, kind, *headers))


def _body(body: bytes, *headers: str) -> Callable[[], Fault]:
    return _says("200 OK", *headers, body=body, kind="application/json")


def _then_closes(reply: bytes) -> Callable[[], Fault]:
    return lambda: canned(reply, close=True)


@functools.cache
def _bomb() -> bytes:
    return faults.bomb()


def _gzip_bomb() -> Fault:
    return canned(http("200 OK", _bomb(), "application/json", "Content-Encoding: gzip"))


LATER = "Retry-After: 120"
CUT = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n[{"0020000D":{"vr":"UI"'
DEEP = b"[" * 200_000 + b"]" * 200_000
LOGIN = "Location: /app/template/Login.vm"
LONG = b"HTTP/1.1 200 OK\r\nX: " + b"a" * 100_000

ELSEWHERE = "Location: http://127.0.0.2/x"
PAGE = faults.LOGIN_PAGE

HTTP = [
    Case("accepts, then silence", lambda: faults.silence, "failed", "timeout", 1, True),
    Case("one byte per half second", faults.drip, "failed", "timeout", 1, True),
    Case("closes without a word", lambda: faults.vanish, "failed", "truncated_body", 2, True),
    Case("half a body, then RST", faults.half_then_reset, "failed", "truncated_body", 2, True),
    Case("no length, JSON cut", _then_closes(CUT), "failed", "bad_json", 1, True),
    Case("chunked, last chunk missing", faults.chunked_without_end, "failed", "truncated_body", 2, True),
    Case(
        "log-in page with 200",
        _says("200 OK", body=PAGE, kind="text/html"),
        "failed",
        "not_json",
        1,
        False,
    ),
    Case("302 to log-in page", _says("302 Found", LOGIN), "failed", "auth", 1, False),
    Case(
        "302 to another host",
        _says("302 Found", ELSEWHERE),
        "failed",
        "redirect_refused",
        1,
        False,
    ),
    Case("302 to itself", _says("302 Found", "Location: /x"), "failed", "redirect_refused", 3, False),
    Case("401", _says("401 Unauthorized", "WWW-Authenticate: Bearer"), "failed", "auth", 1, False),
    Case("403", _says("403 Forbidden"), "failed", "forbidden", 1, False),
    Case("404", _says("404 Not Found"), "failed", "not_found", 1, False),
    Case("413", _says("413 Content Too Large"), "failed", "too_broad", 1, False),
    Case("429, come back later", _says("429 Too Many Requests", LATER), "failed", "rate_limited", 1, True),
    Case("503, come back later", _says("503 Service Unavailable", LATER), "failed", "rate_limited", 1, True),
    Case("500 with a stack trace", _says("500 Oh", body=b"Traceback ..."), "failed", "upstream_5xx", 2, True),
    Case("empty body", _body(b""), "failed", "bad_json", 1, True),
    Case("JSON object for a list", _body(b'{"error":"denied"}'), "failed", "bad_shape", 1, True),
    Case("JSON 200,000 deep", _body(DEEP), "failed", "bad_json", 1, True),
    Case("not UTF-8, not JSON", _body(b"\xff\xfe\x00[{]"), "failed", "bad_json", 1, True),
    Case("body without end", lambda: faults.endless(b" " * 65536), "failed", "too_large", 1, True),
    Case("gzip bomb", _gzip_bomb, "failed", "too_large", 1, True),
    Case("broken gzip", _body(b"\x1f\x8bno", "Content-Encoding: gzip"), "failed", "truncated_body", 2, True),
    Case("not HTTP at all", _then_closes(b"SSH-2.0-OpenSSH_9.2\r\n"), "failed", "bad_protocol", 1, True),
    Case("a header without end", _then_closes(LONG), "failed", "bad_protocol", 1, True),
    Case("503 once, then an answer", lambda: faults.first(1, http("503 Oh")), "ok", "", 5, False),
]
