"""The same questions put to real Orthancs directly and through the broker: `python tests/peers/compare.py`.

Prints the table of `docs/conformance.md`: what the truth is, what a plain client gets, what the broker gives.
A plain client encodes its values, as `requests`, aiohttp and dicomweb-client all do.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import aiohttp
from yarl import URL

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from peers.orthanc import Orthanc

from adapters.dicomweb.adapter import QIDO, DicomWeb
from adapters.shared.http import Http
from broker.api import Session
from broker.query import Query
from catalog.keywords import keyword
from fixtures.dicom import Holding, Truth, write

# question, and the clause that decides what it means
QUESTIONS = [
    (
        "studies",
        ["PatientName=SMITH^JOHN"],
        "C.2.2.2.1: trailing ^ do not count; the value arrives decoded (PS3.18 8.3.4)",
    ),
    ("studies", ["PatientName=smith*"], "C.2.2.2.1: names may match in any case"),
    ("studies", ["PatientName=Yamada^Tarou"], "C.2.2.2.1: any component group"),
    (
        "studies",
        ["PatientName=山田*"],
        "C.2.2.2.1: the ideographic group; PS3.18 8.3.4: UTF-8, percent-encoded",
    ),
    ("studies", ["PatientName=müller*"], "C.2.2.2.1"),
    ("studies", ["PatientID=j-7"], "C.2.2.2.1: case-sensitive"),
    ("studies", ["AccessionNumber=B_0*"], "C.2.2.2.4: `_` is itself; case-sensitive"),
    ("studies", ["StudyDescription=*%*"], "C.2.2.2.4: `%` is itself"),
    ("studies", ["StudyDate=19970424"], "PS3.5 6.2: a date in the old form `1997.04.24`"),
    ("studies", ["StudyDate=2010-2015"], "C.2.2.2.5; years are ours"),
    ("studies", ["StudyTime=10"], "PS3.5 6.2: the whole hour"),
    ("studies", ['PatientSex=""'], "C.2.2.2.7: empty value matching"),
    ("studies", ["Modality=CT"], "C.3.4: at least one such series (ModalitiesInStudy)"),
    ("studies", ["BodyPartExamined=LUNG*"], "a study with at least one such series"),
    ("series", ["Modality=CT,MR"], "any of (ours)"),
    ("series", ["SeriesDescription~ax"], "contains (ours)"),
    ("studies", ["StudyDate=2010-2010", "StudyTime=1000-1800"], "C.2.2.2.5.4: one interval"),
]

Found = set[str]


def expected(holdings: Iterable[Holding], level: str, texts: list[str]) -> Found:
    """What is true, by the truth of the fixtures: for each test of its own, and all of them in one record."""
    from broker.meaning.joint import tests
    from broker.query import condition

    asked = tests([condition(t) for t in texts])
    found: Found = set()
    for holding in holdings:
        for row in holding["series"]:
            record = {k: tuple(v) if isinstance(v, list) else v for k, v in (holding["study"] | row).items()}
            if all(test.of(record) for test in asked):
                found.add(str(record["StudyInstanceUID" if level == "studies" else "SeriesInstanceUID"]))
    return found


async def directly(url: str, level: str, texts: list[str]) -> Found | str:
    """What a plain QIDO client gets for the same words."""
    pairs = [t.replace("~", "=*", 1) + "*" if "~" in t else t for t in texts]
    query = "&".join(f"{k}={quote(v, safe='')}" for k, _, v in (p.partition("=") for p in pairs))
    async with (
        aiohttp.ClientSession() as session,
        session.get(URL(f"{url}/{level}?{query}", encoded=True)) as reply,
    ):
        if reply.status != 200:
            return f"HTTP {reply.status}"
        tag = keyword("StudyInstanceUID" if level == "studies" else "SeriesInstanceUID").tag
        return {row[tag]["Value"][0] for row in await reply.json(content_type=None)}


async def through(url: str, level: str, texts: list[str]) -> Found:
    """What the broker gives."""
    archive = DicomWeb("orthanc", Http(url), replace(QIDO, lists_all=True))
    return {e.uid or "" for e in await Session(Query(level, *texts), at=[archive]).answer()}


def shown(found: Found | str, right: Found) -> str:
    """A result beside the truth."""
    if isinstance(found, str):
        return found
    if found == right:
        return f"{len(found)} ✓"
    wrong, lost = len(found - right), len(right - found)
    return (
        f"{len(found)} ("
        + ", ".join(f"{n} {what}" for n, what in ((lost, "missing"), (wrong, "wrong")) if n)
        + ")"
    )


async def table(packaged: Orthanc, mended: Orthanc, told: Truth) -> list[list[str]]:
    """A row for each question."""
    rows = []
    for level, texts, clause in QUESTIONS:
        right = expected(told["archives"]["b"], level, texts)
        cells = [shown(await directly(o.url, level, texts), right) for o in (packaged, mended)] + [
            shown(await through(o.url, level, texts), right) for o in (packaged, mended)
        ]
        rows.append([f"{level} `{' '.join(texts)}`", str(len(right)), *cells, clause])
    return rows


def main() -> None:
    """Print the table as Markdown."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        told = write(folder)
        files = sorted((folder / "b").glob("*.dcm"))
        with Orthanc(folder, files) as packaged, Orthanc(folder, files, decode=True) as mended:
            rows = asyncio.run(table(packaged, mended, told))
    print(
        "| question | true | as packaged | decoding mended | broker, as packaged | broker, mended "
        "| decided by |"
    )
    print("|---|---|---|---|---|---|---|")
    for row in rows:
        print("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |")


if __name__ == "__main__":
    main()
