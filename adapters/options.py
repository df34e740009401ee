"""Options of a federation entry, read by adapters. What is left over is unknown."""

from __future__ import annotations

from typing import Any

from broker.errors import BadConfig


def number(name: str, options: dict[str, Any], option: str, usual: int) -> int:
    """A positive whole number. Raises BadConfig."""
    value = options.pop(option, usual)
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise BadConfig(f"archive {name}: option {option} must be a positive whole number")
    return value


def switch(name: str, options: dict[str, Any], option: str, usual: bool) -> bool:
    """Yes or no. Raises BadConfig."""
    value = options.pop(option, usual)
    if not isinstance(value, bool):
        raise BadConfig(f"archive {name}: option {option} must be true or false")
    return value


def nothing_left(name: str, options: dict[str, Any], adapter: str) -> None:
    """Raises BadConfig for an option that nobody read."""
    if options:
        raise BadConfig(f"archive {name}: unknown option {min(options)!r} for {adapter}")
