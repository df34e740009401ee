"""Collections as an archive tells of them now: who said it, when, and descriptions as plain text."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from functools import partial
from html.parser import HTMLParser
from typing import Any

from adapters.shared.ahead import in_order
from broker.errors import ArchiveError, Forbidden, Malformed, RefusedByArchive, ServerFault, TooMuch
from catalog.collection import Collection, Count
from catalog.evidence import Source

FAILURES = 5  # collections that fail before no more are asked about


def told(
    archive: str, name: str, source: Source, counts: Mapping[str, float | None], **more: Any
) -> Collection:
    """A data set whose series carry its name as their `Collection`; counts that are None are not known."""
    known = {what: Count.read(number) for what, number in counts.items() if number is not None}
    said: dict[str, Any] = {"title": name, "as_of": source.as_of, "held_at": archive, **more}
    return Collection(archive, name, source=source, counts=known, **said)


def asked_now(archive: str, title: str, url: str) -> Source:
    """An archive that is asked now, as the source of what it says."""
    return Source(archive, title, url, datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))


def plain(html: str) -> str:
    """The words of a text with or without markup; scripts and styles are no words."""
    reader = _Words()
    reader.feed(html)
    reader.close()
    return " ".join("".join(reader.words).split())


async def each(
    found: Sequence[Collection], tell: Callable[[Collection], Awaitable[Collection]], width: int
) -> AsyncGenerator[Collection, None]:
    """Collections in their order with what is told of each, `width` of them asked at once.

    One that fails comes as it was. Raises ArchiveError: at the end that of the first that failed, at once
    where FAILURES failed, and where the archive cannot be reached or wants to be left alone.
    """
    failed: list[ArchiveError] = []

    async def asked(c: Collection) -> Collection:
        try:
            return await tell(c)
        except (Forbidden, RefusedByArchive, ServerFault, Malformed, TooMuch) as error:
            failed.append(error)
            return c

    told = 0
    async with aclosing(in_order((partial(asked, c) for c in found), width)) as replies:
        async for c in replies:
            told += 1
            yield c
            if len(failed) >= FAILURES:
                break
    if failed:
        left = f", and {len(found) - told} were not asked about" if told < len(found) else ""
        text = f"it did not tell of {len(failed)} of {len(found)} collections{left}; the first: {failed[0]}"
        raise type(failed[0])(text, failed[0].reason) from failed[0]


_HIDDEN = frozenset({"script", "style"})
_INLINE = frozenset("a abbr b cite code em font i small span strong sub sup u".split())


class _Words(HTMLParser):
    """Collects what is not markup."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.words: list[str] = []
        self._hidden = 0

    def handle_starttag(self, tag: str, attrs: object) -> None:
        del attrs
        self._hidden += tag in _HIDDEN
        self._apart(tag)

    def handle_endtag(self, tag: str) -> None:
        self._hidden -= tag in _HIDDEN and self._hidden > 0
        self._apart(tag)

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.words.append(data)

    def _apart(self, tag: str) -> None:
        if tag not in _INLINE:
            self.words.append(" ")
