"""Descriptions are taken by the libraries of their forms, and say nothing that no archive said."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest
import rdflib
from fhir.resources.R4B.bundle import Bundle
from hypothesis import given, settings
from hypothesis import strategies as st

import broker
from adapters.rows import Rows
from broker.describing.facts import facts
from broker.describing.fhir import bundle
from broker.describing.jsonld import dcat, schema_org
from broker.errors import BadQuery
from catalog.archives import Archive
from catalog.keywords import Level

HELD: list[dict[str, Any]] = [
    {
        "StudyInstanceUID": "1.2.1",
        "SeriesInstanceUID": f"1.2.1.{n}",
        "PatientID": "P1",
        "PatientName": "SECRET^NAME",
        "Collection": "c",
        "Modality": modality,
        "StudyDate": "20200615",
        "License": licence,
        "SizeInMB": "2",
        "SourceDOI": "10.7937/X1",
        "SeriesNumber": "7",
    }
    for n, modality, licence in ((1, "CT", "CC BY 4.0"), (2, "SEG", "CC BY-NC 3.0"), (3, "", "house rules"))
]
pytestmark = pytest.mark.filterwarnings("ignore:ConjunctiveGraph:DeprecationWarning")  # rdflib's own

PACS = {"mine": Archive("mine", "dicomweb", url="https://pacs.example.org/dicom-web")}


def answer(records: list[dict[str, Any]], level: str = "series") -> broker.Answer:
    """What one archive of series answers."""
    return broker.search(level, at=[Rows("mine", records, Level.SERIES)])


def read(made: object) -> Any:
    """A bundle as fhir.resources reads it."""
    return Bundle.model_validate_json(made) if isinstance(made, str) else Bundle.model_validate(made)


def run(*words: str) -> subprocess.CompletedProcess[str]:
    """The command as a user runs it."""
    return subprocess.run(
        [sys.executable, "-m", "broker", *words], capture_output=True, text=True, timeout=60, check=False
    )


def test_the_croissant_library_reads_description_and_table(tmp_path: Path) -> None:
    folder = tmp_path / "pilot"
    words = [
        "describe",
        "series",
        "Collection=rider_pilot",
        "Modality=CR,DX",
        "--at",
        "idc",
        "--as",
        "croissant",
    ]
    assert run(*words, "-o", str(folder)).returncode == 0
    assert run(*words).returncode == 2
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the library itself
        import mlcroissant

        dataset = mlcroissant.Dataset(jsonld=str(folder / "croissant.json"))
        rows = list(dataset.records("entities"))
    issues = dataset.metadata.ctx.issues
    assert not issues.errors
    assert not issues.warnings
    found = broker.search("series", "Collection=rider_pilot", "Modality=CR,DX", at=["idc"])
    uids = [row["entities/SeriesInstanceUID"].decode() for row in rows]
    assert uids == [e.uid for e in found]
    assert {type(row["entities/NumberOfSeriesRelatedInstances"]) for row in rows} == {int}


def test_what_is_described_is_what_was_said() -> None:
    about = facts("mine", answer(HELD))
    assert (about.entities, about.studies, about.patients, about.megabytes) == (3, 1, 1, 6.0)
    assert about.modalities == ("CT", "SEG")
    assert about.dates == ("2020-06-15", "2020-06-15")
    assert about.license_urls == [
        "https://creativecommons.org/licenses/by/4.0/",
        "https://creativecommons.org/licenses/by-nc/3.0/",
        "house rules",
    ]
    nothing = facts("nothing", answer([{"SeriesInstanceUID": "1.1"}]))
    assert (nothing.licenses, nothing.dois, nothing.dates, nothing.megabytes) == ((), (), None, None)
    assert set(schema_org(nothing)) == {
        "@context",
        "@type",
        "name",
        "description",
        "datePublished",
        "keywords",
    }


def test_an_incomplete_answer_says_so() -> None:
    part = broker.search("series", "Modality=CT", at=["idc"], limit=2)
    assert facts("part", part).description.endswith("The answer is incomplete.")


def test_dcat_is_rdf() -> None:
    graph = rdflib.Graph().parse(data=json.dumps(dcat(facts("mine", answer(HELD)))), format="json-ld")
    dcterms, types = rdflib.Namespace("http://purl.org/dc/terms/"), rdflib.RDF.type
    (subject,) = graph.subjects(types, rdflib.URIRef("http://www.w3.org/ns/dcat#Dataset"))
    assert rdflib.URIRef("https://creativecommons.org/licenses/by/4.0/") in set(
        graph.objects(subject, dcterms.license)
    )
    assert set(graph.objects(subject, dcterms.rights)) == {rdflib.Literal("house rules")}
    assert set(graph.objects(subject, dcterms.source)) == {rdflib.URIRef("https://doi.org/10.7937/x1")}


def test_fhir_resources_reads_the_bundle() -> None:
    made = bundle(answer(HELD), PACS, "2026-11-23T04:00:00Z")
    (entry,) = read(made).entry
    study = entry.resource
    assert study.identifier[0].value == "urn:oid:1.2.1"
    assert study.subject.identifier.value == "P1"
    assert study.subject.identifier.assigner.display == "mine, collection c"
    assert [(s.uid, s.modality.code, s.number) for s in study.series] == [
        ("1.2.1.1", "CT", 7),
        ("1.2.1.2", "SEG", 7),
        ("1.2.1.3", None, 7),
    ]
    assert study.series[2].modality.extension[0].valueCode == "unknown"
    assert str(study.contained[0].address) == "https://pacs.example.org/dicom-web"
    assert "SECRET" not in json.dumps(made)
    studies = bundle(answer(HELD, "studies"), {}, "2026-11-23T04:00:00Z")
    assert read(studies).entry[0].resource.series is None
    with pytest.raises(BadQuery, match="instead of patients"):
        bundle(answer(HELD, "patients"), {}, "")


def test_both_sides_of_a_collision_have_names_of_their_own() -> None:
    sides = [
        Rows(name, [{"StudyInstanceUID": "1.2", "PatientSex": sex}]) for name, sex in (("a", "M"), ("b", "F"))
    ]
    made = bundle(broker.search("studies", at=sides), {}, "2026-11-23T04:00:00Z")
    assert len({entry["fullUrl"] for entry in made["entry"]}) == 2


WORDS = st.text(max_size=8) | st.sampled_from(["-1", "1e5", "99999999999", "CT\\MR", " ", "2020", "20201332"])
SAID = st.dictionaries(
    st.sampled_from([*HELD[0], "BodyPartExamined", "SeriesDescription", "SeriesDate"]), WORDS
)


@settings(max_examples=60, deadline=None)
@given(st.lists(SAID, max_size=3))
def test_whatever_archives_say_the_forms_hold(said: list[dict[str, str]]) -> None:
    given_ = answer([{**HELD[0], **own} for own in said] or HELD)
    read(bundle(given_, PACS, "2026-11-23T04:00:00Z"))
    about = facts("x", given_)
    rdflib.Graph().parse(data=json.dumps(dcat(about)), format="json-ld")
    json.dumps(schema_org(about))


def test_the_command_describes_a_query_and_a_cohort(tmp_path: Path) -> None:
    asked = ["series", "Collection=rider_pilot", "Modality=CR", "--at", "idc"]
    told = json.loads(run("describe", *asked, "--title", "RIDER radiographs", "-q").stdout)
    assert told["name"] == "RIDER radiographs"
    assert told["license"] == ["https://creativecommons.org/licenses/by/4.0/"]
    folder = ["--folder", str(tmp_path)]
    assert run("save", "cr", *asked, *folder).returncode == 0
    kept = run("describe", "cr", "--as", "fhir", *folder)
    assert kept.returncode == 0, kept.stderr
    assert len(read(kept.stdout).entry) == 2
    assert json.loads(run("describe", "cr", "--as", "dcat", *folder).stdout)["dct:title"] == "cr"
