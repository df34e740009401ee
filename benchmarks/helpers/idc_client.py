"""The client of the package idc-index, in an environment of its own.

With SQL as its argument: constructs the client, asks, ends. Without: answers lines of SQL with seconds and
rows, where the first line is empty and its answer says what importing and constructing took.
"""

from __future__ import annotations

import importlib
import json
import sys
import time
from typing import Any


def _client() -> Any:
    return importlib.import_module("idc_index").IDCClient()


def main() -> None:
    """Serve until standard input ends, or answer once."""
    if len(sys.argv) > 1:
        _client().sql_query(sys.argv[1])
        return
    client: Any = None
    for line in sys.stdin:
        query = json.loads(line)
        start = time.perf_counter()
        if client is None:
            client = _client()
            rows = 0
        else:
            rows = len(client.sql_query(query))
        print(json.dumps({"seconds": time.perf_counter() - start, "rows": rows}), flush=True)


if __name__ == "__main__":
    main()
