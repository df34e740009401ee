"""The library that is preloaded into servers which would listen on every address (``shim.c``)."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

SOURCE = Path(__file__).with_name("shim.c")


def missing(program: str) -> str | None:
    """Why a program cannot be kept on loopback on this machine, or ``None`` when it can."""
    if sys.platform != "linux":
        return f"the shim that keeps {program} on loopback needs Linux"
    return None if _compiler() else f"no C compiler for the shim that keeps {program} on loopback"


def environment(**more: str) -> dict[str, str]:
    """What the environment of such a program needs: it stays on loopback, and ends with this process."""
    return {"LD_PRELOAD": str(_library()), "ORTHANC_SHIM_PARENT": str(os.getpid()), **more}


def _compiler() -> str | None:
    return shutil.which("cc") or shutil.which("gcc")


@functools.cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="shim-")


@functools.cache
def _library() -> Path:
    """The compiled source, made once a process and removed at its end."""
    library = Path(_folder().name) / "shim.so"
    options = ["-shared", "-fPIC", "-O1", "-o", str(library), str(SOURCE), "-ldl", "-lpthread"]
    done = subprocess.run([_compiler() or "cc", *options], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{SOURCE.name} does not compile: {done.stderr}")
    return library
