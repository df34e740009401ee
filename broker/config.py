"""The federation: which archives there are.

The shipped one needs no editing. A federation file (TOML) adds archives or changes shipped ones:
`--config FILE`, else the variable IMAGING_BROKER_CONFIG, else `federation.toml` in the user's
configuration directory (XDG: ~/.config/imaging-broker/).
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from broker.errors import BadConfig
from catalog.archives import Archive, shipped

VARIABLE = "IMAGING_BROKER_CONFIG"
APP = "imaging-broker"


def federation(path: str | Path | None = None) -> dict[str, Archive]:
    """Every known archive by name: the shipped ones, changed and extended by the user's file.

    Raises BadConfig that names the file and the entry.
    """
    entries: dict[str, dict[str, Any]] = {name: dict(entry) for name, entry in shipped().items()}
    file = _file(path)
    if file is not None:
        for name, entry in _read(file).items():
            entries[name] = {**entries.get(name, {}), **entry}
            if "adapter" not in entries[name]:
                raise BadConfig(f"{file}: archives.{name}: adapter is missing")
    return {name: Archive(name, **entry) for name, entry in entries.items()}


def chosen(archives: Mapping[str, Archive], names: tuple[str, ...] = ()) -> list[Archive]:
    """The named archives, or those that are asked by default. Raises BadConfig."""
    if not names:
        default = [a for a in archives.values() if a.asked]
        if not default:
            raise BadConfig("no archive is asked by default; name one with --at")
        return default
    unknown = [n for n in names if n not in archives]
    if unknown:
        raise BadConfig(f"unknown archive {unknown[0]!r}; known are {', '.join(archives)}")
    return [archives[n] for n in dict.fromkeys(names)]


def _file(path: str | Path | None) -> Path | None:
    named = path or os.environ.get(VARIABLE)
    if named:
        file = Path(named).expanduser()
        if not file.is_file():
            raise BadConfig(f"no federation file {file}")
        return file
    from platformdirs import user_config_path

    usual = user_config_path(APP) / "federation.toml"
    return usual if usual.is_file() else None


def _read(file: Path) -> dict[str, dict[str, Any]]:
    try:
        raw = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadConfig(f"{file}: cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadConfig(f"{file}: not TOML: {error}") from error
    from broker.federation import checked

    return checked(file, raw)
