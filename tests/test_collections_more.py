"""What archives are asked about one collection: only what a question leaves open, and never guessed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from asking_nbia import ROWS, V1, paths
from holdings import Catalog
from peers.girder import GirderServer
from peers.loopback import Fault
from peers.midas import MidasServer
from peers.nbia import NbiaServer
from peers.nbia_rows import Row
from peers.xnat import XnatServer, fixture_site, large_site
from peers.xnat.model import Site

from broker.errors import BadQuery
from broker.knowing.collecting import Collections, gather
from broker.knowing.judging import judge, mores, wheres
from broker.knowing.telling import Told
from catalog.collection import Collection
from catalog.evidence import Source

MODALITY = "getModalityValues"
BODY_PART = "getBodyPartValues"


async def gathered(
    folder: Path,
    kind: str,
    url: str,
    *where: str,
    words: Sequence[str] = (),
    more: str = "",
    limits: str = "",
    **options: Any,
) -> tuple[Collections, Told]:
    """The collections of one archive, `a`, and what it told."""
    file = folder / "f.toml"
    file.write_text(f'[archives.a]\nadapter = "{kind}"\nurl = "{url}"\n{limits}')
    found = await gather(words, wheres(where), more=mores([more]), at=["a"], config_file=file, **options)
    (told,) = found.told
    return found, told


def held(rows: Sequence[Row], keyword: str) -> dict[str, set[str]]:
    """Collection -> the values that its series have."""
    found: dict[str, set[str]] = {}
    for row in rows:
        found.setdefault(row["Collection"], set()).update({row[keyword]} if row.get(keyword) else set())
    return found


def named(found: Sequence[Collection]) -> dict[str, Collection]:
    return {c.id: c for c in found}


@pytest.mark.parametrize("versions", [V1, frozenset({"v1", "v4"})])
async def test_nbia_is_asked_for_modalities_where_a_condition_needs_them(
    tmp_path: Path, versions: frozenset[str]
) -> None:
    async with NbiaServer(rows=ROWS, versions=versions) as server:
        found, told = await gathered(tmp_path, "nbia", server.url, "modality=CT")
        asked = [p for p in paths(server) if p.startswith(MODALITY)]
    truth = held(ROWS, "Modality")
    assert {c.id for c in found.kept} == {name for name, values in truth.items() if "CT" in values}
    assert 0 < len(found.kept) < len(truth)
    assert all(set(c.modalities) == truth[c.id] and not c.partial for c in found.kept)
    assert (found.unknown, found.complete, told.asked) == ((), True, len(truth))
    assert len(asked) == 1 + len(truth), "one about a collection that there is not, one about each"


async def test_nothing_is_asked_that_no_condition_needs(tmp_path: Path) -> None:
    async with NbiaServer(rows=ROWS) as server:
        await gathered(tmp_path, "nbia", server.url)
        await gathered(tmp_path, "nbia", server.url, "patients>0")
        await gathered(tmp_path, "nbia", server.url, "modality=CT", "patients>100000")
        assert not [p for p in paths(server) if p.startswith(MODALITY)]
        _, told = await gathered(tmp_path, "nbia", server.url, "modality=CT", words=["thorax"])
        assert told.asked == 1
        assert len([p for p in paths(server) if p.startswith(MODALITY)]) == 2


async def test_nbia_tells_counts_and_body_parts_that_are_asked_for(tmp_path: Path) -> None:
    async with NbiaServer(rows=ROWS) as server:
        found, _ = await gathered(tmp_path, "nbia", server.url, more="studies,series,body_part,modality")
    for name, c in named(found.kept).items():
        rows = [r for r in ROWS if r["Collection"] == name]
        assert c.counts["series"].exact == len(rows)
        assert c.counts["studies"].exact == len({r["StudyInstanceUID"] for r in rows})
        parts = held(ROWS, "BodyPartExamined")[name]
        assert set(c.body_parts) == {p[:15] for p in parts}
        silent = any(not r.get("BodyPartExamined") for r in rows) or any(len(p) >= 15 for p in parts)
        assert ("body_parts" in c.partial) is silent


async def test_an_older_nbia_tells_patients_and_studies_but_no_series(tmp_path: Path) -> None:
    async with NbiaServer(rows=ROWS, versions=V1) as server:
        found, told = await gathered(tmp_path, "nbia", server.url, "patients>0", more="series,studies")
        left, _ = await gathered(tmp_path, "nbia", server.url, "series>0")
    assert told.why == ""
    for name, c in named(found.kept).items():
        assert c.counts["patients"].exact == len({r["PatientID"] for r in ROWS if r["Collection"] == name})
        assert "series" not in c.counts, "its SeriesCount counts those that are not public too"
    assert len(found.kept) == len(left.unknown) == len(held(ROWS, "Modality"))


@pytest.mark.parametrize("what", ["modality=CT", "body_part~chest", "studies>0"])
async def test_an_nbia_that_heeds_no_collection_is_not_believed(tmp_path: Path, what: str) -> None:
    async with NbiaServer(rows=ROWS, deaf=True) as server:
        found, told = await gathered(tmp_path, "nbia", server.url, what)
    assert found.kept == ()
    assert {c.id for c in found.unknown} == set(held(ROWS, "Modality")), "unknown, not no"
    assert "ignores which collection is asked for" in told.why
    assert not found.complete


async def test_a_series_without_modality_leaves_other_modalities_open(tmp_path: Path) -> None:
    rows = [{k: v for k, v in r.items() if i or k != "Modality"} for i, r in enumerate(ROWS)]
    name = rows[0]["Collection"]
    async with NbiaServer(rows=rows) as server:
        has = min(held(rows, "Modality")[name])
        yes, _ = await gathered(tmp_path, "nbia", server.url, f"modality={has}", words=[name])
        other, _ = await gathered(tmp_path, "nbia", server.url, "modality=XX", words=[name])
        lacks, _ = await gathered(tmp_path, "nbia", server.url, "modality!=XX", words=[name])
    assert [c.id for c in yes.kept] == [name]
    assert (other.kept, lacks.kept) == ((), ())
    assert [c.id for c in other.unknown] == [c.id for c in lacks.unknown] == [name]


FAULTS = {
    "fails": Fault(500),
    "page": Fault(200, "<html>log in</html>", "text/html"),
    "no list": Fault(200, '{"error": 1}', "application/json"),
    "no records": Fault(200, '[1, "CT"]', "application/json"),
    "nothing": Fault(200, "", "application/json"),
    "refused": Fault(400, "no"),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
async def test_a_collection_that_cannot_be_asked_about_is_unknown_and_harms_no_other(
    tmp_path: Path, fault: Fault
) -> None:
    async with NbiaServer(rows=ROWS, faults={f"{MODALITY}?Collection=Thorax": fault}) as server:
        found, told = await gathered(tmp_path, "nbia", server.url, "modality=MR")
    truth = held(ROWS, "Modality")
    assert [c.id for c in found.unknown] == ["Thorax-CT"]
    assert {c.id for c in found.kept} == {n for n, v in truth.items() if "MR" in v and n != "Thorax-CT"}
    if fault.text and not fault.text.startswith("["):
        assert "did not tell of 1 of" in told.why
        assert not found.complete


async def test_after_five_failures_no_more_is_asked(tmp_path: Path) -> None:
    rows = [{**ROWS[0], "Collection": f"C{n:02}"} for n in range(40)]
    async with NbiaServer(rows=rows, faults={f"{MODALITY}?Collection=C": Fault(500)}) as server:
        found, told = await gathered(tmp_path, "nbia", server.url, "modality=CT")
        asked = {p for p in paths(server) if p.startswith(f"{MODALITY}?Collection=C")}
    assert len(found.unknown) == 40
    assert len(asked) <= 5 + 4, "and those that were under way"
    assert "were not asked about" in told.why


async def test_so_many_are_asked_about_and_the_rest_is_said(tmp_path: Path) -> None:
    rows = [{**ROWS[0], "Collection": f"C{n:02}", "Modality": "CT"} for n in range(12)]
    async with NbiaServer(rows=rows) as server:
        found, told = await gathered(tmp_path, "nbia", server.url, "modality=CT", most=5)
        asked = [p for p in paths(server) if p.startswith(MODALITY)]
    assert (len(found.kept), len(found.unknown), len(asked)) == (5, 7, 6)
    assert "asked of 5 of 12 collections only" in told.why
    assert "--most 12" in told.why


async def test_what_came_before_the_time_was_over_stands(tmp_path: Path) -> None:
    rows = [{**ROWS[0], "Collection": f"C{n:02}", "Modality": "CT"} for n in range(30)]
    one_each = "limits = { connections = 1 }\n"
    async with NbiaServer(rows=rows, delay=0.1) as server:
        found, told = await gathered(
            tmp_path, "nbia", server.url, "modality=CT", timeout=1.5, limits=one_each
        )
        await asyncio.sleep(0.3)
        sent = len(server.requests)
        await asyncio.sleep(0.3)
        assert len(server.requests) == sent, "nothing is under way any more"
    assert told.why == "did not answer in 1.5 seconds"
    assert found.kept
    assert found.unknown
    assert len(found.kept) + len(found.unknown) == 30


def scans(site: Site, project: str) -> list[tuple[str, str]]:
    """(series, modality) of what is in a project, with what is shared into it."""
    sessions = [s for s in site.sessions if project == s.project or project in s.shared]
    return [(c.uid or f"{s.id}/{c.id}", c.modality) for s in sessions for c in s.scans]


async def test_xnat_is_asked_for_the_scans_of_a_project(tmp_path: Path) -> None:
    site = fixture_site()
    async with XnatServer(site) as server:
        found, told = await gathered(tmp_path, "xnat", server.url, "modality=CT", more="series")
        listings = [line for line in server.log if "imageScanData" in str(line)]
    truth = {p.id: scans(site, p.id) for p in site.readable(None)}
    assert {c.id for c in found.kept} == {n for n, held_ in truth.items() if "CT" in {m for _, m in held_}}
    open_ = {
        n for n, all_ in truth.items() if "CT" not in {m for _, m in all_} and "" in {m for _, m in all_}
    }
    assert {c.id for c in found.unknown} == open_
    for c in found.kept:
        assert c.counts["series"].exact == len({series for series, _ in truth[c.id]})
        assert set(c.modalities) == {m for _, m in truth[c.id] if m}
    assert len(listings) == told.asked == len(truth), "one request each"


async def test_a_session_of_two_modalities_has_both(tmp_path: Path) -> None:
    site = large_site(1, 2, 1)
    site.sessions[0].modality = "PT"
    site.sessions[0].scans[0].modality, site.sessions[0].scans[1].modality = "PT", "CT"
    async with XnatServer(site) as server:
        found, _ = await gathered(tmp_path, "xnat", server.url, "modality=CT")
    assert [c.modalities for c in found.kept] == [("CT", "PT")]


TROUBLES: Mapping[str, Mapping[str, Any]] = {
    "no such column": {"drops": frozenset({"xnat:imageScanData/modality"})},
    "short": {"short": 1, "only": "LUNG/experiments", "times": None},
    "nothing": {"empty_body": True, "only": "LUNG/experiments"},
    "page": {"html": True, "only": "LUNG/experiments"},
    "fails": {"status": 500, "only": "LUNG/experiments"},
    "forbidden": {"status": 403, "only": "LUNG/experiments"},
}


@pytest.mark.parametrize("trouble", TROUBLES.values(), ids=TROUBLES)
async def test_an_xnat_that_does_not_tell_leaves_it_unknown(
    tmp_path: Path, trouble: Mapping[str, Any]
) -> None:
    async with XnatServer(fixture_site(), **trouble) as server:
        found, told = await gathered(tmp_path, "xnat", server.url, "modality=CT", words=["LUNG"])
    assert ([c.id for c in found.kept], [c.id for c in found.unknown]) == ([], ["LUNG"])
    assert "did not tell of 1 of 1" in told.why
    assert not found.complete


async def test_archives_of_folders_leave_modalities_unknown_by_name(tmp_path: Path) -> None:
    async with GirderServer() as girder, MidasServer() as midas:
        for kind, server in (("girder", girder), ("midas", midas)):
            found, told = await gathered(tmp_path, kind, server.url, "modality=CT")
            assert not found.kept
            assert {c.id for c in found.unknown} == {shelf.name for shelf in server.held}
            assert {found.undecided[c.key] for c in found.unknown} == {("modality",)}
            assert (told.why, told.asked) == ("", 0)


TABLE = """uid,study,who,kind,set
1.2.1,1.1,P1,CT,Lungs
1.2.2,1.1,P1,PT,Lungs
1.2.3,1.2,P2,MR,Heads
1.2.4,1.3,P3,,Heads
"""
MAPPING = """[columns]
uid = "SeriesInstanceUID"
study = "StudyInstanceUID"
who = "PatientID"
kind = "Modality"
set = "Collection"
"""


def test_imported_lists_tell_of_their_collections(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    catalog = Catalog(tmp_path, capsys)
    mapping = catalog.write("m.toml", MAPPING)
    code, _, err = catalog.take(
        catalog.write("t.csv", TABLE), "--archive", "lists", "--mapping", str(mapping)
    )
    assert code == 0, err

    def asked(*words: str) -> Any:
        code, out, err = catalog.run("collections", "--at", "lists", "--format", "json", *words)
        assert code == 0, err
        return {c["id"]: c for c in json.loads(out)["collections"]}

    every = asked()
    assert every["Lungs"].items() >= {"patients": 1, "studies": 1, "series": 2}.items()
    assert every["Heads"].items() >= {"patients": 2, "studies": 2, "series": 2}.items()
    assert every["Lungs"]["holdings"] == [{"at": "lists", "where": "Collection=Lungs"}]
    assert asked("--where", "modality=CT").keys() == {"Lungs"}
    assert asked("--where", "modality=CT")["Lungs"]["modalities"] == ["CT", "PT"]
    more = asked("--where", "modality=CT", "--include-unknown")
    assert (
        more["Heads"].items()
        >= {"unknown": True, "undecided": ["modality"], "partial": ["modalities"]}.items()
    )


async def test_the_command_names_what_is_not_known(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from broker.cli import main

    async with GirderServer() as server:
        file = tmp_path / "f.toml"
        file.write_text(f'[archives.a]\nadapter = "girder"\nurl = "{server.url}"\n')
        words = ["collections", "--at", "a", "--where", "modality=CT", "--config", str(file)]
        assert await asyncio.to_thread(main, words) == 0
        err = capsys.readouterr().err
        assert all(shelf.name in err for shelf in server.held[:5])
        assert "a: modality not known of" in err


@pytest.mark.parametrize(
    ("said", "condition", "holds"),
    [
        (("CT",), "modality=CT", True),
        (("CT",), "modality=MR", None),
        (("CT",), "modality!=CT", False),
        (("CT",), "modality!=MR", None),
        (("CT",), "modality~c", True),
        (("CT",), "modality~m", None),
        ((), "modality=CT", None),
    ],
)
def test_of_a_list_that_may_be_longer_only_what_stands_in_it_is_known(
    said: tuple[str, ...], condition: str, holds: bool | None
) -> None:
    source = Source("page", "A page")
    c = Collection("x", "c", "C", source, modalities=said, partial=frozenset({"modalities"}))
    (where,) = wheres([condition])
    assert judge(c, where) is holds


def test_what_no_archive_tells_is_refused() -> None:
    with pytest.raises(BadQuery, match="did you mean modality"):
        mores(["modalty"])
    assert mores(["modality,Series", "modality"]) == ("modality", "series")
