"""The store of holdings: whole or not at all, changed and not doubled, read while it is written."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial
from multiprocessing.synchronize import Barrier
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from holdings import rows
from peers import faults
from peers.faults import Faulty, Wire
from peers.postgres import PASSWORD, Postgres

from catalog.holdings import Outcome, Source, Store, table
from catalog.imports.rows import Rejected, Row
from catalog.keywords import Level
from catalog.problems import BadFile, Busy, Corrupt, Missing
from catalog.store import store

FILE = Source("mine", "/file.csv", "csv", 1, "00")
OTHER = Source("mine", "/other.csv", "csv", 1, "11")


def series(number: int, **said: str) -> Row:
    """A series without UID, as a line of a table."""
    whom = {"PatientID": f"P{number // 4}", "StudyDate": "20200101"}
    return Row(Level.SERIES, {**whom, "SeriesKey": str(number), "Modality": "MR", **said}, number + 2)


SOME = [series(n) for n in range(10)]


def counts(outcome: Outcome) -> tuple[int, int, int]:
    """New, changed, as before."""
    return outcome.added, outcome.changed, outcome.unchanged


def test_what_is_imported_is_there_with_where_it_comes_from(kept: Store) -> None:
    assert kept.held() == {}
    assert kept.sources() == []
    assert counts(kept.take(FILE, SOME)) == (10, 0, 0)
    held = kept.held()["mine"]
    assert held.rows == {Level.SERIES: 10}
    assert held.levels == set(Level)
    assert set(held.columns) == {"PatientID", "SeriesKey", "Modality", "StudyDate", "StudyKey"}
    assert rows(kept, '"SeriesKey", "_source", "_line"')[0] == ("0", 1, 2)
    (source,) = kept.sources()
    assert (source.source, source.rows, source.rejected) == (FILE, 10, 0)


def test_the_same_again_changes_nothing(duck: Store, tmp_path: Path) -> None:
    duck.take(FILE, SOME)
    before = (tmp_path / "catalog.duckdb").stat()
    assert counts(duck.take(FILE, SOME)) == (0, 0, 10)
    after = (tmp_path / "catalog.duckdb").stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


def test_a_later_state_of_a_file_replaces_what_it_said(kept: Store) -> None:
    kept.take(FILE, [series(0, StudyDescription="first"), *SOME[1:]])
    outcome = kept.take(FILE, [series(0, Modality="PT"), *SOME[1:8], series(20)])
    assert counts(outcome) == (1, 1, 7)
    assert outcome.missing == 2
    assert rows(kept, '"SeriesKey", "Modality", "StudyDescription"')[0] == ("0", "PT", None)
    assert len(rows(kept)) == 11


def test_another_file_adds_to_what_is_known_of_a_series(kept: Store) -> None:
    kept.take(FILE, SOME)
    outcome = kept.take(OTHER, [Row(Level.SERIES, {"SeriesKey": "3", "StudyDescription": "brain"}, 7)])
    assert counts(outcome) == (0, 1, 0)
    found = rows(kept, '"SeriesKey", "StudyDescription", "Modality", "StudyKey", "_source", "_line", "_also"')
    assert found[3] == ("3", "brain", "MR", "derived:  | P0 | 20200101", 2, 7, "1:5")


def test_replacing_leaves_exactly_what_is_given(kept: Store) -> None:
    kept.take(FILE, SOME)
    outcome = kept.take(OTHER, SOME[:3], replace=True)
    assert (counts(outcome), outcome.removed) == ((0, 0, 3), 7)
    assert len(rows(kept)) == 3
    assert kept.held()["mine"].rows == {Level.SERIES: 3}


def test_an_archive_is_forgotten_alone(kept: Store) -> None:
    kept.take(FILE, SOME)
    kept.take(Source("other", "/x", "csv", 1), SOME)
    assert kept.remove("mine") == 10
    assert set(kept.held()) == {"other"}
    assert [s.source.archive for s in kept.sources()] == ["other"]


def test_rows_without_any_key_are_told_apart_by_what_they_say(kept: Store) -> None:
    twice = [Row(Level.SERIES, {"PatientID": "1", "Modality": "CT"}, n) for n in (2, 3)]
    assert counts(kept.take(FILE, twice)) == (2, 0, 0)
    assert counts(kept.take(FILE, twice)) == (0, 0, 2)


@pytest.mark.parametrize(
    ("again", "why"), [(series(1), "the same again"), (series(1, Modality="CT"), "with other values")]
)
def test_what_a_file_tells_twice_is_taken_once_and_told(kept: Store, again: Row, why: str) -> None:
    outcome = kept.take(FILE, [*SOME[:3], again])
    assert (counts(outcome), outcome.refused) == ((3, 0, 0), 1)
    assert why in outcome.rejected[0].reason
    assert ("1", "MR") in rows(kept, '"SeriesKey", "Modality"')


BAD = [
    (Row(Level.SERIES, {"SeriesInstanceUID": "1.2.x"}, 5), "no UID"),
    (Row(Level.SERIES, {"Modality": "  "}, 5), "says nothing"),
    (Row(Level.PATIENT, {"PatientSex": "F"}, 5), "without PatientID"),
    (Row(Level.SERIES, {"NoSuchKeyword": "F"}, 5), "unknown DICOM keyword"),
    (Row(Level.SERIES, {"StudyDescription": "x" * 70_000}, 5), "characters"),
    (Rejected(5, "so it is"), "so it is"),
]


@pytest.mark.parametrize(("bad", "why"), BAD)
def test_a_row_that_cannot_be_kept_is_named(kept: Store, bad: Row | Rejected, why: str) -> None:
    outcome = kept.take(FILE, [bad, *SOME])
    assert (outcome.added, outcome.refused, outcome.rejected[0].line) == (10, 1, 5)
    assert why in outcome.rejected[0].reason
    with pytest.raises(BadFile, match="no row can be taken"):
        kept.take(OTHER, [bad])


def test_an_error_in_the_middle_leaves_everything_as_it_was(duck: Store, tmp_path: Path) -> None:
    duck.take(FILE, SOME)
    before = rows(duck)

    def broken() -> Iterator[Row]:
        yield series(50)
        raise BadFile("cut off")

    with pytest.raises(BadFile):
        duck.take(OTHER, broken())
    assert rows(duck) == before
    assert sorted(p.suffix for p in tmp_path.iterdir()) == [".duckdb", ".json", ".lock"]


def test_text_of_any_kind_is_kept_and_padding_is_not(kept: Store) -> None:
    said = {
        "SeriesKey": " k\0",
        "StudyDescription": " a\0b 'x' \"y\" \\N {} \n;",
        "PatientName": "Mu\u0308ller",
    }
    kept.take(FILE, [Row(Level.SERIES, said)])
    ((key, about, name),) = rows(kept, '"SeriesKey", "StudyDescription", "PatientName"')
    assert (key, about, name) == ("k", "a�b 'x' \"y\" \\N {} \n;", "Müller")


# --- several processes

KILLED = """
import sys, time
from pathlib import Path
from catalog.store import store
from test_store import FILE, SOME, OTHER, series

def slow():
    for n in range(100, 50_000):
        yield series(n)
        if n == 20_000:
            print("half", flush=True)
            if {wait}:
                time.sleep(60)

kept = store(Path(sys.argv[1]))
if not {wait}:
    from catalog import store_duckdb
    move = store_duckdb.DuckStore._move
    def late(self, part):
        print("half", flush=True)
        time.sleep(60)
    store_duckdb.DuckStore._move = late
kept.take(OTHER, slow())
"""


@pytest.mark.parametrize("reading", [True, False])
def test_a_killed_import_leaves_the_catalog_as_it_was(duck: Store, tmp_path: Path, reading: bool) -> None:
    duck.take(FILE, SOME)
    before = rows(duck)
    child = subprocess.Popen(
        [sys.executable, "-c", KILLED.format(wait=reading), str(tmp_path / "catalog.duckdb")],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(["tests", "."])},
    )
    with child:
        assert child.stdout
        assert child.stdout.readline() == b"half\n"
        child.send_signal(signal.SIGKILL)
    assert rows(store(tmp_path / "catalog.duckdb")) == before
    assert counts(duck.take(OTHER, SOME)) == (0, 0, 10)
    assert not list(tmp_path.glob("*.part*"))


def _read(place: str, ready: Barrier, told: multiprocessing.Queue[tuple[int, set[int]]]) -> None:
    kept, seen, count = store(place, PASSWORD), set(), 0
    ready.wait(60)
    until = time.monotonic() + 6
    while time.monotonic() < until:
        seen.add(len(rows(kept)))
        count += 1
    told.put((count, seen))


def place_of(kept: Store) -> str:
    """Where another process finds the store."""
    return str(getattr(kept, "path", "") or getattr(kept, "url", ""))


def test_others_read_whole_states_while_imports_go_on(kept: Store) -> None:
    kept.take(FILE, SOME)
    context = multiprocessing.get_context("spawn")
    told: multiprocessing.Queue[tuple[int, set[int]]] = context.Queue()
    ready = context.Barrier(4)
    readers = [context.Process(target=_read, args=(place_of(kept), ready, told)) for _ in range(3)]
    for reader in readers:
        reader.start()
    ready.wait(60)
    until = time.monotonic() + 6
    sizes, size = {10}, 10
    while time.monotonic() < until - 0.5:
        kept.take(FILE, [series(n) for n in range(size, size + 500)])
        size += 500
        sizes.add(size)
    found = [told.get(timeout=30) for _ in readers]
    for reader in readers:
        reader.join()
    assert len(rows(kept)) == size
    assert all(count > 0 and seen <= sizes for count, seen in found)
    assert any(len(seen) > 1 for _, seen in found)


WRITING = """
import sys, time
from catalog.store import store
from catalog.store_postgres import PostgresTaking
from peers.postgres import PASSWORD
from test_store import OTHER, series
write = PostgresTaking.write
def late(self, *args):
    write(self, *args)
    print("half", flush=True)
    time.sleep(60)
PostgresTaking.write = late
store(sys.argv[1], PASSWORD).take(OTHER, [series(n, ProtocolName="new") for n in range(100, 5000)])
"""


def test_an_import_that_is_killed_in_its_transaction_leaves_nothing(postgresql: Store) -> None:
    postgresql.take(FILE, SOME)
    before, held = rows(postgresql, '"SeriesKey", "Modality"'), postgresql.held()
    child = subprocess.Popen(
        [sys.executable, "-c", WRITING, place_of(postgresql)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(["tests", "."])},
    )
    with child:
        assert child.stdout
        assert child.stdout.readline() == b"half\n"
        assert rows(postgresql, '"SeriesKey", "Modality"') == before
        child.send_signal(signal.SIGKILL)
    assert rows(postgresql, '"SeriesKey", "Modality"') == before
    assert postgresql.held() == held
    assert counts(postgresql.take(OTHER, [series(100)])) == (1, 0, 0)


def test_imports_into_a_database_take_turns_or_say_so(
    postgresql: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    import psycopg

    from catalog.store_postgres import LOCK

    monkeypatch.setattr("catalog.store_postgres.PATIENCE", 0.2)
    with psycopg.connect(place_of(postgresql), password=PASSWORD) as other:
        other.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
        with pytest.raises(Busy, match="another import"):
            postgresql.take(FILE, SOME)
    assert counts(postgresql.take(FILE, SOME)) == (10, 0, 0)


@pytest.mark.parametrize(("url", "password"), [("postgresql://x@127.0.0.1:9/none", "secret"), ("", "wrong")])
def test_a_database_that_cannot_be_used_is_named_without_its_password(
    postgres: Postgres, url: str, password: str
) -> None:
    with pytest.raises(Missing, match=r"the catalog \w+ at 127\.0\.0\.1 cannot be used") as caught:
        store(url or postgres.url("postgres"), password).held()
    assert password not in str(caught.value)


def test_a_connection_that_was_lost_is_made_again(postgresql: Store, postgres: Postgres) -> None:
    import psycopg

    postgresql.take(FILE, SOME)
    before = rows(postgresql)
    with psycopg.connect(postgres.url("postgres"), password=PASSWORD, autocommit=True) as other:
        other.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE pid <> pg_backend_pid() AND usename = %s",
            ["keeper"],
        )
    assert rows(postgresql) == before


def test_a_database_that_says_nothing_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("catalog.store_postgres.ANSWERS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        kept = store(f"postgresql://keeper@127.0.0.1:{silent.getsockname()[1]}/x", PASSWORD)
        start = time.monotonic()
        with pytest.raises(Missing):
            kept.held()
    assert time.monotonic() - start < 2


def test_a_statement_ends_when_nobody_waits_for_it(postgresql: Store) -> None:
    postgresql.take(FILE, SOME)
    end = time.monotonic() + 0.3
    db = postgresql.reader(lambda: time.monotonic() > end)
    db.execute("SELECT pg_sleep(30)")
    with pytest.raises(Missing):
        db.fetchmany(1)
    db.close()
    assert time.monotonic() - end < 2


async def test_a_server_that_falls_silent_holds_nobody(
    postgres: Postgres, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither its answer is waited for, nor that it takes a cancellation."""
    url, silent = postgres.database("silent"), threading.Event()
    store(url, PASSWORD).take(FILE, SOME)
    parts = urlsplit(url)

    async def frozen(data: bytes, wire: Wire) -> bool:
        if not silent.is_set():
            wire.writer.write(data)
        return True

    async def play(wire: Wire) -> None:
        await (faults.silence if silent.is_set() else partial(faults.through, spoil=frozen))(wire)

    async with Faulty(play, (str(parts.hostname), parts.port or 0)) as peer:
        kept = store(url.replace(f":{parts.port}/", f":{peer.port}/"), PASSWORD)
        assert await asyncio.to_thread(_left, kept, silent) < 1
    assert not [r for r in caplog.records if r.name.startswith("psycopg")]


def _left(kept: Store, silent: threading.Event) -> float:
    """Seconds until a statement is left that nobody waits for, from a server that has fallen silent."""
    db = kept.reader(silent.is_set)
    assert db.held("mine")
    threading.Timer(0.1, silent.set).start()
    start = time.monotonic()
    db.execute("SELECT pg_sleep(30)")
    with pytest.raises(Missing):
        db.fetchmany(2)
    db.close()
    return time.monotonic() - start


def test_a_reader_goes_on_with_what_it_began_to_read(kept: Store) -> None:
    kept.take(FILE, [series(n) for n in range(20_000)])
    db = kept.reader()
    db.execute(f'SELECT "SeriesKey" FROM {table("mine")}')
    first = db.fetchmany(10)
    kept.take(OTHER, SOME[:1], replace=True)
    assert len(first) + len(db.fetchmany(100_000)) == 20_000
    assert len(rows(kept)) == 1
    db.close()


def test_a_twin_sees_the_same_state_whatever_is_imported_meanwhile(kept: Store) -> None:
    kept.take(FILE, SOME)
    db = kept.reader()
    held = db.held("mine")
    kept.take(OTHER, SOME[:1], replace=True)
    twin = db.twin()(lambda: False)
    assert held is not None
    for one in (db, twin):
        one.execute(f"SELECT count(*) FROM {table('mine')}")
        assert one.fetchmany(2) == [(10,)] == [(sum(held.rows.values()),)]
    twin.close()
    db.close()
    assert len(rows(kept)) == 1
    later = kept.reader()
    assert later.held("mine") == kept.held()["mine"]
    assert later.held("yours") is None
    later.close()


def test_what_one_search_left_is_no_matter_of_the_next(kept: Store) -> None:
    """Connections are used again: not those in which something is under way, or was to be interrupted."""
    kept.take(FILE, [series(n) for n in range(5000)])
    for leave in (lambda db: None, lambda db: db.fetchmany(10), lambda db: db.interrupt()):
        db = kept.reader()
        db.execute(f"SELECT * FROM {table('mine')}")
        leave(db)
        db.close()
        db.interrupt()  # too late: it may be another's by now
        assert len(rows(kept)) == 5000


def test_two_imports_take_turns_or_say_so(
    duck: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("catalog.store_duckdb.PATIENCE", 0.2)
    with (tmp_path / "catalog.lock").open("w") as lock:
        import fcntl

        fcntl.flock(lock.fileno(), fcntl.LOCK_EX)
        with pytest.raises(Busy, match="another import"):
            duck.take(FILE, SOME)
    assert counts(duck.take(FILE, SOME)) == (10, 0, 0)


@pytest.mark.parametrize("damage", ["garbage", "half", "flipped"])
def test_a_damaged_file_is_named_and_not_written_over(duck: Store, tmp_path: Path, damage: str) -> None:
    duck.take(FILE, [series(n) for n in range(20_000)])
    place = tmp_path / "catalog.duckdb"
    whole = place.read_bytes()
    bad = {
        "garbage": b"\x13\x37" * 4096,
        "half": whole[: len(whole) // 2],
        "flipped": whole[:12288] + bytes(255 - b for b in whole[12288:-4096]) + whole[-4096:],
    }[damage]
    place.write_bytes(bad)
    with pytest.raises(Corrupt, match="cannot be read"):
        duck.take(OTHER, [series(1, Modality="CT")])
    assert place.read_bytes() == bad
