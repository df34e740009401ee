"""What was measured of archives on this machine, for the plan: read only where anything was measured."""

from __future__ import annotations

import functools
import json
import logging
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from catalog import places
from catalog.json_lines import Lines

if TYPE_CHECKING:
    from broker.plan import Plan
    from catalog.evidence import Evidence
    from catalog.probes import Found

log = logging.getLogger("broker")

SURE = 10  # wrong records from which on a broken promise is taken for one that is not kept at all


def matching(archive: str, url: str | None = None) -> list[Evidence]:
    """What was measured of an archive's matching: the latest for each keyword and kind.

    With `url`, only what was measured at that address: an archive may have moved, its name been given anew.
    """
    found = (e for e in _matching(archive) if not url or e.source.url in ("", url))
    return list({(e.about, e.value): e for e in found}.values())


def _matching(archive: str) -> tuple[Evidence, ...]:
    file = places.evidence()
    try:
        state = file.stat()
        return _read(str(file), archive, state.st_mtime_ns, state.st_size)
    except FileNotFoundError:
        return ()
    except OSError as error:
        log.warning("%s cannot be read: %s; plans rest on promises alone", file, error.strerror)
        return ()


@functools.lru_cache(maxsize=64)
def _read(file: str, archive: str, changed: int, size: int) -> tuple[Evidence, ...]:
    """The evidence of one archive, the latest of each matter; others are not read."""
    latest: dict[tuple[str, str, str], Evidence] = {}
    for line in _about(file, archive, changed, size):
        from catalog.probes import MATCHING, read

        found = read(line)
        if found and found.archive == archive and found.capability == MATCHING:
            e = found.evidence
            latest.pop(key := (e.about, e.value, e.source.url), None)  # what is said again is the latest word
            latest[key] = e
    return tuple(latest.values())


def _about(file: str, archive: str, changed: int, size: int) -> Iterator[bytes]:
    """The lines that can be of an archive's matching. What no bounds permit to read is told once."""
    name, kind = json.dumps(archive, ensure_ascii=False).encode(), b'"matching"'
    with Lines(Path(file)) as lines:
        long = 0
        for _, line in lines:
            if line is None:
                long += 1
            elif name in line and kind in line:
                yield line
        if long or lines.skipped:
            _told(file, changed, size)


@functools.lru_cache(maxsize=1)
def _told(file: str, changed: int, size: int) -> None:
    del changed, size  # a changed file is another one
    log.warning("%s is too long, or has lines that are: plans read a part of it; see broker matrix", file)


def keep_broken(archive: str, url: str, made: Plan, broken: Mapping[str, int], kept: int) -> None:
    """Keep promises that were seen broken in a search as evidence: once, until something else is measured."""
    from catalog.probes import record, recorded

    try:
        found = list(_broken(archive, url, made, broken, kept))
        known = [f for f in recorded().found if f.archive == archive] if found else []
        new = [f for f in found if not _on_record(f, known)]
        if new:
            record(new)
    except OSError as error:
        log.warning("a broken promise of %s could not be kept as evidence: %s", archive, error.strerror)


def _broken(archive: str, url: str, made: Plan, broken: Mapping[str, int], kept: int) -> Iterable[Found]:
    from catalog.evidence import Status
    from catalog.probes import BEHAVIOUR, MATCHING, Found, measured

    for step in made.steps:
        name = step.condition.keyword
        count = broken.get(name, 0)
        if not count or step.sent is None:
            continue
        about, cite = f"{made.level.name} {name}", "a search"
        note = f"{count} records came that do not satisfy the condition, and {kept} that do."
        sure = count >= max(kept, SURE)
        kinds = [kind.value for kind in step.sent.kinds] if sure else ["lets other records through"]
        for value in kinds:
            status = Status.NO if sure else Status.PARTIAL
            said = measured(status, value, cite=cite, by=by(), url=url, about=about, note=note)
            yield Found(archive, MATCHING if sure else BEHAVIOUR, said)


def _on_record(new: Found, known: Iterable[Found]) -> bool:
    """Whether the latest word on the same matter says the same."""
    key = new.capability, new.evidence.about, new.evidence.value, new.evidence.source.url
    same = [
        f.evidence
        for f in known
        if (f.capability, f.evidence.about, f.evidence.value, f.evidence.source.url) == key
    ]
    return bool(same) and same[-1].status is new.evidence.status


def by() -> str:
    """This program, with its version."""
    from importlib.metadata import version

    return f"imaging-broker {version('imaging-broker')}"
