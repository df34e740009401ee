"""The words of a command line as level, conditions and archive names."""

from __future__ import annotations

import re
from collections.abc import Sequence

from broker.errors import BadQuery
from broker.query import read_level
from catalog.keywords import USUAL


def split(words: Sequence[str], level: str | None) -> tuple[str, list[str]]:
    """The level (a word without a sign, or --level, else studies) and the conditions. Raises BadQuery."""
    levels = [w for w in words if not signed(w)]
    texts = [w for w in words if signed(w)]
    if level is not None:
        levels.append(level)
    if len(levels) > 1:
        raise BadQuery(_stray(words) or f"one level, not {len(levels)} ({', '.join(levels)})")
    if levels and re.search(r"[:<> ]", levels[0]):
        raise BadQuery(_stray(words))
    return (levels[0] if levels else "studies"), texts


def signed(word: str) -> bool:
    """Whether it can be a condition."""
    return "=" in word or "~" in word


def _stray(words: Sequence[str]) -> str:
    """Which word is neither level nor condition, and what to write; nothing if there is none."""
    at = next((i for i, w in enumerate(words) if not (signed(w) or _level(w))), None)
    if at is None:
        return ""
    split_up = at > 0 and signed(words[at - 1])
    end = next((i for i in range(at, len(words)) if signed(words[i])), len(words))
    whole = " ".join(words[at - 1 : end])
    meant = f"a value with spaces stands in quotes: '{whole}'" if split_up else _condition(words[at:end])
    return f"{words[at]!r} is neither a level nor a condition; {meant}"


def _level(word: str) -> bool:
    try:
        read_level(word)
    except BadQuery:
        return False
    return True


def _condition(words: Sequence[str]) -> str:
    parts = re.match(r"(\w+)[\s:<>]+(.+)", " ".join(words))
    example = f"{parts[1]}={parts[2]}" if parts and parts[1] in USUAL else "Modality=CT"
    return f"write KEYWORD=VALUE, as in {example}, or for dates KEYWORD=FROM-TO"


def names(given: Sequence[str]) -> list[str]:
    """Names, each option holding one or several by comma."""
    return [name.strip() for part in given for name in part.split(",") if name.strip()]
