"""Where imported holdings are kept, and the archives that stand in the federation because of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from broker.errors import BadConfig
from broker.setup.credentials import login
from catalog.holdings import Store
from catalog.problems import CatalogError
from catalog.store import store, usual

ADAPTER = "local"
BROKEN = "catalog"  # the name under which a catalog that cannot be read answers, so that it is not overlooked


@dataclass(frozen=True, slots=True)
class Catalog:
    """The store: a path or a PostgreSQL URL ("" for the usual file), and a reference to its password."""

    place: str = ""
    password: str = ""

    def open(self) -> Store:
        """The store. Raises BadConfig for a password that is not there."""
        return store(self.place or usual(), self._secret())

    def _secret(self) -> str | None:
        if not self.password:
            return None
        secret = login("catalog", {"kind": "bearer", "token": self.password}).secret
        return secret.reveal() if secret else None

    def options(self) -> dict[str, Any]:
        """What the adapter needs to find it."""
        auth = {"auth": {"kind": "bearer", "token": self.password}} if self.password else {}
        return {"options": {"catalog": self.place}, **auth} if self.place else {}


USUAL_CATALOG = Catalog()


def catalog(file: Path, path: str | None, url: str | None, password: str | None) -> Catalog:
    """From the `[catalog]` table of a federation file. Raises BadConfig."""
    if path and url:
        raise BadConfig(f"{file}: catalog: give path or url, not both")
    if path:
        return Catalog(str(file.parent / Path(path).expanduser()))
    return Catalog(url or "", password or "")


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
