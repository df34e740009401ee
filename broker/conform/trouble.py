"""Errors: those of the contract, with a reason and without values, and nothing left behind."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import aclosing

import pytest

from broker.adapter import Adapter, Ask
from broker.conform.base import Base, Opened, close, must, none_of, through
from broker.conform.leaks import Open, left_behind
from broker.errors import ArchiveError, BadConfig
from broker.plan import Wish, plan
from broker.query import Query
from broker.report import Status
from catalog.archives import Archive
from catalog.capability import Kind
from catalog.keywords import keyword

_VALUE = "ZQ9XMARK"
_SLUG = re.compile(r"[A-Za-z][A-Za-z0-9_=]*")


class Trouble(Base):
    """An archive that does not answer as it should."""

    def test_trouble_ends_in_an_error_of_the_contract(self) -> None:
        """The right one, with a short stable reason, and neither query values nor secrets in its text."""
        for expected, opened in self._failing():

            async def work(adapter: Adapter, expected: type[ArchiveError] = expected) -> list[str]:
                before = Open.now()
                faults = [f for ask in _marked(adapter) for f in await self._fault(adapter, ask, expected)]
                await close(adapter)
                return faults + await left_behind(before)

            none_of(self.run(work, opened), f"an archive whose questions must end in {expected.__name__}")

    def test_the_report_says_what_went_wrong(self) -> None:
        """Through the broker: failed, with a reason, and never an empty answer that counts as complete."""
        for expected, opened in self._failing():

            async def work(adapter: Adapter) -> list[str]:
                level = min(adapter.can.levels)
                _, report = await through(adapter, Query(level))
                failed = report.status in (Status.FAILED, Status.PARTIAL) and report.reason != "internal"
                return [] if failed and report.reason else [report.line()]

            none_of(self.run(work, opened), f"the report after {expected.__name__}")

    def test_an_unknown_option_is_refused(self) -> None:
        """A federation entry with an option that means nothing is refused before anything is asked."""

        async def work(adapter: Adapter) -> None:
            configured = getattr(type(adapter), "configured", None)
            if configured is None:
                pytest.skip("it has no `configured`: it cannot stand in a federation file")
            entry = Archive("x", "x", url="http://127.0.0.1:9/", options={"no_such_option": 1})
            try:
                configured(entry)
            except BadConfig as error:
                must("no_such_option" in str(error), f"the error does not name the option: {error}")
            else:
                raise AssertionError("an option that it does not know is ignored")

        self.run(work)

    def _failing(self) -> list[tuple[type[ArchiveError], Opened]]:
        found = list(self.failing())
        if not found:
            pytest.skip("failing() is not given: no archive in trouble can be tested")
        return found

    async def _fault(self, adapter: Adapter, ask: Ask, expected: type[ArchiveError]) -> list[str]:
        try:
            async with aclosing(adapter.find(ask)) as pages:  # type: ignore[type-var]
                async for _ in pages:
                    pass
        except ArchiveError as error:
            return list(_wrong(error, expected, self.secrets))
        except Exception as error:  # noqa: BLE001 - it is what is looked for
            return [f"it raised {type(error).__name__}, which is not an ArchiveError"]
        return ["it ended as if all were well"]


def _wrong(
    error: ArchiveError, expected: type[ArchiveError], secrets: tuple[str, ...] | object
) -> Iterator[str]:
    if not isinstance(error, expected):
        yield f"it raised {type(error).__name__} ({error.reason}): {error}"
    if not isinstance(error.reason, str) or not _SLUG.fullmatch(error.reason):
        yield f"the reason {error.reason!r} is not a short word"
    hidden = [_VALUE, *secrets] if isinstance(secrets, list | tuple) else [_VALUE]
    for text in hidden:
        if text in str(error) or text in repr(error):
            yield "a value of the query, or a secret, stands in the error"


def _marked(adapter: Adapter) -> list[Ask]:
    """A question without conditions, and one whose value can be recognised."""
    level = min(adapter.can.levels)
    asks = [Ask(level, (), (level.uid,))]
    here = adapter.can.at(level)
    names = [k for k, kinds in here.matches.items() if Kind.SINGLE in kinds and keyword(k).vr in ("LO", "SH")]
    for name in names[:1]:
        asks += plan(Query(level, f"{name}={_VALUE}"), adapter.name, adapter.can, Wish(scan=True)).asks
    return asks
