"""The files to import: what lies below a folder and nowhere else, each with what it is known by."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from catalog.imports.rows import File, Rejected
from catalog.problems import BadFile

MOST = 5_000_000  # files of one folder
DEEPEST = 64


def listed(place: Path) -> tuple[list[File], list[Rejected]]:
    """The file, or every file below the folder, in the order of their names; and what is not followed.

    A symbolic link is followed to a file inside the folder only. Raises BadFile where there is nothing.
    """
    if place.is_file():
        return [_file(place, "")], []
    if not place.is_dir():
        raise BadFile(f"{place}: there is no such file or folder")
    files: list[File] = []
    left: list[Rejected] = []
    for item in _walked(place, place.resolve(), 0):
        (left if isinstance(item, Rejected) else files).append(item)  # type: ignore[arg-type]
        if len(files) > MOST:
            raise BadFile(f"{place}: more than {MOST:,} files; import its folders one by one")
    if not files:
        raise BadFile(f"{place}: there is no file in it")
    return files, left


def _walked(folder: Path, root: Path, depth: int) -> Iterator[File | Rejected]:
    try:
        entries = sorted(os.scandir(folder), key=lambda e: e.name)
    except OSError as error:
        yield Rejected(0, f"the folder cannot be read: {error.strerror}", str(folder.relative_to(root)))
        return
    for entry in entries:
        path = Path(entry.path)
        name = _inside(path, root, folder)
        if entry.is_symlink():
            yield _linked(path, name, root)
        elif entry.is_dir():
            if depth >= DEEPEST:
                yield Rejected(0, f"more than {DEEPEST} folders deep", name)
            else:
                yield from _walked(path.resolve(), root, depth + 1)
        elif entry.is_file():
            yield _file(path, name)
        else:
            yield Rejected(0, "neither a file nor a folder", name)


def _inside(path: Path, root: Path, folder: Path) -> str:
    return str((folder.resolve() / path.name).relative_to(root))


def _linked(path: Path, name: str, root: Path) -> File | Rejected:
    try:
        target = path.resolve(strict=True)
    except (OSError, RuntimeError):
        return Rejected(0, "a link to nothing", name)
    if not target.is_relative_to(root):
        return Rejected(0, "a link that leaves the folder: it is not followed", name)
    return (
        _file(target, name)
        if target.is_file()
        else Rejected(0, "a link to a folder: it is not followed", name)
    )


def _file(path: Path, name: str) -> File:
    size = path.stat().st_size
    return File(name, lambda: path.open("rb"), size, str(path))


def digest(files: Iterable[File]) -> str:
    """The SHA-256 of a file; of a folder, that of the names and sizes and times of its files."""
    found, several = hashlib.sha256(), list(files)
    if len(several) == 1 and not several[0].name:
        with several[0].open() as stream:
            while part := stream.read(1 << 20):
                found.update(part)
        return found.hexdigest()
    for file in several:
        changed = Path(file.path).stat().st_mtime_ns
        found.update(f"{file.name}\0{file.size}\0{changed}\n".encode("utf-8", "surrogateescape"))
    return found.hexdigest()
