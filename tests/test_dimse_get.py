"""C-GET: of a dcmqrscp and an Orthanc, killed and resumed; of servers that lie, stop, or hang."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path

import pytest
import studies
from asking import need
from peers.dcmqrscp import Dcmqrscp
from peers.get_scp import GetScp
from peers.loopback import HOST
from peers.orthanc import Orthanc
from peers.scp import raw
from pydicom.dataset import Dataset
from test_getting import SLOWLY, command, federation, files, got, killed_and_resumed, orthanc, same

from adapters.dimse.adapter import Dimse
from adapters.dimse.link import Peer
from broker.adapter import Received, Wanted
from broker.cli import main
from broker.errors import ArchiveError, Malformed, TooMuch
from broker.setup.limits import Limits

__all__ = ["files", "orthanc"]

STUDY = studies.study(1)
WANTED = Wanted(STUDY, f"{STUDY}.1")


def dimse(name: str, port: int, title: str) -> str:
    """An entry of one."""
    address = f'url = "dimse://{HOST}:{port}"'
    return f'[archives.{name}]\nadapter = "dimse"\n{address}\noptions = {{ ae_title = "{title}" }}\n'


def test_50_studies_of_dcmqrscp_killed_and_resumed(files: list[Path], tmp_path: Path) -> None:
    need(Dcmqrscp.missing())
    # what storescu sent in another transfer syntax is not what our files are: these it keeps as they are
    own = [f for f in files if studies.syntax(f) == "1.2.840.10008.1.2.1"]
    extra = studies.write(tmp_path / "more", studies=60)
    own += [f for f in extra if int(f.name[:3]) > 50 and studies.syntax(f) == "1.2.840.10008.1.2.1"]
    own += studies.write(tmp_path / "again", studies=62)[60 * 6 :]
    with Dcmqrscp(tmp_path, own) as peer:
        out, config = tmp_path / "out", federation(tmp_path, dimse("qr", peer.port, peer.aet) + SLOWLY)
        words = command(config, out, "series", "PatientID=GET-*")
        killed_and_resumed([*words, "--at", "qr"], out, len(own), seed=2)
        assert len({f.parts[-3] for f in got(out)}) == 50
        same(own, out)


def test_an_orthanc_gives_what_it_stores_in_its_own_transfer_syntax(
    orthanc: Orthanc, files: list[Path], tmp_path: Path
) -> None:
    entry = dimse("orthanc", orthanc.dicom_port, orthanc.aet)
    out, config = tmp_path / "out", federation(tmp_path, entry)
    assert main(["get", *command(config, out, "series", "PatientID=GET-00?"), "--at", "orthanc", "-q"]) == 0
    same([f for f in files if f.name.startswith("00")], out)
    got(out)[0].unlink()
    assert main(["get", *command(config, out, "series", "PatientID=GET-00?"), "--at", "orthanc", "-q"]) == 0
    same([f for f in files if f.name.startswith("00")], out)


def told(out: Path) -> dict[str, object]:
    """What the report says of the only series."""
    (series,) = json.loads((out / "report.json").read_text())["series"]
    found: dict[str, object] = series
    return found


def few(found: list[Dataset]) -> Sequence[Dataset]:
    """All but one."""
    return found[:-1]


def wrong(found: list[Dataset]) -> Sequence[Dataset]:
    """One of another study beside the right ones."""
    other = deepcopy(found[0])
    other.StudyInstanceUID = "1.2.3"
    return [other, *found]


def changed(found: list[Dataset]) -> Sequence[Dataset]:
    """One twice, with different content."""
    other = deepcopy(found[0])
    other.PatientID = "SOMEBODY ELSE"
    return [*found, other]


def unlisted(found: list[Dataset]) -> Sequence[Dataset]:
    """One that is not listed."""
    other = deepcopy(found[0])
    other.SOPInstanceUID = "1.2.3.4"
    return [*found, other]


@pytest.mark.parametrize(
    ("sends", "state", "code", "says"),
    [
        (few, "partial", 3, "1 of 3 instances did not come"),
        (wrong, "complete", 0, "is not of the StudyInstanceUID that was asked for: 1.2.3"),
        (changed, "complete", 0, "came twice, with different content"),
        (unlisted, "complete", 0, "instance 1.2.3.4 came, and is none that it lists"),
    ],
)
def test_liars_are_named(
    sends: object, state: str, code: int, says: str, files: list[Path], tmp_path: Path
) -> None:
    own = files[:3]
    with GetScp(own, sends=sends) as peer:  # type: ignore[arg-type]
        out, config = tmp_path / "out", federation(tmp_path, dimse("liar", peer.port, "GETTER"))
        words = command(config, out, "series", f"StudyInstanceUID={STUDY}")
        assert main(["get", *words, "--at", "liar", "-q"]) == code
    series = told(out)
    assert series["state"] == state
    assert says in json.dumps([series["troubles"], series["remarks"]])
    assert {f.stem for f in got(out)} <= set(studies.by_uid(own))
    if state == "complete":
        same(own, out)


async def collected(archive: Dimse, folder: Path) -> list[Received]:
    """Everything that it sends."""
    return [part async for part in archive.fetch(WANTED, folder)]


# aborted, pynetdicom's server may leave its socket (the unclosed one has its port), or fail in its thread
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_leaving_a_silent_server_ends_at_once(files: list[Path], tmp_path: Path) -> None:
    with GetScp(files[:3], mute=True) as peer:
        archive = Dimse("mute", Peer(HOST, peer.port, "GETTER"))
        task = asyncio.create_task(collected(archive, tmp_path))
        while not peer.asked:
            await asyncio.sleep(0.02)
        start = time.monotonic()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert time.monotonic() - start < 2
        await archive.close()


async def test_a_silent_server_is_left(files: list[Path], tmp_path: Path) -> None:
    limits = Limits(first_byte=0.3, idle=0.3)
    with GetScp(files[:3], mute=True) as peer:
        archive = Dimse("mute", Peer(HOST, peer.port, "GETTER", limits=limits))
        with pytest.raises(ArchiveError, match="silent"):
            await collected(archive, tmp_path)


async def test_an_instance_that_is_too_large_is_left(files: list[Path], tmp_path: Path) -> None:
    with GetScp(files[:3]) as peer:
        archive = Dimse("large", Peer(HOST, peer.port, "GETTER", limits=Limits(instance=5000)))
        with pytest.raises(TooMuch, match="one instance has more than 5,000 bytes"):
            await collected(archive, tmp_path)


async def test_a_pdu_that_is_announced_too_large_is_not_read(files: list[Path], tmp_path: Path) -> None:
    async with raw(first=b"\x02\x00\xff\xff\xff\xf0" + b"\0" * 1000) as (port, _):
        with pytest.raises(Malformed, match="a PDU is larger than the 65,536 bytes agreed on"):
            await collected(Dimse("large", Peer(HOST, port, "GETTER")), tmp_path)


async def test_nobody_there(files: list[Path], tmp_path: Path) -> None:
    with GetScp(files[:3]) as peer:
        port = peer.port
    with pytest.raises(ArchiveError, match="refuses connections"):
        await collected(Dimse("gone", Peer(HOST, port, "GETTER")), tmp_path)


async def test_an_association_is_used_again_and_replaced_where_it_ended(
    files: list[Path], tmp_path: Path
) -> None:
    with GetScp(files[:6]) as peer:
        archive = Dimse("again", Peer(HOST, peer.port, "GETTER"))
        for number in (1, 2):
            (tmp_path / str(number)).mkdir()
            wanted = Wanted(STUDY, f"{STUDY}.{number}")
            found = [part.path async for part in archive.fetch(wanted, tmp_path / str(number))]
            assert set(studies.by_uid([f for f in found if f])) == set(
                studies.by_uid(files[3 * number - 3 : 3 * number])
            )
            assert peer.opened == 1
        for association in list(peer.server.active_associations):
            association.abort()
        assert len(await collected(archive, tmp_path)) == 3
        assert peer.opened == 2
        await archive.close()
