"""Packages that only some uses need."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from broker.errors import MissingExtra


def load(module: str, extra: str) -> Any:
    """The module. Raises MissingExtra, which names the extra that brings it."""
    try:
        return import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        raise MissingExtra(
            f"{package} is not installed: pip install 'imaging-broker[{extra}]' (or install {package} itself)"
        ) from error
