"""Runs one benchmark by its name."""

from __future__ import annotations

import importlib

from benchmarks.processes import Unavailable
from benchmarks.tables import Result


def one(name: str, quick: bool) -> Result:
    """One benchmark, in the process that calls."""
    module = importlib.import_module(f"benchmarks.{name}")
    try:
        result: Result = module.run(quick=quick)
    except Unavailable as error:
        return Result(name, module.ABOUT, notes=[f"skipped: {error}"])
    return result
