"""Manifests are taken by the tools they are for, hold nothing unchecked, and name what they lack."""

from __future__ import annotations

import csv
import http.server
import io
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import studies
from asking import need
from dicomweb_client.uri import URI, URIType
from hypothesis import given, settings
from hypothesis import strategies as st
from peers.dcmqrscp import Dcmqrscp
from peers.dcmtk import dcmtk
from pynetdicom import AE, evt
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelMove  # type: ignore[attr-defined]

import broker
from adapters.rows import Rows
from broker.errors import BadQuery
from broker.manifests.forms import KINDS, manifest, moves
from broker.manifests.items import Item, items
from broker.manifests.queries import write
from broker.manifests.summary import bibtex, citations, references, summary
from catalog.archives import Archive
from catalog.keywords import Level

ARCHIVES = {
    "idc": Archive("idc", "idc"),
    "tcia": Archive("tcia", "nbia", url="https://nbia.example.org/nbia-api/services/v4/"),
    "tcia2": Archive("tcia2", "nbia", url="https://other.example.org/nbia-api/services/v4/"),
    "pacs": Archive("pacs", "dicomweb", url="https://pacs.example.org:8043/dicom-web/"),
    "scp": Archive("scp", "dimse", url="dicom://BROKER@pacs.example.org:104/PACS"),
    "xnat": Archive("xnat", "xnat", url="https://xnat.example.org/xnat/"),
}
BUCKET = "s3://idc-open-data/085e85b3-3780-47f6-8538-585bcca95336"


def series(number: int, **said: Any) -> dict[str, Any]:
    """A series record."""
    uids = {"StudyInstanceUID": f"1.2.{number // 10}", "SeriesInstanceUID": f"1.2.{number // 10}.{number}"}
    return {**uids, "Modality": "CT", **said}


def found(**held: list[dict[str, Any]]) -> list[Item]:
    """The items of an answer of some archives."""
    answer = broker.search("series", at=[Rows(name, rows, Level.SERIES) for name, rows in held.items()])
    return items(answer, ARCHIVES)


IDC = [series(n, DataURL=f"{BUCKET}/*", SizeInMB="1.5", License="CC BY 4.0") for n in (11, 12, 21)]


class _S3(http.server.BaseHTTPRequestHandler):
    """Lists one object under whatever is asked for (ListObjectsV2)."""

    def do_GET(self) -> None:
        prefix = re.search(r"prefix=([^&]*)", self.path)
        key = (prefix[1] if prefix else "").replace("%2F", "/")
        body = (
            '<?xml version="1.0"?><ListBucketResult><IsTruncated>false</IsTruncated><KeyCount>1</KeyCount>'
            f'<Contents><Key>{key}a.dcm</Key><Size>3</Size><ETag>"x"</ETag>'
            "<LastModified>2026-01-01T00:00:00.000Z</LastModified></Contents></ListBucketResult>"
        ).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Nothing."""


@pytest.fixture
def bucket() -> Iterator[str]:
    """A loopback server that lists objects."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _S3) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_s5cmd_reads_it_and_would_copy_each_series_to_its_own_folder(bucket: str, tmp_path: Path) -> None:
    made = manifest("s5cmd", found(idc=IDC))
    file = tmp_path / "m.s5cmd"
    file.write_text(made.text)
    words = ["--no-sign-request", "--endpoint-url", bucket, "--dry-run", "run", str(file)]
    tool = Path(sys.executable).parent / "s5cmd"
    done = subprocess.run(
        [tool, *words], capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert sorted(done.stdout.split("\n")[:-1]) == [
        f"cp {BUCKET}/a.dcm 1.2.1/1.2.1.11/a.dcm",
        f"cp {BUCKET}/a.dcm 1.2.1/1.2.1.12/a.dcm",
        f"cp {BUCKET}/a.dcm 1.2.2/1.2.2.21/a.dcm",
    ]


def read_tcia(text: str) -> tuple[dict[str, str], list[str]]:
    """A manifest as NBIA Data Retriever has it.

    Sources: the file `manifest.v3.tcia` in the test data of CBIIT/NBIA-TCIA, and `manifestToList` of
    tcia_utils, which drops six lines of head where the first names a server.
    """
    lines = text.splitlines()
    head = dict(line.split("=", 1) for line in lines[:6])
    assert list(head) == [
        "downloadServerUrl", "includeAnnotation", "noOfrRetry", "databasketId", "manifestVersion",
        "ListOfSeriesToDownload",
    ]  # fmt: skip
    assert text.endswith("\n")
    return head, lines[6:]


def test_a_tcia_manifest_is_of_one_server_and_names_what_others_have() -> None:
    made = manifest(
        "tcia", found(tcia=[series(11), series(12)], tcia2=[series(12), series(31)], idc=[series(41)])
    )
    head, uids = read_tcia(made.text)
    assert head["downloadServerUrl"] == "https://nbia.example.org/nbia-download/servlet/DownloadServlet"
    assert head["manifestVersion"] == "3.0"
    assert uids == ["1.2.1.11", "1.2.1.12"]
    assert sum(made.left.values()) == 2


def test_dicomweb_client_reads_every_url() -> None:
    made = manifest("dicomweb", found(pacs=[series(11), series(12)]))
    read = [URI.from_string(line) for line in made.text.splitlines()]
    assert [u.type for u in read] == [URIType.SERIES, URIType.SERIES]
    assert next((u.base_url, u.series_instance_uid) for u in read) == (
        "https://pacs.example.org:8043/dicom-web",
        "1.2.1.11",
    )
    studies = broker.search("studies", at=[Rows("pacs", [{"StudyInstanceUID": "1.2"}])])
    whole = manifest("dicomweb", items(studies, ARCHIVES))
    assert URI.from_string(whole.text.strip()).type is URIType.STUDY


def test_movescu_sends_what_the_query_files_say(tmp_path: Path) -> None:
    tool = dcmtk("movescu")
    need(None if tool else "movescu (Debian package dcmtk) is not installed")
    made = manifest("dimse", found(scp=[series(11), series(12), series(21)]))
    files = write(made, tmp_path / "moves")
    asked = []

    def moved(event: evt.Event) -> Iterator[Any]:
        asked.append(event.identifier)
        yield None, None

    ae = AE("PACS")
    ae.add_supported_context(StudyRootQueryRetrieveInformationModelMove)
    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_MOVE, moved)])
    try:
        port = server.socket.getsockname()[1]  # type: ignore[union-attr]
        words = [str(tool), "-S", "-aec", "PACS", "-aem", "ME", "127.0.0.1", str(port), *map(str, files)]
        subprocess.run(words, capture_output=True, timeout=60, check=False)
    finally:
        ae.shutdown()
    told = [(str(q.StudyInstanceUID), q.QueryRetrieveLevel, q["SeriesInstanceUID"].value) for q in asked]
    assert [(study, level) for study, level, _ in told] == [("1.2.1", "SERIES"), ("1.2.2", "SERIES")]
    assert list(told[0][2]) == ["1.2.1.11", "1.2.1.12"]
    assert told[1][2] == "1.2.2.21"
    rows = list(csv.DictReader(io.StringIO((tmp_path / "moves" / "moves.csv").read_text())))
    assert [r["SeriesInstanceUID"] for r in rows] == ["1.2.1.11", "1.2.1.12", "1.2.2.21"]


def test_findscu_and_getscu_find_and_fetch_what_the_query_files_say(tmp_path: Path) -> None:
    need(Dcmqrscp.missing() or (None if dcmtk("getscu") else "getscu is not installed"))
    files = studies.write(tmp_path / "source", studies=4)
    listed = [(studies.study(s), r) for s, r in ((1, 1), (1, 2), (3, 1))]
    rows = [{"StudyInstanceUID": study, "SeriesInstanceUID": f"{study}.{r}"} for study, r in listed]
    with Dcmqrscp(tmp_path, files) as peer:
        queries = [str(f) for f in write(manifest("dimse", found(scp=rows)), tmp_path / "moves")]
        where = ["-S", "-aec", peer.aet, "127.0.0.1", str(peer.port)]
        seen = subprocess.run(
            [str(dcmtk("findscu")), *where, *queries], capture_output=True, timeout=60, check=True
        )
        out = tmp_path / "out"
        out.mkdir()
        for query in queries:  # dcmtk 3.6.7's getscu breaks down over the second of several files
            words = [str(dcmtk("getscu")), "+B", "-od", str(out), *where, query]
            subprocess.run(words, capture_output=True, timeout=60, check=True)
    told = (seen.stdout + seen.stderr).decode("latin-1")
    assert told.count("Find Response:") == len(rows)
    wanted = {uid for uid in studies.by_uid(files) if any(uid.startswith(f"{s}.{r}.") for s, r in listed)}
    assert len(wanted) == 9
    assert studies.by_uid(list(out.iterdir())).keys() == wanted


def test_xnat_uris_are_those_of_its_own_server() -> None:
    own = "https://xnat.example.org/xnat/data/experiments/XNAT_E00001"
    given = [
        f"{own}/scans/4-MR1",
        own,
        f"{own}/scans/../../../users",
        "https://evil.example.org/data/experiments/X",
    ]
    made = manifest("xnat", found(xnat=[series(11 + n, DataURL=url) for n, url in enumerate(given)]))
    assert made.text.splitlines() == given[:2]
    assert sum(made.left.values()) == 2


def test_the_csv_has_the_preferred_copy_and_the_others() -> None:
    held = found(pacs=[series(11, License="CC BY-NC 4.0", SizeInMB="9")], idc=IDC[:1])
    (row,) = csv.DictReader(io.StringIO(manifest("csv", held).text))
    assert (row["archive"], row["url"]) == (
        "pacs",
        "https://pacs.example.org:8043/dicom-web/studies/1.2.1/series/1.2.1.11",
    )
    assert (row["megabytes"], row["license"], row["alternates"]) == ("9.0", "CC BY-NC 4.0", f"idc {BUCKET}/*")


def test_sums_say_of_how_many() -> None:
    made = manifest("csv", found(idc=[*IDC, series(31, License="CC BY-NC 3.0")]))
    told = summary(made.taken)
    assert (told.items, told.megabytes, told.sized, told.restricted) == (4, 4.5, 3, 1)
    assert told.lines()[0] == "4 series, images not said, at least 4.5 MB (3 of 4 say)"
    assert told.licenses == {"CC BY 4.0": 3, "CC BY-NC 3.0": 1}
    assert summary([]).lines() == ["nothing"]


def test_citations_are_collected_once_and_what_has_none_is_counted() -> None:
    given = ["https://doi.org/10.7937/TCIA.X1", "10.7937/tcia.x1", "not a doi", "", "10.5281/zenodo.1&evil}"]
    held = found(a=[series(11 + n, SourceDOI=doi, Collection=r"a_b & {c}\d") for n, doi in enumerate(given)])
    cited, without = citations(held)
    assert [(c.doi, c.items) for c in cited] == [("10.7937/tcia.x1", 2)]
    assert without == 3
    entry = bibtex(cited)
    assert re.fullmatch(r"@misc\{[A-Za-z0-9_]+,\n(  \w+ = \{.*\},\n)+\}\n", entry)
    assert entry.count("{") == entry.count("}")
    assert r"a\_b \& cd" in entry
    assert "3 items name no DOI" in references(cited, without)


HOSTILE = st.text(max_size=30) | st.sampled_from(
    [
        "s3://b/x; rm -rf /",
        "s3://bucket/a b/*",
        "s3://bucket/../../etc/*",
        "s3://bucket/a/*\ncp s3://evil/* /",
        "https://pacs.example.org:8043/dicom-web@evil/",
        "1.2.3\n1.2.4",
        "1.2.3/../..",
        "=cmd|' /C calc'!A0",
        "one\rtwo\0three",
    ]
)


@settings(max_examples=30, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["StudyInstanceUID", "SeriesInstanceUID", "DataURL", "PatientID"]), HOSTILE
    )
)
def test_nothing_hostile_reaches_a_manifest(said: dict[str, str]) -> None:
    for archive in ARCHIVES:
        held = found(**{archive: [{**series(11), **said}]})
        for kind in KINDS:
            made = manifest(kind, held)
            assert len(made.taken) + sum(made.left.values()) == 1
            if kind in ("s5cmd", "dicomweb", "xnat", "tcia"):
                for line in made.text.splitlines():
                    plain = r"[A-Za-z0-9._~:/?=%+*#@&, -]*"
                    assert re.fullmatch(plain, line)
                    assert ".." not in line.replace("...", "")
            if kind == "csv":
                (row,) = list(csv.reader(io.StringIO(made.text)))[1:]
                assert not any(value.startswith(("=", "@")) for value in row)
            for move in moves(made) if kind == "dimse" else ():
                assert re.fullmatch(r"[0-9.]{1,64}", move.study)


def test_what_cannot_be_listed_is_refused() -> None:
    patients = broker.search("patients", at=[Rows("a", [{"PatientID": "p"}], Level.PATIENT)])
    with pytest.raises(BadQuery, match="instead of patients"):
        items(patients, ARCHIVES)
    studies = broker.search("studies", at=[Rows("idc", [{"StudyInstanceUID": "1.2"}])])
    with pytest.raises(BadQuery, match="ask for series instead"):
        manifest("s5cmd", items(studies, ARCHIVES))
    with pytest.raises(BadQuery, match="write one of csv"):
        manifest("zip", [])


def run(*words: str) -> subprocess.CompletedProcess[str]:
    """The command as a user runs it."""
    return subprocess.run(
        [sys.executable, "-m", "broker", *words], capture_output=True, text=True, timeout=60, check=False
    )


def test_from_a_query_and_from_a_cohort(tmp_path: Path) -> None:
    folder = ["--folder", str(tmp_path)]
    asked = ["Collection=rider_pilot", "Modality=CR", "--at", "idc"]
    direct = run("manifest", *asked, "--kind", "s5cmd")
    assert direct.returncode == 0, direct.stderr
    assert "2 series, 2 images, 15.1 MB" in direct.stderr
    assert "licences: CC BY 4.0 2" in direct.stderr
    assert run("save", "pilot", "series", *asked, *folder).returncode == 0
    kept = run("manifest", "pilot", "--kind", "s5cmd", *folder)
    assert kept.stdout == direct.stdout
    assert kept.stdout.count("\ncp s3://idc-open-data/") == 2
    part = run("manifest", "pilot", "--kind", "tcia", *folder)
    assert (part.returncode, part.stdout) == (3, "")
    assert "2 left out: no copy in an NBIA archive" in part.stderr
    cited = run("manifest", "pilot", "--kind", "citations", *folder)
    assert "RIDER Pilot" in cited.stdout
    assert "https://doi.org/10.7937/" in cited.stdout
    nobody = run("manifest", "pilott", *folder)
    assert nobody.returncode == 2
    assert "nor is there a cohort of that name" in nobody.stderr
