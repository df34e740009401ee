"""A full merge in polars of the rows that `benchmarks/merge.py` makes; a line in, its seconds out."""

from __future__ import annotations

import importlib
import json
import sys
import time
from typing import Any

SOURCES, SHARED_BY = 8, 4
NAMES = ("uid", "study", "patient", "modality", "date", "description", "part", "number")


def main() -> None:
    """Serve until standard input ends."""
    pl = importlib.import_module("polars")
    frame = _frame(pl, int(sys.argv[1]))
    for _ in sys.stdin:
        start = time.perf_counter()
        found = _merged(pl, frame)
        seconds = time.perf_counter() - start
        told = {"seconds": seconds, "entities": found.height, "rows": frame.height / seconds}
        print(json.dumps(told), flush=True)


def _merged(pl: Any, frame: Any) -> Any:
    """By UID: the first value by precedence, whether values differ, and who said it."""
    columns = NAMES[1:]
    return (
        frame.sort("rank", maintain_order=True)
        .group_by("uid", maintain_order=True)
        .agg(
            *(pl.col(name).first() for name in columns),
            *((pl.col(name).min() != pl.col(name).max()).alias(f"{name} differs") for name in columns),
            pl.col("rank").unique().alias("said by"),
        )
    )


def _frame(pl: Any, total: int) -> Any:
    each = total // SOURCES
    rows = [_row(source, n, n < each * 3 // 10) for source in range(SOURCES) for n in range(each)]
    return pl.DataFrame(rows, schema=["rank", *NAMES], orient="row")


def _row(source: int, number: int, shared: bool) -> tuple[int | str, ...]:
    owner = 100 + source // SHARED_BY if shared else source
    uid = f"1.3.6.1.4.1.14519.5.2.1.{7000 + owner}.{10**15 + number}"
    date = "20200101" if not shared or number % 100 or source % SHARED_BY else "20200102"
    text = f"Series {number % 500}"
    return (source, uid, uid[:-2], f"P{number // 50}", "CT", date, text, "CHEST", str(number % 20))


if __name__ == "__main__":
    main()
