"""The words of a command line as level, conditions and archive names."""

from __future__ import annotations

from collections.abc import Sequence

from broker.errors import BadQuery


def split(words: Sequence[str], level: str | None) -> tuple[str, list[str]]:
    """The level (a word without a sign, or --level, else studies) and the conditions. Raises BadQuery."""
    levels = [w for w in words if "=" not in w and "~" not in w]
    texts = [w for w in words if w not in levels]
    if level is not None:
        levels.append(level)
    if len(levels) > 1:
        raise BadQuery(f"one level, not {len(levels)} ({', '.join(levels)}); a condition is KEYWORD=VALUE")
    return (levels[0] if levels else "studies"), texts


def names(given: Sequence[str]) -> list[str]:
    """Names, each option holding one or several by comma."""
    return [name.strip() for part in given for name in part.split(",") if name.strip()]
