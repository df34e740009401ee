"""A catalog of its own for tests, and what the command says of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from peers.postgres import PASSWORD

from broker.cli import main
from catalog.holdings import Store, table
from catalog.store import store


class Catalog:
    """A catalog of its own, and what the command says."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self.place = folder / "kept" / "catalog.duckdb"
        self.config = folder / "federation.toml"
        self.config.write_text(f'[catalog]\npath = "{self.place}"\n[archives.idc]\nasked = false\n')
        self._capsys = capsys
        self._database = ""

    def move(self, url: str) -> None:
        """Keep it in a database from now on, with the password of CATALOG_PASSWORD."""
        kept = f'[catalog]\nurl = "{url}"\npassword = "env:CATALOG_PASSWORD"\n'
        self.config.write_text(f"{kept}[archives.idc]\nasked = false\n")
        self._database = url

    def run(self, *words: str) -> tuple[int, str, str]:
        """Exit code, standard output, standard error."""
        self._capsys.readouterr()
        code = main([*words, "--config", str(self.config)])
        told = self._capsys.readouterr()
        return code, told.out, told.err

    def take(self, place: Path, *words: str) -> tuple[int, str, str]:
        """Import."""
        return self.run("catalog", "import", str(place), *words)

    def search(self, *words: str) -> list[dict[str, Any]]:
        """The values of what is found, and that the answer is complete."""
        code, out, err = self.run("search", *words, "--format", "json")
        answer = json.loads(out)
        assert code == 0, err
        return [entity["values"] for entity in answer["entities"]]

    def write(self, name: str, text: str | bytes) -> Path:
        """A file in the folder."""
        file = self.folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text.encode() if isinstance(text, str) else text)
        return file

    def state(self) -> bytes:
        """What is held, and when it was imported."""
        if self._database:
            return told(store(self._database, PASSWORD))
        return self.place.read_bytes() if self.place.exists() else b""


def rows(kept: Store, columns: str = "*", archive: str = "mine") -> list[tuple[object, ...]]:
    """What a reader sees."""
    db = kept.reader()
    try:
        db.execute(f"SELECT {columns} FROM {table(archive)}")
        return sorted(db.fetchmany(1_000_000), key=repr)
    finally:
        db.close()


def told(kept: Store) -> bytes:
    """Everything that a store holds. (A killed import may leave columns in PostgreSQL that nobody sees.)"""
    found: list[object] = [kept.sources()]
    for archive, about in kept.held().items():
        columns = ", ".join(f'"{name}"' for name in ("_key", "_source", "_line", *sorted(about.columns)))
        found += [about, rows(kept, columns, archive)]
    return repr(found).encode()


def of(found: Sequence[dict[str, Any]], keyword: str) -> list[Any]:
    """One attribute of what is found."""
    return [values.get(keyword) for values in found]
