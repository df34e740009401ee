"""Everything that can go wrong, as exceptions of ours.

BrokerError
├── BadQuery             the question itself is impossible        (nothing was asked)    exit 2
├── MissingExtra         an optional package is not installed
├── BadInput             a file that was given cannot be used     (nothing was changed)  exit 2
├── BadConfig            federation file or credential unusable   (nothing was asked)    exit 5
└── ArchiveError         one archive did not answer; `reason` is a short stable word
    ├── Unreachable      refused, DNS, TLS: no conversation began
    ├── TimedOut         the time budget of the archive ended
    ├── Forbidden        credentials missing or not enough
    ├── RefusedByArchive it understood and said no (4xx)
    ├── ServerFault      it failed on its side (5xx)
    ├── Limited          asked too often; `retry_after` seconds if it said so
    ├── Malformed        it answered something that is not an answer
    ├── TooMuch          a limit of ours ended it: bytes, records, pages
    └── LeftAlone        it was not asked, because it failed too often just now
"""

from __future__ import annotations


class BrokerError(Exception):
    """Any error raised by the broker."""


class BadQuery(BrokerError, ValueError):
    """The query cannot mean anything; the text names the condition and what to write instead."""


class BadInput(BrokerError):
    """A file that was given to be imported cannot be used; nothing was changed."""


class BadConfig(BrokerError):
    """The federation file, or a credential that it refers to, cannot be used."""


class MissingExtra(BrokerError, ImportError):
    """A package that only some uses need is not installed; the text names the extra that brings it."""


class ArchiveError(BrokerError):
    """An archive did not answer, or not completely.

    `reason` is a short stable word for machines (`timeout`, `auth`, `bad_json` ...); the message is for
    people and holds neither credentials nor query values.
    """

    default_reason = "error"

    def __init__(self, message: str, reason: str | None = None) -> None:
        super().__init__(message)
        self.reason = reason or self.default_reason


class Unreachable(ArchiveError):
    """No conversation could begin."""

    default_reason = "unreachable"


class TimedOut(ArchiveError):
    """The archive did not answer in the time it had."""

    default_reason = "timeout"


class DeadlinePassed(TimedOut):
    """The time of the whole query ended first; an archive that was answering is not to blame."""


class Forbidden(ArchiveError):
    """Credentials are missing, wrong, or do not permit the question."""

    default_reason = "auth"


class RefusedByArchive(ArchiveError):
    """The archive understood the question and refused it."""

    default_reason = "refused"


class ServerFault(ArchiveError):
    """The archive failed on its own side."""

    default_reason = "upstream_5xx"


class Limited(ArchiveError):
    """The archive asks to be left alone for a while."""

    default_reason = "rate_limited"

    def __init__(self, message: str, retry_after: float | None = None, reason: str | None = None) -> None:
        super().__init__(message, reason)
        self.retry_after = retry_after


class Malformed(ArchiveError):
    """What came back is not an answer of the protocol."""

    default_reason = "bad_shape"


class TooMuch(ArchiveError):
    """One of our own limits ended the conversation."""

    default_reason = "too_large"


class LeftAlone(ArchiveError):
    """It failed too often just now, or said when to come back, so it was not asked."""

    default_reason = "left_alone"
