"""SQL by hand: one open PostgreSQL connection that answers lines of SQL with seconds and the number of rows.

Arguments: a URL and a password.
"""

from __future__ import annotations

import json
import sys
import time

import psycopg


def main() -> None:
    """Serve until standard input ends."""
    url, password = sys.argv[1:]
    path = "-c search_path=imaging_broker,public"
    with psycopg.connect(url, password=password, autocommit=True, options=path) as db:
        for line in sys.stdin:
            query = json.loads(line)
            start = time.perf_counter()
            rows = len(db.execute(query).fetchall())
            print(json.dumps({"seconds": time.perf_counter() - start, "rows": rows}), flush=True)


if __name__ == "__main__":
    main()
