"""Collections as archives tell of them: what each kind says, beside what its server holds."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from asking import ask, uids
from asking_nbia import ROWS, V1, nbia
from holdings import Catalog
from peers.girder import GirderServer
from peers.loopback import Fault
from peers.midas import MidasServer
from peers.nbia import NbiaServer
from peers.xnat import XnatServer, fixture_site
from peers.xnat.model import Site

from adapters.shared.collections import plain
from broker.adapter import Collects
from broker.cli import main
from broker.errors import TooMuch
from broker.registry import adapter_for
from catalog.archives import Archive
from catalog.collection import Collection


async def told(kind: str, url: str, **more: object) -> dict[str, Collection]:
    """The collections of an archive of a federation, by id; each says when, and where it is held."""
    adapter = adapter_for(Archive(kind, kind, url=url, **more))  # type: ignore[arg-type]
    assert isinstance(adapter, Collects)
    try:
        found = await adapter.collections()
    finally:
        await adapter.close()  # type: ignore[attr-defined]
    assert all((c.archive, c.held_at, c.held_as) == (kind, kind, "Collection") for c in found)
    assert all(c.as_of.endswith("Z") and c.source.url.startswith(url) for c in found)
    return {c.id: c for c in found}


def counts(found: Mapping[str, Collection]) -> dict[str, dict[str, object]]:
    return {name: {what: n.exact for what, n in c.counts.items()} for name, c in found.items()}


async def test_nbia_counts_patients_and_describes() -> None:
    async with NbiaServer(rows=ROWS) as server:
        found = await told("nbia", server.url)
        asked = len(server.requests)
    held = {c: len({r["PatientID"] for r in ROWS if r["Collection"] == c}) for c in found}
    assert counts(found) == {c: {"patients": n} for c, n in held.items()}
    thorax = found["Thorax-CT"]
    assert thorax.dois == ("10.7937/broker.fixtures",)
    assert thorax.about == "Images of Thorax-CT, <i>not</i> patients", "text, not markup"
    assert thorax.note == "Patients as it counts them: one of two sites counts twice."
    assert asked == 3, "however many collections there are"


async def test_nbia_that_does_not_count_says_so() -> None:
    async with NbiaServer(rows=ROWS, versions=V1) as server:
        found = await told("nbia", server.url)
    assert found.keys() == {r["Collection"] for r in ROWS}
    assert all(
        c.counts == {} and "getCollectionValuesAndCounts is not served" in c.note for c in found.values()
    )


async def test_a_collection_of_nbia_leads_to_its_series() -> None:
    async with NbiaServer(rows=ROWS) as server:
        (where,) = {w for _, w in (await told("nbia", server.url))["Brain MR (2)"].holdings({})}
        answer = await ask("series", where, at=[nbia(server)])
    assert uids(answer) == {r["SeriesInstanceUID"] for r in ROWS if r["Collection"] == "Brain MR (2)"}


def in_project(site: Site, project: str) -> tuple[int, int]:
    """Subjects and studies of a project, with what is shared into it."""
    subjects = [s for s in site.subjects if project == s.project or project in s.shared]
    sessions = [s for s in site.sessions if project == s.project or project in s.shared]
    return len(subjects), len({s.uid or s.id for s in sessions})


async def test_xnat_counts_subjects_and_studies_of_each_project() -> None:
    site = fixture_site()
    async with XnatServer(site) as server:
        found = await told("xnat", server.url)
    assert found.keys() == {p.id for p in site.readable(None)}
    for name, known in counts(found).items():
        assert known == dict(zip(("patients", "studies"), in_project(site, name), strict=True)), name
    assert found["BRAIN"].about == 'heads, with a "quote"'
    assert any(len(s.scans) and s.shared for s in site.sessions), "something is shared"


async def test_a_project_of_an_xnat_leads_to_its_studies() -> None:
    async with XnatServer(fixture_site()) as server:
        found = await told("xnat", server.url)
        ((_, where),) = found["LUNG"].holdings({})
        answer = await ask("studies", where, at=[adapter_for(Archive("xnat", "xnat", url=server.url))])
    assert len(answer) == found["LUNG"].counts["studies"].exact


async def test_a_project_that_cannot_be_counted_says_so_and_harms_no_other() -> None:
    async with XnatServer(fixture_site(), status=500, only="LUNG/subjects") as server:
        found = await told("xnat", server.url)
    assert found["LUNG"].counts == {}
    assert "could not be counted (upstream_5xx)" in found["LUNG"].note
    assert found["BRAIN"].counts


async def test_an_xnat_of_more_projects_than_replies_are_read_is_not_asked_them_all() -> None:
    async with XnatServer(fixture_site()) as server:
        with pytest.raises(TooMuch, match="more projects"):
            await told("xnat", server.url, limits={"pages": 6})
        assert not any("/subjects" in str(line) for line in server.log)


async def test_girder_and_midas_tell_names_words_and_bytes_and_count_nothing() -> None:
    async with GirderServer() as girder, MidasServer() as midas:
        of_girder, of_midas = await told("girder", girder.url), await told("midas", midas.url)
    assert of_girder.keys() == of_midas.keys() == {shelf.name for shelf in girder.held}
    for shelf in girder.held:
        size = sum(item.size for each in shelf.every() for item in each.items)
        assert counts(of_girder)[shelf.name] == {"size_gb": round(size / 1e9, 3)}
        assert of_girder[shelf.name].about == f"Given by patients: {shelf.name}"
    assert counts(of_midas) == {name: {} for name in of_midas}


@pytest.mark.parametrize("size", [-1, 10**400, "12", None, True])
async def test_a_size_that_is_none_is_not_told(size: object) -> None:
    body = json.dumps([{"_id": "c1", "name": "C", "size": size}])
    async with GirderServer(faults={"/collection": Fault(200, body, "application/json")}) as server:
        found = await told("girder", server.url)
    assert counts(found)["C"].get("size_gb", 0) == 0


@pytest.mark.parametrize("count", ["many", "-3", "9" * 400, None, 1.5])
async def test_a_count_that_is_none_is_not_told(count: object) -> None:
    body = json.dumps([{"criteria": "Thorax-CT", "count": count}, {"criteria": 7}, {}])
    fault = Fault(200, body, "application/json")
    async with NbiaServer(rows=ROWS, faults={"ValuesAndCounts": fault}) as server:
        assert counts(await told("nbia", server.url))["Thorax-CT"] == {}


@pytest.mark.parametrize(
    ("html", "words"),
    [
        ("a <b>b</b>,\n c", "a b, c"),
        ("&lt;script&gt;", "<script>"),
        ("<script>alert(1)</script>x<style>p {}</style>", "x"),
        ("<p>a</p><p>b</p>", "a b"),
        ("2 < 3 & <", "2 < 3 & <"),
        ("<p", "<p"),
        ("</script>x", "x"),
    ],
)
def test_html_is_read_as_its_words(html: str, words: str) -> None:
    assert plain(html) == words


async def test_the_command_shows_them_and_patients_stay_those_of_a_search(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with NbiaServer(rows=ROWS) as server:
        file = tmp_path / "f.toml"
        file.write_text(f'[archives.tcia]\nadapter = "nbia"\nurl = "{server.url}"\n')

        async def run(*words: str) -> str:
            assert await asyncio.to_thread(main, [*words, "--config", str(file)]) == 0
            return capsys.readouterr().out

        many = json.loads(
            await run("collections", "--at", "tcia", "--where", "patients>0", "--format", "json")
        )
        named = {c["collection"]: c for c in many["collections"]}
        assert named.keys() == {f"tcia/{r['Collection']}" for r in ROWS}
        assert named["tcia/Thorax-CT"]["holdings"] == [{"at": "tcia", "where": "Collection=Thorax-CT"}]
        found = json.loads(
            await run("search", "patients", "Collection=Thorax-CT", "--at", "tcia", "--format", "json")
        )
    held = {r["PatientID"] for r in ROWS if r["Collection"] == "Thorax-CT"}
    assert named["tcia/Thorax-CT"]["patients"] == len(held)
    assert len(found["entities"]) == len(held), "found as records, not taken from a count"


async def test_what_an_archive_tells_keeps_what_is_declared_of_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{**row, "Collection": "LIDC-IDRI"} for row in ROWS]
    async with NbiaServer(rows=rows) as server:
        file = tmp_path / "f.toml"
        file.write_text(f'[archives.tcia]\nadapter = "nbia"\nurl = "{server.url}"\n')
        words = ["collections", "LIDC", "--at", "tcia", "--config", str(file), "--format", "json"]
        assert await asyncio.to_thread(main, words) == 0
    (one,) = json.loads(capsys.readouterr().out)["collections"]
    assert one["same_as"] == ["idc/lidc_idri"]
    assert {"at": "idc", "where": "Collection=lidc_idri"} in one["holdings"]
    assert one["patients"] == len({r["PatientID"] for r in rows})


NONE = {
    "no column": ("PatientID,Modality\n1,CT\n", "mine: what was imported names no collection"),
    "no value": ("PatientID,Modality,Collection\n1,CT,\n", "mine: what was imported names no collection"),
    "several": (
        "PatientID,Modality,Collection\n1,CT,a\\b\n",
        "mine: what was imported names several collections in one row, and is not counted by them",
    ),
}


@pytest.mark.parametrize("at", [(), ("--at", "mine")])
@pytest.mark.parametrize("form", NONE)
def test_an_imported_list_without_collections_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], form: str, at: tuple[str, ...]
) -> None:
    catalog = Catalog(tmp_path, capsys)
    text, why = NONE[form]
    assert catalog.take(catalog.write("t.csv", text), "--archive", "mine")[0] == 0
    code, _, err = catalog.run("collections", "--where", "modality=CT", *at)
    assert (code, why in err.splitlines()) == (0, True), err
    code, out, _ = catalog.run("collections", "--where", "modality=CT", *at, "--format", "json")
    (told,) = json.loads(out)["archives"]
    assert (told["archive"], told["none"], told["why"]) == ("mine", why.removeprefix("mine: "), "")


def test_an_imported_list_that_is_not_there_is_a_failure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    catalog = Catalog(tmp_path, capsys)
    with catalog.config.open("a") as config:
        config.write('[archives.mine]\nadapter = "local"\nasked = true\n')
    code, _, err = catalog.run("collections", "--at", "mine")
    assert (code, "mine: failed: catalog_missing: nothing of mine was imported yet" in err) == (4, True), err
