"""A cohort: a query kept with what it found, to be run again and compared."""

from __future__ import annotations

import datetime
import platform
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.metadata import version
from itertools import groupby
from pathlib import Path
from typing import Any

from broker import config
from broker.adapter import Page
from broker.answer import Answer
from broker.api import TIMEOUT, Session, as_query, run
from broker.cohorts.record import Difference, Record, Run, differences, mark, records
from broker.cohorts.store import Folder, as_data, as_report
from broker.errors import BadConfig, BadQuery
from broker.joining.entity import Source
from broker.merge import Merge
from broker.query import Query

OPTIONS = ("fields", "limit", "scan", "include_unknown", "reveal")


class Cohort:
    """A saved query and its runs. Folders hold plain JSON and Parquet (`broker.cohorts.store`).

    >>> import broker, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     kept = broker.Cohort.save("pilot", "series", "Collection=rider_pilot", at=["idc"], folder=folder)
    ...     len(kept.answer()), kept.rerun()["hash"] == kept.run()["hash"], [d.any for d in kept.diff()]
    (774, True, [False])
    """

    def __init__(self, folder: Folder, config_file: str | Path | None = None) -> None:
        self._folder = folder
        self._config = config_file
        self.name = folder.name
        self.about = folder.cohort()

    def __repr__(self) -> str:
        return f"<Cohort {self.name}: {self.query!r}, {len(self.runs)} runs>"

    @classmethod
    def open(
        cls, name: str, folder: str | Path | None = None, config_file: str | Path | None = None
    ) -> Cohort:
        """A saved cohort by name. Raises BadConfig where there is none."""
        return cls(Folder.of(name, folder), config_file)

    @classmethod
    def save(
        cls,
        name: str,
        query: Query | str,
        *conditions: str,
        at: Iterable[str] = (),
        folder: str | Path | None = None,
        config_file: str | Path | None = None,
        timeout: float = TIMEOUT,
        **options: Any,
    ) -> Cohort:
        """Ask, and keep the query with what came. Options: those of `search`, without order and pages.

        Raises BadQuery and BadConfig before anything is asked; also where the name is taken.
        """
        return run(
            cls.save_async(name, as_query(query, conditions), at, folder, config_file, timeout, **options)
        )

    @classmethod
    async def save_async(
        cls,
        name: str,
        query: Query,
        at: Iterable[str] = (),
        folder: str | Path | None = None,
        config_file: str | Path | None = None,
        timeout: float = TIMEOUT,
        watch: Any = None,
        **options: Any,
    ) -> Cohort:
        """`save` for asyncio. `watch` sees every event."""
        place = Folder.of(name, folder)
        if place.exists:
            raise BadConfig(f"there is a cohort {name!r} already: broker rerun {name}, or take another name")
        unknown = set(options) - set(OPTIONS)
        if unknown:
            raise BadQuery(f"a cohort has no option {min(unknown)!r}; it has {', '.join(OPTIONS)}")
        session = Session(query, at=at, config_file=config_file, **options)
        begun = time.time()
        answer = await session.answer(timeout, watch)
        place.save(
            {
                "name": name,
                "saved": _clock(begun),
                "query": {"level": query.level.name, "conditions": [str(c) for c in query.conditions]},
                "options": {k: list(v) if k == "fields" else v for k, v in options.items()},
                "archives": _archives(session, config_file),
            }
        )
        cohort = cls(place, config_file)
        cohort._keep(answer, session, begun)
        return cohort

    def rerun(self, timeout: float = TIMEOUT) -> dict[str, Any]:
        """Ask again, now; the record of the new run. Raises BadConfig where an archive is not known now."""
        return run(self.rerun_async(timeout))

    async def rerun_async(self, timeout: float = TIMEOUT, watch: Any = None) -> dict[str, Any]:
        """`rerun` for asyncio."""
        session = self.session()
        begun = time.time()
        return self._keep(await session.answer(timeout, watch), session, begun)

    def session(self) -> Session:
        """The query with its archives, ready to be asked."""
        names = [a["name"] for a in self.about["archives"]]
        return Session(self.query, at=names, config_file=self._config, **self.about["options"])

    @property
    def query(self) -> Query:
        """The query. Raises BadQuery where a newer broker does not read it any more."""
        told = self.about["query"]
        return Query(told["level"], *told["conditions"])

    @property
    def runs(self) -> list[str]:
        """The runs by the time at which they began (UTC), oldest first."""
        return self._folder.runs()

    def run(self, run: str | None = None) -> dict[str, Any]:
        """The record of a run: versions, times, reports, hash. The latest, unless another is named."""
        return self._folder.run(self._named(run))

    def answer(self, run: str | None = None) -> Answer:
        """What a run found, as the answer that it was; patients linked by the federation's present rules."""
        name = self._named(run)
        about = self._folder.run(name)
        reports = [as_report(told) for told in about["reports"]]
        rules = config.federation(self._config).rules
        merge = Merge(self.query.level, rules)
        for page, source in _pages(self._folder.records(name), [r.archive for r in reports]):
            merge.add(page, source)
        entities = merge.result()
        limit = self.about["options"].get("limit")
        return Answer(self.query, entities, reports, about["more"], limit, rules, len(entities))

    def diff(self, since: str | None = None) -> Sequence[Difference]:
        """What the latest run found otherwise than the one before, or than the last one up to a date."""
        old, new = self.compared(since)
        return list(differences(self._run(old), self._run(new)))

    def circumstances(self, since: str | None = None) -> dict[str, tuple[str, str]]:
        """What else differs between the runs that `diff` compares: versions, and where archives were asked.

        `imaging-broker`, `python`, or `ARCHIVE adapter|url|class|data` -> before and now.
        """
        old, new = (_circumstances(self._folder.run(name)) for name in self.compared(since))
        both = [name for name in old if name in new]
        return {name: (old[name], new[name]) for name in both if old[name] != new[name]}

    def compared(self, since: str | None = None) -> tuple[str, str]:
        """The two runs that `diff` compares. Raises BadQuery where there is only one, or none that early."""
        runs = self.runs
        if len(runs) < 2:
            raise BadQuery(f"cohort {self.name} has one run; broker rerun {self.name} makes the next one")
        if since is None:
            return runs[-2], runs[-1]
        digits = "".join(ch for ch in since if ch.isdigit())
        earlier = [r for r in runs[:-1] if "".join(ch for ch in r if ch.isdigit())[: len(digits)] <= digits]
        if not digits or not earlier:
            raise BadQuery(f"--since {since}: no earlier run up to then; there are {', '.join(runs)}")
        return earlier[-1], runs[-1]

    def _run(self, name: str) -> Run:
        reports = [as_report(told) for told in self._folder.run(name)["reports"]]
        return Run(name, self._folder.records(name), {r.archive: r for r in reports})

    def _named(self, run: str | None) -> str:
        runs = self.runs
        if not runs or (run is not None and run not in runs):
            raise BadConfig(
                f"cohort {self.name} has no run {run or ''}; there are: {', '.join(runs) or 'none'}"
            )
        return run or runs[-1]

    def _keep(self, answer: Answer, session: Session, begun: float) -> dict[str, Any]:
        found = records(answer.entities)
        about = {
            "name": self.name,
            "began": _clock(begun),
            "ended": _clock(time.time()),
            "versions": {"imaging-broker": version("imaging-broker"), "python": platform.python_version()},
            "archives": _archives(session, self._config),
            "complete": answer.complete,
            "more": answer.more,
            "total": answer.total,
            "hash": f"sha256:{mark(found)}",
            "reports": [as_data(r) for r in answer.reports],
        }
        name = _clock(begun).replace("-", "").replace(":", "")
        self._folder.add(name, about, found)
        return self._folder.run(name)


def _circumstances(about: Mapping[str, Any]) -> dict[str, str]:
    told = {f"{a['name']} {k}": str(v) for a in about["archives"] for k, v in a.items() if k != "name"}
    return {**{k: str(v) for k, v in about["versions"].items()}, **told}


def _clock(seconds: float) -> str:
    """A moment as ISO 8601, in UTC, to the millisecond."""
    moment = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _archives(session: Session, config_file: str | Path | None) -> list[Mapping[str, str]]:
    """The archives by name, with their kind, address and the adapter that spoke to them; no credentials."""
    known = config.federation(config_file).archives
    return [_archive(adapter, known[adapter.name]) for adapter in session.adapters if adapter.name in known]


def _archive(adapter: object, archive: Any) -> Mapping[str, str]:
    kind = type(adapter)
    told = {"name": archive.name, "adapter": archive.adapter, "url": archive.url}
    return {
        **told,
        "class": f"{kind.__module__}:{kind.__qualname__}",
        "data": str(getattr(adapter, "via", "")),
    }


def _pages(found: Sequence[Record], archives: Sequence[str]) -> Iterator[tuple[Page, Source]]:
    """Records as the pages that they came in."""
    keywords = tuple(dict.fromkeys(k for record in found for k in record.said))
    for (archive, at, unknown), own in groupby(found, lambda r: (r.archive, r.retrieved, r.unknown)):
        source = Source(archive, archives.index(archive), keywords, at, unknown)
        yield Page(keywords, [tuple(r.said.get(k) for k in keywords) for r in own]), source
