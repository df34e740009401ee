"""The imaging broker: one query across many medical-imaging archives.

    >>> import broker
    >>> answer = broker.search("series", "Modality=CT", "BodyPartExamined=LUNG*", at=["idc"], limit=2)
    >>> answer
    <Answer: 2+ SERIES entities, complete>

`Query` reads a question, `search` answers it, `asking` streams its records, `following` its merged answer;
`explain` says what would be asked where.
Names are loaded when they are first used, so that importing the package costs nothing.
"""

from __future__ import annotations

from importlib import import_module

TYPE_CHECKING = False  # `typing` takes a tenth of the time of `broker --help`
if TYPE_CHECKING:
    from typing import Any

    from broker.answer import Answer as Answer
    from broker.answering.counts import Count as Count
    from broker.answering.counts import Counted as Counted
    from broker.api import Session as Session
    from broker.api import archive as archive
    from broker.api import asking as asking
    from broker.api import explain as explain
    from broker.api import following as following
    from broker.api import search as search
    from broker.api import search_async as search_async
    from broker.cohorts.cohort import Cohort as Cohort
    from broker.counting import count as count
    from broker.counting import count_async as count_async
    from broker.errors import ArchiveError as ArchiveError
    from broker.errors import BadConfig as BadConfig
    from broker.errors import BadQuery as BadQuery
    from broker.errors import BrokerError as BrokerError
    from broker.follow import Changed as Changed
    from broker.follow import Following as Following
    from broker.getting.fetch import get as get
    from broker.getting.fetch import get_async as get_async
    from broker.getting.report import Fetched as Fetched
    from broker.getting.target import Target as Target
    from broker.joining.entity import Entity as Entity
    from broker.manifests.making import manifest as manifest
    from broker.merge import Change as Change
    from broker.query import Query as Query
    from broker.report import Report as Report
    from broker.run import Done as Done
    from broker.run import Records as Records

_HOME = {
    "Answer": "answer",
    "ArchiveError": "errors",
    "BadConfig": "errors",
    "BadQuery": "errors",
    "BrokerError": "errors",
    "Change": "merge",
    "Changed": "follow",
    "Cohort": "cohorts.cohort",
    "Count": "answering.counts",
    "Counted": "answering.counts",
    "Done": "run",
    "Entity": "joining.entity",
    "Fetched": "getting.report",
    "Following": "follow",
    "Query": "query",
    "Records": "run",
    "Report": "report",
    "Session": "api",
    "Target": "getting.target",
    "archive": "api",
    "asking": "api",
    "count": "counting",
    "count_async": "counting",
    "explain": "api",
    "following": "api",
    "get": "getting.fetch",
    "get_async": "getting.fetch",
    "manifest": "manifests.making",
    "search": "api",
    "search_async": "api",
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"broker.{_HOME[name]}"), name)
    raise AttributeError(f"module 'broker' has no attribute {name!r}")
