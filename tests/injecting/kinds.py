"""Each kind of archive with what can be done to it: on the wire where it is remote, to its file where not."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import shutil
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from peers import faults
from peers.cases import HTTP
from peers.faults import HOST, Fault, Faulty, Wire
from peers.postgres import PASSWORD

from adapters.local.adapter import Local
from broker.adapter import Adapter
from broker.registry import adapter_for
from catalog.archives import Archive
from catalog.store import store

WEB = ("dicomweb", "xnat", "nbia", "midas", "girder")
ANY = (*faults.ENDS, *faults.GOES_ON)  # what can be done to any stream of bytes
SPOILS = {"dimse": (*ANY, "abort", "endless"), "postgres": faults.ENDS}


@dataclass
class Injected:
    """An archive with a fault.

    said     the bytes that it said, where they are kept
    flips    bytes of it that were changed into others: nobody can tell that, within a value
    """

    fault: str
    adapter: Adapter
    said: bytearray | None = None
    flips: int = 0


def behind(kind: str, url: str, port: int, name: str = "a3") -> Adapter:
    """The archive of this kind, asked through another port."""
    parts = urlsplit(url)
    options: dict[str, Any] = {"lists_all": True} if kind in ("dicomweb", "dimse") else {}
    if kind == "dimse" and parts.path:
        options["ae_title"] = parts.path.strip("/")
    path = "" if kind == "dimse" else parts.path
    url = f"{'dimse' if kind == 'dimse' else 'http'}://{HOST}:{port}{path}"
    return adapter_for(Archive(name, kind, url=url, options=options, limits={"bytes": 2_000_000}))


@dataclass
class Remote:
    """An archive that is spoken to over a connection; `length` are the bytes that it says to a question."""

    kind: str
    url: str
    length: int = 6000

    @property
    def upstream(self) -> tuple[str, int]:
        """Where the honest archive listens."""
        return HOST, urlsplit(self.url).port or 0

    def honest(self, name: str) -> Adapter:
        """Asked without any fault."""
        return self.at(self.upstream[1], name)

    def at(self, port: int, name: str) -> Adapter:
        """Asked at a port."""
        return behind(self.kind, self.url, port, name)

    @asynccontextmanager
    async def injected(self, name: str, rng: random.Random) -> AsyncIterator[Injected]:
        """With a random fault."""
        if self.kind in WEB and rng.random() < 0.25:
            case = rng.choice(HTTP)
            told, fault, how = case.name, case.fault(), ""
        else:
            how, at = rng.choice(SPOILS.get(self.kind, ANY)), rng.randrange(self.length)
            fault = faults.endless_pending() if how == "endless" else faults.spoiled(at, how, rng)
            told = f"{how} at byte {at}"
        said = bytearray()
        async with Faulty(heard(fault, said), self.upstream) as peer:
            yield Injected(told, self.at(peer.port, name), said, how == "flip")

    async def measure(self, ask: Callable[[Adapter], Any]) -> None:
        """How much it says to a question."""
        said = bytearray()
        async with Faulty(heard(faults.through, said), self.upstream) as peer:
            await ask(self.at(peer.port, "bad"))
        self.length = len(said)


@dataclass
class Database(Remote):
    """A catalog in PostgreSQL, one question at a time: connections are kept by address."""

    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    port: int = 0

    def at(self, port: int, name: str) -> Adapter:
        return Local(name, store(self.url.replace(f":{self.upstream[1]}/", f":{port}/"), PASSWORD), "held")

    @asynccontextmanager
    async def injected(self, name: str, rng: random.Random) -> AsyncIterator[Injected]:
        how, at = rng.choice(SPOILS["postgres"]), rng.randrange(self.length)
        async with self.turn, Faulty(faults.spoiled(at, how, rng), self.upstream, self.port) as peer:
            self.port = peer.port
            made = await asyncio.to_thread(self.at, peer.port, name)  # it looks at once
            yield Injected(f"{how} at byte {at}", made)

    async def measure(self, ask: Callable[[Adapter], Any]) -> None:
        said = bytearray()
        async with Faulty(heard(faults.through, said), self.upstream) as peer:
            await ask(await asyncio.to_thread(self.at, peer.port, "bad"))
        self.length = len(said)


@dataclass
class Files:
    """An archive that is files on this machine: `make` gives it in a folder, `whole` is what lies there.

    One question at a time, for there is one such place in a process.
    """

    kind: str
    whole: Path
    make: Callable[[Path, str], Adapter]
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    def honest(self, name: str) -> Adapter:
        """Asked without any fault."""
        return self.make(self.whole, name)

    @asynccontextmanager
    async def injected(self, name: str, rng: random.Random) -> AsyncIterator[Injected]:
        """A copy of the files, one of them damaged: before, or while it is asked."""
        async with self.turn:
            place = self.whole.with_name("copy")
            shutil.rmtree(place, ignore_errors=True)
            shutil.copytree(self.whole, place)
            file = rng.choice([f for f in sorted(place.rglob("*")) if f.is_file() and f.suffix != ".lock"])
            how, at = rng.choice(sorted(DAMAGES)), rng.randrange(max(file.stat().st_size, 1))
            after = rng.choice((None, rng.uniform(0, 0.03)))
            if after is None:
                DAMAGES[how](file, at, rng)
            made = self.make(place, name)
            task = asyncio.create_task(_damage(after, how, file, at, rng))
            changed = file.suffix == ".parquet" and how in ("one byte", "4 KiB")  # it has no checksums
            yield Injected(f"{file.name} {how} at byte {at}, after {after}", made, flips=int(changed))
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def _damage(after: float | None, how: str, file: Path, at: int, rng: random.Random) -> None:
    if after is not None:
        await asyncio.sleep(after)
        DAMAGES[how](file, at, rng)


def _written(size: int) -> Callable[[Path, int, random.Random], None]:
    def damage(file: Path, at: int, rng: random.Random) -> None:
        with contextlib.suppress(FileNotFoundError), file.open("r+b") as stream:
            stream.seek(at)
            stream.write(rng.randbytes(size))

    return damage


def _cut(file: Path, at: int, rng: random.Random) -> None:
    del rng
    with contextlib.suppress(FileNotFoundError):
        os.truncate(file, at)


def _gone(file: Path, at: int, rng: random.Random) -> None:
    del at, rng
    file.unlink(missing_ok=True)


def _garbage(file: Path, at: int, rng: random.Random) -> None:
    del at
    file.write_bytes(rng.randbytes(20_000))


DAMAGES: Mapping[str, Callable[[Path, int, random.Random], None]] = {
    "one byte": _written(1),
    "4 KiB": _written(4096),
    "cut": _cut,
    "gone": _gone,
    "garbage": _garbage,
}

Kind = Remote | Files


class _Heard:
    """A writer that keeps what is written."""

    def __init__(self, writer: asyncio.StreamWriter, said: bytearray) -> None:
        self._writer, self._said = writer, said

    def write(self, data: bytes) -> None:
        if len(self._said) < 1_000_000:
            self._said += data
        self._writer.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._writer, name)


def heard(fault: Fault, said: bytearray) -> Fault:
    """The same fault; what it says is kept."""

    async def play(wire: Wire) -> None:
        await fault(replace(wire, writer=_Heard(wire.writer, said)))  # type: ignore[arg-type]

    return play


def local(folder: Path) -> Files:
    """The local catalog, in a DuckDB file."""
    from test_adapter_local import filled, whole

    place = folder / "local" / "whole"
    place.mkdir(parents=True)
    filled(place, whole())
    return Files("local", place, lambda there, name: Local(name, store(there / "catalog.duckdb"), "mine"))


def idc(folder: Path) -> Files:
    """A part of the IDC index, and its sorted copy."""
    import duckdb
    import idc_index_data

    from adapters.idc import sorted_copy
    from adapters.idc.adapter import Idc

    place = folder / "idc" / "whole"
    (place / "imaging-broker").mkdir(parents=True)
    index = str(idc_index_data.IDC_INDEX_PARQUET_FILEPATH)
    with duckdb.connect() as db:
        db.execute(f"COPY (FROM '{index}' LIMIT 2000) TO '{place}/index.parquet' (FORMAT parquet)")

    def make(there: Path, name: str) -> Adapter:
        os.environ["XDG_CACHE_HOME"] = str(there)
        idc_index_data.IDC_INDEX_PARQUET_FILEPATH = there / "index.parquet"
        return Idc(name)

    made = make(place, "made")
    assert isinstance(made, Idc)
    name = f"idc-{made._version}-{sorted_copy.LAYOUT}-duckdb{duckdb.__version__}.duckdb"
    sorted_copy.build(place / "index.parquet", place / "imaging-broker" / name)
    return Files("idc", place, make)
