"""Plain JSON replies, as REST services give them: bounded in depth, and UTF-8 or said not to be."""

from __future__ import annotations

from typing import Any

import msgspec

from broker.errors import Malformed

JSON = "application/json"
CHARSET = "charset"  # the note of a page that was not UTF-8


def decoded(body: bytes) -> tuple[Any, tuple[str, ...]]:
    """The JSON value of a body, and notes: bytes that are not UTF-8 are read as Latin-1, and flagged.

    Raises Malformed.
    """
    try:
        return msgspec.json.decode(body), ()
    except RecursionError as error:
        raise Malformed("the reply is nested too deeply", "bad_json") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        if _utf8(body):
            raise Malformed("the reply is not JSON", "bad_json") from error
    return decoded(body.decode("latin-1").encode("utf-8"))[0], (CHARSET,)


def _utf8(body: bytes) -> bool:
    try:
        body.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def listed(value: object) -> tuple[list[dict[str, Any]], int]:
    """The objects of a list, and how many of its members are none. Raises Malformed for anything else."""
    if not isinstance(value, list):
        raise Malformed("the reply is not a list of records", "bad_shape")
    found = [member for member in value if isinstance(member, dict)]
    return found, len(value) - len(found)
