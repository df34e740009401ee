"""The files to import: what lies below a folder and nowhere else, each with what it is known by."""

from __future__ import annotations

import errno
import functools
import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from catalog.imports.rows import File, Rejected
from catalog.problems import BadFile

MOST = 5_000_000  # files of one folder
DEEPEST = 64
_NOTHING = "a link to nothing"
_LEAVES = "a link that leaves the folder: it is not followed"
_UNFOLLOWED = (_NOTHING, _LEAVES)


def listed(place: Path) -> tuple[list[File], list[Rejected]]:
    """The file, or every file below the folder, in the order of their names; and what is not followed.

    A symbolic link is followed to a file inside the folder only. Raises BadFile where there is nothing.
    """
    if place.is_file():
        return [_file(str(place), "", place.stat())], []
    if not place.is_dir():
        raise BadFile(f"{place}: there is no such file or folder")
    files: list[File] = []
    left: list[Rejected] = []
    root = place.resolve()
    for item in _walked(str(root), "", root, 0):
        if isinstance(item, Rejected):
            left.append(item)
            continue
        files.append(item)
        if len(files) > MOST:
            raise BadFile(f"{place}: more than {MOST:,} files; import its folders one by one")
    if not files:
        raise BadFile(f"{place}: there is no file in it")
    return files, left


def _walked(folder: str, below: str, root: Path, depth: int) -> Iterator[File | Rejected]:
    """What lies in a folder, which is `below` what is imported ("" or ending in a slash)."""
    try:
        with os.scandir(folder) as found:
            entries = sorted(found, key=lambda entry: entry.name)
    except OSError as error:
        yield Rejected(0, f"the folder cannot be read: {error.strerror}", shown(below))
        return
    for entry in entries:
        name = below + entry.name
        if entry.is_symlink():
            yield _linked(Path(entry.path), shown(name), root)
        elif entry.is_dir():
            if depth >= DEEPEST:
                yield Rejected(0, f"more than {DEEPEST} folders deep", shown(name))
            else:
                yield from _walked(entry.path, f"{name}/", root, depth + 1)
        elif entry.is_file():
            yield _file(entry.path, shown(name), entry.stat())
        else:
            yield Rejected(0, "neither a file nor a folder", shown(name))


def with_unread(
    files: list[File], left: list[Rejected], tells: Callable[[str], bool]
) -> tuple[list[File], list[Rejected]]:
    """Also the links that are not followed, of which the name tells enough; they cannot be opened."""
    names = [one.file for one in left if one.reason in _UNFOLLOWED and tells(one.file)]
    rest = [one for one in left if one.reason not in _UNFOLLOWED or not tells(one.file)]
    made = (File(name, functools.partial(_unread, name), path=name) for name in names)
    return sorted([*files, *made], key=lambda file: file.name) if names else files, rest


def _unread(name: str) -> BinaryIO:
    raise FileNotFoundError(errno.ENOENT, _NOTHING, name)


def _linked(path: Path, name: str, root: Path) -> File | Rejected:
    try:
        target = path.resolve(strict=True)
    except (OSError, RuntimeError):
        return Rejected(0, _NOTHING, name)
    if not target.is_relative_to(root):
        return Rejected(0, _LEAVES, name)
    if not target.is_file():
        return Rejected(0, "a link to a folder: it is not followed", name)
    return _file(str(target), name, target.stat())


def shown(name: str) -> str:
    """A file's name as text; bytes that are not UTF-8 are shown as `\\xff`."""
    return name if name.isascii() else os.fsencode(name).decode("utf-8", "backslashreplace")


def _file(path: str, name: str, found: os.stat_result) -> File:
    return File(name, lambda: Path(path).open("rb"), found.st_size, path, found.st_mtime_ns)


def digest(files: Iterable[File]) -> str:
    """The SHA-256 of a file; of a folder, that of the names and sizes and times of its files."""
    found, several = hashlib.sha256(), list(files)
    if len(several) == 1 and not several[0].name:
        with several[0].open() as stream:
            while part := stream.read(1 << 20):
                found.update(part)
        return found.hexdigest()
    for file in several:
        found.update(f"{file.name}\0{file.size}\0{file.changed}\n".encode())
    return found.hexdigest()
