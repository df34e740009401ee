"""The suite that every adapter passes: subclass `AdapterTests`, say what is held, inherit the tests.

    class TestMine(AdapterTests):
        records = {Level.STUDY: [{"StudyInstanceUID": "1.2.3", "StudyDate": "20200615"}]}

        @asynccontextmanager
        async def archive(self):
            async with my_server() as url:
                yield MyAdapter("mine", url)

`hanging`, `failing` and `received` say how the archive is brought into trouble and what it was sent; where
one is missing, the tests that need it are skipped and say so. `docs/adapters.md` walks through an adapter and
its class. This package is part of the installed broker, but only for tests: it needs pytest.
"""

from __future__ import annotations

try:
    import pytest  # noqa: F401 - only to say plainly that it is missing
except ImportError as error:
    raise ImportError("broker.conform is for tests and needs pytest: pip install pytest") from error

from broker.conform.base import Base as _Base
from broker.conform.ending import Ending
from broker.conform.paging import Paging
from broker.conform.promises import Promises
from broker.conform.shape import Shape
from broker.conform.trouble import Trouble

__all__ = ["AdapterTests"]


class AdapterTests(Shape, Promises, Paging, Ending, Trouble, _Base):
    """The tests of the adapter contract. A subclass gives `records` and `archive`, and what else it can."""
