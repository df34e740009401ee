"""An import of every kind that is killed (SIGKILL), while it reads or while it writes, leaves nothing."""

from __future__ import annotations

import functools
import itertools
import multiprocessing
import os
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from holdings import told
from importing import EXAMPLES, FILES
from peers.postgres import PASSWORD, Postgres

from catalog.holdings import Store
from catalog.importing import Wanted, import_into
from catalog.imports.mapping import mapping
from catalog.imports.rows import Options
from catalog.store import store
from fixtures.dicom import Truth

NUMBERS = itertools.count()
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["catalog.importing", "catalog.store_duckdb", "catalog.store_postgres"])


@functools.cache
def database(server: Postgres) -> str:
    """A database for all tests, each of which has an archive of its own."""
    return server.database("killed")


@pytest.fixture(params=["DuckDB", "PostgreSQL"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where an empty store is."""
    if request.param == "DuckDB":
        return str(tmp_path / "kept" / "catalog.duckdb")
    server: Postgres = request.getfixturevalue("postgres")
    return database(server)


def _import(kept: Store, file: Path, archive: str, words: Sequence[str]) -> None:
    options = Options(mapping=mapping(Path(words[1])) if words else None)
    import_into(kept, Wanted(file, archive, "csv" if words else ""), options)


def _die(*_: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _killed(place: str, file: Path, archive: str, words: Sequence[str], when: str) -> None:
    """Import, and be killed at the first row, or when all is written but not yet there for others."""
    from catalog import store_duckdb, store_postgres
    from catalog.prepared import Preparing

    patch = pytest.MonkeyPatch()  # this process ends before it could be undone
    if when == "reading":
        patch.setattr(Preparing, "ready", _die)
    else:
        patch.setattr(store_duckdb.DuckStore, "_move", _die)
        patch.setattr(store_postgres.PostgresTaking, "_remember", _die)
    _import(store(place, PASSWORD), file, archive, words)


@pytest.mark.parametrize("when", ["reading", "writing"])
@pytest.mark.parametrize("name", EXAMPLES)
def test_a_killed_import_leaves_the_catalog_as_it_was(
    place: str, tmp_path: Path, held: tuple[Path, Truth], name: str, when: str
) -> None:
    example = EXAMPLES[name]
    file = example.make(tmp_path / "in", held[0] / "a")
    archive, kept = f"archive{next(NUMBERS)}", store(place, PASSWORD)
    first, count = ("loni_collection.csv", 3) if example.kind == "csv" else ("keywords.csv", 2)
    _import(kept, FILES / first, archive, ())
    before = told(kept)
    child = CONTEXT.Process(target=_killed, args=(place, file, archive, example.words, when))
    child.start()
    child.join(60)
    assert child.exitcode == -signal.SIGKILL
    assert told(store(place, PASSWORD)) == before
    _import(kept, file, archive, example.words)
    assert sum(kept.held()[archive].rows.values()) == count + example.rows
    if not place.startswith("postgresql"):
        names = {found.name for found in Path(place).parent.iterdir()}
        assert names == {"catalog.duckdb", "catalog.json", "catalog.lock"}
