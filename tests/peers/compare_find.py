"""The same questions by C-FIND, to real servers and through the broker.

`python tests/peers/compare_find.py` prints the second table of `docs/conformance.md`. A plain client is
dcmtk's findscu, asked with the same words.
"""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from peers.compare import QUESTIONS, Found, expected, shown
from peers.dcmqrscp import Dcmqrscp
from peers.dcmtk import dcmtk
from peers.loopback import HOST
from peers.orthanc import Orthanc
from pydicom import config, dcmread

from adapters.dimse.adapter import STUDY_ROOT, Dimse
from adapters.dimse.link import Peer
from broker.api import Session
from broker.query import Query
from broker.report import Report, Status
from fixtures.dicom import write


def directly(peer: Peer, level: str, texts: list[str]) -> Found | str:
    """What findscu gets for the same words; a list as DICOM writes it, `contains` as a wildcard."""
    kind = "STUDY" if level == "studies" else "SERIES"
    words = [re.sub(r"~(.*)", r"=*\1*", t).replace(",", "\\") for t in texts]
    keys = [f"QueryRetrieveLevel={kind}", "SpecificCharacterSet=ISO_IR 192", "StudyInstanceUID"]
    keys += ["SeriesInstanceUID"] if kind == "SERIES" else []
    with tempfile.TemporaryDirectory() as folder:
        told = [str(dcmtk("findscu")), "-v", "-S", "-X", "-od", folder, "-aec", peer.called]
        told += [part for key in (*keys, *words) for part in ("-k", key)]
        done = subprocess.run([*told, peer.host, str(peer.port)], capture_output=True, text=True, check=False)
        final = re.search(r"Final Find Response \((Fail[^)]*)\)", done.stdout + done.stderr)
        if final:
            return final[1]
        name = "StudyInstanceUID" if kind == "STUDY" else "SeriesInstanceUID"
        return {str(dcmread(file, force=True).get(name)) for file in Path(folder).glob("rsp*")}


async def through(peer: Peer, level: str, texts: list[str]) -> tuple[Found, Report]:
    """What the broker gives, and its report."""
    archive = Dimse("pacs", peer, replace(STUDY_ROOT, lists_all=True))
    answer = await Session(Query(level, *texts), at=[archive]).answer()
    return {e.uid or "" for e in answer}, answer.reports[0]


def judged(found: Found, report: Report, right: Found) -> str:
    """The broker's result beside the truth; what it could not judge, it says."""
    if report.status is Status.REFUSED:
        return "refused by name"
    unknown = sum(report.unknown.values())
    return shown(found, right) + (f", {unknown} counted as unknown" if unknown and found != right else "")


async def table(peers: list[Peer], right_of: dict[tuple[str, ...], Found]) -> list[list[str]]:
    """A row for each question."""
    rows = []
    for level, texts, clause in QUESTIONS:
        right = right_of[(level, *texts)]
        cells = [shown(directly(peer, level, texts), right) for peer in peers]
        cells += [judged(*await through(peer, level, texts), right) for peer in peers]
        rows.append([f"{level} `{' '.join(texts)}`", str(len(right)), *cells, clause])
    return rows


def main() -> None:
    """Print the table as Markdown."""
    config.settings.reading_validation_mode = config.IGNORE
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        told = write(folder)
        right = {(lv, *texts): expected(told["archives"]["b"], lv, texts) for lv, texts, _ in QUESTIONS}
        files = sorted((folder / "b").glob("*.dcm"))
        with Orthanc(folder, files) as orthanc, Dcmqrscp(folder, files) as dcmqrscp:
            peers = [
                Peer(HOST, orthanc.dicom_port, orthanc.aet),
                Peer(HOST, dcmqrscp.port, dcmqrscp.aet),
            ]
            rows = asyncio.run(table(peers, right))
    print("| question | true | Orthanc | dcmqrscp | broker, Orthanc | broker, dcmqrscp | decided by |")
    print("|---|---|---|---|---|---|---|")
    for row in rows:
        print("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |")


if __name__ == "__main__":
    main()
