"""Foreign bytes against every parser of ours: nothing but an error of ours may come of them.

python tests/fuzz.py                 the targets
python tests/fuzz.py TARGET SECONDS  coverage-guided (atheris, extra `fuzz`); a crash is written to crash-*
python tests/fuzz.py all SECONDS     every target for so long, and a table of what was run

`python -m pytest tests/test_fuzz.py` gives each target the same seeds, spoiled by hypothesis.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]

import contextlib
from functools import partial


@dataclass(frozen=True)
class Target:
    """A parser, the bytes to begin with, and the errors it may raise."""

    run: Callable[[bytes], object]
    seeds: tuple[bytes, ...]
    errors: tuple[type[Exception], ...]


STUDY = (
    b'[{"0020000D":{"vr":"UI","Value":["1.2.3"]},"00100010":{"vr":"PN","Value":[{"Alphabetic":"A^B","Ideographic":'
    b'"\xe7\x8e\x8b"}]},"00201208":{"vr":"IS","Value":[7]},"00400275":{"vr":"SQ","Value":[{"00400009":{"vr":"SH",'
    b'"Value":["X"]}}]}}]'
)
NBIA = b'[{"SeriesInstanceUID":"1.2.3","SeriesDate":"2001-01-01 00:00:00.0","FileSize":12.5,"Site":"X "},{}]'
FEDERATION = (
    b'[archives.a]\nadapter = "dicomweb"\nurl = "https://x.org"\nauth = {kind = "bearer", token = "env:T"}\n'
    b"limits = { rate = 2.5 }\n[links]\ndomains = [['a', 'b']]\n[audit]\nfile = 'x'\n"
)
XNAT = b'{"ResultSet":{"Result":[{"ID":"X1","date":"2010-01-05","UID":""}],"totalRecords":"1","title":"x"}}'
XNAT_CSV = b'"ID","date"\n"X1","2010-01-05"\n'
ITEM = b'{"Modality":"CT","SeriesInstanceUID":["1.2"],"PatientsSex":null,"StudyDate":20100105,"x":{"y":1}}'
HOLDINGS = Path(__file__).parent.parent / "fixtures" / "holdings"
QUERIES = (
    b"Modality=CT", b"StudyDate=20100101-", b"StudyDescription~chest", b'PatientName=SMITH^J*,"A,B"',
    b"RequestAttributesSequence.ScheduledProcedureStepID=X", b"StudyTime=1015-1030.5", b"00100010=\xd0\x98*",
)  # fmt: skip


def targets() -> Mapping[str, Target]:
    """Every parser of foreign bytes, by name."""
    from broker.errors import BrokerError
    from catalog.problems import CatalogError

    ours = (BrokerError,)
    imports = {f"import-{name}": Target(read, seeds, (CatalogError,)) for name, read, seeds in _imports()}
    return {
        **imports,
        "xnat-table": Target(_xnat_table, (XNAT, XNAT_CSV, b'"a"\r\r="b"\n'), ours),
        "item-metadata": Target(_item, (ITEM,), ours),
        "dicom-json": Target(_dicom_json, (STUDY, b"[]", b'[{"0020000D":{"vr":"UI","Value":[5]}}]'), ours),
        "json-rows": Target(_json_rows, (NBIA, b"[]", b"{}", b'[{"a":"M\xfcller"}]'), ours),
        "query": Target(_query, QUERIES, ours),
        "cursor": Target(_cursor, (b"eyJ2IjoxLCJxIjoiYSIsInAiOltbMCwiYSJdLFsiYSJdLFsiYiJdXX0",), ours),
        "federation": Target(_federation, (FEDERATION,), ours),
        "c-find-identifier": Target(_identifier, _identifiers(), ours),
        "dimse-pdus": Target(_pdus, _pdu_seeds(), ours),
        "dimse-accept": Target(_accept, _pdu_seeds(), ours),
    }


def _imports() -> Iterator[tuple[str, Callable[[bytes], object], tuple[bytes, ...]]]:
    """Each kind of file that can be imported, with the fixtures that it recognizes."""
    from catalog.imports.kinds import KINDS

    files = [f.read_bytes() for f in sorted(HOLDINGS.rglob("*")) if f.is_file() and f.stat().st_size < 20_000]
    for name, kind in KINDS.items():
        if not name.startswith("dicom"):  # pydicom's own parser, one file at a time, in other processes
            seeds = tuple(data for data in files if kind.fits(data[:4096]))
            odd = tuple(data.replace(b"UTF-8", b"UTF-9") for data in seeds if b"UTF-8" in data)  # found so
            yield name, partial(_import, name), (*seeds, *odd) or (b"a,b\n1,2\n",)


def _import(kind: str, data: bytes) -> None:
    import io

    from catalog.imports.kinds import KINDS
    from catalog.imports.rows import File, Options, Rejected, Row

    KINDS[kind].fits(data[:4096])
    file = File(
        "sub-01_T1w.json" if kind in ("bids", "sidecar") else "x", lambda: io.BytesIO(data), len(data)
    )
    for found in KINDS[kind].read([file], Options()):
        assert isinstance(found, Row | Rejected)
        for value in found.values.values() if isinstance(found, Row) else ():
            assert value is None or isinstance(value, str | tuple)


def _xnat_table(data: bytes) -> None:
    import msgspec

    from adapters.xnat.table import _from_csv, _from_json

    for read in (_from_json, _from_csv):
        with contextlib.suppress(msgspec.DecodeError):
            assert all(isinstance(v, str) for row in read(data).rows for v in row.values())


def _item(data: bytes) -> None:
    from adapters.shared.items import dicom
    from adapters.shared.replies import decoded

    told = decoded(data)[0]
    if isinstance(told, dict):
        assert all(v is None or isinstance(v, str | tuple) for v in dicom(told).values())


def _dicom_json(data: bytes) -> None:
    from adapters.dicomweb.dicomjson import Decoder

    page = Decoder(("StudyInstanceUID", "PatientName", "NumberOfStudyRelatedInstances")).page(data)
    assert all(len(row) == len(page.keywords) for row in page.rows)


def _json_rows(data: bytes) -> None:
    from adapters.nbia.rows import said
    from adapters.shared.replies import decoded, listed

    records, _ = listed(decoded(data)[0])
    for record in records:
        assert all(value is None or isinstance(value, str | tuple) for value in said(record).values())


def _query(data: bytes) -> None:
    from broker.query import Query

    query = Query("studies", data.decode("utf-8", "replace"))
    for condition in query.conditions:
        assert Query("studies", str(condition)).conditions == (condition,), "it reads as it is written"


def _cursor(data: bytes) -> None:
    from broker.answering.pages import Order, resumed
    from broker.query import Query

    resumed(Query("studies"), Order.of("StudyDate"), data.decode("latin-1"))


def _federation(data: bytes) -> None:
    from broker.setup.federation import checked

    with contextlib.suppress(tomllib.TOMLDecodeError, UnicodeDecodeError):
        checked(Path("f.toml"), tomllib.loads(data.decode()))


def _identifiers() -> tuple[bytes, ...]:
    from adapters.dimse.rows import identifier
    from broker.query import Query
    from catalog.keywords import Level

    asked = Query("studies", "PatientName=SMITH*", "StudyDate=2010-").conditions
    return (identifier(Level.STUDY, asked, ("StudyInstanceUID", "ModalitiesInStudy"), "ISO_IR 192"),)


def _identifier(data: bytes) -> None:
    from adapters.dimse.rows import Decoder

    decoder = Decoder(("StudyInstanceUID", "PatientName", "StudyDate", "NumberOfStudyRelatedInstances"))
    for _ in range(2):  # the second time it remembers
        assert len(decoder.row(data)) == len(decoder.fields)


def _pdu_seeds() -> tuple[bytes, ...]:
    from adapters.dimse import pdu

    sop = "1.2.840.10008.5.1.4.1.2.2.1"
    pending = pdu.command(
        sop, 0x8020, ("00000120", 1), ("00000800", 1), ("00000900", 0xFF00)
    )  # C-FIND-RSP, PS3.7 9.3.2.2
    told = pdu.message(1, pending, _identifiers()[0], 16384)
    abort = b"\x07\x00\x00\x00\x00\x04\x00\x00\x02\x00"
    return (told * 2, told + abort, pdu.associate("BROKER", "ANY", "study"))


def _pdus(data: bytes) -> None:
    from adapters.dimse.inbox import Inbox

    inbox = Inbox(1 << 20)
    for at in range(0, len(data), 7):  # bytes come in any portions
        inbox.feed(data[at : at + 7])
        while inbox.next() is not None:
            pass


def _accept(data: bytes) -> None:
    from adapters.dimse.pdu import accepted

    accepted(data, "study")


def fuzz(name: str, seconds: int) -> None:
    """Run one target under atheris; it ends the process."""
    import atheris

    with atheris.instrument_imports(include=["adapters", "broker", "catalog"]):
        target = targets()[name]
        with contextlib.suppress(*target.errors):
            target.run(target.seeds[0])  # what it imports is seen too

    def one(data: bytes) -> None:
        with contextlib.suppress(*target.errors):
            target.run(data)

    with tempfile.TemporaryDirectory() as corpus:
        for number, seed in enumerate(target.seeds):
            (Path(corpus) / str(number)).write_bytes(seed)
        flags = [f"-max_total_time={seconds}", "-timeout=5", "-rss_limit_mb=2048", "-max_len=4096"]
        atheris.Setup([sys.argv[0], *flags, corpus], one)
        atheris.Fuzz()


def everything(seconds: int) -> int:
    """Every target in a process of its own; the table of docs/reliability.md."""
    print("| target | seeds | inputs | coverage | crashes |\n|---|---|---|---|---|")
    failed = 0
    for name, target in targets().items():
        command = [sys.executable, __file__, name, str(seconds)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        runs = re.findall(r"Done (\d+) runs", done.stderr)
        reached = re.findall(r"cov: (\d+)", done.stderr)
        failed += done.returncode != 0
        cells = [name, str(len(target.seeds)), *(f"{int(n):,}" for n in (runs or ["0"])[-1:])]
        cells += [*(reached or ["?"])[-1:], "0" if done.returncode == 0 else done.stderr[-2000:]]
        print(f"| {' | '.join(cells)} |", flush=True)
    return failed


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["all", seconds]:
            sys.exit(everything(int(seconds)))
        case [name, seconds]:
            fuzz(name, int(seconds))
        case _:
            print(__doc__, *targets(), sep="\n")
