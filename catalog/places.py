"""Where the files of a user lie: state, data, cache and configuration, as the operating system has it."""

from __future__ import annotations

from pathlib import Path

from platformdirs import PlatformDirs

_OURS = PlatformDirs("imaging-broker")


def state(name: str) -> Path:
    """A file of what was seen while the program ran."""
    return _OURS.user_state_path / name


def data(name: str) -> Path:
    """A file or folder of what the user keeps."""
    return _OURS.user_data_path / name


def cache(name: str) -> Path:
    """A file of what can be made again."""
    return _OURS.user_cache_path / name


def configuration(name: str) -> Path:
    """A file of what the user has decided."""
    return _OURS.user_config_path / name


def evidence() -> Path:
    """The file of what was measured of archives on this machine."""
    return state("evidence.jsonl")
