"""Where the files of a user lie: state, data, cache and configuration, as the operating system has it.

Everything here raises NoHome.
"""

from __future__ import annotations

from pathlib import Path

from platformdirs import PlatformDirs

_OURS = PlatformDirs("imaging-broker")


class NoHome(RuntimeError):
    """Nobody says where the home directory is, as in a container whose user has no name."""


def expanded(path: str | Path) -> Path:
    """A path, `~` and `~user` as what they stand for. Raises NoHome."""
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise NoHome(f"{path}: it is not known whose home that is; write the whole path") from error


def _own(kind: str, name: str) -> Path:
    try:
        folder: Path = getattr(_OURS, f"user_{kind}_path")
    except RuntimeError as error:
        raise NoHome(
            "no home directory is known: set HOME to an absolute path, or each of XDG_CONFIG_HOME, "
            "XDG_DATA_HOME, XDG_STATE_HOME and XDG_CACHE_HOME"
        ) from error
    return folder / name


def state(name: str) -> Path:
    """A file of what was seen while the program ran."""
    return _own("state", name)


def data(name: str) -> Path:
    """A file or folder of what the user keeps."""
    return _own("data", name)


def cache(name: str) -> Path:
    """A file of what can be made again."""
    return _own("cache", name)


def configuration(name: str) -> Path:
    """A file of what the user has decided."""
    return _own("config", name)


def evidence() -> Path:
    """The file of what was measured of archives on this machine."""
    return state("evidence.jsonl")
