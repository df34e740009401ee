"""Asking from Python: `search` for scripts and notebooks, `asking` for asyncio, `explain` to look first."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Generic, TypeVar

from broker import config
from broker.adapter import Adapter
from broker.admitting.admission import Admission
from broker.admitting.pauses import Pauses
from broker.answer import Answer, Collector
from broker.answering.pages import Order, Window
from broker.errors import BadConfig, BadQuery
from broker.follow import Following
from broker.joining.locations import by_rule
from broker.plan import Wish
from broker.planning.explanation import Explanation, explained
from broker.planning.names import groups
from broker.planning.privacy import withheld
from broker.planning.trust import Distrust
from broker.query import Query
from broker.registry import adapter_for
from broker.run import Asking, Event
from catalog.archives import Archive
from catalog.keywords import USUAL, UnknownKeyword, keyword
from catalog.nearest import near

T = TypeVar("T")

TIMEOUT = 30.0
DISTRUST = Distrust()
_PAUSES = Pauses()

At = str | Adapter


class Session:
    """A query with the archives that it goes to: everything decided, nothing asked yet.

    Raises BadConfig and BadQuery here, so that after this only archives can fail.
    """

    def __init__(
        self,
        query: Query,
        *,
        at: At | Iterable[At] = (),
        limit: int | None = None,
        order: str | None = None,
        after: str | None = None,
        fields: str | Iterable[str] = (),
        scan: bool = False,
        include_unknown: bool = False,
        reveal: bool = False,
        prefer: str | None = None,
        config_file: str | Path | None = None,
    ) -> None:
        self.query = query
        self.distrust = DISTRUST
        self.window = Window.of(query, limit, order, after)
        chosen: list[At] = [at] if isinstance(at, Adapter) else [*several(at)]
        known = config.federation(config_file) if not chosen or _named(chosen) else config.Federation({})
        picked = _picked(known.archives, chosen)
        self.rules = replace(known.rules, prefer=prefer) if prefer else known.rules
        by_rule(self.rules.prefer, self.rules)
        self.adapters = [a if isinstance(a, Adapter) else _known(adapter_for(a), a.url) for a in picked]
        self.admissions = [
            Admission() if isinstance(a, Adapter) else Admission.of(a, _PAUSES, known.audit) for a in picked
        ]
        if known.audit is not None:
            known.audit.ready()
        hidden = [frozenset[str]()] * len(picked) if reveal else withheld(query, picked)
        extra = _keywords([*several(fields), *(name for name, _ in (self.window.order or Order()).by)])
        same = groups(self.rules.aliases)
        self.wishes = [Wish(extra, self.window.each, scan, include_unknown, names, same) for names in hidden]

    @property
    def names(self) -> list[str]:
        """The archives, in the order of precedence."""
        return [adapter.name for adapter in self.adapters]

    def asking(self, timeout: float = TIMEOUT) -> Asking:
        """The query under way, as an async context manager over events."""
        check_timeout(timeout)
        return Asking(self.query, self.adapters, self.wishes, timeout, self.distrust, self.admissions)

    def following(self, timeout: float = TIMEOUT) -> Following:
        """The query under way, as an async context manager over changes of the merged answer."""
        return Following(self.asking(timeout), Collector(self.window, self.rules), self.names)

    async def answer(self, timeout: float = TIMEOUT, watch: Callable[[Event], None] | None = None) -> Answer:
        """Ask, and collect everything."""
        collector = Collector(self.window, self.rules)
        async with self.asking(timeout) as events:
            return await collector.collect(events, self.names, watch)

    def explain(self) -> list[Explanation]:
        """What would be asked where, without asking."""
        return [explained(self.query, a, w) for a, w in zip(self.adapters, self.wishes, strict=True)]


def search(query: Query | str, *conditions: str, timeout: float = TIMEOUT, **options: Any) -> Answer:
    """Ask and wait for the whole answer.

    `query` is a Query, or a level followed by conditions as the query language writes them, or as keyword
    arguments (`Modality="CT"`). Options: `at` (archive names or adapters; those asked by default otherwise),
    `limit`, `order` (as in `StudyDate,-PatientID`), `after` (the `next` of an ordered answer: its next page),
    `fields` (further keywords), `scan` (listing whole archives is fine), `include_unknown`, `reveal`
    (identifying values may be shown to public archives), `prefer` (which of several copies is named first:
    `order`, `instances`, `license` or `nearest`), `config_file`. Also works where an event loop is running
    already, as in Jupyter. Raises BadQuery or BadConfig before anything is asked; what fails later is in the
    reports.

    >>> import broker
    >>> answer = broker.search("series", "Modality=CT", "BodyPartExamined=LUNG*", at=["idc"], limit=3)
    >>> len(answer), answer.complete
    (3, True)
    """
    session = session_of(query, conditions, options)
    return run(session.answer(timeout))


async def search_async(
    query: Query | str, *conditions: str, timeout: float = TIMEOUT, **options: Any
) -> Answer:
    """`search` for asyncio: the whole answer, without blocking the loop.

    >>> import asyncio, broker
    >>> asyncio.run(broker.search_async("series", "Modality=CT", at=["idc"], limit=1))
    <Answer: 1+ SERIES entities, complete>
    """
    return await session_of(query, conditions, options).answer(timeout)


def asking(query: Query | str, *conditions: str, timeout: float = TIMEOUT, **options: Any) -> Asking:
    """The query as an async context manager over events; options as for `search`.

    Leaving it cancels every request that is still under way.
    """
    return session_of(query, conditions, options).asking(timeout)


def following(query: Query | str, *conditions: str, timeout: float = TIMEOUT, **options: Any) -> Following:
    """The query as an async context manager over changes of its merged answer; options as for `search`.

    The first change comes with the first page of the fastest archive. Leaving it cancels every request that
    is still under way.
    """
    return session_of(query, conditions, options).following(timeout)


def explain(query: Query | str, *conditions: str, **options: Any) -> list[Explanation]:
    """What would be asked where, checked here, or refused, and why. Asks nobody."""
    return session_of(query, conditions, options).explain()


def archive(name: str, config_file: str | Path | None = None) -> Any:
    """The adapter of an archive of the federation, for what only archives of its kind can do.

    An XNAT, for one, has `objects()` (xnatpy on the broker's session) and `dicomweb(project)`; see
    `docs/federation.md`. It can also be given to `at`. Raises BadConfig.

    >>> import broker
    >>> broker.archive("idc").name
    'idc'
    """
    return adapter_for(config.not_retired(_of(config.federation(config_file).archives, name)))


def session_of(query: Query | str, conditions: Sequence[str], options: dict[str, Any]) -> Session:
    """A session of what a function was given: options in small letters, conditions by DICOM keyword.

    Raises TypeError for an option that there is not, as Python does, with the nearest one.
    """
    named = {name: options.pop(name) for name in [*options] if name[:1].isupper()}
    known = _options()
    unknown = sorted(options.keys() - set(known))
    if unknown:
        meant = near(unknown[0], [*known, *USUAL])
        raise TypeError(f"unknown option {unknown[0]!r}; options are {', '.join(known)}{meant}")
    return Session(as_query(query, conditions, named), **options)


@cache
def _options() -> list[str]:
    return [*inspect.signature(Session).parameters][1:]


def several(given: str | Iterable[T]) -> list[T] | list[str]:
    """Several things, of which texts may also stand in one, by comma, as on the command line."""
    return [part.strip() for part in given.split(",")] if isinstance(given, str) else [*given]


def check_timeout(timeout: float) -> None:
    """Raises BadQuery for a time that is none."""
    if not 0 < timeout < 86_400:
        raise BadQuery(f"timeout {timeout:g}: must be more than 0 seconds and less than a day")


def as_query(
    query: Query | str, conditions: Sequence[str] = (), named: Mapping[str, Any] = MappingProxyType({})
) -> Query:
    """A Query, or a level and conditions, as a Query. Raises BadQuery."""
    if isinstance(query, str):
        return Query(query, *conditions, **named)
    if conditions or named:
        raise BadQuery("give conditions to the Query, or a level and conditions")
    return query


def _known(adapter: Adapter, url: str) -> Adapter:
    """The adapter, with what was measured of its archive on this machine before what it promises."""
    from broker.planning.evidence import matching

    found = matching(adapter.name, url)
    if found:
        from broker.planning.measured import measured

        adapter.can = measured(adapter.can, found)
    return adapter


def _named(chosen: Sequence[At]) -> bool:
    return any(isinstance(a, str) for a in chosen)


def _of(archives: Mapping[str, Archive], name: str) -> Archive:
    return config.chosen(archives, (name,))[0]


def _picked(archives: Mapping[str, Archive], chosen: Sequence[At]) -> list[Archive | Adapter]:
    """The archives in the order given; by name from the federation."""
    if not chosen:
        return [*config.chosen(archives)]
    picked = [config.not_retired(_of(archives, a)) if isinstance(a, str) else a for a in chosen]
    once = {a.name: a for a in picked}
    if len(once) < len(picked) and any(isinstance(a, Adapter) for a in picked):
        raise BadConfig("two archives of one name")
    return list(once.values())


def _keywords(fields: Iterable[str]) -> tuple[str, ...]:
    try:
        return tuple(keyword(f).name for f in fields)
    except UnknownKeyword as error:
        raise BadQuery(str(error)) from error


def run(work: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine, in a thread of its own where a loop is running here already.

    The thread has ended when this returns, also when it is interrupted.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    return _Aside(work).result()


class _Aside(Generic[T]):
    """A coroutine in a loop and a thread of its own."""

    def __init__(self, work: Coroutine[Any, Any, T]) -> None:
        self._work = work
        self._done: Future[T] = Future()
        self._stop: Callable[[], object] = lambda: None
        self._thread = threading.Thread(target=self._target, name="broker-search", daemon=True)

    def result(self) -> T:
        """Wait for it. Raises what it raised; an interruption cancels it first."""
        self._thread.start()
        try:
            return self._done.result()
        except KeyboardInterrupt:
            self._stop()
            raise
        finally:
            self._thread.join()

    def _target(self) -> None:
        try:
            self._done.set_result(asyncio.run(self._main()))
        except BaseException as error:  # noqa: BLE001 - raised again where it is waited for
            self._done.set_exception(error)

    async def _main(self) -> T:
        loop, task = asyncio.get_running_loop(), asyncio.ensure_future(self._work)
        self._stop = lambda: loop.call_soon_threadsafe(task.cancel)
        return await task
