"""The programs of dcmtk, told from others of the same name: pynetdicom has a findscu with other options."""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess

SECONDS = 10.0
_VERSION = re.compile(r"\$dcmtk: (\S+) (v.+?) \$")


def dcmtk(name: str) -> str | None:
    """The first program of this name in PATH that says it is dcmtk's."""
    return _found(name, os.environ.get("PATH", os.defpath))[0]


def about(name: str) -> str:
    """Which program `dcmtk` finds, or that there is none, and whether others of the name are there."""
    program, version, others = _found(name, os.environ.get("PATH", os.defpath))
    if program:
        return f"{name} is dcmtk {version}" + (", not the first of that name in PATH" if others else "")
    other = f"; the {name} in PATH is another program" if others else ""
    return f"dcmtk's {name} is not installed (Debian: dcmtk){other}"


@functools.cache
def _found(name: str, path: str) -> tuple[str | None, str, int]:
    """The program, its version, and how many others of the name stand before it."""
    folders = dict.fromkeys(folder for folder in path.split(os.pathsep) if folder)
    programs = [program for folder in folders if (program := shutil.which(name, path=folder))]
    for number, program in enumerate(programs):
        if version := _version(name, program):
            return program, version, number
    return None, "", len(programs)


def _version(name: str, program: str) -> str:
    """The version of a program of dcmtk; nothing where it is none."""
    try:
        told = subprocess.run(
            [program, "--version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    said = _VERSION.search(told.stdout)
    return said[2] if said and said[1] == name else ""
