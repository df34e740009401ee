"""The Girder adapter against our Girder server, well and not well."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from asking import ask, report_of, uids
from conforming import OnLoopback, beside_a_good_one, cancelled, left_in_the_middle
from peers.girder import GirderServer
from peers.loopback import LOGIN_PAGE, Fault
from peers.shelves import OTHERS, Item, known, shelves

from adapters.girder.adapter import Girder
from broker.errors import BadConfig
from broker.report import Status
from catalog.archives import Archive
from catalog.keywords import Level
from fixtures.dicom import truth

HELD = known(shelves("b"))
SERIES = {row["SeriesInstanceUID"] for row in HELD[Level.SERIES]}
JSON = "application/json"
ALICE = {"kind": "basic", "username": "alice", "password": "env:GIRDER_PASSWORD"}


def girder(
    server: GirderServer, name: str = "girder", auth: Mapping[str, str] | None = None, **o: Any
) -> Girder:
    """The archive as a federation file would have it."""
    return Girder.configured(Archive(name, "girder", url=server.url, auth=auth or {}, options=o))


def serve(**manners: Any) -> GirderServer:
    """A server that holds the fixture studies of archive B."""
    return GirderServer(**{"held": shelves("b"), **manners})


class TestConforms(OnLoopback):
    """The suite of the adapter contract."""

    records = HELD

    def serve(self, **manners: Any) -> GirderServer:
        return serve(**manners)

    def adapter(self, server: GirderServer) -> Girder:
        return girder(server)


class TestConformsWithItsSearch(TestConforms):
    """The same, where the plug-in's search is used."""

    def adapter(self, server: GirderServer) -> Girder:
        return girder(server, dicom_search=True)


async def test_metadata_that_came_from_midas_are_read_as_those_of_the_plugin() -> None:
    async with serve() as server, serve(plugin=False) as migrated:
        mine, theirs = [await ask("series", at=[girder(s)]) for s in (server, migrated)]
    told = [{e.uid: {**e.said["girder"], "DataURL": ""} for e in answer} for answer in (mine, theirs)]
    assert told[0] == told[1]
    assert told[0].keys() == SERIES


async def test_items_that_are_not_dicom_are_counted_and_never_series() -> None:
    async with serve() as server:
        answer = await ask("series", at=[girder(server)])
    assert uids(answer) == SERIES
    assert report_of(answer, "girder").notes == [f"{2 * len(OTHERS)} items without DICOM metadata"]


async def test_the_search_of_the_plugin_spares_the_walk() -> None:
    async with serve() as server:
        answer = await ask(
            "series", "PatientID=000123", "Collection=Give*", at=[girder(server, dicom_search=True)]
        )
        assert len(server.requests) <= 4  # each list, and what stands behind it
        assert "mode=dicom" in server.requests[2]
        walked = await ask("series", "PatientID=000123", "Collection=Give*", at=[girder(server)])
    assert uids(answer) == uids(walked) != set()
    assert not report_of(answer, "girder").broken


async def test_folders_of_many_items_are_read_page_by_page() -> None:
    held = shelves("b")
    wide = held[0].shelves[0].shelves[0]
    about = wide.items[0].dicom
    more = [
        Item(f"{n}", 10, {**about, "SeriesInstanceUID": f"2.25.77.{n}"}, number=10_000 + n)
        for n in range(1203)
    ]
    wide.items = [*wide.items, *more]
    async with serve(held=held) as good, serve(held=held, deaf=True) as deaf:
        for server in (good, deaf):
            answer = await ask("series", at=[girder(server)], timeout=60)
            assert answer.complete
            assert uids(answer) == SERIES | {i.dicom["SeriesInstanceUID"] for i in more}
    async with serve(held=held, stuck=True) as stuck:
        told = report_of(await ask("series", at=[girder(stuck)]), "girder")
    assert told.reason == "paging_loop"


async def test_a_user_logs_in_and_is_never_taken_for_a_guest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIRDER_PASSWORD", "s3cret")
    token = {"kind": "bearer", "token": "env:GIRDER_PASSWORD"}
    async with serve(users={"alice": "s3cret"}, private=True) as server, serve() as open_one:
        assert uids(await ask("series", at=[girder(server, auth=ALICE)])) == SERIES
        assert sum("authentication" in target for target in server.requests) == 1
        guest = report_of(await ask("series", at=[girder(server)]), "girder")
        assert (guest.status, guest.reason) == (Status.FAILED, "auth")
        expired = report_of(await ask("series", at=[girder(open_one, auth=token)]), "girder")
        assert (expired.status, expired.reason) == (Status.FAILED, "auth")
        server.tokens.add("s3cret")
        assert uids(await ask("series", at=[girder(server, auth=token)])) == SERIES
        monkeypatch.setenv("GIRDER_PASSWORD", "wrong")
        refused = report_of(await ask("series", at=[girder(server, auth=ALICE)]), "girder")
        assert (refused.reason, "wrong" in refused.detail) == ("auth", False)


BROKEN: list[tuple[Mapping[str, Any], str]] = [
    ({"private": True}, "auth"),
    ({"faults": {"": Fault(403)}}, "forbidden"),
    ({"faults": {"": Fault(400, '{"message": "Invalid", "type": "rest"}', JSON)}}, "http_400"),
    ({"faults": {"": Fault(200, LOGIN_PAGE, "text/html")}}, "not_json"),
    ({"faults": {"": Fault(200, '{"message": "no"}', JSON)}}, "bad_shape"),
    ({"faults": {"": Fault(200, "[{}]", JSON)}}, "bad_shape"),
    ({"faults": {"item?": Fault(500)}}, "upstream_5xx"),
    ({"empty": True}, "bad_json"),
    ({"truncated": True}, "bad_json"),
]


@pytest.mark.parametrize(("fault", "reason"), BROKEN, ids=[str(b[0])[:60] for b in BROKEN])
async def test_what_is_broken_has_a_reason_and_harms_no_other(fault: Mapping[str, Any], reason: str) -> None:
    async with serve(**fault) as broken:
        told = await beside_a_good_one(girder(broken), truth()["archives"]["a"])
    assert (told.status, told.reason, told.kept) == (Status.FAILED, reason, 0)


async def test_an_item_without_an_id_is_one_unreadable_record() -> None:
    async with serve() as server:
        folder = next(s for top in server.held for s in top.every() if s.items)
        key = f"f{folder.number:023x}"
        server.faults = {f"item?folderId={key}": Fault(200, '[{"name": "?"}, 3]', JSON)}
        told = report_of(await ask("series", at=[girder(server)]), "girder")
    assert (told.status, told.bad) == (Status.PARTIAL, 2)


async def test_two_hundred_cancelled_searches_leave_nothing() -> None:
    async with serve(delay=30) as server:
        await cancelled(server, lambda: girder(server))


async def test_leaving_in_the_middle_ends_every_request() -> None:
    async with serve(delay=0.02) as server:
        await left_in_the_middle(server, lambda: girder(server))


@pytest.mark.parametrize(
    ("entry", "named"),
    [
        ({"auth": {"kind": "header", "name": "X", "value": "env:HOME"}}, "header"),
        ({"options": {"dicom_search": "yes"}}, "dicom_search"),
        ({"options": {"nothing": 1}}, "nothing"),
        ({"auth": {"kind": "bearer", "token": "env:HOME"}, "url": "http://girder.example.org"}, "https"),
    ],
)
def test_entries_that_cannot_be_used_are_refused(entry: dict[str, Any], named: str) -> None:
    with pytest.raises(BadConfig, match=named):
        Girder.configured(Archive("girder", "girder", **{"url": "https://girder.example.org", **entry}))


async def test_it_says_what_it_is() -> None:
    async with serve() as server:
        for url in (server.url, f"{server.url}/api/v1/"):
            archive = Girder.configured(Archive("girder", "girder", url=url))
            assert await archive.check() == "Girder, 2 collections"
            await archive.close()


@pytest.mark.parametrize("most", [1, 2, 3, 20])
async def test_pages_shorter_than_girders_usual_ones_are_not_taken_for_the_end(most: int) -> None:
    async with serve(page_cap=most) as server:
        answer = await ask("series", at=[girder(server)])
    assert uids(answer) == SERIES
    assert answer.complete


async def test_a_folder_without_an_id_makes_the_answer_partial() -> None:
    class Nameless(GirderServer):
        def _folders(self, request: Any) -> list[dict[str, Any]]:
            return [{k: v for k, v in f.items() if k != "_id"} for f in super()._folders(request)]

    async with Nameless(held=shelves("b")) as server:
        told = report_of(await ask("series", at=[girder(server)]), "girder")
    assert (told.status, told.reason.partition("=")[0]) == (Status.PARTIAL, "bad_records")
