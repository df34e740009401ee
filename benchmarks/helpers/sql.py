"""SQL by hand: one open connection. A line of SQL, or a list of them, gives seconds and rows (of the first).

Arguments: a database file of DuckDB, or `-` for none, and statements to begin with; or the URL of a
PostgreSQL database, and its password.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any

Fetch = Callable[[str], list[Any]]


def _duckdb(place: str, *setup: str) -> Fetch:
    import duckdb

    db = duckdb.connect() if place == "-" else duckdb.connect(place, read_only=True)
    for statement in setup:
        db.execute(statement)
    return lambda query: db.execute(query).fetchall()


def _postgres(url: str, password: str) -> Fetch:
    import psycopg

    path = "-c search_path=imaging_broker,public"
    db = psycopg.connect(url, password=password, autocommit=True, options=path)
    return lambda query: db.execute(query.encode()).fetchall()


def main() -> None:
    """Serve until standard input ends."""
    fetch = (_postgres if sys.argv[1].startswith("postgresql://") else _duckdb)(*sys.argv[1:])
    for line in sys.stdin:
        told = json.loads(line)
        queries = [told] if isinstance(told, str) else told
        start = time.perf_counter()
        found = [len(fetch(query)) for query in queries]
        print(json.dumps({"seconds": time.perf_counter() - start, "rows": found[0]}), flush=True)


if __name__ == "__main__":
    main()
