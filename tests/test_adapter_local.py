"""The adapter `local` passes the conformance suite, and its SQL means what `truth` means."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import duckdb
import pytest
from conforming import records
from peers.postgres import PASSWORD, Postgres

from adapters.local.adapter import Local
from broker.adapter import Adapter
from broker.conform import AdapterTests
from broker.errors import ArchiveError, Malformed, ServerFault, Unreachable
from broker.meaning import values
from catalog import postgres_reader, store_postgres
from catalog.duckdb_reader import FOLDED
from catalog.holdings import Source, Store
from catalog.imports.rows import Row
from catalog.keywords import Level
from catalog.store import store
from fixtures.dicom import truth

HELD = records(truth()["archives"]["b"])
COMPUTED = ("ModalitiesInStudy", "NumberOfStudyRelatedSeries", "NumberOfStudyRelatedInstances")


def whole() -> list[dict[str, Any]]:
    """Every series of the fixtures with what is known of its study."""
    studies = {s["StudyInstanceUID"]: s for s in HELD[Level.STUDY]}
    return [{**studies[row["StudyInstanceUID"]], **row} for row in HELD[Level.SERIES]]


def filled(place: Path, rows: Sequence[Mapping[str, Any]], archive: str = "mine") -> Store:
    """A store that holds rows of series."""
    kept = store(place / "catalog.duckdb")
    take(kept, rows, archive)
    return kept


def take(kept: Store, rows: Sequence[Mapping[str, Any]], archive: str = "mine") -> None:
    """Import rows of series."""
    found = [
        Row(
            Level.SERIES,
            {k: tuple(v) if isinstance(v, list) else v for k, v in row.items() if k not in COMPUTED},
        )
        for row in rows
    ]
    kept.take(Source(archive, "test", "test", 1), found)


class TestLocal(AdapterTests):
    """On DuckDB, filled with the generated studies."""

    records = {Level.SERIES: whole()}  # noqa: RUF012 - the suite declares it so
    place: Path

    @pytest.fixture(autouse=True)
    def _place(self, tmp_path: Path) -> None:
        self.place = tmp_path

    @asynccontextmanager
    async def archive(self) -> AsyncIterator[Adapter]:
        made = Local("mine", filled(self.place, whole()))
        made.sizes = (7, 7)
        yield made

    def failing(self) -> Sequence[tuple[type[ArchiveError], Any]]:
        return [(ServerFault, self._empty()), (Malformed, self._damaged()), (ServerFault, self._nothing())]

    @asynccontextmanager
    async def _empty(self) -> AsyncIterator[Adapter]:
        yield Local("mine", store(self.place / "nowhere.duckdb"))

    @asynccontextmanager
    async def _nothing(self) -> AsyncIterator[Adapter]:
        yield Local("other", filled(self.place, whole()))

    @asynccontextmanager
    async def _damaged(self) -> AsyncIterator[Adapter]:
        bad = self.place / "bad.duckdb"
        bad.write_bytes(b"no database" * 1000)
        yield Local("mine", store(bad))


class TestPostgres(TestLocal):
    """On PostgreSQL."""

    url: str

    @pytest.fixture(autouse=True)
    def _database(self, postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
        """One connection is kept open from the beginning, and never more: so a leak can be told from it."""
        type(self).url = _filled_database(postgres)
        monkeypatch.setattr(postgres_reader, "IDLE", 1)
        made = store(self.url, PASSWORD)
        assert isinstance(made, store_postgres.PostgresStore)
        made.reader().close()

    @asynccontextmanager
    async def archive(self) -> AsyncIterator[Adapter]:
        made = Local("mine", store(self.url, PASSWORD))
        made.sizes = (7, 7)
        yield made

    def failing(self) -> Sequence[tuple[type[ArchiveError], Any]]:
        return [(ServerFault, self._nothing()), (Unreachable, self._dead())]

    @asynccontextmanager
    async def _nothing(self) -> AsyncIterator[Adapter]:
        yield Local("other", store(self.url, PASSWORD))

    @asynccontextmanager
    async def _dead(self) -> AsyncIterator[Adapter]:
        yield Local("mine", store("postgresql://x@127.0.0.1:9/none", "secret"))


@functools.cache
def _filled_database(postgres: Postgres) -> str:
    url = postgres.database("conform")
    take(store(url, PASSWORD), whole())
    return url


CHARACTERS = [
    c for n in range(1, 0x110000) if not 0xD800 <= n < 0xE000 and (c := chr(n)) == values.composed(c)
]


def test_folding_in_duckdb_is_folding_here_for_every_character() -> None:
    with duckdb.connect() as db:
        db.execute(FOLDED)
        told = db.execute("SELECT x, folded(x) FROM (SELECT unnest(?) AS x)", [CHARACTERS]).fetchall()
    assert [c for c, folded in told if folded != values.folded(c)] == []


def test_folding_and_numbers_in_postgresql_are_those_here(postgres: Postgres) -> None:
    import psycopg

    numbers = [
        "7",
        "007",
        "+7",
        " 1.50 ",
        "1e3",
        ".5",
        "5.",
        "1,5",
        "",
        "x",
        "NaN",
        "1e9999",
        "0x1",
        "1 2",
        "--1",
    ]
    with psycopg.connect(_filled_database(postgres), password=PASSWORD) as db:
        db.execute("SET search_path TO imaging_broker")
        told = db.execute("SELECT x, folded(x) FROM unnest(%s::text[]) AS x", [CHARACTERS]).fetchall()
        read = db.execute("SELECT x, read_number(x) FROM unnest(%s::text[]) AS x", [numbers]).fetchall()
    assert [c for c, folded in told if folded != values.folded(c)] == []
    assert [(x, n) for x, n in read if n != values.number(x)] == []
