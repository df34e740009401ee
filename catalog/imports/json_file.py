"""JSON files, read within bounds."""

from __future__ import annotations

import functools
import json
import math
from typing import Any

from catalog.imports.rows import File
from catalog.imports.text import label
from catalog.problems import BadFile

LARGEST = 32 << 20  # bytes


def load(file: File) -> Any:
    """What the file says. Raises BadFile for what is no JSON, contradicts itself, or is too large."""
    with file.open() as stream:
        raw = stream.read(LARGEST + 1)
    if len(raw) > LARGEST:
        raise BadFile(f"{label(file)}: larger than {LARGEST:,} bytes")
    try:
        return json.loads(raw.decode("utf-8-sig"), object_pairs_hook=functools.partial(_told, label(file)))
    except (ValueError, RecursionError) as error:
        raise BadFile(
            f"{label(file)}: no JSON ({type(error).__name__}: {str(error)[:80]}); is it cut off?"
        ) from error


def _told(where: str, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object. Raises BadFile for one that says two things of one key; the same twice is one thing."""
    found = dict(pairs)
    if len(found) < len(pairs):
        again = ((key, value, found[key]) for key, value in pairs if value is not found[key])
        other = next((key for key, value, last in again if repr(value) != repr(last)), None)
        if other is not None:
            raise BadFile(f"{where}: the key {other[:70]!r} stands twice in one object, with other values")
    return found


def number(value: Any, times: float = 1.0) -> str | None:
    """A number as text, in another unit; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return f"{round(value * times, 6):.12g}" if abs(value) < 1e6 else str(value)
