"""Where holdings are kept: one DuckDB file, or a PostgreSQL database (see `catalog.holdings`)."""

from __future__ import annotations

import re
from pathlib import Path

from catalog import places
from catalog.holdings import Store


def usual() -> Path:
    """Where the catalog lies unless the configuration says otherwise."""
    return places.data("catalog.duckdb")


def store(place: str | Path, password: str | None = None) -> Store:
    """The store at a path (DuckDB) or at a URL `postgresql://user@host/database`."""
    if re.match(r"postgres(ql)?://", str(place)):
        from catalog.store_postgres import PostgresStore

        return PostgresStore(str(place), password)
    from catalog.store_duckdb import DuckStore

    return DuckStore(Path(place))
