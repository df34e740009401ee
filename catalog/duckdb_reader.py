"""Cursors of a catalog in a DuckDB file that only read. A file is opened once in a process, as it is now.

Attached to a database in memory, for DuckDB would give the old file again for the same path while anybody
still reads it. Cursors in use keep what they read.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from catalog.holdings import Held
from catalog.problems import Corrupt, Missing, StoreFault
from catalog.store_taking import ABOUT

if TYPE_CHECKING:
    import duckdb

IDLE = 8  # cursors of a file that are kept for the next search
# as `broker.meaning.values` folds; a test compares them for every character
FOLDED = (
    "CREATE MACRO folded(x) AS CASE WHEN strlen(x) = length(x) THEN lower(x) "
    "ELSE replace(replace(lower(replace(x, 'İ', 'i̇')), 'ß', 'ss'), 'ς', 'σ') END"
)

State = tuple[int, int, int]


@dataclass(slots=True)
class _Opened:
    """A file in one state: a connection, what it holds, cursors that nobody uses."""

    state: State
    db: duckdb.DuckDBPyConnection
    held: Mapping[str, Held]
    idle: list[duckdb.DuckDBPyConnection] = field(default_factory=list)

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """One that finds the tables of the file, and what is defined beside them."""
        with contextlib.suppress(IndexError):
            return self.idle.pop()
        cursor = self.db.cursor()
        cursor.execute("SET search_path = 'held.main,memory.main'")
        return cursor


_OPEN: dict[tuple[int, str], _Opened] = {}
_OPENING = threading.Lock()


class DuckReader:
    """A cursor with one statement at a time. What it reads stays as it is, whatever is imported meanwhile."""

    def __init__(self, path: Path, opened: _Opened | None = None) -> None:
        self._path = path
        with faults(path):
            self._opened = opened or _now(path)
            self._cursor = self._opened.cursor()
        self._clean = True  # nothing is under way, nor left to be fetched
        self._closed = False
        self._interrupting = threading.Lock()

    def held(self, archive: str) -> Held | None:
        """What is held of an archive in the state that is read."""
        return self._opened.held.get(archive)

    def twin(self) -> Callable[[Callable[[], bool]], DuckReader]:
        """Another cursor of the same file; DuckDB waits for nobody."""
        return lambda _: DuckReader(self._path, self._opened)

    def execute(self, text: str, values: Sequence[str] = ()) -> None:
        """Begin a statement."""
        self._clean = False
        with faults(self._path):
            self._cursor.execute(text, values)

    def fetchmany(self, size: int) -> list[tuple[Any, ...]]:
        """The next rows of it."""
        with faults(self._path):
            found = self._cursor.fetchmany(size)
        self._clean = len(found) < size
        return found

    def interrupt(self) -> None:
        """End whatever is under way."""
        with self._interrupting:
            if not self._closed:
                self._cursor.interrupt()

    def close(self) -> None:
        """Keep the cursor for the next search, unless something is left of this one."""
        with self._interrupting:
            self._closed = True
        if self._clean and len(self._opened.idle) < IDLE:
            self._opened.idle.append(self._cursor)
        else:
            self._cursor.close()


def held(path: Path) -> Mapping[str, Held]:
    """What the file holds. Raises StoreFault."""
    with faults(path):
        return _now(path).held


def known(path: Path, now: State) -> Mapping[str, Held] | None:
    """What the file holds in that state, if it is open."""
    opened = _OPEN.get((os.getpid(), str(path)))
    return opened.held if opened and opened.state == now else None


def state(path: Path) -> State:
    """What tells one state of a file from another. Raises OSError."""
    found = path.stat()
    return found.st_ino, found.st_size, found.st_mtime_ns


def _now(path: Path) -> _Opened:
    try:
        now = state(path)
    except FileNotFoundError as error:
        raise Missing(f"there is no catalog {path}; broker catalog import makes one") from error
    key = (os.getpid(), str(path))
    with _OPENING:
        known = _OPEN.get(key)
        if known is None or known.state != now:
            known = _OPEN[key] = _opened(path, now)
        return known


def _opened(path: Path, now: State) -> _Opened:
    import duckdb

    db = duckdb.connect()
    literal = str(path).replace("'", "''")
    db.execute(f"ATTACH '{literal}' AS held (READ_ONLY)")
    db.execute(FOLDED)
    opened = _Opened(now, db, {})
    cursor = opened.cursor()
    opened.held = {name: Held.of(json.loads(told)) for name, told in cursor.execute(ABOUT).fetchall()}
    opened.idle.append(cursor)
    return opened


@contextlib.contextmanager
def faults(path: Path) -> Iterator[None]:
    """DuckDB's errors as ours."""
    import duckdb

    try:
        yield
    except duckdb.OutOfMemoryException as error:
        raise StoreFault(f"the catalog {path}: not enough memory or disk") from error
    except duckdb.Error as error:
        raise Corrupt(
            f"the catalog {path} cannot be read ({type(error).__name__}): it is damaged, or made by another "
            "version; move it away and import again"
        ) from error
