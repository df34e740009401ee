"""The peers behave as the tests that use them believe: Orthanc as packaged and mended, QIDO twins."""

import asyncio
import json
import os
import re
import shutil
import sysconfig
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import aiohttp
import pytest
from asking import need, need_orthanc
from peers.dcmqrscp import Dcmqrscp
from peers.dcmtk import about, dcmtk
from peers.orthanc import Orthanc
from peers.qido.server import DICOM_JSON, QidoServer
from yarl import URL

from benchmarks import dimse as bench_dimse
from benchmarks import get as bench_get
from fixtures.dicom import Holding, study_uid, truth

TOLD = truth()
HELD = TOLD["archives"]["b"]
PN, UID, SERIES_UID, DESCRIPTION = "00100010", "0020000D", "0020000E", "00081030"


async def get(url: str, headers: Mapping[str, str] | None = None) -> tuple[int, bytes]:
    """Status and body; the target goes out as it is written."""
    async with (
        aiohttp.ClientSession() as session,
        session.get(URL(url, encoded=True), headers=headers, allow_redirects=False) as answer,
    ):
        return answer.status, await answer.read()


async def rows(url: str) -> list[dict[str, Any]]:
    """The records of a good answer."""
    status, body = await get(url)
    assert status == 200 or (status == 204 and not body), body
    return list(json.loads(body)) if status == 200 else []


def value(row: Mapping[str, Any], tag: str) -> str | None:
    """One element as text; empty without ``Value``, ``None`` when absent."""
    if tag not in row:
        return None
    first = row[tag].get("Value", [""])[0]
    return "=".join(first.values()) if isinstance(first, dict) else str(first)


def uids(found: list[dict[str, Any]], tag: str = UID) -> list[str]:
    """The UIDs of the records."""
    return [str(row[tag]["Value"][0]) for row in found]


def studies(*numbers: int) -> set[str]:
    """The UIDs of the studies with these numbers."""
    return {study_uid(number) for number in numbers}


async def holds(orthanc: Orthanc, holdings: list[Holding]) -> None:
    """Check what the archive says of its studies and series against the truth."""
    listed = await rows(f"{orthanc.url}/studies?includefield=StudyDescription")
    found = dict(zip(uids(listed), listed, strict=True))
    assert found.keys() == {held["study"]["StudyInstanceUID"] for held in holdings}
    series = {row["SeriesInstanceUID"] for held in holdings for row in held["series"]}
    assert set(uids(await rows(f"{orthanc.url}/series"), SERIES_UID)) == series
    for held in holdings:
        said = held["study"]
        row = found[str(said["StudyInstanceUID"])]
        assert value(row, PN) == said["PatientName"]
        assert value(row, DESCRIPTION) == said.get("StudyDescription")
        assert value(row, "00080020") == said.get("StudyDate")
        assert value(row, "00201208") == said["NumberOfStudyRelatedInstances"]


async def test_orthanc_holds_what_the_truth_says(packaged: Orthanc, mended: Orthanc) -> None:
    await holds(packaged, TOLD["archives"]["a"])
    await holds(mended, HELD)


async def test_orthanc_as_packaged_does_not_decode(packaged: Orthanc) -> None:
    assert await rows(f"{packaged.url}/studies?PatientName=SMITH%5EJOHN") == []
    assert set(uids(await rows(f"{packaged.url}/studies?PatientName=SMITH^JOHN"))) == studies(1)


async def test_mended_orthanc_decodes(mended: Orthanc) -> None:
    assert set(uids(await rows(f"{mended.url}/studies?PatientName=SMITH%5EJOHN"))) == studies(1, 7)
    name = "%D0%98%D0%B2%D0%B0%D0%BD%D0%BE%D0%B2%2A"
    assert set(uids(await rows(f"{mended.url}/studies?PatientName={name}"))) == studies(12)


def listening(pid: int) -> set[str]:
    """The hexadecimal addresses on which the process listens, by /proc."""
    sockets = {str(each.readlink()) for each in Path(f"/proc/{pid}/fd").iterdir()}
    tables = [table for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")) if table.exists()]
    lines = [line.split() for table in tables for line in table.read_text(encoding="ascii").splitlines()[1:]]
    return {line[1].split(":")[0] for line in lines if line[3] == "0A" and f"socket:[{line[9]}]" in sockets}


def test_orthanc_listens_on_loopback_only(packaged: Orthanc, mended: Orthanc) -> None:
    for orthanc in (packaged, mended):
        assert orthanc.process is not None
        assert listening(orthanc.process.pid) == {"0100007F"}


async def test_orthanc_asks_for_a_password_and_is_gone_after_the_block(tmp_path: Path) -> None:
    need_orthanc()
    with Orthanc(folder=tmp_path, users={"u": "p"}) as orthanc:
        process = orthanc.process
        assert process is not None
        assert (await get(f"{orthanc.url}/studies"))[0] == 401
        assert (await get(f"{orthanc.url}/studies", {"Authorization": "Basic dTpw"}))[0] == 200
    assert process.returncode is not None


def test_orthanc_that_does_not_start_says_why(tmp_path: Path) -> None:
    need_orthanc()
    with pytest.raises(RuntimeError, match="did not start"), Orthanc(tmp_path, settings={"HttpPort": "x"}):
        pass


# The QIDO-RS server, honest


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("PatientName=SMITH%5EJOHN", {1, 7}),
        ("PatientName=smith*", {1, 7}),
        ("00100010=%D0%B8%D0%B2%D0%B0%D0%BD%D0%BE%D0%B2*", {12}),
        ("PatientName=%E5%B1%B1%E7%94%B0%5E%E5%A4%AA%E9%83%8E", {3}),
        ("AccessionNumber=B_0*", {1, 5, 7}),
        ("AccessionNumber=b_0*", set()),
        ("AccessionNumber=B?02", {5, 23}),
        ("PatientID=000123", {1, 7}),
        ("PatientID=%2541", {19}),
        ("StudyDate=20100105-20121112", {1, 2, 7}),
        ("StudyDate=20190923-", {4, 5, 23}),
        ("StudyDate=-20050505", {15}),
        ("StudyDate=1997.04.24", {21}),
        ("StudyDate=20100105&PatientSex=M", {1}),
        ("ModalitiesInStudy=PT", {3, 23}),
        ("StudyInstanceUID=" + ",".join(sorted(studies(1, 2, 6))), {1, 2}),
        ("PatientName=&StudyDate=20100105", {1}),
        ("NoSuchKeyword=1&BodyPartExamined=LUNG&StudyDate=20100105", {1}),
    ],
)
async def test_qido_matches(query: str, expected: set[int]) -> None:
    async with QidoServer(HELD) as server:
        assert set(uids(await rows(f"{server.url}/studies?{query}"))) == studies(*expected)
        assert server.requests == [f"/dicom-web/studies?{query}"]


async def test_qido_pages() -> None:
    async with QidoServer(HELD) as server:
        whole = await rows(f"{server.url}/studies")
        pages = [await rows(f"{server.url}/studies?limit=5&offset={start}") for start in (0, 5, 10, 15)]
    assert len(whole) == len(HELD)
    assert [row for page in pages for row in page] == whole
    assert [len(page) for page in pages] == [5, 5, 4, 0]


async def test_qido_returns_what_was_asked_for() -> None:
    async with QidoServer(HELD) as server:
        (usual,) = await rows(f"{server.url}/studies?PatientID=0015")
        (more,) = await rows(f"{server.url}/studies?PatientID=0015&includefield=PatientSex,00081030")
        (whole,) = await rows(f"{server.url}/studies?PatientID=0015&includefield=all")
    assert DESCRIPTION not in usual
    assert more[DESCRIPTION] == {"vr": "LO"} == whole[DESCRIPTION]
    assert usual["00201206"] == {"vr": "IS", "Value": [2]}


async def test_qido_finds_series_below_a_study_and_everywhere() -> None:
    async with QidoServer(HELD) as server:
        inside = await rows(f"{server.url}/studies/{study_uid(4)}/series")
        everywhere = await rows(f"{server.url}/series?Modality=SEG&PatientName=Ng*")
        assert (await get(f"{server.url}/studies/1.2.3/series"))[0] == 204
        assert (await get(f"{server.url}/patients"))[0] == 404
        assert (await get(f"{server.url}/studies?limit=abc"))[0] == 400
    assert uids(inside, SERIES_UID) == [f"{study_uid(4)}.{number}" for number in (1, 2, 3)]
    assert PN not in inside[0]
    assert uids(everywhere, SERIES_UID) == [f"{study_uid(4)}.3"]
    assert value(everywhere[0], PN) == "Nguyễn^Văn An"


# Its twins


@pytest.mark.parametrize(
    ("behaviour", "query", "count"),
    [
        ({"ignores_paging": True}, "limit=3&offset=6", 14),
        ({"ignores_filters": True}, "PatientName=NOBODY", 14),
        ({"cap": 5}, "", 5),
        ({"cap": 5}, "limit=10&offset=5", 0),
        ({"limit_before_filter": True}, "PatientSex=F&limit=4&offset=0", 1),
        ({"no_decode": True}, "PatientName=SMITH%5EJOHN", 0),
        ({"no_decode": True}, "PatientName=SMITH^JOHN", 2),
    ],
)
async def test_lying_twins(behaviour: dict[str, Any], query: str, count: int) -> None:
    async with QidoServer(HELD, **behaviour) as server:
        assert len(await rows(f"{server.url}/studies?{query}")) == count


async def test_twin_that_ignores_offset_repeats_its_first_page() -> None:
    async with QidoServer(HELD, ignores_offset=True) as server:
        first, second = [await rows(f"{server.url}/studies?limit=3&offset={start}") for start in (0, 3)]
    assert (len(first), first) == (3, second)


async def test_endless_twin_never_repeats() -> None:
    async with QidoServer(HELD, endless=True) as server:
        pages = [await rows(f"{server.url}/studies?limit=4&offset={start}") for start in (0, 4, 4000)]
    assert len({uid for page in pages for uid in uids(page)}) == 12


@pytest.mark.parametrize(
    ("behaviour", "status", "body"),
    [
        ({"status": 503, "body": "busy", "headers": {"Retry-After": "9"}}, 503, b"busy"),
        ({"empty_body": True}, 200, b""),
        ({"object_body": True}, 200, b'{"error":"denied"}'),
        ({"redirect": "http://127.0.0.2/"}, 302, None),
        ({"html": True}, 200, None),
        ({"needs": {"Authorization": "Bearer t"}}, 401, None),
    ],
)
async def test_broken_twins(behaviour: dict[str, Any], status: int, body: bytes | None) -> None:
    async with QidoServer(HELD, **behaviour) as server:
        seen, said = await get(f"{server.url}/studies")
    assert (seen, said if body is not None else None) == (status, body)


async def test_twins_that_need_a_header_or_recover() -> None:
    needs = {"Authorization": "Bearer t"}
    async with QidoServer(HELD, needs=needs) as closed, QidoServer(HELD, status=503, times=1) as sick:
        assert (await get(f"{closed.url}/studies", needs))[0] == 200
        assert [(await get(f"{sick.url}/studies"))[0] for _ in range(2)] == [503, 200]


async def test_twins_with_bad_bytes() -> None:
    async with QidoServer(HELD, truncated=True) as server, QidoServer(HELD, latin1=True) as latin1:
        with pytest.raises(json.JSONDecodeError):
            await rows(f"{server.url}/studies")
        assert b"M\xfcller" in (await get(f"{latin1.url}/studies"))[1]
    async with QidoServer(HELD, bad_record=True) as server:
        found = await rows(f"{server.url}/studies")
    assert [row[UID]["Value"] for row in found].count([5]) == 1


async def test_slow_and_hanging_twins() -> None:
    async with QidoServer(HELD, delay=0.2) as slow, QidoServer(HELD, hang=True) as mute:
        begin = asyncio.get_running_loop().time()
        await rows(f"{slow.url}/studies")
        assert asyncio.get_running_loop().time() - begin >= 0.2
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(get(f"{mute.url}/studies"), 0.3)
        await asyncio.sleep(0.1)
        assert mute.answering == 0


async def test_gzip_bomb_is_small_on_the_wire() -> None:
    async with (
        QidoServer(HELD, gzip_bomb=True) as server,
        aiohttp.ClientSession(auto_decompress=False) as session,
        session.get(f"{server.url}/studies") as answer,
    ):
        assert answer.headers["Content-Encoding"] == "gzip"
        assert answer.content_type == DICOM_JSON
        assert len(await answer.read()) < 2**20


def test_dcmtk_is_found_where_this_environment_is_activated(monkeypatch: pytest.MonkeyPatch) -> None:
    """pynetdicom installs a `storescu` that knows other options."""
    need(Dcmqrscp.missing())
    scripts = sysconfig.get_path("scripts")
    assert (Path(scripts) / "storescu").exists()
    found = dcmtk("storescu")
    monkeypatch.setenv("PATH", f"{scripts}:{os.environ['PATH']}")
    assert shutil.which("storescu") == str(Path(scripts) / "storescu")
    assert dcmtk("storescu") == found


@pytest.mark.parametrize(
    "text",
    [
        "#!/bin/sh\necho 'findscu.py v3.0'\n",
        "#!/bin/sh\necho '$dcmtk: getscu v3.6.7 2022-04-22 $'\n",
        "#!/bin/sh\nexit 2\n",
        "no program\n",
    ],
    ids=["another", "misnamed", "refuses", "no program"],
)
def test_another_findscu_is_never_taken_for_that_of_dcmtk(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    need(Dcmqrscp.missing())
    other = tmp_path / "findscu"
    other.write_text(text)
    other.chmod(0o755)
    real = dcmtk("findscu")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert dcmtk("findscu") == real
    assert re.fullmatch(r"findscu is dcmtk v\d.*, not the first of that name in PATH", about("findscu"))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert dcmtk("findscu") is None
    assert about("findscu").endswith(
        "is not installed (Debian: dcmtk); the findscu in PATH is another program"
    )


@pytest.mark.parametrize(("module", "program"), [(bench_dimse, "findscu"), (bench_get, "getscu")])
def test_a_benchmark_without_dcmtk_says_so(
    module: ModuleType, program: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And asks nobody: an Orthanc, which needs no dcmtk, is taken away too."""
    monkeypatch.setattr(Orthanc, "missing", staticmethod(lambda: "Orthanc is not installed"))
    monkeypatch.setattr(Dcmqrscp, "missing", staticmethod(lambda: None))
    monkeypatch.setenv("PATH", str(tmp_path))
    result = module.run(quick=True)
    assert (result.tables, result.aims) == ([], [])
    assert [n for n in result.notes if f"left out: dcmtk's {program} is not installed (Debian: dcmtk)" in n]
