"""What was measured of archives on this machine, for the plan: read only where anything was measured."""

from __future__ import annotations

import functools
import logging
from typing import TYPE_CHECKING

from platformdirs import user_state_path

if TYPE_CHECKING:
    from catalog.evidence import Evidence
    from catalog.probes import Recorded

log = logging.getLogger("broker")


def matching(archive: str) -> list[Evidence]:
    """What was measured of an archive's matching: the latest for each keyword and kind."""
    file = user_state_path("imaging-broker") / "evidence.jsonl"
    try:
        state = file.stat()
        return _read(str(file), state.st_mtime_ns, state.st_size).matching(archive)
    except FileNotFoundError:
        return []
    except OSError as error:
        log.warning("%s cannot be read: %s; plans rest on promises alone", file, error.strerror)
        return []


@functools.lru_cache(maxsize=1)
def _read(file: str, changed: int, size: int) -> Recorded:  # noqa: ARG001 - a changed file is another one
    from pathlib import Path

    from catalog.probes import recorded

    return recorded(Path(file))
