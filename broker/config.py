"""The federation: which archives there are.

The shipped one needs no editing. A federation file (TOML) adds archives or changes shipped ones:
`--config FILE`, else the variable IMAGING_BROKER_CONFIG, else `federation.toml` in the user's
configuration directory (XDG: ~/.config/imaging-broker/).
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from broker.errors import BadConfig
from broker.joining.rules import NO_RULES, PatientRef, Rules
from broker.setup import holdings
from broker.setup.holdings import USUAL_CATALOG, Catalog
from catalog import places
from catalog.archives import Archive, shipped

if TYPE_CHECKING:
    from broker.admitting.audit import Audit
    from broker.setup.federation import File

VARIABLE = "IMAGING_BROKER_CONFIG"


@dataclass(frozen=True, slots=True)
class Federation:
    """Every known archive by name, in the order of precedence, and what is declared about identity."""

    archives: Mapping[str, Archive]
    rules: Rules = NO_RULES
    audit: Audit | None = None
    catalog: Catalog = USUAL_CATALOG


def federation(path: str | Path | None = None) -> Federation:
    """The shipped archives, changed and extended by what was imported and by the user's file.

    Raises BadConfig that names the file and the entry.
    """
    entries: dict[str, dict[str, Any]] = {name: dict(entry) for name, entry in shipped().items()}
    file = _file(path)
    if file is None:
        entries = holdings.with_holdings(entries, USUAL_CATALOG)
        return Federation({name: Archive(name, **entry) for name, entry in entries.items()})
    from broker.setup.federation import checked

    own, whole = checked(file, read(file))
    catalog = holdings.catalog(file, whole.catalog.path, whole.catalog.url, whole.catalog.password)
    entries = holdings.with_holdings(entries, catalog)
    for name, entry in own.items():
        entries[name] = {**entries.get(name, {}), **entry}
        if "adapter" not in entries[name]:
            raise BadConfig(f"{file}: archives.{name}: adapter is missing")
    archives = {name: Archive(name, **entry) for name, entry in entries.items()}
    return Federation(archives, _rules(file, archives, whole), _audit(file, whole), catalog)


def _audit(file: Path, whole: File) -> Audit | None:
    if whole.audit is None:
        return None
    from broker.admitting.audit import Audit

    return Audit(file.parent / Path(whole.audit.file).expanduser(), whole.audit.required)


def _rules(file: Path, archives: Mapping[str, Archive], whole: File) -> Rules:
    links, prefer = whole.links, whole.copies.prefer
    named = {name for group in (*links.domains, *links.bridges) for name in group}
    unknown = sorted(named - set(archives))
    if unknown:
        raise BadConfig(f"{file}: links: unknown archive {unknown[0]!r}")
    distances = {n: a.distance for n, a in archives.items() if a.distance is not None}
    if prefer == "nearest" and not distances:
        raise BadConfig(f"{file}: copies: prefer = 'nearest', but no archive has a distance")
    return Rules(
        identified={n: a.identified for n, a in archives.items() if a.identified is not None},
        bridges=frozenset(frozenset(pair) for pair in links.bridges),
        domains=tuple(frozenset(group) for group in links.domains),
        aliases=links.aliases,
        crosswalk=_crosswalk(file.parent / links.crosswalk) if links.crosswalk else (),
        prefer=prefer,
        distances=distances,
    )


CROSSWALK = ("archive", "collection", "PatientID", "other_archive", "other_collection", "other_PatientID")


def _crosswalk(file: Path) -> tuple[tuple[PatientRef, PatientRef], ...]:
    """Pairs of patients from a CSV file with the columns CROSSWALK."""
    import csv

    try:
        with file.open(encoding="utf-8-sig", newline="") as text:
            rows = list(csv.DictReader(text))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BadConfig(f"{file}: the crosswalk cannot be read: {type(error).__name__}") from error
    if rows and set(CROSSWALK) - set(rows[0]):
        raise BadConfig(f"{file}: the crosswalk needs the columns {', '.join(CROSSWALK)}")
    cells = [[(row[c] or "").strip() for c in CROSSWALK] for row in rows]
    return tuple(((c[0], c[1], c[2]), (c[3], c[4], c[5])) for c in cells)


def chosen(archives: Mapping[str, Archive], names: tuple[str, ...] = ()) -> list[Archive]:
    """The named archives, or those that are asked by default. Raises BadConfig."""
    if not names:
        default = [a for a in archives.values() if a.asked]
        if not default:
            raise BadConfig("no archive is asked by default; name one with --at")
        return default
    unknown = [n for n in names if n not in archives]
    if unknown:
        raise BadConfig(_unknown(unknown[0], archives))
    return [archives[n] for n in dict.fromkeys(names)]


def _unknown(name: str, archives: Mapping[str, Archive]) -> str:
    from catalog.nearest import near
    from catalog.reading import shipped_matrix
    from catalog.routes import commands

    for row in shipped_matrix().of("archives").rows:
        if row.id == name and row.route:
            given = [w for w in commands(name, row.route) if not w.endswith(f" CONDITION --at {name}")]
            ways = " or ".join(f"`{way}`" for way in given)
            return f"unknown archive {name!r} of the federation, but known to the matrix: {ways}"
    text = f"unknown archive {name!r}; known are {', '.join(archives)}{near(name, archives)}"
    return f"{text} (broker archives add NAME --url {name} gives it a name)" if "://" in name else text


def not_retired(archive: Archive) -> Archive:
    """The same archive. Raises BadConfig for one that is retired: it is not asked."""
    if archive.state == "retired":
        more = f": {archive.note}" if archive.note else ""
        raise BadConfig(f"archive {archive.name} is retired, as of {archive.as_of or 'no known date'}{more}")
    return archive


def file_to_write(path: str | Path | None = None) -> Path:
    """The federation file that is in use, or the one that would be. Raises BadConfig."""
    named = path or os.environ.get(VARIABLE)
    try:
        return places.expanded(named) if named else places.configuration("federation.toml")
    except places.NoHome as error:
        raise BadConfig(str(error)) from error


def _file(path: str | Path | None) -> Path | None:
    file = file_to_write(path)
    if path or os.environ.get(VARIABLE):
        try:
            there = file.is_file()
        except OSError as error:
            raise BadConfig(f"federation file {file}: {error.strerror}") from error
        if not there:
            raise BadConfig(f"no federation file {file}")
        return file
    return file if file.is_file() else None


def read(file: Path) -> dict[str, Any]:
    """A federation file as it is written, unchecked. Raises BadConfig."""
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadConfig(f"{file}: cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:  # also of numbers with too many digits
        raise BadConfig(f"{file}: not TOML: {error}") from error
