"""SQL by hand: one open DuckDB connection that answers lines of SQL with seconds and the number of rows.

Arguments: a database file, or `-` and the SQL that makes a view over a parquet file.
"""

from __future__ import annotations

import json
import sys
import time

import duckdb


def main() -> None:
    """Serve until standard input ends."""
    place, *setup = sys.argv[1:]
    with duckdb.connect() if place == "-" else duckdb.connect(place, read_only=True) as db:
        for statement in setup:
            db.execute(statement)
        for line in sys.stdin:
            query = json.loads(line)
            start = time.perf_counter()
            rows = len(db.execute(query).fetchall())
            print(json.dumps({"seconds": time.perf_counter() - start, "rows": rows}), flush=True)


if __name__ == "__main__":
    main()
