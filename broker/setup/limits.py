"""What one archive may take of us: time, bytes, records, and how hard we press it in turn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from broker.errors import BadConfig

WHOLE = frozenset({"bytes", "records", "pages", "connections", "questions", "instance", "download"})


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one archive. All but connections, questions and rate end what goes beyond them.

    seconds      for its whole answer, when that is less than the query's own timeout; None: that one
    connect      seconds until a connection stands
    first_byte   seconds from a request to the first byte of its reply
    idle         seconds of silence within a reply
    bytes        decoded bytes of one reply
    records      records of one question
    pages        replies of one question
    connections  connections, or associations, at once
    questions    queries of this process that may be under way there at once; others wait
    rate         requests in a second at most; None: as fast as it answers
    instance     bytes of one instance that is fetched
    download     bytes of one series that is fetched
    """

    seconds: float | None = None
    connect: float = 10.0
    first_byte: float = 60.0
    idle: float = 60.0
    bytes: int = 32 * 1024 * 1024
    records: int = 5_000_000
    pages: int = 50
    connections: int = 4
    questions: int = 4
    rate: float | None = None
    instance: int = 4 * 2**30
    download: int = 64 * 2**30

    @classmethod
    def of(cls, archive: str, given: Mapping[str, Any]) -> Limits:
        """From the `limits` table of a federation entry. Raises BadConfig naming the archive and limit."""
        known = {field.name for field in fields(cls)}
        for name, value in given.items():
            where = f"archive {archive}: limits.{name}"
            if name not in known:
                raise BadConfig(f"{where} is unknown; known are {', '.join(sorted(known))}")
            number = isinstance(value, int) or (isinstance(value, float) and name not in WHOLE)
            if isinstance(value, bool) or not number or not 0 < value < float("inf"):
                kind = "whole number" if name in WHOLE else "number"
                raise BadConfig(f"{where} must be a positive {kind}")
        return cls(**given)
