"""Records given in Python: the smallest adapter, and the shape of every other.

It filters nothing, and yet every condition works on it, because the broker checks what it did not promise.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any

from adapters.shared.options import Options
from broker.adapter import Ask, Page
from broker.errors import BadQuery
from broker.query import read_level
from catalog.archives import Archive
from catalog.capability import Can
from catalog.keywords import Level


class Rows:
    """An archive made of records: mappings from DICOM keyword to value, all of one level.

    >>> import broker
    >>> mine = Rows("mine", [{"StudyInstanceUID": "1.2.3", "StudyDate": "20200615"}])
    >>> [study.uid for study in broker.search("studies", "StudyDate=2020", at=[mine])]
    ['1.2.3']
    """

    def __init__(self, name: str, records: Iterable[Mapping[str, Any]], level: Level = Level.STUDY) -> None:
        self.name = name
        self._page = Page.of(records)
        self.can = Can(levels=frozenset({level}), returns=frozenset(self._page.keywords), lists_all=True)

    @classmethod
    def configured(cls, archive: Archive) -> Rows:
        """From a federation entry: `options.records` is a list of tables. Raises BadConfig."""
        options = Options(archive)
        level, records = options.text("level", "study"), options.records("records")
        options.done()
        try:
            return cls(archive.name, records, read_level(level))
        except BadQuery as error:
            raise options.wrong("level", str(error)) from error

    async def find(self, ask: Ask) -> AsyncIterator[Page]:
        """All of them, as one page, whatever was asked."""
        del ask
        yield self._page
