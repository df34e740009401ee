"""The contract as it stands in `broker.adapter`: names, capabilities, pages, the request that is shown."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import pytest

from broker.adapter import Adapter, Ask, Page, Shows
from broker.conform.base import Base, came, learned, must, none_of, told
from broker.errors import BadQuery
from broker.meaning import values
from broker.meaning.nobody import nobodys
from broker.plan import Wish, plan
from broker.query import Query, condition
from catalog.capability import Can, Kind
from catalog.keywords import UnknownKeyword, keyword


class Shape(Base):
    """What is asked of the adapter itself."""

    def test_it_is_an_adapter(self) -> None:
        """It has a name, says what it can, and finds; what else it has, has the right form."""

        async def work(adapter: Adapter) -> None:
            given: Any = adapter
            must(isinstance(given, Adapter), f"{type(given).__name__} has no `name`, `can` or `find`")
            must(isinstance(given.name, str) and given.name.strip(), "its name is empty")
            must(isinstance(given.can, Can), "its `can` is not a catalog.capability.Can")
            made = adapter.find(Ask(min(adapter.can.levels), (), (min(adapter.can.levels).uid,)))
            must(inspect.isasyncgen(made), "`find` must be an async generator: `async def` with `yield`")
            await made.aclose()  # type: ignore[attr-defined]
            for method in ("learn", "close"):
                found = getattr(adapter, method, None)
                must(found is None or inspect.iscoroutinefunction(found), f"`{method}` must be `async def`")

        self.run(work)

    def test_its_capabilities_can_be_meant(self) -> None:
        """No promise is made of what nobody can ask, and every level gives what tells its records apart."""

        async def work(adapter: Adapter) -> None:
            for can in (adapter.can, await learned(adapter)):
                none_of(list(_meaningless(can)), "promises that cannot be meant")

        self.run(work)

    def test_pages_hold_rows_of_texts_under_their_keywords(self) -> None:
        """Each row has a value for each keyword; a value is a text, several, items of a sequence, or None."""

        async def work(adapter: Adapter) -> None:
            faults = []
            for level in self.levels(adapter.can):
                ask = self.whole_ask(adapter.can, level)
                faults += [
                    f"{told(ask)}: {f}" for p in await came(adapter, ask) for f in misshapen(p, level.uid)
                ]
            none_of(faults, "pages that the broker cannot read")

        self.run(work)

    def test_the_request_that_is_shown_is_the_one_that_is_sent(self) -> None:
        """What `explain` shows is what the archive receives, and it has no credentials in it."""

        async def work(adapter: Adapter) -> None:
            if not isinstance(adapter, Shows):
                pytest.skip("it has no `request` to show")
            can = await learned(adapter)
            for level in self.levels(can):
                for text in [*_some_conditions(can.at(level), level.name), ""]:
                    made = plan(Query(level, *([text] if text else [])), adapter.name, can, Wish(scan=True))
                    for ask in made.asks[:1]:
                        shown = adapter.request(ask)
                        none_of([s for s in self.secrets if s in shown], "a secret in the request shown")
                        before = len(self._received())
                        await came(adapter, ask)
                        sent = list(self._received())[before:]
                        must(shown in sent, f"{told(ask)}: it shows {shown!r}, and sent {sent[:3]}")

        self.run(work)

    def _received(self) -> list[str]:
        sent = self.received()
        if sent is None:
            pytest.skip("received() is not given: what the archive was sent cannot be seen")
        return list(sent)

    def test_it_shows_no_secret(self) -> None:
        """Credentials are in no text that the adapter makes of itself."""
        if not self.secrets:
            pytest.skip("secrets is empty: the archive needs no credentials")

        async def work(adapter: Adapter) -> None:
            text = repr(adapter) + repr(vars(adapter) if hasattr(adapter, "__dict__") else "")
            none_of([f"secret {n + 1}" for n, s in enumerate(self.secrets) if s in text], "seen in its repr")

        self.run(work)


def _some_conditions(can: Can, level: str) -> Iterator[str]:
    """A condition for each of the first few promised keywords."""
    del level
    for name in list(can.matches)[:5]:
        try:
            yield str(condition(f"{name}={nobodys(keyword(name))}"))
        except BadQuery:
            continue


def _meaningless(can: Can) -> Iterator[str]:
    if not can.levels:
        yield "it has no level"
    for level in set(can.by_level) - can.levels:
        yield f"promises at {level.name}, which it does not answer"
    for level in can.levels:
        here = can.at(level)
        if not here.gives(level.uid):
            yield f"{level.name}: {level.uid} does not come back, so its records cannot be told apart"
        for name, kinds in here.matches.items():
            yield from (f"{level.name} {name}: {fault}" for fault in _wrong_kinds(name, kinds))


def _wrong_kinds(name: str, kinds: frozenset[Kind]) -> Iterator[str]:
    try:
        vr = keyword(name).vr
    except UnknownKeyword as error:
        yield str(error)
        return
    if not kinds or not all(isinstance(kind, Kind) for kind in kinds):
        yield "not a set of kinds of matching"
    for kind in {Kind.WILDCARD, Kind.CONTAINS} & kinds if vr not in values.WILD else ():
        yield f"{kind.value} is for text, not for VR {vr}"
    if Kind.RANGE in kinds and vr not in values.DATES:
        yield f"ranges are for dates and times, not for VR {vr}"


def misshapen(page: object, uid: str) -> Iterator[str]:
    """What is wrong with a page."""
    if not isinstance(page, Page):
        yield f"{type(page).__name__} instead of a Page"
        return
    wrong = [k for k in page.keywords if not isinstance(k, str) or not _known(k)]
    if wrong or len(set(page.keywords)) < len(page.keywords):
        yield f"keywords {page.keywords!r}: each must be a keyword, once"
    if page.rows and uid not in page.keywords:
        yield f"{uid} is missing"
    for row in page.rows:
        if not isinstance(row, tuple) or len(row) != len(page.keywords):
            yield f"a row of another length than its {len(page.keywords)} keywords"
            return
        bad = [(k, v) for k, v in zip(page.keywords, row, strict=True) if not _is_value(v)]
        if bad:
            yield f"{bad[0][0]} is {type(bad[0][1]).__name__}, neither text, texts nor None"
            return
    if not all(isinstance(note, str) for note in page.notes) or not isinstance(page.bad, int):
        yield "`notes` are texts, `bad` is a number"


def _known(name: str) -> bool:
    try:
        return keyword(name).name == name
    except UnknownKeyword:
        return False


def _is_value(value: object) -> bool:
    if value is None or isinstance(value, str):
        return True
    return isinstance(value, tuple) and all(isinstance(v, str) or _is_item(v) for v in value)


def _is_item(value: object) -> bool:
    pairs = value if isinstance(value, tuple) else (None,)
    return all(
        isinstance(p, tuple) and len(p) == 2 and isinstance(p[0], str) and _is_value(p[1]) for p in pairs
    )
