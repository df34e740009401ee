"""Holdings in one DuckDB file, replaced as a whole.

DuckDB lets one process write, or many read. So nobody ever writes the file that others read: an import works
on a copy beside it and moves that into its place when it is complete and on the disk. Who reads goes on with
the old file and finds the new one at the next search. What a killed import leaves is swept away by the next.
"""

from __future__ import annotations

import contextlib
import fcntl
import glob
import json
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from catalog import numbers
from catalog import store_sql as sql
from catalog.duckdb_reader import DuckReader, faults, held, known, state
from catalog.holdings import Held, Imported, Outcome, Source, named
from catalog.imports.rows import Rejected, Row
from catalog.problems import Busy, StoreFault
from catalog.store_removing import Removing, T
from catalog.store_taking import ABOUT, SOURCES, STAGED, Taking, spool

if TYPE_CHECKING:
    import duckdb

PATIENCE = 10.0  # seconds to wait for another import


class DuckStore(Removing):
    """The store in a file."""

    dialect = "duckdb"

    def __init__(self, path: Path) -> None:
        self.path = path.expanduser()

    def held(self) -> dict[str, Held]:
        """What is held; from the note beside the file, which spares opening it, where that still holds."""
        try:
            now = state(self.path)
        except (FileNotFoundError, NotADirectoryError):
            return {}
        open_ = known(self.path, now)
        if open_ is not None:
            return dict(open_)
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            noted = json.loads(self._note.read_bytes())
            if tuple(noted["state"]) == now:
                return {name: Held.of(told) for name, told in noted["held"].items()}
        return dict(held(self.path))

    def sources(self) -> list[Imported]:
        """What was imported."""
        if not self.path.is_file():
            return []
        db = self.reader()
        try:
            db.execute(SOURCES)
            return [Imported(Source(*row[:5]), *row[5:]) for row in db.fetchmany(1_000_000)]
        finally:
            db.close()

    def reader(self, gone: Callable[[], bool] = lambda: False) -> DuckReader:
        """A cursor of the file as it is now; DuckDB waits for nobody."""
        del gone
        return DuckReader(self.path)

    def take(
        self, source: Source, found: Iterable[Row | Rejected], replace: bool = False, dry: bool = False
    ) -> Outcome:
        """Import into a copy, which then takes the file's place. Nothing is written where nothing changes."""
        named(source.archive)
        outcome = Outcome()
        with self._alone(), self._part() as part:
            rows = Path(f"{part}.ndjson")
            with rows.open("wb") as out:
                keywords = spool(out, iter(found), outcome)
            with faults(self.path):
                if self.path.is_file():
                    shutil.copyfile(self.path, part)
                with _opened(part) as db:
                    db.execute("BEGIN")
                    DuckTaking(db, rows, source, keywords, outcome).take(replace)
                    db.execute("COMMIT")
                if outcome.touched and not dry:
                    self._move(part)
        return outcome

    def changed(self, archive: str, place: str, change: Callable[[Taking], T]) -> T:
        """What comes of a change to a copy, which then takes the file's place."""
        with self._alone(), self._part() as part, faults(self.path):
            shutil.copyfile(self.path, part)
            with _opened(part) as db:
                db.execute("BEGIN")
                told = change(DuckTaking(db, part, Source(archive, place, "", 0), (), Outcome()))
                db.execute("COMMIT")
            self._move(part)
        return told

    @property
    def _note(self) -> Path:
        return self.path.with_suffix(".json")

    def _move(self, part: Path) -> None:
        """The copy takes the file's place, once it is on the disk."""
        with _opened(part) as db:
            told = dict(db.execute(ABOUT).fetchall())
        _synced(part)
        part.replace(self.path)
        _synced(self.path.parent)
        note = {"state": state(self.path), "held": {name: json.loads(about) for name, about in told.items()}}
        fresh = Path(f"{part}.json")
        fresh.write_text(json.dumps(note), encoding="utf-8")
        fresh.replace(self._note)

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Only one import at a time; the lock of a process that died is free."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            lock = self.path.with_suffix(".lock").open("w")
        except OSError as error:
            raise StoreFault(f"the catalog {self.path} cannot be written: {error.strerror}") from error
        with lock:
            end = time.monotonic() + PATIENCE
            while not _locked(lock.fileno()):
                if time.monotonic() > end:
                    raise Busy(f"another import into {self.path} is under way; try again when it has ended")
                time.sleep(0.05)
            _swept(self.path.parent, f"{glob.escape(self.path.stem)}.*.part*")
            yield

    @contextlib.contextmanager
    def _part(self) -> Iterator[Path]:
        part = self.path.with_suffix(f".{os.getpid()}.part")
        try:
            yield part
        except OSError as error:
            raise StoreFault(
                f"the catalog {self.path} cannot be written: {error.strerror or error}"
            ) from error
        finally:
            _swept(part.parent, f"{glob.escape(part.name)}*")


class DuckTaking(Taking):
    """An import into an open copy."""

    matches = "regexp_full_match({0}, '{1}')"
    marked = numbered = True

    def __init__(self, db: duckdb.DuckDBPyConnection, rows: Path, *args: Any) -> None:
        super().__init__(*args)
        self._db, self._rows = db, rows

    def all(self, text: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Every row of a statement."""
        return self._db.execute(text, list(values)).fetchall()

    def load(self) -> None:
        """DuckDB reads the spooled rows itself."""
        types = {**STAGED, **dict.fromkeys(self.keywords, "TEXT")}
        self.all(
            "CREATE TEMP TABLE staged AS SELECT * FROM read_json(?, format = 'newline_delimited', "
            f"maximum_object_size = {4 << 20}, columns = {types!r})",
            [str(self._rows)],
        )

    def columns(self) -> list[str]:
        """The columns of the archive's table."""
        return [name for (name,) in self.all(f"SELECT name FROM pragma_table_info('{self.table}')")]

    def write(self, number: int, old: Sequence[str], columns: Sequence[str], replace: bool) -> None:
        """The archive's table anew, in an order that makes searches quick."""
        blank = ", ".join(f'"{n}"' if n in old else f'NULL AS "{n}"' for n in columns)
        stay = (
            f"SELECT _key, _level, _source, _line, _file, _also, _same, {blank} FROM {self.table} "
            "WHERE _key NOT IN (SELECT _key FROM compared WHERE _change = 1)"
            f"{' AND _key IN (SELECT _key FROM staged)' if replace else ''}"
        )
        fresh = (
            f"SELECT _key, _level, {number}, _line, nullif(_file, ''), nullif(_also, ''), _same, "
            f"{sql.quoted(columns)} FROM compared WHERE _change > 0"
        )
        order = sql.quoted([*(n for n in sql.ORDER if n in columns), "_key"])
        marks = [f'"{n}" IS NULL AS "_no_{n}"' for n in columns]
        rows, of = f"(({stay}) UNION ALL ({fresh})) AS r", numbers.groups(columns)
        for statement in numbers.counting(rows, of, columns):
            self.all(statement)
        self.all(f"CREATE TABLE fresh AS {numbers.numbered(rows, of, marks)} ORDER BY {order}")
        for statement in numbers.done(of):
            self.all(statement)
        self.all(f"DROP TABLE {self.table}")
        self.all(f"ALTER TABLE fresh RENAME TO {self.table}")


@contextlib.contextmanager
def _opened(part: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A copy, to be written; closed, everything is in the one file."""
    import duckdb

    config: dict[str, Any] = {"memory_limit": "1GB", "temp_directory": f"{part}.tmp"}
    with duckdb.connect(str(part), config=config) as db:
        db.execute("SET enable_progress_bar = false")
        yield db


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _swept(folder: Path, pattern: str) -> None:
    """Remove a copy and everything that was made beside it."""
    for left in folder.glob(pattern):
        if left.is_dir():
            shutil.rmtree(left, ignore_errors=True)
        else:
            left.unlink(missing_ok=True)


def _synced(place: Path) -> None:
    descriptor = os.open(place, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
