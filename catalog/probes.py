"""Evidence that was measured on this machine: appended to a file of JSON lines, never changed, never dropped.

A line is one Evidence of one capability of one archive:

    {"archive": "hospital", "capability": "public_api", "status": "yes", "value": "DICOMweb", "as_of":
     "2026-11-23T04:00:00Z", "by": "imaging-broker 0.1.0", "cite": "QIDO-RS, 12 questions", "url": ...}

Whoever asks the archive decides what is recorded. Two capabilities are no cells of the matrix. Under
`MATCHING` a probe records, with `about` = a DICOM keyword at a level (`STUDY PatientID`; without a level: at
all of them) and `value` = one kind of matching, whether the archive applies it; under `BEHAVIOUR`, with
`about` = what is meant (`limit`, `halves` ...), how it answers, and promises that it broke in a search.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from catalog import places
from catalog.evidence import DATE, Basis, Confidence, Evidence, Source, Status
from catalog.json_lines import LONGEST, Lines

MATCHING, BEHAVIOUR = "matching", "behaviour"
NAMED = 1000  # damaged lines that are kept, with the reason; of the others, how many they are

_DAMAGED = (ValueError, RecursionError)  # what a line that is no evidence raises
_OPTIONAL = ("value", "quote", "note", "about", "by")


@dataclass(frozen=True, slots=True)
class Found:
    """One piece of evidence, and what it is evidence of."""

    archive: str
    capability: str
    evidence: Evidence


@dataclass(frozen=True, slots=True)
class Recorded:
    """What a file of evidence holds, oldest first; and what of it could not be read, and why.

    damaged  the number of a line, from 1, or 0 where that is not known; at most NAMED of them
    more     so many damaged lines beyond those
    """

    found: tuple[Found, ...] = ()
    damaged: tuple[tuple[int, str], ...] = ()
    more: int = 0

    def by_cell(self) -> dict[str, dict[str, list[Evidence]]]:
        """Archive -> capability -> evidence, oldest first; without what is no cell."""
        cells: defaultdict[str, dict[str, list[Evidence]]] = defaultdict(dict)
        for f in self.found:
            if f.capability not in (MATCHING, BEHAVIOUR):
                cells[f.archive].setdefault(f.capability, []).append(f.evidence)
        return dict(cells)

    def matching(self, archive: str) -> list[Evidence]:
        """What was measured of an archive's matching: the latest evidence for each keyword and kind."""
        own = (f.evidence for f in self.found if f.archive == archive and f.capability == MATCHING)
        return list({(e.about, e.value): e for e in own}.values())


def measured(
    status: Status, value: str, *, cite: str, by: str, url: str = "", about: str = "", note: str = ""
) -> Evidence:
    """Evidence of a measurement made now. `cite` says what was asked; `url` where; neither holds secrets."""
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    source = Source("probe", cite, url, now)
    return Evidence(
        status, Basis.PROBE, source, value, now, "", Confidence.MEASURED, note, about=about, by=by
    )


def record(found: Iterable[Found], file: Path | None = None) -> int:
    """Append evidence, all of it in one write under a lock: several processes may record at once.

    Returns how many lines were written. Raises OSError.
    """
    lines = [json.dumps(_plain(f), ensure_ascii=False) + "\n" for f in found]
    target = file or places.evidence()
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle = os.open(target, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)  # released when it is closed
        if lines and _torn(handle):
            lines.insert(0, "\n")
        data = "".join(lines).encode()
        if os.write(handle, data) < len(data):
            raise OSError(errno.ENOSPC, "the evidence was only written in part", str(target))
        os.fsync(handle)
    finally:
        os.close(handle)
    return len([text for text in lines if text.strip()])


def _torn(handle: int) -> bool:
    """Whether the last line has no end: whoever wrote it was killed."""
    size = os.fstat(handle).st_size
    return size > 0 and os.pread(handle, 1, size - 1) != b"\n"


def recorded(file: Path | None = None) -> Recorded:
    """Everything on record; nothing where there is no file. Damaged lines are named, and the others stand.

    Raises OSError where the file cannot be read.
    """
    found: list[Found] = []
    damaged: list[tuple[int, str]] = []
    more = 0
    try:
        lines = Lines(file or places.evidence())
    except FileNotFoundError:
        return Recorded()
    with lines:
        if lines.skipped:
            damaged.append(
                (0, f"too large: its first {lines.skipped:,} bytes are not read; move it away, or shorten it")
            )
        for number, line in lines:
            try:
                if line is None or line.strip():
                    found.append(_read(line))
            except _DAMAGED as error:
                damaged.append((number, str(error)[:120]))
                more += len(damaged) > NAMED
                del damaged[NAMED:]
    return Recorded(tuple(found), tuple(damaged), more)


def read(line: bytes) -> Found | None:
    """One line of a file of evidence; None where it is damaged."""
    try:
        return _read(line)
    except _DAMAGED:
        return None


def _plain(f: Found) -> dict[str, str]:
    e = f.evidence
    always = {"archive": f.archive, "capability": f.capability, "status": str(e.status), "as_of": e.as_of}
    cited = {"cite": e.source.title, "url": e.source.url}
    return always | {k: v for k in _OPTIONAL if (v := getattr(e, k))} | {k: v for k, v in cited.items() if v}


def _read(line: bytes | None) -> Found:
    if line is None:
        raise ValueError(f"longer than {LONGEST:,} bytes")
    told: Any = json.loads(line.decode())
    raw: Mapping[str, Any] = told if isinstance(told, dict) else {}
    given = {k: raw.get(k, "") for k in ("archive", "capability", "as_of", "cite", "url", *_OPTIONAL)}
    if not all(isinstance(v, str) for v in given.values()) or not (given["archive"] and given["capability"]):
        raise ValueError("archive and capability are missing, or something is not a text")
    if DATE.fullmatch(given["as_of"]) is None:
        raise ValueError("as_of is not a date")
    source = Source("probe", given["cite"], given["url"], given["as_of"])
    own = {k: given[k] for k in _OPTIONAL}
    evidence = Evidence(
        Status(raw.get("status", "missing")),
        Basis.PROBE,
        source,
        as_of=given["as_of"],
        confidence=Confidence.MEASURED,
        **own,
    )
    return Found(given["archive"], given["capability"], evidence)
