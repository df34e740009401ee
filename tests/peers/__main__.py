"""Every kind of archive at once, on loopback: the place of the README's walk-through.

python tests/peers                  start them, print the federation file, wait for Ctrl-C
python tests/peers -- COMMAND ...   start them, run a command that asks them, end them again

Two Orthancs (DICOMweb and DIMSE), dcmqrscp, our XNAT, NBIA, MIDAS and Girder servers, the IDC index on this
machine, and a local catalog of an archive without an interface. They hold the generated cases of fixtures/.
"""

from __future__ import annotations

import asyncio
import contextlib
import csv
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack
from pathlib import Path

ROOT = Path(__file__).parents[2]
if __name__ == "__main__":
    sys.path[:1] = [str(ROOT), str(ROOT / "tests")]  # not this folder: its `xnat` is not xnatpy

from peers.dcmqrscp import Dcmqrscp
from peers.girder import GirderServer
from peers.midas import MidasServer
from peers.nbia import NbiaServer
from peers.nbia_rows import fixture_rows
from peers.orthanc import Orthanc
from peers.shelves import shelves
from peers.xnat import XnatServer, fixture_site

from fixtures.dicom import write

HOST = "127.0.0.1"

Entry = Mapping[str, str]


async def started(stack: AsyncExitStack, folder: Path) -> list[tuple[str, str]]:
    """Every peer, running until the stack is left: names with their federation entries."""
    write(folder)
    a, b = (sorted((folder / name).glob("*.dcm")) for name in "ab")
    packaged = stack.enter_context(Orthanc(folder=folder, files=a, decode=False))
    mended = stack.enter_context(Orthanc(folder=folder, files=b, decode=True))
    pacs = stack.enter_context(Dcmqrscp(folder, b))
    xnat = await stack.enter_async_context(XnatServer(fixture_site()))
    nbia = await stack.enter_async_context(NbiaServer(rows=fixture_rows()))
    midas = await stack.enter_async_context(MidasServer(held=shelves("b")))
    girder = await stack.enter_async_context(GirderServer(held=shelves("a")))
    dimse = f'options = {{ ae_title = "{mended.aet}", lists_all = true }}'
    return [
        ("orthanc-web", _entry("dicomweb", packaged.url, "options = { lists_all = true }")),
        ("orthanc-dimse", _entry("dimse", f"dimse://{HOST}:{mended.dicom_port}", dimse)),
        ("dcmqrscp", _entry("dimse", f"dimse://{HOST}:{pacs.port}", dimse.replace(mended.aet, pacs.aet))),
        ("xnat", _entry("xnat", xnat.url)),
        ("nbia", _entry("nbia", nbia.url)),
        ("midas", _entry("midas", midas.url)),
        ("girder", _entry("girder", girder.url)),
    ]


def _entry(adapter: str, url: str, more: str = "") -> str:
    return f'adapter = "{adapter}"\nurl = "{url}"\nasked = true\ntrust = "trusted"\n{more}\n'


def federation(folder: Path, entries: list[tuple[str, str]]) -> Path:
    """The federation file of all peers, with a catalog of its own."""
    file = folder / "federation.toml"
    parts = [f"[archives.{name}]\n{entry}" for name, entry in entries]
    parts += [f'[catalog]\npath = "{folder / "catalog.duckdb"}"\n']
    file.write_text("\n".join(parts))
    return file


def holdings(folder: Path) -> Path:
    """A collection export as LONI's archive gives it: no DICOM UIDs."""
    file = folder / "idaSearch.csv"
    with file.open("w", newline="") as text:
        rows = csv.writer(text, quoting=csv.QUOTE_ALL)
        rows.writerow(HEAD)
        rows.writerows((f"I{n}", f"002_S_{n % 4:04}", "CN", "F", "74", "m12", *SCAN) for n in range(101, 107))
    return file


def mapping(folder: Path) -> Path:
    """What the columns of that export are."""
    file = folder / "mapping.toml"
    file.write_text(MAPPING)
    return file


MAPPING = """level = "series"
[columns]
"Image Data ID" = "SeriesKey"
"Subject" = "PatientID"
"Sex" = "PatientSex"
"Age" = "PatientAge"
"Visit" = "ClinicalTrialTimePointID"
"Modality" = "Modality"
"Description" = "SeriesDescription"
"Acq Date" = "StudyDate"
"""
HEAD = (
    *("Image Data ID", "Subject", "Group", "Sex", "Age", "Visit", "Modality", "Description", "Type"),
    *("Acq Date", "Format", "Downloaded"),
)
SCAN = ("MRI", "MPRAGE", "Original", "10/05/2011", "DCM", "")


@contextlib.contextmanager
def _environment(folder: Path, file: Path) -> Iterator[dict[str, str]]:
    own = {f"XDG_{name}_HOME": str(folder / name.lower()) for name in ("STATE", "DATA", "CONFIG")}
    yield {**os.environ, **own, "IMAGING_BROKER_CONFIG": str(file)}


async def main(command: list[str]) -> int:
    """Start, run the command or wait, end."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="peers-")))
        file = federation(folder, await started(stack, folder))
        environment = stack.enter_context(_environment(folder, file))
        broker = [sys.executable, "-m", "broker", "catalog", "import", str(holdings(folder))]
        imported = [*broker, "--archive", "adni", "--mapping", str(mapping(folder)), "--quiet"]
        await asyncio.to_thread(subprocess.run, imported, env=environment, check=True, cwd=ROOT)
        if not command:
            print(f"export IMAGING_BROKER_CONFIG={file}\nCtrl-C ends them", flush=True)
            await asyncio.Event().wait()
        ended = await asyncio.create_subprocess_exec(*command, env=environment)
        return await ended.wait()


if __name__ == "__main__":
    words = sys.argv[1:]
    with contextlib.suppress(KeyboardInterrupt):
        sys.exit(asyncio.run(main(words[1:] if words[:1] == ["--"] else words)))
