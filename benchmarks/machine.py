"""What the benchmarks ran on, without names or places of the machine."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

LIBRARIES = (
    "imaging-broker", "aiohttp", "dicomweb-client", "duckdb", "idc-index-data", "msgspec", "pydantic",
    "pydicom", "requests", "rich", "tenacity",
)  # fmt: skip


def described(libraries: Sequence[str] = LIBRARIES) -> dict[str, str]:
    """Processor, cores, memory, system, Python and the libraries."""
    facts = {
        "processor": _processor(),
        "cores": str(os.cpu_count() or 0),
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB",
        "system": f"{platform.system()} {platform.machine()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
    }
    return facts | {name: _version(name) for name in libraries}


def name() -> str:
    """The machine as part of a file name: its processor and cores."""
    words = re.sub(r"[^a-z0-9]+", "-", _processor().lower()).strip("-")
    return f"{words[:40].strip('-')}-{os.cpu_count() or 0}-cores"


def load() -> str:
    """How busy the machine is."""
    return ", ".join(f"{number:.1f}" for number in os.getloadavg())


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        found = re.search(r"^model name\s*:\s*(.+)$", info.read_text(encoding="utf-8"), re.MULTILINE)
        if found:
            return found[1].strip()
    return platform.processor() or platform.machine()


def _version(library: str) -> str:
    try:
        return version(library)
    except PackageNotFoundError:
        return "not installed"
