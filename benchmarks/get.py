"""50 studies fetched: WADO-RS beside dicomweb-client and plain aiohttp, C-GET beside dcmtk's getscu."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import aiohttp

from benchmarks.measure import Figure, Numbers, Runs, Way, in_turn
from benchmarks.tables import Aim, Result, Table

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT / "tests")]  # where the peers are

import studies
from peers.dcmqrscp import NO_DELAY, Dcmqrscp
from peers.dcmtk import about, dcmtk
from peers.orthanc import Orthanc

from adapters.dicomweb.retrieve import STORED
from broker.getting.fetch import get_async
from broker.setup.limits import Limits

ABOUT = (
    "50 studies of two series, fetched into files by each way, from the same server in turn: an "
    "Orthanc by WADO-RS, a dcmqrscp by C-GET, both as Debian packages them."
)
AT_ONCE = Limits().connections
BROKER, CLIENT, LOOP = "broker.get", "dicomweb-client", "aiohttp, nothing checked"
ONE, SEVERAL = "getscu, study by study", f"getscu, {AT_ONCE} at once"
FASTER = 2.0
SHAPES = {"small images (8 kB)": (10, 64), "images of 128 kB": (5, 256)}
"""Instances of a series, and the side of an image in pixels of two bytes."""


def run(*, quick: bool) -> Result:
    """Both servers, both sizes of images."""
    result = Result("get", ABOUT)
    for name, (instances, side) in SHAPES.items():
        with tempfile.TemporaryDirectory() as held:
            count = 5 if quick else 50
            files = studies.write(Path(held), studies=count, instances=instances, side=side)
            title = f"{count} studies, {len(files):,} {name}"
            for archive in (Orthanc, Dcmqrscp):
                missing = archive.missing()
                if archive is Dcmqrscp and not dcmtk("getscu"):
                    missing = missing or about("getscu")
                if missing:
                    result.notes.append(f"{archive.__name__} left out: {missing}")
                    continue
                with tempfile.TemporaryDirectory() as place, archive(Path(place), files) as server:
                    _measure(result, title, server, files, 2 if quick else 5)
    result.notes += [
        "broker.get: asked for by a query; every file read to its end, its UIDs and SHA-256 taken, "
        "noted in the ledger, given its name; the report written.",
        "dicomweb-client: search_for_series, retrieve_series one after the other, each Dataset saved.",
        f"aiohttp: the addresses are known, {AT_ONCE} replies at once, written as they come: not split "
        "nor looked at.",
        f"{about('getscu')}.",
        "getscu: the studies are known; a process and an association for each; written as received (+B).",
    ]
    return result


def _measure(
    result: Result, title: str, server: Orthanc | Dcmqrscp, files: Sequence[Path], rounds: int
) -> None:
    if isinstance(server, Orthanc):
        _wado(result, title, server, files, rounds)
    else:
        _cget(result, title, server, files, rounds)


def _wado(result: Result, title: str, server: Orthanc, files: Sequence[Path], rounds: int) -> None:
    url = server.url
    entry = f'[archives.web]\nadapter = "dicomweb"\nurl = "{url}"\n'
    ways = {
        BROKER: _way(files, lambda place: _broker(place, entry, "web")),
        CLIENT: _way(files, lambda place: asyncio.to_thread(_dicomweb_client, place, url)),
        LOOP: _way(files, lambda place: _aiohttp(place, url, files), whole=False),
    }
    runs = in_turn(ways, rounds, rare={CLIENT: min(rounds, 3)})
    result.tables.append(_table(f"Orthanc, WADO-RS: {title}", runs, ways, CLIENT, files))
    gain = runs.ratio(CLIENT, BROKER).median
    result.aims.append(Aim(f"{title}: times as fast as dicomweb-client", gain, FASTER, least=True))


def _cget(result: Result, title: str, server: Dcmqrscp, files: Sequence[Path], rounds: int) -> None:
    port = server.port
    entry = f'[archives.pacs]\nadapter = "dimse"\nurl = "dimse://127.0.0.1:{port}"\n'
    entry += f'options = {{ ae_title = "{server.aet}" }}\n'
    ways = {
        BROKER: _way(files, lambda place: _broker(place, entry, "pacs")),
        ONE: _way(files, lambda place: asyncio.to_thread(_getscu, place, port, files, 1)),
        SEVERAL: _way(files, lambda place: asyncio.to_thread(_getscu, place, port, files, AT_ONCE)),
    }
    runs = in_turn(ways, rounds)
    result.tables.append(_table(f"dcmqrscp, C-GET: {title}", runs, ways, ONE, files))
    for way in (ONE, SEVERAL):
        result.aims.append(Aim(f"{title}: times {way}", runs.ratio(BROKER, way).median, 1.0))


def _table(title: str, runs: Runs, ways: dict[str, Way], to: str, files: Sequence[Path]) -> Table:
    rows: list[list[str | Figure]] = [
        [way, runs.figure(way), runs.ratio(way, to), runs.figure(way, times=1e6 / len(files))] for way in ways
    ]
    return Table(title, ("way", "s", f"x {to}", "us an instance"), rows)


def _way(files: Sequence[Path], work: Callable[[Path], Awaitable[object]], *, whole: bool = True) -> Way:
    """Into a new folder; what came is counted. Without `whole`, a file is a series."""

    def way() -> Numbers:
        with _folder() as place:
            start = time.perf_counter()
            asyncio.run(_awaited(work(place)))
            took = time.perf_counter() - start
            came = sum(f.stat().st_size > 1000 for f in place.rglob("[0-9]*") if f.is_file())
            wanted = len(files) if whole else len(_series(files))
            if came != wanted:
                raise RuntimeError(f"{came} of {wanted} files came")
            return {"seconds": took}

    return way


async def _awaited(work: Awaitable[object]) -> None:
    await work


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


async def _broker(place: Path, entry: str, archive: str) -> None:
    config = place / "federation.toml"
    config.write_text(entry, encoding="utf-8")
    words = ("series", "PatientID=GET-*")
    found = await get_async(*words, at=[archive], config_file=config, into=place / "out")
    if not found.complete:
        raise RuntimeError(found.lines()[0])


def _dicomweb_client(place: Path, url: str) -> None:
    from dicomweb_client import DICOMwebClient

    client = DICOMwebClient(url)
    for found in client.search_for_series():
        study, series = (found[tag]["Value"][0] for tag in ("0020000D", "0020000E"))
        kinds = (("application/dicom", "*"),)
        for made in client.retrieve_series(study, series, media_types=kinds):
            made.save_as(place / f"{made.SOPInstanceUID}.dcm")


async def _aiohttp(place: Path, url: str, files: Sequence[Path]) -> None:
    turn = asyncio.Semaphore(AT_ONCE)

    async def fetch(session: aiohttp.ClientSession, study: str, series: str) -> None:
        target = f"{url}/studies/{study}/series/{series}"
        async with turn, session.get(target, headers={"Accept": STORED}) as reply:
            reply.raise_for_status()
            with (place / series).open("wb") as stream:
                async for chunk in reply.content.iter_chunked(2**18):
                    stream.write(chunk)

    async with aiohttp.ClientSession() as session:
        await asyncio.gather(*(fetch(session, *pair) for pair in _series(files)))


def _series(files: Sequence[Path]) -> list[tuple[str, str]]:
    """The UIDs of studies and series; the names of the files hold their numbers."""
    numbers = dict.fromkeys(tuple(map(int, f.stem.split("-")[:2])) for f in files)
    return [(studies.study(s), f"{studies.study(s)}.{r}") for s, r in numbers]


def _getscu(place: Path, port: int, files: Sequence[Path], at_once: int) -> None:
    def fetch(study: str) -> None:
        told = [str(dcmtk("getscu")), "-S", "+B", "-aec", Dcmqrscp.aet, "-od", str(place)]
        told += ["-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={study}", "127.0.0.1", str(port)]
        subprocess.run(told, env=os.environ | NO_DELAY, capture_output=True, check=True, timeout=120)
        for file in place.glob("??.[0-9]*"):  # it names files CT.UID: counted as ours are
            file.rename(place / file.name[3:])

    with ThreadPoolExecutor(at_once) as pool:
        list(pool.map(fetch, dict.fromkeys(study for study, _ in _series(files))))
