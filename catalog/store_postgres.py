"""Holdings in PostgreSQL, for those who share a server. Needs the extra `postgres`.

Everything lies in the schema `imaging_broker`. An import is one transaction, imports take turns by an
advisory lock, and readers see what was there before until it is committed. Columns that are new are added
before it begins: nobody waits for it, and it waits (a while) for searches that are under way.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import IO, TYPE_CHECKING, Any

from catalog import store_sql as sql
from catalog.holdings import Held, Imported, Outcome, Source, named, table
from catalog.imports.rows import Rejected, Row
from catalog.problems import Busy, Missing, StoreFault
from catalog.store_removing import Removing, T
from catalog.store_taking import ABOUT, OWN, SOURCES, STAGED, TABLES, Taking, spool

if TYPE_CHECKING:
    import psycopg

    from catalog.postgres_reader import PostgresReader, Watched

PATIENCE = 10.0  # seconds to wait for another import, or for a lock
ANSWERS = 3.0  # seconds until it must have said what it holds
LOCK = 0x1DB6_CA7A  # the advisory lock of imports
INDEXED = (
    "Collection", "PatientID", "StudyInstanceUID", "StudyKey", "SeriesInstanceUID", "SeriesKey", "StudyDate",
    "BodyPartExamined",
)  # fmt: skip
SEARCHED = ("SeriesDescription", "StudyDescription", "ProtocolName", "PatientName", "BodyPartExamined")

# as `broker.meaning.values` folds and reads numbers; tests compare them
_FUNCTIONS = (
    """CREATE OR REPLACE FUNCTION imaging_broker.folded(x text) RETURNS text LANGUAGE sql IMMUTABLE
    PARALLEL SAFE AS $$ SELECT CASE WHEN octet_length(x) = length(x) THEN lower(x COLLATE "C") ELSE
    replace(replace(lower(replace(x, 'İ', 'i̇') COLLATE "und-x-icu"), 'ß', 'ss'), 'ς', 'σ') COLLATE "C"
    END $$""",
    """CREATE OR REPLACE FUNCTION imaging_broker.read_number(x text) RETURNS numeric LANGUAGE sql IMMUTABLE
    PARALLEL SAFE AS $$ SELECT CASE WHEN
    x ~ '^ *[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)([Ee][+-]?0*[0-9]{1,3})? *$' THEN x::numeric END $$""",
)

_COLUMNS = (
    "SELECT attname FROM pg_attribute WHERE attrelid = to_regclass(?) AND attnum > 0 AND NOT attisdropped "
    "ORDER BY attnum"
)


class PostgresStore(Removing):
    """The store in a database."""

    dialect = "postgres"

    def __init__(self, url: str, password: str | None = None) -> None:
        self.url = url
        self._password = password

    def held(self) -> dict[str, Held]:
        """What is held; nothing before the first import."""
        found = self._all_if_there(ABOUT)
        return {name: Held.of(json.loads(told)) for name, told in found}

    def sources(self) -> list[Imported]:
        """What was imported."""
        return [Imported(Source(*row[:5]), *row[5:]) for row in self._all_if_there(SOURCES)]

    def _all_if_there(self, text: str) -> list[tuple[Any, ...]]:
        from psycopg import errors

        end = time.monotonic() + ANSWERS
        db = self.reader(lambda: time.monotonic() > end)
        try:
            return db.everything(text)
        except StoreFault as fault:
            if isinstance(fault.__cause__, errors.UndefinedTable):
                return []
            raise
        finally:
            db.close()

    def reader(self, gone: Callable[[], bool] = lambda: False) -> PostgresReader:
        """A connection that only reads; it is used again when it was closed."""
        with self.faults():
            from catalog.postgres_reader import PostgresReader
        return PostgresReader(self.url, self.connected, self.faults, gone)

    def take(
        self, source: Source, found: Iterable[Row | Rejected], replace: bool = False, dry: bool = False
    ) -> Outcome:
        """Import in one transaction; with `dry`, everything is undone."""
        named(source.archive)
        outcome = Outcome()
        with tempfile.TemporaryFile() as rows:  # without a name: nothing is left if the process is killed
            keywords = spool(rows, iter(found), outcome)
            with self.faults(), self.connected() as db, contextlib.ExitStack() as undone:
                if dry:
                    undone.enter_context(db.transaction(force_rollback=True))
                self._prepare(db, table(source.archive), keywords)
                with db.transaction():
                    self._alone(db)
                    PostgresTaking(db, rows, source, keywords, outcome).take(replace)
                if outcome.touched and not dry:  # so that counts need look at no row that an index tells of
                    db.execute(f"VACUUM (SKIP_LOCKED) {table(source.archive)}")
        return outcome

    def changed(self, archive: str, place: str, change: Callable[[Taking], T]) -> T:
        """What comes of a change, in one transaction."""
        with self.faults(), self.connected() as db, tempfile.TemporaryFile() as none, db.transaction():
            self._alone(db)
            return change(PostgresTaking(db, none, Source(archive, place, "", 0), (), Outcome()))

    def connected(self) -> Watched:
        """A connection. Raises psycopg.Error."""
        from catalog.postgres_reader import Watched

        return Watched.connect(
            self.url,
            password=self._password,
            connect_timeout=5,
            application_name="imaging-broker",
            # to compile a search takes longer than it then saves
            options=f"-c search_path=imaging_broker,public -c lock_timeout={int(PATIENCE * 1000)} -c jit=off",
            autocommit=True,
        )

    def _prepare(self, db: psycopg.Connection[Any], name: str, keywords: Sequence[str]) -> None:
        """What an import needs: schema, functions, the table and its columns, which nobody sees yet."""
        with db.transaction():
            self._alone(db)
            (encoding,) = db.execute("SHOW server_encoding").fetchone() or ("",)
            if encoding != "UTF8":
                raise StoreFault(f"{self.named()}: its encoding is {encoding}, not UTF8")
            db.execute("CREATE SCHEMA IF NOT EXISTS imaging_broker")
            for made in (*_FUNCTIONS, *TABLES, f"CREATE TABLE IF NOT EXISTS {name} ({OWN})"):
                db.execute(made)
            known = {column for (column,) in db.execute(*sql.bound(_COLUMNS, [name])).fetchall()}
            added = [f'ADD COLUMN "{k}" TEXT COLLATE "C"' for k in keywords if k not in known]
            added += [] if "_same" in known else ["ADD COLUMN _same TEXT"]
            if added:
                db.execute(f"ALTER TABLE {name} {', '.join(added)}")

    @staticmethod
    def _alone(db: psycopg.Connection[Any]) -> None:
        """Only one import at a time; the lock goes with the transaction."""
        end = time.monotonic() + PATIENCE
        while not (db.execute("SELECT pg_try_advisory_xact_lock(%s)", [LOCK]).fetchone() or (False,))[0]:
            if time.monotonic() > end:
                raise Busy("another import into the catalog is under way; try again when it has ended")
            time.sleep(0.05)

    def named(self) -> str:
        """The database, without the password."""
        from psycopg.conninfo import conninfo_to_dict

        told = conninfo_to_dict(self.url)
        return f"the catalog {told.get('dbname', '')} at {told.get('host', 'localhost')}"

    @contextlib.contextmanager
    def faults(self) -> Iterator[None]:
        """PostgreSQL's errors as ours."""
        try:
            import psycopg
        except ImportError as error:
            raise StoreFault("a catalog in PostgreSQL needs imaging-broker[postgres]") from error
        try:
            yield
        except psycopg.errors.LockNotAvailable as error:
            raise Busy(f"{self.named()} is locked by another process") from error
        except (psycopg.OperationalError, psycopg.errors.InsufficientPrivilege) as error:
            raise Missing(f"{self.named()} cannot be used: {type(error).__name__}") from error
        except psycopg.Error as error:
            raise StoreFault(f"{self.named()}: {type(error).__name__}") from error


class PostgresTaking(Taking):
    """An import in an open transaction."""

    matches = "{0} ~ '^({1})$'"

    def __init__(self, db: psycopg.Connection[tuple[Any, ...]], rows: IO[bytes], *args: Any) -> None:
        super().__init__(*args)
        self._db, self._rows = db, rows

    def all(self, text: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Every row of a statement."""
        cursor = self._db.execute(*sql.bound(text, values))
        return cursor.fetchall() if cursor.description else []

    def load(self) -> None:
        """By COPY."""
        import msgspec

        types = {**STAGED, **dict.fromkeys(self.keywords, 'TEXT COLLATE "C"')}
        columns = ", ".join(f'"{name}" {kind}' for name, kind in types.items())
        self.all(f"CREATE TEMP TABLE staged ({columns}) ON COMMIT DROP")
        names, decode = list(types), msgspec.json.Decoder().decode
        self._rows.seek(0)
        with self._db.cursor().copy("COPY staged FROM STDIN") as copy:
            for line in self._rows:
                said = decode(line)
                copy.write_row([said.get(name) for name in names])
        self.all("ANALYZE staged")

    def columns(self) -> list[str]:
        """The columns of the archive's table."""
        return [name for (name,) in self.all(_COLUMNS, [self.table])]

    def write(self, number: int, old: Sequence[str], columns: Sequence[str], replace: bool) -> None:
        """Changes, then what is new; indexes when the rows are there."""
        del old
        places = ["_level", "_source", "_line", "_file", "_also", "_same", *columns]
        said = {"_source": str(number), "_file": "nullif(c._file, '')", "_also": "nullif(c._also, '')"}
        values = [said.get(name, f'c."{name}"') for name in places]
        sets = ", ".join(f'"{name}" = {value}' for name, value in zip(places, values, strict=True))
        if self.outcome.changed:
            change = "FROM compared c WHERE t._key = c._key AND c._change = 1"
            self.all(f"UPDATE {self.table} t SET {sets} {change}")
        order = sql.quoted([*(n for n in sql.ORDER if n in columns), "_key"])
        self.all(
            f"INSERT INTO {self.table} (_key, {sql.quoted(places)}) SELECT c._key, {', '.join(values)} "
            f"FROM compared c WHERE c._change = 2 ORDER BY {order}"
        )
        if replace:
            self.all(
                f"DELETE FROM {self.table} t WHERE NOT EXISTS (SELECT FROM staged s WHERE s._key = t._key)"
            )
        self._index(columns)
        self.all(f"ANALYZE {self.table}")

    def _index(self, columns: Sequence[str]) -> None:
        self.all(f"CREATE UNIQUE INDEX IF NOT EXISTS {self._name('_key')} ON {self.table} (_key)")
        for name in (n for n in INDEXED if n in columns):
            self.all(f'CREATE INDEX IF NOT EXISTS {self._name(name)} ON {self.table} ("{name}")')
        if self._trigrams():
            for name in (n for n in SEARCHED if n in columns):
                what = f'USING gin (folded("{name}") gin_trgm_ops)'
                self.all(f"CREATE INDEX IF NOT EXISTS {self._name(f'~{name}')} ON {self.table} {what}")
        for name in (n for n in SEARCHED if n in columns):  # for counting what a condition leaves unknown
            narrow = sql.quoted(k for k in ("Modality", "StudyDate") if k in columns) or "_level"
            what = f'({narrow}) WHERE "{name}" IS NULL'
            self.all(f"CREATE INDEX IF NOT EXISTS {self._name(f'0{name}')} ON {self.table} {what}")

    def _trigrams(self) -> bool:
        """Whether there is pg_trgm; without it contains is right, but slow."""
        from psycopg import errors

        try:
            with self._db.transaction():
                self.all("CREATE EXTENSION IF NOT EXISTS pg_trgm SCHEMA public")
        except (errors.InsufficientPrivilege, errors.UndefinedFile, errors.FeatureNotSupported):
            return False
        return True

    def _name(self, what: str) -> str:
        """The name of an index: short, for PostgreSQL cuts names."""
        return f'"i_{hashlib.sha256(f"{self.table} {what}".encode()).hexdigest()[:24]}"'
