"""C-FIND: a whole archive of 1,000 and of 5,000 studies, beside dcmtk's findscu and pynetdicom."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

from benchmarks.helpers.replay import replaying
from benchmarks.measure import Figure, Numbers, Runs, Way, in_turn, timed
from benchmarks.tables import Aim, Result, Table

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT / "tests")]  # where the peers are

from peers.dcmtk import about, dcmtk
from peers.orthanc import Orthanc

from adapters.dimse.adapter import STUDY_ROOT, Dimse
from adapters.dimse.link import Association, Peer
from adapters.dimse.rows import Decoder, identifier
from broker.adapter import Ask
from broker.api import Session
from broker.plan import Wish, plan
from broker.query import Query
from catalog.keywords import Level, keyword

ABOUT = (
    "Every study of an archive by C-FIND at Study Root, with the keys that `broker search studies` asks for. "
    "Orthanc is Debian's, as packaged; `replay` is a server that sends its answers from memory, so that what "
    "a client costs is seen apart from what a server costs."
)
SIZES = (1000, 5000)
BROKER, ADAPTER, ROWS, BYTES = "broker, answer", "adapter, pages", "decoded rows", "bytes of the records"
FINDSCU, PLAIN, TUNED = "findscu", "pynetdicom", "pynetdicom, tuned"
FIELDS = plan(Query("studies"), "pacs", STUDY_ROOT, Wish()).asks[0].fields
WITHIN = 1.5


def run(*, quick: bool) -> Result:
    """Both servers, both sizes."""
    result = Result("dimse", ABOUT)
    for count in (200,) if quick else SIZES:
        for name, archive in (("Orthanc", _orthanc), ("replay", replaying)):
            missing = Orthanc.missing() if name == "Orthanc" else None
            if missing or not dcmtk("findscu"):
                result.notes.append(f"{name} left out: {missing or about('findscu')}")
                continue
            with archive(count) as port:
                _measure(result, name, port, count, quick=quick)
    result.notes += [
        "broker: asked, decoded, checked, merged into entities, one report. adapter: only pages. The other "
        "ways give less: findscu writes text to a pipe, pynetdicom a Dataset per study, none is merged.",
        f"{about('findscu')}; pynetdicom {version('pynetdicom')}.",
        "Each way opens an association of its own; findscu also starts a process.",
        "tuned: TCP_NODELAY and no logging of identifiers, as pynetdicom can be made to do.",
    ]
    return result


def _measure(result: Result, name: str, port: int, count: int, *, quick: bool) -> None:
    peer = Peer("127.0.0.1", port, Orthanc.aet)
    ways: dict[str, Way] = {
        BROKER: _asyncio(lambda: _answer(peer, count)),
        ADAPTER: _asyncio(lambda: _pages(peer, count)),
        ROWS: _asyncio(lambda: _records(peer, count, decode=True)),
        BYTES: _asyncio(lambda: _records(peer, count, decode=False)),
        FINDSCU: timed(lambda: _findscu(peer, count)),
        PLAIN: timed(lambda: _pynetdicom(peer, count, tuned=False)),
        TUNED: timed(lambda: _pynetdicom(peer, count, tuned=True)),
    }
    few = 1 if quick else 3
    runs = in_turn(ways, rounds=2 if quick else 5, rare={PLAIN: few, TUNED: few})
    rows = [_row(runs, way, count) for way in ways]
    result.tables.append(Table(f"{name}, {count:,} studies", ("way", "ms", "x findscu", "us a study"), rows))
    ratio = runs.ratio(BROKER, FINDSCU).median
    result.aims.append(Aim(f"{name}, {count:,} studies: times findscu", ratio, WITHIN))


def _row(runs: Runs, way: str, count: int) -> list[str | Figure]:
    return [
        way,
        runs.figure(way, times=1000),
        runs.ratio(way, FINDSCU),
        runs.figure(way, times=1e6 / count),
    ]


def _asyncio(work: Callable[[], object]) -> Way:
    def way() -> Numbers:
        async def whole() -> float:
            start = time.perf_counter()
            await work()  # type: ignore[misc]
            return time.perf_counter() - start

        return {"seconds": asyncio.run(whole())}

    return way


def _all_came(found: int, count: int) -> None:
    if found != count:
        raise RuntimeError(f"{found} of {count} studies came")


async def _answer(peer: Peer, count: int) -> None:
    answer = await Session(Query("studies"), at=[Dimse("pacs", peer)]).answer(60)
    if not answer.complete:
        raise RuntimeError(answer.reports[0].line())
    _all_came(len(answer), count)


async def _pages(peer: Peer, count: int) -> None:
    archive = Dimse("pacs", peer)
    found = 0
    async for page in archive.find(Ask(Level.STUDY, (), FIELDS)):
        found += len(page.rows)
    await archive.close()
    _all_came(found, count)


async def _records(peer: Peer, count: int, *, decode: bool) -> None:
    association = await Association.opened(peer)
    asked, decoder, found = identifier(Level.STUDY, (), FIELDS, "ISO_IR 192"), Decoder(FIELDS), 0
    async for batch in association.find(asked):
        found += len([decoder.row(raw) for raw in batch] if decode else batch)
    await association.release()
    _all_came(found, count)


def _findscu(peer: Peer, count: int) -> None:
    told = [str(dcmtk("findscu")), "-S", "-aec", peer.called, "-k", "QueryRetrieveLevel=STUDY"]
    told += ["-k", "SpecificCharacterSet=ISO_IR 192"]
    told += [word for f in FIELDS if keyword(f).tag for word in ("-k", f)]
    done = subprocess.run([*told, peer.host, str(peer.port)], capture_output=True, check=True, timeout=120)
    _all_came((done.stdout + done.stderr).count(b"(0020,000d)"), count)


def _pynetdicom(peer: Peer, count: int, *, tuned: bool) -> None:
    from pydicom.dataset import Dataset
    from pynetdicom import AE, _config, evt
    from pynetdicom.sop_class import (  # type: ignore[attr-defined]
        StudyRootQueryRetrieveInformationModelFind as Find,
    )

    def no_delay(event: evt.Event) -> None:
        event.assoc.dul.socket.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # type: ignore[union-attr]

    _config.LOG_RESPONSE_IDENTIFIERS = not tuned
    keys = Dataset()
    keys.QueryRetrieveLevel, keys.SpecificCharacterSet = "STUDY", "ISO_IR 192"
    for name in FIELDS:
        if keyword(name).tag:
            setattr(keys, name, None)
    ae = AE()
    ae.add_requested_context(Find)
    handlers = [(evt.EVT_CONN_OPEN, no_delay)] if tuned else []
    association = ae.associate(peer.host, peer.port, ae_title=peer.called, evt_handlers=handlers)  # type: ignore[arg-type]
    rows = [found for _, found in association.send_c_find(keys, Find) if found is not None]
    association.release()
    _all_came(len(rows), count)


@contextmanager
def _orthanc(count: int) -> Iterator[int]:
    """An Orthanc with so many studies of one instance."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with Orthanc(folder, [_file(folder, n) for n in range(count)]) as running:
            yield running.dicom_port


def _file(folder: Path, number: int) -> Path:
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import UID, ExplicitVRLittleEndian

    from benchmarks.helpers.replay import record

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.TransferSyntaxUID = (
        UID("1.2.840.10008.5.1.4.1.1.7"),
        ExplicitVRLittleEndian,
    )
    meta.MediaStorageSOPInstanceUID = UID(f"2.25.{number + 1}.1.1")
    made = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    made.update(record(number))
    made.SOPClassUID, made.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    for name in ("ModalitiesInStudy", "NumberOfStudyRelatedSeries", "NumberOfStudyRelatedInstances"):
        delattr(made, name)
    place = folder / f"{number}.dcm"
    made.save_as(place, enforce_file_format=True)
    return place
