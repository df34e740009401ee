"""`broker facets`: `broker count`, by the usual facets."""

from broker.cli.count import run

__all__ = ["run"]
