"""`broker get` of archives that send what is wrong, too little, too much, or has hostile names."""

from __future__ import annotations

import asyncio
import io
import json
import time
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import studies
from peers.faults import Faulty, spoiled
from peers.loopback import HOST, Fault
from peers.nbia_files import NbiaFiles, packed
from peers.nbia_rows import fixture_rows
from peers.wado import KIND, Body, Wado, multipart
from peers.xnat.model import File
from peers.xnat.server import XnatServer
from peers.xnat.sites import fixture_site
from pydicom import config, dcmread
from test_getting import dicomweb, federation, got, same

from adapters.nbia.zips import instances
from adapters.shared.download import Budget, Files
from broker.cli import main
from broker.errors import TimedOut
from fixtures.dicom import Truth


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """One study, one series, three instances."""
    return studies.write(tmp_path / "source", studies=1, series=1)


async def get(tmp_path: Path, *entries: str, words: Sequence[str] = ()) -> tuple[int, dict[str, Any]]:
    """The exit code of `broker get` and its report; all that is in the folder is where it belongs."""
    out, config = tmp_path / "out", federation(tmp_path, *entries)
    at = ",".join(e.split("]")[0].removeprefix("[archives.") for e in entries)
    told = ["get", "series", *(words or ("PatientID=GET-*",)), "--config", str(config), "-o", str(out)]
    code = await asyncio.to_thread(main, [*told, "--at", at, "--scan", "-q"])
    inside = {f for f in out.rglob("*") if f.is_file() and ".broker" not in f.parts}
    assert inside - {out / "report.json", out / "not-fetched.csv"} == set(got(out))
    assert {f for f in tmp_path.iterdir() if f.is_file()} == {config}, "a file left the folder"
    report: dict[str, Any] = json.loads((out / "report.json").read_text())
    return code, report


def said(report: Mapping[str, Any]) -> str:
    """All that it says of its series."""
    return json.dumps(report["series"], ensure_ascii=False)


def edited(raw: bytes, **values: str) -> bytes:
    """An instance that says something else."""
    body, made = io.BytesIO(), dcmread(io.BytesIO(raw))
    with config.disable_value_validation():
        for keyword, value in values.items():
            setattr(made, keyword, value)
        made.save_as(body)
    return body.getvalue()


def other(parts: Sequence[bytes]) -> Body:
    """One of them is of another series."""
    return multipart([edited(parts[0], SeriesInstanceUID="1.2.3"), *parts[1:]]), KIND, {}


def renamed(parts: Sequence[bytes]) -> Body:
    """One of them has a UID that leaves the folder."""
    return multipart([edited(parts[0], SOPInstanceUID="../../../evil"), *parts[1:]]), KIND, {}


def few(parts: Sequence[bytes]) -> Body:
    """The last one is missing."""
    return multipart(parts[:-1]), KIND, {}


def cut(parts: Sequence[bytes]) -> Body:
    """The reply ends in the middle of the last one, as if it were whole."""
    return multipart(parts)[:-3000], KIND, {}


def shortened(parts: Sequence[bytes]) -> Body:
    """The last one is cut, in a reply that is whole."""
    return multipart([*parts[:-1], parts[-1][:-3000]]), KIND, {}


def without_end(parts: Sequence[bytes]) -> Body:
    """The closing delimiter is missing after two instances."""
    return multipart(parts[:2], end=False), KIND, {}


def hostile(parts: Sequence[bytes]) -> Body:
    """The parts propose a name outside of the folder."""
    return multipart(parts, 'Content-Disposition: attachment; filename="../../evil.dcm"\r\n'), KIND, {}


def page(parts: Sequence[bytes]) -> Body:
    """A page for people."""
    return b"<html>please log in</html>", "text/html", {}


def garbage(parts: Sequence[bytes]) -> Body:
    """Something that is no DICOM."""
    return multipart([b"not DICOM at all" * 100 for _ in parts]), KIND, {}


def endless(parts: Sequence[bytes]) -> Body:
    """Wrong instances without end."""
    return multipart([edited(parts[0], SOPInstanceUID=f"1.2.{n}") for n in range(200)]), KIND, {}


@pytest.mark.parametrize(
    ("sends", "here", "says"),
    [
        (other, 2, "is not of the SeriesInstanceUID that was asked for: 1.2.3"),
        (renamed, 2, "a file holds no valid SOPInstanceUID"),
        (few, 2, "1 of 3 instances did not come"),
        (cut, 2, "multipart reply is cut short"),
        (shortened, 2, "a file ends in the middle of an element"),
        (without_end, 1, "multipart reply is cut short"),
        (hostile, 0, "hostile file name '../../evil.dcm'"),
        (page, 0, "it answered text/html instead of instances"),
        (garbage, 0, "a file is not DICOM"),
        (endless, 0, "20 files that it sent are wrong"),
    ],
)
async def test_a_liar_is_caught_and_named_and_the_next_copy_is_whole(
    sends: Callable[[Sequence[bytes]], Body], here: int, says: str, files: list[Path], tmp_path: Path
) -> None:
    async with Wado(files=files, sends=sends) as liar, Wado(files=files) as other_copy:
        code, report = await get(tmp_path, dicomweb("liar", liar.url))
        assert code == (3 if here else 4)
        assert says in said(report)
        assert report["series"][0]["instances"] == len(got(tmp_path / "out")) == here
        assert "liar" in (tmp_path / "out" / "not-fetched.csv").read_text()
        entries = dicomweb("liar", liar.url), dicomweb("other", other_copy.url)
        code, report = await get(tmp_path, *entries)
        assert code == 0
        assert says in said(report)
    same(files, tmp_path / "out")
    assert not (tmp_path / "out" / "not-fetched.csv").exists()


async def test_an_archive_that_counts_more_than_it_gives(files: list[Path], tmp_path: Path) -> None:
    async with Wado(files=files, counts=2) as server:
        code, report = await get(tmp_path, dicomweb("web", server.url))
    assert code == 3
    assert "it counts 5 instances, and gives 3" in said(report)


async def test_a_dead_copy_and_a_redirect_are_named(files: list[Path], tmp_path: Path) -> None:
    faults = {"/series/": Fault(503, "down")}
    async with Wado(files=files, faults=faults) as dead, Wado(files=files) as other_copy:
        code, report = await get(tmp_path, dicomweb("dead", dead.url), dicomweb("other", other_copy.url))
    assert code == 0
    assert "503: it failed on its side" in said(report)
    assert report["series"][0]["archives"] == ["other"]
    same(files, tmp_path / "out")


async def test_a_series_that_is_larger_than_it_may_be_is_left(files: list[Path], tmp_path: Path) -> None:
    async with Wado(files=files) as server:
        code, report = await get(tmp_path, dicomweb("web", server.url, "limits = { instance = 5000 }"))
    assert code == 4
    assert "one instance has more than 5,000 bytes" in said(report)


async def test_no_more_series_at_once_than_the_archive_bears(tmp_path: Path) -> None:
    many = studies.write(tmp_path / "source", studies=6)
    async with Wado(files=many, delay=0.02) as server:
        code, _ = await get(tmp_path, dicomweb("web", server.url, "limits = { connections = 2 }"))
        assert (code, server.most) == (0, 2)
    same(many, tmp_path / "out")


def test_what_trickles_is_left() -> None:
    budget = Budget(most=10**6, each=10**6, idle=0.05)
    budget.take(20)
    time.sleep(0.06)
    with pytest.raises(TimedOut, match="less than 1,024 bytes a second"):
        budget.take(1)


async def test_what_cannot_be_fetched_stands_in_a_manifest(tmp_path: Path) -> None:
    out = tmp_path / "out"
    told = ["get", "series", "Collection=rider_pilot", "Modality=CR", "--at", "idc", "-o", str(out), "-q"]
    assert await asyncio.to_thread(main, told) == 3
    manifest = (out / "not-fetched.csv").read_text()
    assert manifest.count("s3://") == 2
    assert "no copy that can be fetched from here (idc)" in (out / "report.json").read_text()


def nbia(server: NbiaFiles) -> str:
    """An entry of it."""
    return f'[archives.nbia]\nadapter = "nbia"\nurl = "{server.url}"\n'


def of_b(held: tuple[Path, Truth]) -> list[Path]:
    """The files of archive B."""
    return sorted((held[0] / "b").glob("*.dcm"))


THORAX = ("Collection=Thorax-CT",)


@pytest.mark.parametrize("lists", [True, False])
async def test_nbia_gives_zips_that_are_unpacked_and_checked(
    lists: bool, held: tuple[Path, Truth], tmp_path: Path
) -> None:
    rows = [r for r in fixture_rows() if r["Collection"] == "Thorax-CT"]
    series = {r["SeriesInstanceUID"] for r in rows}
    own = [f for f in of_b(held) if dcmread(f).SeriesInstanceUID in series]
    async with NbiaFiles(rows=fixture_rows(), files=of_b(held), lists=lists) as server:
        code, report = await get(tmp_path, nbia(server), words=THORAX)
        assert code == 0, report
        same(own, tmp_path / "out")
        lost = next(f for f in got(tmp_path / "out") if len(list(f.parent.iterdir())) == 3)
        lost.unlink()
        server.requests.clear()
        assert (await get(tmp_path, nbia(server), words=THORAX))[0] == 0
        asked = [r for r in server.requests if "getImage" in r or "getSingleImage" in r]
        assert [("getSingleImage" in r) for r in asked] == [lists]
    same(own, tmp_path / "out")


@pytest.mark.parametrize("version", ["v1", "v4"])
async def test_an_nbia_without_md5_sums_gives_its_files_all_the_same(
    version: str, held: tuple[Path, Truth], tmp_path: Path
) -> None:
    """getImageWithMD5Hash first, getImage where that is not served: with no parameter that v4 refuses."""
    lacks, versions = frozenset({"getImageWithMD5Hash"}), frozenset({version})
    async with NbiaFiles(rows=fixture_rows(), files=of_b(held), lacks=lacks, versions=versions) as server:
        code, report = await get(tmp_path, nbia(server), words=THORAX)
        asked = [r.rpartition("/")[2].partition("?")[0] for r in server.requests if "/getImage" in r]
    assert code == 0, report
    series = len({f.parent for f in got(tmp_path / "out")})
    assert sorted(asked) == ["getImage"] * series + ["getImageWithMD5Hash"] * series


async def test_sums_are_read_as_nbia_writes_them(tmp_path: Path) -> None:
    """Lines of V4_getImageWithMD5Hash: a header, any order, nothing where NBIA has no sum."""
    sums = "Filename,MD5Hash\n00000002.dcm,0CC175B9C0F1B6A831C399E269772661\n00000001.dcm,\n"
    whole = {"00000001.dcm": b"b", "00000002.dcm": b"a", "md5hashes.csv": sums.encode()}
    (tmp_path / "a.zip").write_bytes(packed(whole))
    found = instances(tmp_path / "a.zip", Files(tmp_path), Budget(10_000, 10_000, 1))
    assert [part.md5 for part in found] == ["", "0cc175b9c0f1b6a831c399e269772661"]


def escaping(files: dict[str, bytes]) -> bytes:
    """Names that leave the folder, in each of the ways."""
    names = ["../../evil.dcm", "/etc/evil.dcm", "..\\..\\evil.dcm", "C:\\evil.dcm"]
    return packed(dict(zip(names, [c for n, c in files.items() if n.endswith(".dcm")] * 4, strict=False)))


def linked(files: dict[str, bytes]) -> bytes:
    """A symbolic link to a file outside."""
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w") as made:
        entry = zipfile.ZipInfo("00000001.dcm")
        entry.external_attr = 0o120777 << 16
        made.writestr(entry, "/etc/passwd")
    return body.getvalue()


def bomb(files: dict[str, bytes]) -> bytes:
    """300 MB of zeros in 300 kB."""
    return packed({"00000001.dcm": b"\0" * 300_000_000})


def changed(files: dict[str, bytes]) -> bytes:
    """Pixels that have not the MD5 that is listed."""
    return packed({n: c[:-1] + bytes([c[-1] ^ 1]) if n.endswith(".dcm") else c for n, c in files.items()})


def truncated(files: dict[str, bytes]) -> bytes:
    """Half of a zip."""
    whole = packed(files)
    return whole[: len(whole) // 2]


def spoilt(files: dict[str, bytes]) -> bytes:
    """A byte of a stored file that does not fit its CRC."""
    whole = bytearray(packed(files, zipfile.ZIP_STORED))
    whole[whole.index(b"DICM") + 200] ^= 1
    return bytes(whole)


@pytest.mark.parametrize(
    ("packs", "says"),
    [
        (escaping, "hostile file name '../../evil.dcm' in its zip"),
        (linked, "a symbolic link '00000001.dcm' in its zip"),
        (bomb, "bytes came for one series"),
        (changed, "a file has not the MD5 that the archive gives"),
        (truncated, "its zip is cut short, or is none"),
        (spoilt, "has a wrong CRC"),
    ],
)
async def test_hostile_zips_are_caught_and_named(
    packs: Callable[[dict[str, bytes]], bytes], says: str, held: tuple[Path, Truth], tmp_path: Path
) -> None:
    async with NbiaFiles(rows=fixture_rows(), files=of_b(held), packs=packs) as server:
        code, report = await get(tmp_path, nbia(server), words=[*THORAX, "Modality=SR"])
    assert code == 4
    assert says in said(report)
    assert not got(tmp_path / "out")


def real_site(held: tuple[Path, Truth]) -> Any:
    """Our XNAT's site, whose scans hold the real files of archive A."""
    site = fixture_site(split=False)
    by_series: dict[str, list[File]] = {}
    for file in sorted((held[0] / "a").glob("*.dcm")):
        head = dcmread(file, stop_before_pixels=True)
        name = f"{head.SOPInstanceUID}.dcm"
        by_series.setdefault(str(head.SeriesInstanceUID), []).append(File(name, file.read_bytes()))
    site.sessions = [s for s in site.sessions if any(c.uid in by_series for c in s.scans)]
    for session in site.sessions:
        session.scans = [c for c in session.scans if c.uid in by_series]
        for scan in session.scans:
            scan.resources[0].files = by_series[scan.uid]
    return site


def xnat(server: XnatServer) -> str:
    """An entry of it."""
    return f'[archives.xnat]\nadapter = "xnat"\nurl = "{server.url}"\n'


async def test_xnat_gives_the_files_of_scans_and_is_not_asked_again(
    held: tuple[Path, Truth], tmp_path: Path
) -> None:
    async with XnatServer(real_site(held)) as server:
        code, _ = await get(tmp_path, xnat(server), words=["Modality=CT"])
        assert code == 0
        found = got(tmp_path / "out")
        assert found
        source = studies.by_uid(sorted((held[0] / "a").glob("*.dcm")))
        assert all(f.read_bytes() == source[f.stem].read_bytes() for f in found)
        found[0].unlink()
        server.log.clear()
        assert (await get(tmp_path, xnat(server), words=["Modality=CT"]))[0] == 0
        assert len(server.asked("/files/")) == 1
        assert got(tmp_path / "out") == found


async def test_an_xnat_with_hostile_names_and_wrong_files(held: tuple[Path, Truth], tmp_path: Path) -> None:
    site = real_site(held)
    scan = next(
        c for s in site.sessions for c in s.scans if c.modality == "CT" and len(c.resources[0].files) > 1
    )
    first, second, *_ = scan.resources[0].files
    scan.resources[0].files = [File("../../evil.dcm", first.content), second]
    async with XnatServer(site) as server:
        code, report = await get(tmp_path, xnat(server), words=[f"SeriesInstanceUID={scan.uid}"])
    assert code == 3
    assert "hostile file name '../../evil.dcm'" in said(report)
    assert [f.stem for f in got(tmp_path / "out")] == [second.name.removesuffix(".dcm")]


@pytest.mark.parametrize("how", ["cut", "reset", "garbage", "stall"])
async def test_a_line_that_breaks_is_named_and_taken_up_again(how: str, tmp_path: Path) -> None:
    many = studies.write(tmp_path / "source", studies=5)
    async with Wado(files=many) as honest:
        async with Faulty(spoiled(120_000, how), (HOST, honest.port)) as faulty:
            entry = dicomweb("web", f"http://{HOST}:{faulty.port}/dicom-web", "limits = { idle = 0.5 }")
            code, report = await get(tmp_path, entry)
        assert code == 3
        assert 0 < len(got(tmp_path / "out")) < len(many)
        assert all(s["troubles"] for s in report["series"] if s["state"] != "complete")
        code, _ = await get(tmp_path, dicomweb("line", honest.url))
        assert code == 0
    same(many, tmp_path / "out")
