"""DIMSE against real servers: every record that dcmtk's findscu sees, the broker sees, and none more."""

from __future__ import annotations

import ssl
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from asking import ask, need, report_of, uids
from peers.dcmqrscp import Dcmqrscp
from peers.dcmtk import dcmtk
from peers.loopback import HOST
from peers.orthanc import Orthanc
from peers.qrscp import Qrscp
from peers.scp import Scp
from pydicom import dcmread
from pydicom.dataset import Dataset

from adapters.dimse.adapter import Dimse
from adapters.dimse.link import Peer
from broker.adapter import Ask
from broker.errors import BadConfig
from broker.query import Condition, condition
from broker.registry import adapter_for
from broker.report import Status
from catalog.archives import Archive
from catalog.keywords import Level
from fixtures.dicom import Truth, truth

HELD = truth()["archives"]["b"]
FIELDS = {
    Level.STUDY: (
        "StudyInstanceUID",
        "PatientID",
        "PatientName",
        "PatientBirthDate",
        "StudyDate",
        "StudyTime",
        "AccessionNumber",
        "StudyDescription",
        "ModalitiesInStudy",
        "NumberOfStudyRelatedInstances",
    ),
    Level.SERIES: (
        "StudyInstanceUID",
        "SeriesInstanceUID",
        "Modality",
        "SeriesNumber",
        "SeriesDescription",
        "BodyPartExamined",
    ),
}
Shown = set[tuple[str, ...]]


@pytest.fixture(scope="module")
def qrscp(held: tuple[Path, Truth]) -> Iterator[Qrscp]:
    """Archive B in pynetdicom's qrscp."""
    need(Qrscp.missing() or Dcmqrscp.missing())
    with Qrscp(held[0], sorted((held[0] / "b").glob("*.dcm"))) as peer:
        yield peer


@pytest.fixture(params=["mended", "dcmqrscp", "qrscp"])
def peer(request: pytest.FixtureRequest) -> Peer:
    """Each of the real servers."""
    need(Dcmqrscp.missing())
    running: Orthanc | Dcmqrscp | Qrscp = request.getfixturevalue(request.param)
    port = running.dicom_port if isinstance(running, Orthanc) else running.port
    return Peer(HOST, port, running.aet)


def findscu(peer: Peer, level: Level, folder: Path, keys: Mapping[str, str]) -> Shown:
    """What findscu gets, read by pydicom."""
    folder.mkdir()
    told = [str(dcmtk("findscu")), "-S", "-X", "-od", str(folder), "-aec", peer.called]
    for name, value in {
        "QueryRetrieveLevel": level.name,
        "SpecificCharacterSet": "ISO_IR 192",
        **keys,
    }.items():
        told += ["-k", f"{name}={value}" if value else name]
    subprocess.run([*told, peer.host, str(peer.port)], check=True, timeout=30, capture_output=True)
    return {written(dcmread(file, force=True), FIELDS[level]) for file in folder.glob("rsp*")}


def written(record: Dataset, fields: tuple[str, ...]) -> tuple[str, ...]:
    """Values as DICOM writes them."""
    found = (record.get(name) for name in fields)
    return tuple(
        "" if v is None else "\\".join(map(str, v)) if not isinstance(v, str) and _several(v) else str(v)
        for v in found
    )


def _several(value: object) -> bool:
    return hasattr(value, "__iter__") and type(value).__name__ != "PersonName"


async def broker(peer: Peer, level: Level, *asked: Condition) -> Shown:
    """What the adapter gets: the rows themselves, nothing checked."""
    archive = Dimse("dimse", peer)
    found: Shown = set()
    async for page in archive.find(Ask(level, asked, FIELDS[level])):
        at = [page.keywords.index(f) for f in FIELDS[level]]
        for row in page.rows:
            values = [row[i] for i in at]
            found.add(tuple(v if isinstance(v, str) else "\\".join(map(str, v or ())) for v in values))
    await archive.close()
    return found


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("text", ["", "StudyDate=2010-2015", "PatientID=000123", "AccessionNumber=B*"])
async def test_studies_are_those_of_findscu(peer: Peer, text: str, tmp_path: Path) -> None:
    asked = [condition(text)] if text else []
    sent = {"StudyDate": "20100101-20151231"} if "Date" in text else dict([text.split("=")] if text else [])
    theirs = findscu(peer, Level.STUDY, tmp_path / "rsp", dict.fromkeys(FIELDS[Level.STUDY], "") | sent)
    assert theirs
    spelled = [condition(f"{k}={v}") for k, v in sent.items()] if asked else []
    assert await broker(peer, Level.STUDY, *spelled) == theirs


@pytest.mark.filterwarnings("ignore::UserWarning")
async def test_series_are_those_of_findscu(peer: Peer, tmp_path: Path) -> None:
    theirs: Shown = set()
    for number, held in enumerate(HELD):
        keys = dict.fromkeys(FIELDS[Level.SERIES], "") | {
            "StudyInstanceUID": str(held["study"]["StudyInstanceUID"])
        }
        theirs |= findscu(peer, Level.SERIES, tmp_path / str(number), keys)
    assert len(theirs) >= 30
    assert await broker(peer, Level.SERIES) == theirs


async def test_a_wrong_called_title_is_told_and_harms_no_other(dcmqrscp: Dcmqrscp, mended: Orthanc) -> None:
    wrong = Dimse("wrong", Peer(HOST, dcmqrscp.port, "NOBODY"))
    right = Dimse("right", Peer(HOST, mended.dicom_port, mended.aet))
    answered = await ask("studies", at=[wrong, right])
    told = report_of(answered, "wrong")
    assert (told.status, told.reason) == (Status.FAILED, "assoc_rejected")
    assert uids(answered) == {h["study"]["StudyInstanceUID"] for h in HELD}


async def test_a_cap_of_the_archive_is_not_taken_for_the_end(
    held: tuple[Path, Truth], tmp_path: Path
) -> None:
    from asking import need_orthanc

    need_orthanc()
    files = sorted((held[0] / "b").glob("*.dcm"))
    with Orthanc(tmp_path, files, settings={"LimitFindResults": 5}) as capped:
        answered = await ask("studies", at=[Dimse("capped", Peer(HOST, capped.dicom_port, capped.aet))])
    told = report_of(answered, "capped")
    assert (told.status, told.reason, told.kept) == (Status.PARTIAL, "dimse_FE00", 5)


async def test_more_questions_at_once_than_a_server_takes_associations(
    held: tuple[Path, Truth], tmp_path: Path
) -> None:
    need(Dcmqrscp.missing())
    with Dcmqrscp(tmp_path, sorted((held[0] / "b").glob("*.dcm")), associations=2) as small:
        from broker.setup.limits import Limits

        peer = Peer(HOST, small.port, small.aet, limits=Limits(connections=8))
        answered = await ask("series", at=[Dimse("small", peer, relational=False)])
    assert answered.complete
    assert len(answered) == sum(len(h["series"]) for h in HELD)


# TLS, and the federation file


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CA with a server's and a client's certificate, made by openssl."""
    import shutil

    need(None if shutil.which("openssl") else "openssl is not installed")
    folder = tmp_path_factory.mktemp("tls")
    new = ["openssl", "req", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    subject = ["-subj", "/CN=CA", "-keyout", "ca.key", "-out", "ca.pem"]
    subprocess.run([*new, "-x509", *subject], cwd=folder, check=True, capture_output=True)
    (folder / "san").write_text("subjectAltName=IP:127.0.0.1", encoding="ascii")
    for name in ("server", "client"):
        subject = ["-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.csr"]
        subprocess.run([*new, *subject], cwd=folder, check=True, capture_output=True)
        sign = [
            "openssl",
            "x509",
            "-req",
            "-in",
            f"{name}.csr",
            "-CA",
            "ca.pem",
            "-CAkey",
            "ca.key",
            "-days",
            "2",
        ]
        sign += ["-CAcreateserial", "-extfile", "san", "-out", f"{name}.pem"]
        subprocess.run(sign, cwd=folder, check=True, capture_output=True)
    return folder


def entry(port: int, tls: bool = False, **options: object) -> Archive:
    """A federation entry."""
    scheme = "dimse+tls" if tls else "dimse"
    return Archive("pacs", "dimse", url=f"{scheme}://127.0.0.1:{port}", options=options)


@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
@pytest.mark.filterwarnings("ignore:Invalid value for VR")
async def test_tls_with_a_certificate_of_ours_and_without(certificates: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / "server.pem", certificates / "server.key")
    context.load_verify_locations(certificates / "ca.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    ca = str(certificates / "ca.pem")
    ours = {"client_cert": str(certificates / "client.pem"), "client_key": str(certificates / "client.key")}
    with Scp(HELD, tls=context) as scp:
        good = await ask("studies", at=[adapter_for(entry(scp.port, tls=True, ca_file=ca, **ours))])
        nobody = await ask("studies", at=[adapter_for(entry(scp.port, tls=True, ca_file=ca))], timeout=5)
        stranger = await ask("studies", at=[adapter_for(entry(scp.port, tls=True, **ours))], timeout=5)
    assert len(good) == len(HELD)
    assert report_of(nobody, "pacs").status is Status.FAILED
    assert (report_of(stranger, "pacs").status, report_of(stranger, "pacs").reason) == (Status.FAILED, "tls")


@pytest.mark.parametrize(
    ("entry_", "text"),
    [
        (entry(104, ae_title="A" * 17), "ae_title"),
        (entry(104, ae_title="A\\B"), "ae_title"),
        (entry(104, ae_title=""), "ae_title"),
        (entry(104, root="modality"), "root"),
        (entry(104, relational="yes"), "relational"),
        (entry(104, character_set="UTF-8"), "character_set"),
        (entry(104, ca_file="ca.pem"), "no file"),
        (entry(104, client_key_password="env:X"), "dimse+tls"),
        (entry(104, tls=True, client_key=__file__), "client_cert"),
        (entry(104, tls=True, ca_file=__file__), "certificates"),
        (entry(104, matches={"PatientID": ["guess"]}), "guess"),
        (entry(104, matches=["PatientID"]), "matches"),
        (entry(104, never_ask=["NoSuchKeyword"]), "NoSuchKeyword"),
        (entry(104, lacks="BodyPartExamined"), "lacks"),
        (entry(104, page_size=104), "'page_size'"),
        (Archive("pacs", "dimse", url="http://127.0.0.1:104"), "dimse://HOST:PORT"),
        (Archive("pacs", "dimse", url="dimse://127.0.0.1"), "dimse://HOST:PORT"),
        (Archive("pacs", "dimse", url="dimse://127.0.0.1:99999"), "dimse://HOST:PORT"),
        (Archive("pacs", "dimse", url="dimse://127.0.0.1:104", auth={"kind": "basic"}), "auth"),
        (Archive("pacs", "dimse", url="dimse://127.0.0.1:104", limits={"idle": -1}), "limits.idle"),
        (Archive("pacs", "dimse", url="dimse://127.0.0.1:104", network={"insecure": True}), "network"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_is_asked(entry_: Archive, text: str) -> None:
    with pytest.raises(BadConfig, match="pacs") as caught:
        adapter_for(entry_)
    assert text in str(caught.value)


def test_what_the_federation_file_knows_better() -> None:
    archive = adapter_for(
        entry(
            104,
            matches={"ModalitiesInStudy": ["single value"], "Modality": ["single value"]},
            never_ask=["StudyDate"],
            lacks=["BodyPartExamined"],
            character_set="ISO_IR 100",
            lists_all=True,
        )
    )
    studies, series = archive.can.at(Level.STUDY), archive.can.at(Level.SERIES)
    assert studies.kinds("ModalitiesInStudy")
    assert not studies.kinds("Modality")
    assert series.kinds("Modality")
    assert not studies.kinds("StudyDate")
    assert not series.gives("BodyPartExamined")
    assert archive.can.lists_all
    assert archive.can.any_text.value == "no"
