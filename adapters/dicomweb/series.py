"""Series from servers that list them only within a study: studies first, then the series of each."""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Iterator
from dataclasses import replace

from broker.adapter import Ask, Page
from broker.matching import Value
from catalog.capability import Can
from catalog.keywords import USUAL, Level, keyword

WIDTH = 4  # studies whose series are asked for at once; the archive's limits may allow fewer connections

Row = tuple[Value, ...]


def study_ask(ask: Ask, can: Can) -> Ask:
    """The studies in which the series may be; by their modalities too, where that is promised."""
    kept = [c for c in ask.conditions if _of_study(c.keyword)]
    wanted = next((c for c in ask.conditions if c.keyword == "Modality"), None)
    named = any(c.keyword == "ModalitiesInStudy" for c in kept)
    promised = can.at(Level.STUDY).kinds("ModalitiesInStudy")
    if wanted is not None and not named and wanted.kinds <= promised:
        kept.append(replace(wanted, key=keyword("ModalitiesInStudy")))
    own = (f for f in ask.fields if _of_study(f))
    fields = dict.fromkeys(("StudyInstanceUID", "NumberOfStudyRelatedSeries", *own))
    return Ask(Level.STUDY, tuple(kept), tuple(fields))


def series_ask(ask: Ask) -> Ask:
    """What is asked of the series of one study."""
    conditions = tuple(c for c in ask.conditions if not _of_study(c.keyword))
    fields = tuple(f for f in ask.fields if not _of_study(f) or f == "StudyInstanceUID")
    return Ask(Level.SERIES, conditions, fields)


def _of_study(name: str) -> bool:
    return name in USUAL and USUAL[name].level <= Level.STUDY


def joined(fields: tuple[str, ...], study: Page, row: Row, series: Page) -> Page:
    """The series of one study with what the study itself said, where they said nothing of it."""
    own = {k: i for i, k in enumerate(series.keywords)}
    above = dict(zip(study.keywords, row, strict=True))

    def filled(record: Row) -> Row:
        said = [(record[own[f]] if f in own else None, f) for f in fields]
        return tuple(above.get(f) if value is None else value for value, f in said)

    return replace(series, keywords=fields, rows=[filled(record) for record in series.rows])


async def side_by_side(
    rows: Iterable[Row], series_of: Callable[[Row], Awaitable[list[Page]]]
) -> AsyncGenerator[Page, None]:
    """The pages of every study, a few studies at once, in the order of the studies."""
    left: Iterator[Row] = iter(rows)
    under_way: deque[asyncio.Task[list[Page]]] = deque()

    async def start(row: Row) -> list[Page]:
        return await series_of(row)

    try:
        while True:
            under_way += [
                asyncio.create_task(start(row)) for row in itertools.islice(left, WIDTH - len(under_way))
            ]
            if not under_way:
                return
            for page in await under_way[0]:
                yield page
            under_way.popleft()
    finally:
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)
