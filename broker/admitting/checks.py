"""Whether an archive is there: one harmless question, what came of it, and since when it has been so."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from broker.adapter import Adapter, Ask, Checks, Closes
from broker.admitting.pauses import key_of
from broker.errors import ArchiveError, BadConfig, DeadlinePassed, Forbidden
from broker.registry import adapter_for
from catalog import places
from catalog.archives import Archive
from catalog.json_lines import Lines

log = logging.getLogger("broker")


@dataclass(frozen=True, slots=True)
class Checked:
    """What came of asking an archive whether it is there.

    key          the archive with its credential (`broker.admitting.pauses.key_of`)
    at           when it was asked, seconds since the epoch;  since: since when the outcome has been the same
    ok           whether it answered in its protocol
    speaks       what it is, in its own words or by its protocol: `XNAT 1.8.10`, `QIDO-RS`
    credentials  none | accepted | refused | needed | not known
    reason       a short stable word where it is not ok;  detail: a sentence
    """

    archive: str
    key: str
    at: float
    ok: bool
    speaks: str = ""
    credentials: str = "none"
    seconds: float = 0.0
    reason: str = ""
    detail: str = ""
    since: float = 0.0


async def check(archives: Iterable[Archive], timeout: float = 10.0) -> list[Checked]:
    """Every archive asked at once; never raises for an archive that does not answer."""
    return list(await asyncio.gather(*(_check(a, timeout) for a in archives)))


async def _check(archive: Archive, timeout: float) -> Checked:
    start, now = time.perf_counter(), time.time()
    login = "not known" if archive.auth.get("kind", "none") != "none" else "none"
    begun = Checked(archive.name, key_of(archive), now, False, credentials=login, since=now)
    try:
        speaks = await _asked(adapter_for(archive), timeout)
    except BadConfig as error:
        return replace(begun, reason="config", detail=str(error))
    except ArchiveError as error:
        if isinstance(error, Forbidden):
            login = "refused" if login != "none" else "needed"
        seconds = time.perf_counter() - start
        return replace(begun, credentials=login, seconds=seconds, reason=error.reason, detail=str(error))
    login = "accepted" if login != "none" else "none"
    return replace(begun, ok=True, speaks=speaks, credentials=login, seconds=time.perf_counter() - start)


async def _asked(adapter: Adapter, timeout: float) -> str:
    try:
        async with asyncio.timeout(timeout):
            return await _speaks(adapter)
    except TimeoutError as error:
        raise DeadlinePassed(f"no answer within {timeout:g} s") from error
    finally:
        if isinstance(adapter, Closes):
            await adapter.close()


async def _speaks(adapter: Adapter) -> str:
    """What the archive is; one record of its coarsest level where the adapter has no better question."""
    if isinstance(adapter, Checks):
        return await adapter.check()
    async for page in adapter.find(Ask(min(adapter.can.levels), limit=1)):
        return f"answered with {len(page.rows)} records"
    return "answered with nothing"


class History:
    """Every check that was made, in a file of JSON lines that is only ever added to."""

    def __init__(self, file: Path | None = None) -> None:
        self._file = file

    @property
    def file(self) -> Path:
        """Where the checks are kept."""
        return self._file or places.state("checks.jsonl")

    def add(self, found: Sequence[Checked]) -> list[Checked]:
        """Keep new checks; they come back with the time since when each archive has been as it is.

        Where they cannot be kept, the log tells that: what was found holds all the same.
        """
        try:
            last = {made.key: made for made in self.all()}
            told = [_since(new, last.get(new.key)) for new in found]
            self.file.parent.mkdir(parents=True, exist_ok=True)
            with self.file.open("a", encoding="utf-8") as file:
                file.write("".join(json.dumps(asdict(made), ensure_ascii=False) + "\n" for made in told))
        except OSError as error:
            log.warning("the checks are not kept: %s: %s", self.file, error.strerror)
            return list(found)
        return told

    def all(self) -> list[Checked]:
        """Every check so far, oldest first; lines that cannot be read are told in the log, and left.

        Raises OSError.
        """
        if not self.file.exists():
            return []
        made = []
        with Lines(self.file) as lines:
            for number, text in lines:
                try:
                    made.append(Checked(**json.loads(text or b"")))
                except (ValueError, TypeError, RecursionError):
                    log.warning("%s, line %d: not a check", self.file, number)
        return made


def _since(new: Checked, last: Checked | None) -> Checked:
    same = last is not None and last.ok == new.ok and last.reason == new.reason
    return replace(new, since=last.since) if same and last else new
