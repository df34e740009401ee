"""Probes: what they keep and change, what plans make of it, and twins that lie."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from asking import ask, uids
from asking_nbia import bounded
from peers.dcmqrscp import Dcmqrscp
from peers.girder import GirderServer
from peers.loopback import HOST, Fault
from peers.midas import MidasServer
from peers.nbia import NbiaServer
from peers.nbia_rows import fixture_rows
from peers.orthanc import Orthanc
from peers.qido import QidoServer
from peers.shelves import Item, Shelf
from peers.xnat import XnatServer, fixture_site

from adapters.dicomweb.adapter import QIDO
from broker import api
from broker.api import Session
from broker.cli import main
from broker.planning.evidence import matching
from broker.planning.trust import Distrust
from broker.probing.probe import Result, probe
from broker.query import Query
from catalog.archives import Archive
from catalog.evidence import Status
from catalog.keywords import Level, keyword
from catalog.probes import BEHAVIOUR, MATCHING, recorded
from fixtures.dicom import Truth, truth

YES, NO = Status.YES, Status.NO


@pytest.fixture(autouse=True)
def own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Evidence of its own for each test."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path


def web(orthanc: Orthanc) -> Archive:
    """An Orthanc's DICOMweb side as an archive of a federation."""
    return Archive("web", "dicomweb", url=orthanc.url)


def dimse(port: int, aet: str) -> Archive:
    """A C-FIND SCP as an archive of a federation."""
    return Archive("pacs", "dimse", url=f"dimse://{HOST}:{port}", options={"ae_title": aet})


def verdicts(result: Result) -> dict[tuple[str, str], Status]:
    """(level and keyword, kind of matching) -> verdict."""
    assert result.error is None
    found = [f.evidence for f in result.found if f.capability == MATCHING]
    return {(e.about, e.value): e.status for e in found}


def cell(result: Result, capability: str) -> str:
    """The value of one measured cell."""
    (found,) = [f.evidence for f in result.found if f.capability == capability]
    assert found.as_of
    assert found.by.startswith("imaging-broker ")
    return found.value


def behaviour(result: Result, about: str) -> Status:
    """What was said of one behaviour."""
    (found,) = [f.evidence for f in result.found if (f.capability, f.evidence.about) == (BEHAVIOUR, about)]
    return found.status


def said(result: Result, about: str) -> str:
    """What was said of one behaviour, in words."""
    (found,) = [f.evidence for f in result.found if (f.capability, f.evidence.about) == (BEHAVIOUR, about)]
    return found.value


def directly(orthanc: Orthanc, query: str, path: str = "studies") -> int:
    """How many records a question of urllib brings."""
    with urllib.request.urlopen(f"{orthanc.url}/{path}?{query}", timeout=10) as reply:
        return len(json.load(reply))


async def test_orthanc_as_packaged_decodes_nothing(packaged: Orthanc) -> None:
    result = await probe(web(packaged))
    seen = verdicts(result)
    assert directly(packaged, "PatientName=SMITH%5EJOHN") == 0
    (api_,) = [f.evidence for f in result.found if f.capability == "public_api"]
    assert "limit: obeyed" in api_.note
    assert "values of other characters than letters and digits are not found" in api_.note
    assert seen["", "any text"] is NO
    assert seen["STUDY PatientName", "wildcard"] is YES, "letters arrive"
    assert ("STUDY PatientName", "single value") not in seen, "what cannot arrive proves nothing"


async def test_no_value_of_a_record_is_kept(mended: Orthanc, own_state: Path) -> None:
    await probe(web(mended))
    await probe(dimse(mended.dicom_port, mended.aet))
    kept = "".join(f.read_text() for f in (own_state / "state").rglob("*.jsonl"))
    assert '"STUDY PatientName"' in kept
    assert [v for v in _values(truth()) if len(v) > 3 and v in kept] == []


def _values(of: Truth) -> Iterable[str]:
    for held in of["archives"]["b"]:
        for record in (held["study"], *held["series"]):
            for name, value in record.items():
                if name not in ("ModalitiesInStudy", "Modality", "SpecificCharacterSet", "BodyPartExamined"):
                    yield from value if isinstance(value, list) else [value]


async def test_the_next_explain_cites_the_probe_and_drops_what_was_refuted(
    dcmqrscp: Dcmqrscp, own_state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = own_state / "federation.toml"
    archive = dimse(dcmqrscp.port, dcmqrscp.aet)
    file.write_text(
        f'[archives.pacs]\nadapter = "dimse"\nurl = "{archive.url}"\n'
        f'options = {{ ae_title = "{dcmqrscp.aet}" }}\n'
    )

    def why(query: Query) -> str:
        (told,) = Session(query, at=["pacs"], config_file=file).explain()
        return told.plan.steps[0].why + (" (self-test first)" if told.may_learn else "")

    named, dated = Query("studies", "PatientName=DOE*"), Query("studies", "StudyDate=2021")
    assert "self-test first" in why(named)
    assert "PS3.4" in why(dated)
    result = await probe(archive)
    assert "self-test first" not in why(named), "measured: case matters there"
    assert why(dated).startswith("promised: range, single value (measured 20")
    assert f"probe, {result.questions} questions" in why(dated)
    after = await ask("studies", "PatientName=doe*", at=["pacs"], config_file=file, scan=True)
    assert len(after) == 1, "what it cannot do is done here"

    assert main(["matrix", "pacs", "--why", "--config", str(file)]) == 0
    shown = capsys.readouterr().out
    assert "C-ECHO, C-FIND Study Root" in shown
    assert f"probe, {result.questions} questions" in shown


async def test_xnat_that_ignores_its_filters_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    async with XnatServer(fixture_site(), ignores_filters=True) as server:
        seen = verdicts(await probe(Archive("xnat", "xnat", url=server.url)))
    assert seen["STUDY StudyInstanceUID", "single value"] is NO
    assert seen["STUDY StudyDate", "range"] is NO


@pytest.mark.parametrize("versions", [frozenset({"v1", "v4"}), frozenset({"v1"})])
async def test_nbia_says_its_endpoints_and_is_not_listed(versions: frozenset[str]) -> None:
    async with NbiaServer(rows=fixture_rows(), versions=versions) as server:
        result = await probe(Archive("nbia", "nbia", url=server.url))
        named = [p for p in server.requests if not bounded(p)]
    version = "v4" if "v4" in versions else "v1"
    assert cell(result, "public_api").startswith(f"NBIA REST {version}: getCollectionValues, getModality")
    assert "getSeries" in cell(result, "public_api")
    rows = fixture_rows()
    size = f"{len({r['Collection'] for r in rows})} collections"
    counted = len({(r["Collection"], r["PatientID"]) for r in rows})
    assert cell(result, "size") == (f"{size}, {counted} patients" if version == "v4" else size)
    assert ("getCollectionValuesAndCounts" in cell(result, "public_api")) is (version == "v4")
    assert all("Values" in p for p in named), "lists of names, and nothing else without a bound"


@pytest.mark.parametrize("plugin", [True, False])
async def test_girder_tells_its_version_its_size_and_whether_dicom_can_be_searched(plugin: bool) -> None:
    async with GirderServer(plugin=plugin) as server:
        result = await probe(Archive("girder", "girder", url=server.url))
        asked = len(server.requests)
    seen, items = verdicts(result), [i for top in server.held for s in top.every() for i in s.items]
    assert cell(result, "public_api") == f"Girder, {len(server.held)} collections, without a log-in"
    size = sum(i.size for i in items) / 1e9
    assert cell(result, "size") == f"{len(server.held)} collections, {size:.3f} GB"
    assert said(result, "version") == "3.1.4"
    assert behaviour(result, "DICOM metadata") is YES
    assert behaviour(result, "search of DICOM metadata") is (YES if plugin else NO)
    assert cell(result, "dicom_tags_queryable") == ("3" if plugin else "0")
    assert set(seen.values()) == ({YES} if plugin else set())
    assert asked < 40, "however much it holds"


async def test_a_search_of_girders_that_finds_nothing_is_found_out() -> None:
    nothing = Fault(200, '{"item": []}', "application/json")
    async with GirderServer(faults={"/resource/search": nothing}) as server:
        result = await probe(Archive("girder", "girder", url=server.url))
    assert set(verdicts(result).values()) == {NO}
    assert cell(result, "dicom_tags_queryable") == "0"


@pytest.mark.parametrize(("solr", "tags"), [(False, ["0"]), (True, [])])
async def test_midas_tells_its_version_its_modules_and_its_communities(solr: bool, tags: list[str]) -> None:
    modules = frozenset({"api", "dicomextractor", *(["solr"] if solr else [])})
    async with MidasServer(modules=modules) as server:
        result = await probe(Archive("midas", "midas", url=server.url))
    assert cell(result, "size") == f"{len(server.held)} communities"
    assert said(result, "version") == "3.4.3"
    assert said(result, "modules") == ", ".join(sorted(modules))
    assert behaviour(result, "DICOM metadata") is YES
    found = [f.evidence.value for f in result.found if f.capability == "dicom_tags_queryable"]
    assert found == tags, "with the module, what it searches is not known"


async def test_items_without_dicom_metadata_are_said_to_have_none() -> None:
    bare = [Shelf("Notes", [Shelf("a", items=[Item("consent.pdf", 1, number=9)], number=8)], number=7)]
    async with GirderServer(bare) as girder, GirderServer([Shelf("empty", number=1)]) as empty:
        without = await probe(Archive("girder", "girder", url=girder.url))
        nothing = await probe(Archive("empty", "girder", url=empty.url))
    assert behaviour(without, "DICOM metadata") is NO
    assert behaviour(nothing, "DICOM metadata") is Status.UNKNOWN


async def test_a_midas_that_tells_no_version_is_probed_all_the_same() -> None:
    async with MidasServer(fails={"midas.version": -100, "midas.modules.list": -151}) as server:
        result = await probe(Archive("midas", "midas", url=server.url))
    assert behaviour(result, "version") is behaviour(result, "modules") is Status.UNKNOWN
    assert "dicom_tags_queryable" not in {f.capability for f in result.found}


# twins that lie


async def test_empty_values_are_matched_or_not() -> None:
    key = "STUDY AccessionNumber", "empty value"
    assert verdicts(await twin())[key] is YES
    assert verdicts(await twin(no_empties=True))[key] is NO
    ignoring = verdicts(await twin(ignores_filters=True))
    assert ignoring[key] is NO


async def test_all_fields_come_where_they_are_asked_for() -> None:
    assert behaviour(await twin(), "includefield=all") is YES


async def twin(**manners: Any) -> Result:
    """What a probe makes of a QIDO server with these manners."""
    async with QidoServer(truth()["archives"]["b"], **manners) as server:
        return await probe(Archive("twin", "dicomweb", url=server.url))


async def test_an_honest_server_keeps_what_it_promises() -> None:
    seen = verdicts(await twin())
    of_studies = {name: kinds for name, kinds in QIDO.matches.items() if keyword(name).level <= Level.STUDY}
    promised = [(f"STUDY {name}", kind.value) for name, kinds in of_studies.items() for kind in kinds]
    known = [seen[key] for key in promised if key in seen]
    assert len(known) >= 12
    assert set(known) == {YES}


async def test_a_server_that_ignores_conditions() -> None:
    result = await twin(ignores_filters=True)
    assert {v for (about, _), v in verdicts(result).items() if about} == {NO}
    assert cell(result, "dicom_tags_queryable") == "0"


async def test_a_server_that_judges_studies_by_their_first_series() -> None:
    assert verdicts(await twin(one_instance=True))["STUDY Modality", "single value"] is Status.PARTIAL


async def test_a_server_that_cuts_its_answers_short() -> None:
    result = await twin(cap=10)
    assert behaviour(result, "halves") is NO
    assert [f for f in result.found if f.capability == "size"] == [], "nothing shows how many there are"


async def test_servers_whose_limits_and_offsets_lie() -> None:
    assert behaviour(await twin(limit_before_filter=True), "limit with conditions") is NO
    assert behaviour(await twin(ignores_offset=True), "offset") is NO
    assert behaviour(await twin(ignores_paging=True), "limit") is NO
    assert behaviour(await twin(alone=404), "series") is NO


async def test_what_changed_is_told_and_the_old_evidence_stays() -> None:
    async with QidoServer(truth()["archives"]["b"]) as server:
        archive = Archive("twin", "dicomweb", url=server.url)
        first = await probe(archive)
        server.exact_only = True
        again = await probe(archive)
    changed = {(c.found.evidence.about, c.found.evidence.value): c for c in again.changes if c.before}
    told = changed["STUDY PatientName", "wildcard"]
    assert (told.before and told.before.status, told.found.evidence.status) == (YES, NO)
    assert [f.evidence for f in recorded().found][: len(first.found)] == [f.evidence for f in first.found]


async def test_a_server_that_fails_in_the_middle_leaves_nothing_half_kept() -> None:
    result = await twin(status=429, headers={"Retry-After": "60"}, times=1)
    assert result.error is not None
    assert result.error.reason == "rate_limited"  # type: ignore[union-attr]
    assert recorded().found == ()


# a probe's "yes" before a search


async def asked_of(server: QidoServer, folder: Path, *conditions: str) -> tuple[set[str], int]:
    """The studies that a search in a federation finds, and by how many requests."""
    file = folder / "federation.toml"
    file.write_text(f'[archives.twin]\nadapter = "dicomweb"\nurl = "{server.url}"\n')
    before = len(server.requests)
    answer = await ask("studies", *conditions, at=["twin"], config_file=file, scan=True)
    assert answer.complete
    return uids(answer), len(server.requests) - before


async def test_a_probe_spares_the_self_test_of_the_next_searches(own_state: Path) -> None:
    held = truth()["archives"]["b"]
    async with QidoServer(held) as server:
        found, requests = await asked_of(server, own_state, "PatientName=smith*")
        tested = [target for target in server.requests if "StudyInstanceUID=" in target]
        await probe(Archive("twin", "dicomweb", url=server.url))
        after, fewer = await asked_of(server, own_state, "PatientName=smith*")
        again = [target for target in server.requests[-fewer:] if "StudyInstanceUID=" in target]
    assert found == after != set()
    assert (len(tested), again) == (2, []), "its UID encoded, its name in the other case"
    assert fewer <= requests - 3, "and the records that were shown for it"


@pytest.mark.parametrize("manner", ["no_decode", "exact_only", "ignores_filters"])
async def test_a_server_that_was_exchanged_since_it_was_probed_is_found_out(
    manner: str, own_state: Path
) -> None:
    """It no longer decodes, or knows no wildcards, or no conditions: nothing is lost, and nothing added."""
    async with QidoServer(truth()["archives"]["b"]) as server:
        names = [h["study"]["PatientName"] for h in server.holdings]
        asked = "PatientName=*" + str(next(n for n in names if "^" in str(n))).partition("^")[0] + "^*"
        truth_, _ = await asked_of(server, own_state, asked)
        await probe(Archive("twin", "dicomweb", url=server.url))
        setattr(server, manner, True)
        after, _ = await asked_of(server, own_state, asked)
    assert after == truth_ != set()


# promises that are broken in a search


async def broken(server: QidoServer, folder: Path, *conditions: str) -> list[Any]:
    """What is on record after a search in which a promise is broken."""
    file = folder / "federation.toml"
    file.write_text(f'[archives.liar]\nadapter = "dicomweb"\nurl = "{server.url}"\n')
    await ask("studies", *conditions, at=["liar"], config_file=file)
    return [(f.capability, f.evidence.about, f.evidence.value, f.evidence.status) for f in recorded().found]


async def test_a_broken_promise_is_kept_once_and_again_after_it_was_kept(own_state: Path) -> None:
    async with QidoServer(truth()["archives"]["b"], ignores_filters=True) as server:
        first = await broken(server, own_state, "AccessionNumber=B_01")
        api.DISTRUST = Distrust()
        again = await broken(server, own_state, "AccessionNumber=B_01")
    assert first == [(MATCHING, "STUDY AccessionNumber", "single value", NO)]
    assert again == first


async def test_a_few_records_too_many_do_not_refute_a_promise(own_state: Path) -> None:
    few = truth()["archives"]["b"][:4]
    async with QidoServer(few, ignores_filters=True) as server:
        kept = await broken(server, own_state, "AccessionNumber=B_01")
    assert kept == [(BEHAVIOUR, "STUDY AccessionNumber", "lets other records through", Status.PARTIAL)]


async def test_evidence_of_another_address_is_not_used(own_state: Path) -> None:
    async with QidoServer(truth()["archives"]["b"], ignores_filters=True) as server:
        await broken(server, own_state, "AccessionNumber=B_01")
        here = matching("liar", server.url)
    assert [e.status for e in here] == [NO]
    assert matching("liar", "https://moved.example.org/dicom-web") == []


async def test_a_second_probe_keeps_the_first_and_tells_no_change(mended: Orthanc) -> None:
    first = await probe(web(mended))
    again = await probe(web(mended))
    assert len(first.changes) == len(first.found)
    assert again.changes == []
    assert len(recorded().found) == len(first.found) + len(again.found)


async def test_an_archive_that_is_not_there_changes_nothing() -> None:
    result = await probe(Archive("gone", "dicomweb", url="http://127.0.0.1:9/dicom-web"))
    assert result.error is not None
    assert recorded().found == ()
