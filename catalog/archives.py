"""Archives: their names, where they are, how they are spoken to, and what was last known of them."""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from typing import Any


@dataclass(frozen=True, slots=True)
class Archive:
    """One archive of a federation.

    adapter  the kind of archive: a name in the entry-point group `broker.adapters`
    asked    whether it is asked when a query names no archives
    trust    `trusted` (may see identifying values) or `public`
    identified  whether its patients are known by name; None: not said
    distance    how far its data are, smaller is nearer, in a unit of the user's choice; None: not said
    state    embedded, alive, moved, retired or unknown, as of the date `as_of`, according to `cite`
    auth     how to log in: a kind and references to secrets, never secrets
    options  what the adapter wants to know beside the URL
    network  how it is reached: certificates, proxy; `broker.setup.network.Network`
    limits   what it may take of us: time, bytes, records; `broker.setup.limits.Limits`
    """

    name: str
    adapter: str
    title: str = ""
    url: str = ""
    asked: bool = False
    trust: str = "public"
    identified: bool | None = None
    distance: float | None = None
    state: str = "unknown"
    as_of: str = ""
    cite: str = ""
    note: str = ""
    auth: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    network: Mapping[str, Any] = field(default_factory=dict)
    limits: Mapping[str, Any] = field(default_factory=dict)


@functools.cache
def shipped() -> dict[str, Mapping[str, Any]]:
    """The archives that come with the broker: name -> the fields of an `Archive`."""
    text = resources.files("catalog").joinpath("data/federation.toml").read_text(encoding="utf-8")
    found: dict[str, Mapping[str, Any]] = tomllib.loads(text)["archives"]
    return found
