"""The commands by which a query reaches an archive, as a stranger can run them."""

from __future__ import annotations

from catalog.matrix import RECORD, Route


def commands(archive: str, route: Route) -> list[str]:
    """Commands for one archive; CONDITION, FILE, MAPPING and URL stand for what the user knows."""
    made = [f"broker search series CONDITION --at {','.join(route.ask)}"] if route.ask else []
    for kind in route.importers:
        mapping = " --mapping MAPPING" if kind == "csv" else ""
        made.append(f"broker catalog import FILE --as {kind}{mapping} --archive {archive}")
    if route.importers:
        made.append(f"broker search series CONDITION --at {archive}")
    if not route.ask:
        made += [f"broker archives add {archive} --kind {name} --url URL" for name in route.adapters]
    if route.how == RECORD:
        made.append(f"broker collections --at {archive}")
    return made or [f"broker matrix {archive} --why"]
