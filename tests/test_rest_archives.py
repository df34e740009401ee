"""NBIA, MIDAS and Girder together with others: one merged answer, and who fails harms nobody."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from asking import ask, report_of, uids, web
from asking_nbia import ROWS, nbia
from peers.girder import GirderServer
from peers.loopback import LOGIN_PAGE, Fault
from peers.midas import MidasServer
from peers.nbia import NbiaServer
from peers.nbia_rows import from_idc
from peers.qido import QidoServer
from peers.shelves import shelves

from adapters.girder.adapter import Girder
from adapters.midas.adapter import Midas
from broker.adapter import Adapter
from broker.config import federation
from broker.report import Status
from catalog.archives import Archive
from fixtures.dicom import truth

HELD = truth()["archives"]
SAME = set(truth()["same"]["series"])


class Together:
    """Four archives of four kinds: A in MIDAS and QIDO, B in Girder and NBIA."""

    def __init__(self, stack: AsyncExitStack, **faults: dict[str, Any]) -> None:
        self._stack = stack
        self._faults = faults

    async def adapters(self) -> list[Adapter]:
        """The adapters, in the order of precedence."""
        enter, faults = self._stack.enter_async_context, self._faults
        mine = await enter(MidasServer(**faults.get("midas", {})))
        theirs = await enter(GirderServer(held=shelves("b"), **faults.get("girder", {})))
        other = await enter(NbiaServer(rows=ROWS, **faults.get("nbia", {})))
        qido = await enter(QidoServer(HELD["a"]))
        return [
            web(qido.url, "qido"),
            nbia(other),
            Midas.configured(Archive("midas", "midas", url=mine.url)),
            Girder.configured(Archive("girder", "girder", url=theirs.url)),
        ]


async def test_the_same_series_of_four_kinds_of_archives_are_one() -> None:
    async with AsyncExitStack() as stack:
        answer = await ask("series", at=await Together(stack).adapters())
    everything = {s["SeriesInstanceUID"] for at in "ab" for h in HELD[at] for s in h["series"]}
    assert uids(answer) == everything
    assert answer.complete
    of = {e.uid: set(e.archives) for e in answer}
    assert {uid for uid in of if len(of[uid]) == 4} == SAME
    assert all(len(archives) in (2, 4) for archives in of.values())
    assert not any(e.collision for e in answer)


FAULTS: list[tuple[str, dict[str, Any], str]] = [
    ("nbia", {"faults": {"": Fault(400, "Invalid query parameter: 'x'.")}}, "http_400"),
    ("midas", {"fails": {"midas.community.list": -151}}, "forbidden"),
    ("girder", {"private": True}, "auth"),
    *((name, {"empty": True}, "bad_json") for name in ("nbia", "midas", "girder")),
    *(
        (n, {"faults": {"": Fault(200, LOGIN_PAGE, "text/html")}}, "not_json")
        for n in ("nbia", "midas", "girder")
    ),
]


@pytest.mark.parametrize(("name", "fault", "reason"), FAULTS, ids=[f"{f[0]}-{f[2]}" for f in FAULTS])
async def test_who_fails_is_named_and_harms_nobody(name: str, fault: dict[str, Any], reason: str) -> None:
    async with AsyncExitStack() as stack:
        adapters = await Together(stack, **{name: fault}).adapters()
        alone = await ask("series", at=[a for a in adapters if a.name != name])
        answer = await ask("series", at=adapters)
    told = report_of(answer, name)
    assert (told.status, told.reason) == (Status.FAILED, reason)
    assert [(e.uid, e.said) for e in answer] == [(e.uid, e.said) for e in alone]
    assert all(r.ok for r in answer.reports if r.archive != name)


async def test_a_collection_of_nbia_and_its_copy_in_idc_are_the_same_series_and_patients(
    tmp_path: Path,
) -> None:
    """LIDC-IDRI here, lidc_idri there: series by UID, patients by alias (T1c) and shared studies (T2)."""
    rows = from_idc(["LIDC-IDRI"])
    file = tmp_path / "federation.toml"
    async with NbiaServer(rows=rows) as server:
        file.write_text(
            f'[archives.tcia]\nurl = "{server.url}"\n[archives.tcia.options]\nv1_url = "{server.url}"\n'
            '[links]\ndomains = [["tcia", "idc"]]\naliases = { "LIDC-IDRI" = "lidc_idri" }\n'
        )
        assert "tcia" in federation(file).archives
        asked = ("series", "Modality=CT,DX,CR", "Collection=LIDC*,lidc*")
        series = await ask(*asked, at=["tcia", "idc"], config_file=file, timeout=90)
        patients = await ask(
            "patients", "Collection=LIDC*,lidc*", at=["tcia", "idc"], config_file=file, timeout=90
        )
    assert series.complete
    assert len(series) == sum(row["Modality"] in ("CT", "DX", "CR") for row in rows)
    assert {e.archives for e in series} == {("tcia", "idc")}
    assert not any(e.collision for e in series)
    assert {e.first("License") for e in series} == {"CC BY 3.0"}
    for fused in (patients.patients, series.patients):
        assert len(fused) == 1010
        assert {p.archives for p in fused} == {("tcia", "idc")}
    assert {link.tier for p in patients.patients for link in p.links} == {"T1c"}
    assert {link.tier for p in series.patients for link in p.links} == {"T1c", "T2"}
