"""The three answers to a condition: true, false, and unknown (PS3.4 C.2.2.1.2)."""

from __future__ import annotations

from collections.abc import Iterable

Truth = bool | None


def any_of(answers: Iterable[Truth]) -> Truth:
    """True if one is, else unknown if one is, else false."""
    result: Truth = False
    for answer in answers:
        if answer:
            return True
        if answer is None:
            result = None
    return result


def all_of(answers: Iterable[Truth]) -> Truth:
    """False if one is, else unknown if one is, else true."""
    result: Truth = True
    for answer in answers:
        if answer is False:
            return False
        if answer is None:
            result = None
    return result
