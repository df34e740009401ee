"""`python -m benchmarks [NAME ...] [--quick]`: runs them, prints tables, writes `benchmarks/results/`."""

from __future__ import annotations

import argparse
import datetime
import json
import multiprocessing
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from benchmarks import machine
from benchmarks.one import one
from benchmarks.tables import Result

NAMES = (
    "idc",
    "catalog",
    "imports",
    "fanout",
    "dimse",
    "get",
    "xnat",
    "decode",
    "matching",
    "startup",
    "merge",
)
RESULTS = Path(__file__).parent / "results"


def main() -> None:
    """Run the benchmarks that are named, or all."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(NAMES))
    parser.add_argument("--quick", action="store_true", help="few repetitions, small inputs")
    parser.add_argument("--no-files", action="store_true", help="only print")
    told = parser.parse_args()
    unknown = [name for name in told.names if name not in NAMES]
    if unknown:
        parser.error(f"unknown benchmark {unknown[0]!r}; known are {', '.join(NAMES)}")
    head = _head(quick=told.quick)
    print(head, flush=True)
    results = []
    for name in told.names or NAMES:
        start = time.perf_counter()
        # each in a process of its own: what one leaves behind must not slow the next
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
            found = pool.submit(one, name, told.quick)
            error = found.exception()
        results.append(Result(name, f"FAILED: {error!r}") if error else found.result())
        took = f"({time.perf_counter() - start:.0f} s, load {machine.load()})"
        print(f"{results[-1].markdown()}\n{took}\n", flush=True)
    if not told.no_files:
        _write(head, results, quick=told.quick)


def _head(*, quick: bool) -> str:
    facts = "\n".join(f"- {key}: {value}" for key, value in machine.described().items())
    kind = " A QUICK run: small inputs, few repetitions." if quick else ""
    return (
        f"# Benchmarks, {_today()}\n\n{facts}\n\nFigures are medians with (smallest-largest). "
        f"Ratios are taken within one round and compare across machines; milliseconds do not.{kind}\n"
    )


def _write(head: str, results: list[Result], *, quick: bool) -> None:
    RESULTS.mkdir(exist_ok=True)
    place = RESULTS / f"{_today()}-{machine.name()}{'-quick' if quick else ''}"
    data = {
        "date": _today(),
        "quick": quick,
        "machine": machine.described(),
        "results": [result.data() for result in results],
    }
    place.with_suffix(".json").write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
    text = head + "".join(f"\n{result.markdown()}" for result in results)
    place.with_suffix(".md").write_text(text, encoding="utf-8")
    print(f"written: benchmarks/results/{place.name}.md and .json")


def _today() -> str:
    return datetime.datetime.now(datetime.UTC).date().isoformat()


if __name__ == "__main__":
    main()
