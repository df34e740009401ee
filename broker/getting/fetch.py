"""From an answer to its instances, in two steps: which series can be fetched, and fetching them."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from broker import config
from broker.admitting.admission import Admission
from broker.admitting.pauses import Pauses
from broker.answer import Answer
from broker.api import TIMEOUT, Session, as_query, run
from broker.cohorts.cohort import Cohort
from broker.config import Federation
from broker.errors import BadConfig, BadQuery
from broker.getting.expand import questions
from broker.getting.report import Fetched
from broker.getting.run import Watch, fetch_all
from broker.getting.store import Store
from broker.getting.target import Source, Target, targets
from broker.manifests.items import Item, items
from broker.query import Query
from broker.registry import adapter_for
from catalog.keywords import Level

Ask = Callable[[Session], Awaitable[Answer]]


@dataclass(frozen=True, slots=True)
class Fetch:
    """What is to be fetched; nothing has been yet.

    answers  the answer that was given; after it, the series of its studies
    targets  series that can be fetched;  left  reason -> what cannot be fetched from here
    """

    answers: Sequence[Answer]
    targets: Sequence[Target]
    left: Mapping[str, Sequence[Item]]
    sources: Mapping[str, Source]

    @classmethod
    async def of(cls, answer: Answer, prefer: str | None, config_file: str | Path | None, ask: Ask) -> Fetch:
        """The series of an answer; of studies, their series are asked for. Raises BadQuery and BadConfig."""
        known = config.federation(config_file)
        answers, found = [answer], items(answer, known.archives, prefer)
        if found and found[0].level is Level.STUDY:
            answers += [await ask(session) for session in questions(found, config_file)]
            found = [i for answer in answers[1:] for i in items(answer, known.archives, prefer)]
        sources = _sources(found, known)
        return cls(answers, *targets(found, sources), sources)

    async def into(self, folder: Path, watch: Watch | None = None, verify: bool = False) -> Fetched:
        """Fetch them, only what is not here yet, and write the report. Raises BadConfig."""
        start = time.monotonic()
        store = Store(folder)
        try:
            await fetch_all(self.targets, self.sources, store, watch, verify)
            took = time.monotonic() - start
            made = Fetched(folder, tuple(self.answers), tuple(self.targets), self.left, took)
            made.write()
        except OSError as error:
            raise BadConfig(f"folder {folder}: {error.strerror or error}") from error
        finally:
            store.close()
        return made


def _sources(found: Sequence[Item], known: Federation) -> dict[str, Source]:
    """The archives of some items that instances can be fetched from."""
    pauses, made = Pauses(), {}
    for name in dict.fromkeys(copy.archive for item in found for copy in item.copies):
        archive = known.archives.get(name)
        source = None
        if archive is not None:
            source = Source.of(adapter_for(archive), Admission.of(archive, pauses, known.audit))
        if source is not None:
            made[name] = source
    return made


def get(
    what: Answer | Cohort | Query | str,
    *conditions: str,
    into: str | Path,
    verify: bool = False,
    watch: Watch | None = None,
    **options: Any,
) -> Fetched:
    """Fetch the instances of studies or series into a folder; only what is not there yet.

    `what` is an answer, a saved cohort (its latest run), or a query with options as for `search`; of these,
    `prefer`, `timeout` (of questions, not of downloads) and `config_file` hold for answers and cohorts too.
    `verify` reads again, and checks, what is there already. `watch` is called with a `Target` whenever
    something of it changed, in the loop: it must not wait. Archives are those of the federation; one that was
    given as an adapter is asked, but not fetched from. Also works where an event loop is running already.

    Files are INTO/StudyInstanceUID/SeriesInstanceUID/SOPInstanceUID.dcm, checked (docs/getting.md). Raises
    BadQuery and BadConfig, also where the folder cannot be used; what archives do wrong is in the report.

    >>> import broker, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     broker.get("series", "Collection=rider_pilot", "Modality=CR", at=["idc"], into=folder)
    <Fetched: 0 series complete, 2 left; 0 instances came (0.0 MB), 0 were here>
    """
    return run(get_async(what, *conditions, into=into, verify=verify, watch=watch, **options))


async def get_async(
    what: Answer | Cohort | Query | str,
    *conditions: str,
    into: str | Path,
    verify: bool = False,
    watch: Watch | None = None,
    prefer: str | None = None,
    timeout: float = TIMEOUT,
    config_file: str | Path | None = None,
    **options: Any,
) -> Fetched:
    """`get` for asyncio. Cancelling it leaves nothing half done: the same call goes on from there."""

    async def ask(session: Session) -> Answer:
        return await session.answer(timeout)

    if isinstance(what, Answer | Cohort):
        if conditions or options:
            raise BadQuery("conditions and options are of a query; this has been asked already")
        answer = what if isinstance(what, Answer) else what.answer()
    else:
        query = as_query(what, conditions)
        answer = await ask(Session(query, prefer=prefer, config_file=config_file, **options))
    found = await Fetch.of(answer, prefer, config_file, ask)
    return await found.into(Path(into), watch, verify)
