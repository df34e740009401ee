"""The MIDAS adapter against our MIDAS server, well and not well."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from asking import ask, report_of, uids
from conforming import OnLoopback, beside_a_good_one, cancelled, left_in_the_middle
from peers.loopback import LOGIN_PAGE, Fault
from peers.midas import MidasServer
from peers.shelves import OTHERS, known, shelves

from adapters.midas.adapter import Midas
from adapters.shared.items import dicom
from broker.errors import BadConfig
from broker.report import Status
from catalog.archives import Archive
from catalog.keywords import Level
from fixtures.dicom import truth

HELD = known(shelves())
SERIES = {row["SeriesInstanceUID"] for row in HELD[Level.SERIES]}
JSON = "application/json"


def midas(server: MidasServer, name: str = "midas", auth: Mapping[str, str] | None = None, **o: Any) -> Midas:
    """The archive as a federation file would have it."""
    return Midas.configured(Archive(name, "midas", url=server.url, auth=auth or {}, options=o))


class TestConforms(OnLoopback):
    """The suite of the adapter contract."""

    records = HELD

    def serve(self, **manners: Any) -> MidasServer:
        return MidasServer(**manners)

    def adapter(self, server: MidasServer) -> Midas:
        return midas(server)


class TestConformsLoggedIn(TestConforms):
    """The same for a user of an archive that shows guests nothing."""

    secrets = ("s3cret",)

    def serve(self, **manners: Any) -> MidasServer:
        return MidasServer(users={"a@example.org": "s3cret"}, private=True, **manners)

    def adapter(self, server: MidasServer) -> Midas:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("MIDAS_KEY", "s3cret")
            return midas(
                server, auth={"kind": "basic", "username": "a@example.org", "password": "env:MIDAS_KEY"}
            )

    def received(self) -> list[str]:
        """What was asked after the log-in."""
        return [target for target in super().received() if "midas.login" not in target]


async def test_items_that_are_not_dicom_are_counted_and_never_series() -> None:
    async with MidasServer(held=shelves(unplaced=True)) as server:
        answer = await ask("series", at=[midas(server)])
    told = report_of(answer, "midas")
    assert uids(answer) == SERIES
    assert sorted(told.notes) == [
        "1 DICOM items without SeriesInstanceUID",
        f"{2 * len(OTHERS)} items without DICOM metadata",
    ]
    assert told.ok


async def test_studies_and_patients_are_what_the_series_say() -> None:
    async with MidasServer() as server:
        studies = await ask("studies", at=[midas(server)])
        patients = await ask("patients", "Collection=OSA*", at=[midas(server)])
        assert len(studies) == len(truth()["archives"]["a"])
        expected = {r["PatientID"] for r in HELD[Level.SERIES] if r["Collection"].startswith("OSA")}
        assert {p.first("PatientID") for p in patients} == expected


async def test_only_matching_communities_are_walked() -> None:
    async with MidasServer() as server:
        answer = await ask("series", "Collection=OSA*", at=[midas(server)])
        osa = server.held[1]
    assert {e.first("Collection") for e in answer} == {"OSA – other (Brüste)"}
    walked = {
        form["id"] for form, target in zip(server.forms, server.requests, strict=True) if "folder" in target
    }
    assert walked == {str(shelf.number) for shelf in osa.every()}


async def test_names_of_an_older_toolkit_are_known() -> None:
    async with MidasServer(old=True, labelled=True) as server:
        answer = await ask("series", "PatientSex=F", "PatientName=DOE*", at=[midas(server)])
    assert {e.first("PatientBirthDate") for e in answer} == {"19901231"}
    assert dicom({"ManufacturersModelName": "X", "NumSlices": 3, "License": "?", "PatientsAge": None}) == {
        "ManufacturerModelName": "X"
    }


async def test_a_token_that_comes_to_its_end_is_renewed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIDAS_KEY", "s3cret")
    auth = {"kind": "basic", "username": "a@example.org", "password": "env:MIDAS_KEY"}
    async with MidasServer(users={"a@example.org": "s3cret"}, private=True, expires=20) as server:
        answer = await ask("series", at=[midas(server, auth=auth)])
        assert uids(answer) == SERIES
        assert 1 < sum("midas.login" in target for target in server.requests) < 10
        assert "s3cret" not in "".join(server.requests)
        assert report_of(await ask("series", at=[midas(server)]), "midas").reason == "forbidden"
        monkeypatch.setenv("MIDAS_KEY", "wrong")
        refused = report_of(await ask("series", at=[midas(server, auth=auth)]), "midas")
    assert (refused.reason, "wrong" in refused.detail) == ("auth", False)


async def test_a_wrong_token_is_refused_and_never_becomes_a_guest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIDAS_TOKEN", "t0ken")
    async with MidasServer() as server:
        archive = midas(server, auth={"kind": "bearer", "token": "env:MIDAS_TOKEN"})
        told = report_of(await ask("series", at=[archive]), "midas")
    assert (told.status, told.reason) == (Status.FAILED, "auth")


BROKEN: list[tuple[Mapping[str, Any], str]] = [
    ({"fails": {"midas.community.list": -100}}, "upstream_5xx"),
    ({"fails": {"midas.community.list": -101}}, "auth"),
    ({"fails": {"midas.community.list": -150}}, "refused"),
    ({"fails": {"midas.community.list": -151}}, "forbidden"),
    ({"fails": {"midas.item.getmetadata": -151}}, "forbidden"),
    ({"faults": {"": Fault(200, LOGIN_PAGE, "text/html")}}, "not_json"),
    ({"faults": {"": Fault(200, '{"data": []}', JSON)}}, "bad_shape"),
    ({"faults": {"": Fault(200, '{"stat": "ok", "data": {"a": 1}}', JSON)}}, "bad_shape"),
    ({"faults": {"": Fault(200, '{"stat": "ok", "data": [{}]}', JSON)}}, "bad_shape"),
    ({"faults": {"": Fault(400)}}, "http_400"),
    ({"faults": {"": Fault(401)}}, "auth"),
    ({"faults": {"": Fault(404)}}, "not_found"),
    ({"empty": True}, "bad_json"),
    ({"truncated": True}, "bad_json"),
]


@pytest.mark.parametrize(("fault", "reason"), BROKEN, ids=[str(b[0])[:60] for b in BROKEN])
async def test_what_is_broken_has_a_reason_and_harms_no_other(fault: Mapping[str, Any], reason: str) -> None:
    async with MidasServer(**fault) as broken:
        told = await beside_a_good_one(midas(broken), truth()["archives"]["b"])
    assert (told.status, told.reason, told.kept) == (Status.FAILED, reason, 0)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"max_items": 5}, "record_limit"),
        ({"max_folders": 9}, "record_limit"),
        ({"max_depth": 1}, "depth_limit"),
    ],
)
async def test_a_walk_has_bounds(options: dict[str, Any], reason: str) -> None:
    async with MidasServer() as server:
        told = report_of(await ask("series", at=[midas(server, **options)]), "midas")
    assert told.reason == reason
    assert not told.ok


async def test_an_archive_that_is_not_to_be_walked_whole_is_not() -> None:
    async with MidasServer() as server:
        told = report_of(await ask("series", "Modality=CT", at=[midas(server, lists_all=False)]), "midas")
        assert told.status is Status.REFUSED
        assert "Collection" in told.detail
        assert not server.requests


async def test_a_folder_in_itself_is_walked_once() -> None:
    async with MidasServer(loop=True) as server:
        answer = await ask("series", at=[midas(server)])
        assert uids(answer) == SERIES
        walked = [form["id"] for form in server.forms if "id" in form]
    assert len(walked) == len(set(walked))


async def test_two_hundred_cancelled_searches_leave_nothing() -> None:
    async with MidasServer(delay=30) as server:
        await cancelled(server, lambda: midas(server))


async def test_leaving_in_the_middle_ends_every_request() -> None:
    async with MidasServer(delay=0.02) as server:
        await left_in_the_middle(server, lambda: midas(server))


@pytest.mark.parametrize(
    ("entry", "named"),
    [
        ({"auth": {"kind": "header", "name": "X", "value": "env:HOME"}}, "header"),
        ({"options": {"max_items": 0}}, "max_items"),
        ({"options": {"solr": True}}, "solr"),
        ({"auth": {"kind": "bearer", "token": "env:HOME"}, "url": "http://midas.example.org"}, "https"),
    ],
)
def test_entries_that_cannot_be_used_are_refused(entry: dict[str, Any], named: str) -> None:
    with pytest.raises(BadConfig, match=named):
        Midas.configured(Archive("midas", "midas", **{"url": "https://midas.example.org", **entry}))


async def test_it_says_what_it_is() -> None:
    async with MidasServer() as server:
        archive = midas(server)
        assert await archive.check() == "MIDAS, 2 communities"
        await archive.close()


@pytest.mark.parametrize(
    ("method", "data"),
    [
        ("midas.folder.children", '{"folders": [{"name": "x"}], "items": []}'),
        ("midas.item.getmetadata", '[7, {"element": "DICOM", "qualifier": "KVP", "value": 1}]'),
    ],
    ids=["a folder without an id", "metadata, without which an item looks like no DICOM"],
)
async def test_what_cannot_be_read_makes_the_answer_partial(method: str, data: str) -> None:
    fault = Fault(200, f'{{"stat": "ok", "code": "", "data": {data}}}', "application/json")
    async with MidasServer(faults={method: fault}) as server:
        told = report_of(await ask("series", at=[midas(server)]), "midas")
    assert (told.status, told.reason.partition("=")[0]) == (Status.PARTIAL, "bad_records")
