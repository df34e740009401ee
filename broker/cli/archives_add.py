"""`broker archives add`: writes the few lines of the federation file that an archive needs."""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from broker import config
from broker.admitting.checks import History, check
from broker.api import check_timeout
from broker.cli import NOTHING, OK
from broker.cli.archives_check import table
from broker.errors import BadConfig, BadQuery
from catalog.archives import Archive
from catalog.nearest import near


def run(args: argparse.Namespace, name: str) -> int:
    """Check the archive, then write its entry. Raises BadConfig and BadQuery before anything is written."""
    from broker.registry import adapters

    check_timeout(args.timeout)
    if args.kind not in adapters():
        what = f"--kind {args.kind} is not known" if args.kind else "--kind is missing"
        raise BadQuery(f"{what}: write one of {', '.join(adapters())}{near(args.kind or '', adapters())}")
    file = config.file_to_write(args.config)
    entry = _entry(args)
    archive = _checked(file, name, entry)
    found = History().add(asyncio.run(check([archive], args.timeout)))
    if found[0].reason == "config":
        raise BadConfig(f"nothing was written: {found[0].detail}")
    table(found, {})
    if not found[0].ok and not args.unchecked:
        print(f"nothing was written; mend it, or write the entry all the same with --unchecked ({file})")
        return NOTHING
    write(file, name, entry)
    print(f"written to {file}: ask it with --at {name}" + (", or by default" if archive.asked else ""))
    return OK


def _entry(args: argparse.Namespace) -> dict[str, Any]:
    entry: dict[str, Any] = {"adapter": args.kind} | ({"url": args.url} if args.url else {})
    entry |= _pairs("--set", args.set)
    for table_, given in (("auth", args.auth), ("options", args.option), ("limits", args.limit)):
        if given:
            entry[table_] = _pairs(f"--{table_}", given)
    return entry


def _pairs(option: str, given: Iterable[str]) -> dict[str, Any]:
    """NAME=VALUE, the value as TOML writes it, or as a plain text where that is none."""
    pairs = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not name or not equals:
            raise BadQuery(f"{option} {text.partition('=')[0]}: write NAME=VALUE")
        try:
            pairs[name] = tomllib.loads(f"value = {value}")["value"]
        except RecursionError as error:
            raise BadQuery(f"{option} {name}: nested too deeply") from error
        except ValueError:  # not only TOML's own: a number may have too many digits
            pairs[name] = value
    return pairs


def _checked(file: Path, name: str, entry: dict[str, Any]) -> Archive:
    """The archive as the federation would read it. Raises BadConfig."""
    from broker.setup.federation import checked

    if file.exists() and name in config.read(file).get("archives", {}):
        raise BadConfig(f"{file}: archives.{name} is there already; edit or remove it first")
    archives, _ = checked(file, {"archives": {name: entry}})
    return Archive(name, **archives[name])


def write(file: Path, name: str, entry: dict[str, Any]) -> None:
    """Add an entry to a federation file, whole or not at all; comments and order of the file stay.

    Raises BadConfig.
    """
    import tomlkit

    try:
        document = tomlkit.parse(file.read_text(encoding="utf-8")) if file.exists() else tomlkit.document()
        archives = document.setdefault("archives", tomlkit.table(is_super_table=True))
        made = tomlkit.table()
        for key, value in entry.items():
            made.add(key, _inline(value))
        archives[name] = made
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=file.parent, delete=False, encoding="utf-8") as new:
            new.write(tomlkit.dumps(document))
        Path(new.name).chmod(file.stat().st_mode if file.exists() else 0o600)
        Path(new.name).replace(file)
    except OSError as error:
        raise BadConfig(f"{file}: cannot be written: {error.strerror}") from error


def _inline(value: Any) -> Any:
    import tomlkit

    if not isinstance(value, dict):
        return value
    made = tomlkit.inline_table()
    made.update(value)
    return made
