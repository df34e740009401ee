"""From an archive to the adapter that speaks to it. Adapters are found by the entry-point group."""

from __future__ import annotations

import functools
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Protocol

from broker.adapter import Adapter
from broker.errors import BadConfig
from catalog.archives import Archive

GROUP = "broker.adapters"


class Makes(Protocol):
    """An adapter class as it is registered."""

    def configured(self, archive: Archive) -> Adapter:
        """The adapter for an archive of the federation. Raises BadConfig."""
        ...


def adapter_for(archive: Archive) -> Adapter:
    """The adapter of an archive, ready to be asked. Raises BadConfig."""
    known = _points()
    if archive.adapter not in known:
        have = ", ".join(sorted(known)) or "none: is imaging-broker installed?"
        raise BadConfig(
            f"archive {archive.name} needs the adapter {archive.adapter!r}, which is not installed; "
            f"installed: {have}"
        )
    try:
        return _load(known[archive.adapter]).configured(archive)
    except BadConfig as error:
        if archive.name in str(error):
            raise
        raise BadConfig(f"archive {archive.name}: {error}") from error


def adapters() -> list[str]:
    """The kinds of archives that can be spoken to."""
    return sorted(_points())


@functools.cache
def _points() -> dict[str, EntryPoint]:
    """Entry points by name, read once: looking through everything that is installed takes milliseconds."""
    return {point.name: point for point in entry_points(group=GROUP)}


def _load(point: EntryPoint) -> Makes:
    try:
        made: Makes = point.load()
    except (ImportError, AttributeError) as error:
        raise BadConfig(
            _shadow() or f"adapter {point.name!r} ({point.value}) cannot be loaded: {error}"
        ) from error
    return made


def _shadow() -> str:
    """Says so when another distribution's `adapters` or `catalog` stands before ours.

    Other projects on PyPI own these import names too.
    """
    import importlib.util

    home = Path(__file__).resolve().parent.parent
    for name in ("adapters", "catalog"):
        spec = importlib.util.find_spec(name)
        place = Path(spec.origin).resolve() if spec and spec.origin else None
        if place is not None and place.parent.parent != home:
            return (
                f"another package named {name!r} ({place.parent}) stands before the broker's own ({home}); "
                "install imaging-broker in a virtual environment of its own"
            )
    return ""
