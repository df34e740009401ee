"""Where imported holdings are kept, and the archives that stand in the federation because of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from catalog.problems import CatalogError
from catalog.store import Store, store, usual

ADAPTER = "local"
BROKEN = "catalog"  # the name under which a catalog that cannot be read answers, so that it is not overlooked


@dataclass(frozen=True, slots=True)
class Catalog:
    """The store: a path, "" for the usual file."""

    place: str = ""

    def open(self) -> Store:
        """The store."""
        return store(self.place or usual())

    def options(self) -> dict[str, Any]:
        """What the adapter needs to find it."""
        return {"options": {"catalog": self.place}} if self.place else {}


USUAL_CATALOG = Catalog()


def catalog(file: Path, path: str | None) -> Catalog:
    """From the `[catalog]` table of a federation file."""
    return Catalog(str(file.parent / Path(path).expanduser()) if path else "")


def with_holdings(entries: Mapping[str, Mapping[str, Any]], kept: Catalog) -> dict[str, dict[str, Any]]:
    """The archives and those that something was imported of. A store that fails is an archive that fails."""
    found = {name: dict(entry) for name, entry in entries.items()}
    try:
        held = kept.open().held()
    except CatalogError:
        title = "imported holdings, which cannot be read now"
        found[BROKEN] = {"adapter": ADAPTER, "asked": True, "title": title, **kept.options()}
        return found
    for name, about in held.items():
        rows = f"{sum(about.rows.values()):,} rows imported"
        told = {"state": "embedded", "as_of": about.as_of, "cite": about.cite, "note": rows}
        base = found.get(name, {"title": "imported holdings"})
        if base.get("adapter", ADAPTER) == ADAPTER:
            found[name] = {**base, **told, "adapter": ADAPTER, "asked": True, **kept.options()}
    return found
