"""The DIMSE adapter against C-FIND servers of our own: a good one, and its lying, slow and broken twins."""

from __future__ import annotations

import asyncio
import gc
import itertools
import os
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from asking import ask, report_of, uids
from peers.qido import synthetic
from peers.scp import HOST, IGNORED, PENDING, Answers, Scp, answer, raw
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

from adapters.dimse import pdu
from adapters.dimse.adapter import Dimse
from adapters.dimse.link import Association, Peer
from broker.adapter import Ask
from broker.api import Session
from broker.errors import ArchiveError, Forbidden, Limited
from broker.query import Query
from broker.report import Status
from broker.setup.limits import Limits
from catalog.capability import Kind, Proof
from catalog.keywords import Level
from fixtures.dicom import truth

# pynetdicom's servers leave their sockets to the collector; ours would be "unclosed transport"
pytestmark = [
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
    pytest.mark.filterwarnings("ignore:Invalid value for VR DA"),
    pytest.mark.filterwarnings("ignore:Invalid value for VR TM"),
]

HELD = truth()["archives"]["b"]
STUDIES = {h["study"]["StudyInstanceUID"] for h in HELD}
SERIES = {s["SeriesInstanceUID"] for h in HELD for s in h["series"]}
GOOD = 3  # studies that come before something happens
Behaviour = Callable[[Dataset, Answers], Answers]


def pacs(scp: Scp | int, name: str = "pacs", **how: Any) -> Dimse:
    """An archive at a server, or at a port."""
    port = scp if isinstance(scp, int) else scp.port
    limits = {k: how.pop(k) for k in ("connect", "first_byte", "idle", "records", "connections") if k in how}
    options = {k: how.pop(k) for k in ("charset", "relational", "can") if k in how}
    return Dimse(name, Peer(HOST, port, limits=Limits(**limits), **how), **options)


async def test_everything_at_both_levels() -> None:
    with Scp(HELD) as scp:
        assert uids(await ask("studies", at=[pacs(scp)])) == STUDIES
        answered = await ask("series", at=[pacs(scp)])
    assert uids(answered) == SERIES
    assert answered.complete
    first = next(s for s in answered if s.first("StudyInstanceUID") == HELD[0]["study"]["StudyInstanceUID"])
    assert first.first("PatientName") == HELD[0]["study"]["PatientName"]


async def test_the_patient_root_asks_patients_first_and_relational_archives_need_not() -> None:
    with Scp(HELD) as scp, Scp(HELD, extended=b"\x01\x01") as relational:
        for server, levels in ((scp, {"PATIENT", "STUDY"}), (relational, {"STUDY"})):
            archive = pacs(server, root="patient")
            assert uids(await ask("studies", at=[archive])) == STUDIES
            assert set(server.levels) == levels
            assert archive.negotiated is not None
            assert archive.negotiated.relational is (server is relational)


async def test_many_studies_are_named_in_one_question_where_that_works_and_not_where_it_does_not() -> None:
    def no_lists(keys: Dataset, honest: Answers) -> Answers:
        if isinstance(keys.StudyInstanceUID, str):
            yield from honest

    with Scp(HELD) as good, Scp(HELD, no_lists) as deaf, Scp(HELD, no_lists, extended=b"\x01") as boasts:
        for server, most in ((good, 8), (deaf, 5 + len(STUDIES)), (boasts, 3 + len(STUDIES))):
            assert uids(await ask("series", at=[pacs(server)])) == SERIES
            assert len(server.seen) <= most


async def test_names_go_there_and_the_calling_title_with_them() -> None:
    with Scp(HELD, strict=True, title="ARCHIVE") as scp, Scp(HELD) as good:
        right = await ask("studies", at=[pacs(scp, called="ARCHIVE", calling="US")])
        wrong = await ask("studies", at=[pacs(scp, "wrong", called="OTHER"), pacs(good, "good")])
    assert uids(right) == STUDIES
    assert scp.calling[0].strip() == "US"
    told = report_of(wrong, "wrong")
    assert (told.status, told.reason) == (Status.FAILED, "assoc_rejected")
    assert "called AE title" in told.detail
    assert uids(wrong) == STUDIES
    assert report_of(wrong, "good").ok


async def test_a_server_that_takes_fewer_associations_is_asked_with_fewer() -> None:
    with Scp(HELD, associations=1) as scp:
        answered = await ask("series", at=[pacs(scp, connections=4)])
        assert uids(answered) == SERIES
        assert answered.complete
        assert await asyncio.to_thread(scp.idle)
        async with Another(scp):
            refused = await ask("studies", at=[pacs(scp)])
    told = report_of(refused, "pacs")
    assert (told.status, told.reason) == (Status.FAILED, "assoc_rejected_transient")


class Another:
    """Somebody else's association, for as long as a block lasts."""

    def __init__(self, scp: Scp) -> None:
        self._peer = Peer(HOST, scp.port)

    async def __aenter__(self) -> None:
        self._association = await Association.opened(self._peer)

    async def __aexit__(self, *_: object) -> None:
        await self._association.release()


def _some(honest: Answers) -> Answers:
    for _ in range(GOOD):
        yield next(honest)


def final(status: int) -> Behaviour:
    """Some records, then this status."""

    def behave(keys: Dataset, honest: Answers) -> Answers:
        del keys
        yield from _some(honest)
        yield status, None

    return behave


def ignored_keys(keys: Dataset, honest: Answers) -> Answers:
    """Pending with the warning that keys were ignored."""
    del keys
    yield from ((IGNORED, found) for _, found in honest)


STATUSES = [
    (0xA700, "dimse_A700"),
    (0xA900, "dimse_A900"),
    (0xB001, "dimse_B001"),
    (0xC000, "dimse_C000"),
    (0xC310, "dimse_C310"),
    (0xFE00, "dimse_FE00"),
    (0x0122, "dimse_0122"),
    (0x0124, "forbidden"),
]


@pytest.mark.parametrize(("status", "reason"), STATUSES)
async def test_a_final_status_is_told_and_what_came_before_is_kept(status: int, reason: str) -> None:
    with Scp(HELD, final(status)) as scp, Scp(HELD) as good:
        answered = await ask("studies", at=[pacs(scp), pacs(good, "good")])
    told = report_of(answered, "pacs")
    assert (told.status, told.reason, told.kept) == (Status.PARTIAL, reason, GOOD)
    assert uids(answered) == STUDIES
    assert report_of(answered, "good").ok


async def test_series_of_the_studies_that_came_before_a_failure_are_kept() -> None:
    def limited(keys: Dataset, honest: Answers) -> Answers:
        yield from final(0xB001)(keys, honest) if keys.QueryRetrieveLevel == "STUDY" else honest

    with Scp(HELD, limited) as scp:
        answered = await ask("series", at=[pacs(scp)])
    told = report_of(answered, "pacs")
    assert (told.status, told.reason) == (Status.PARTIAL, "dimse_B001")
    assert uids(answered) == {s["SeriesInstanceUID"] for h in HELD[:GOOD] for s in h["series"]}


async def test_with_a_limit_series_are_asked_for_before_all_studies_have_come() -> None:
    def slow(keys: Dataset, honest: Answers) -> Answers:
        yield from _some(honest) if keys.QueryRetrieveLevel == "STUDY" else honest
        if keys.QueryRetrieveLevel == "STUDY":
            time.sleep(3)

    with Scp(HELD, slow) as scp:
        start = time.monotonic()
        answered = await ask("series", at=[pacs(scp)], limit=1)
        assert time.monotonic() - start < 2.5
        assert scp.settled(5)
    assert (len(answered), answered.more, answered.complete) == (1, True, True)


def capped(most: int, level: str) -> Behaviour:
    """No more than so many at a level, and not a word about it; dates are matched."""

    def behave(keys: Dataset, honest: Answers) -> Answers:
        low, _, high = str(keys.get("StudyDate") or "-").partition("-")
        if keys.QueryRetrieveLevel == "STUDY" and (low or high):
            honest = (a for a in honest if a[1] and (low or "0") <= str(a[1].StudyDate) <= (high or "9"))
        yield from itertools.islice(honest, most if keys.QueryRetrieveLevel == level else None)

    return behave


CAPPED = synthetic(1, 130)


@pytest.mark.parametrize("cap", [10, 31, 100, 117])
async def test_a_silent_cap_is_found_out_and_reported(cap: int) -> None:
    with Scp(CAPPED, capped(cap, "STUDY")) as scp:
        archive = pacs(scp)
        told = report_of(await ask("studies", at=[archive]), "pacs")
        assert (told.status, told.reason) == (Status.PARTIAL, "capped")
        assert cap < told.kept <= 2 * cap
        again = report_of(await ask("series", at=[archive]), "pacs")
        assert (again.status, again.reason) == (Status.PARTIAL, "capped")


async def test_an_answer_that_is_not_cut_is_tried_once() -> None:
    with Scp(CAPPED, capped(10**6, "STUDY")) as scp:
        archive = pacs(scp)
        counts = []
        for _ in range(2):
            scp.seen.clear()
            assert (await ask("studies", at=[archive])).complete
            counts.append(len(scp.seen))
    assert counts == [3, 1]


async def test_an_archive_that_ignores_dates_leaves_the_end_open() -> None:
    with Scp(CAPPED, lambda _, honest: itertools.islice(honest, 100)) as scp:
        told = report_of(await ask("studies", at=[pacs(scp)]), "pacs")
    assert (told.ok, told.notes) == (True, ["end_not_shown"])


@pytest.mark.parametrize("cap", [10, 31, 100])
async def test_lists_of_studies_whose_series_are_cut_are_asked_for_in_halves(cap: int) -> None:
    with Scp(CAPPED, capped(cap, "SERIES")) as scp:
        answered = await ask("series", at=[pacs(scp)])
    assert uids(answered) == {s["SeriesInstanceUID"] for h in CAPPED for s in h["series"]}
    assert answered.complete


async def test_ignored_keys_are_a_remark() -> None:
    with Scp(HELD, ignored_keys) as scp:
        answered = await ask("studies", at=[pacs(scp)])
    told = report_of(answered, "pacs")
    assert (told.status, told.notes) == (Status.OK, ["keys_ignored"])
    assert uids(answered) == STUDIES


@pytest.mark.parametrize("how", ["abort", "close"])
async def test_an_end_in_the_middle_is_never_taken_for_the_end(how: str) -> None:
    def behave(keys: Dataset, honest: Answers) -> Answers:
        del keys
        yield from _some(honest)
        association = scp.server.active_associations[0]
        time.sleep(0.1)  # until they are sent
        if how == "abort":
            association.abort()
        else:
            association.dul.socket.close()
        time.sleep(0.2)

    with Scp(HELD, behave) as scp, Scp(HELD) as good:
        answered = await ask("studies", at=[pacs(scp), pacs(good, "good")])
    told = report_of(answered, "pacs")
    assert told.status is Status.PARTIAL
    assert told.reason == ("dimse_abort" if how == "abort" else "dimse_closed")
    assert told.kept == GOOD
    assert uids(answered) == STUDIES


async def test_endless_records_end_at_the_limit() -> None:
    def endless(keys: Dataset, honest: Answers) -> Answers:
        for number in range(10_000_000):
            yield PENDING, answer(keys, {"StudyInstanceUID": f"1.2.{number}"}, "STUDY")

    with Scp(HELD, endless) as scp:
        answered = await ask("studies", at=[pacs(scp, records=200)])
        assert scp.settled()
    told = report_of(answered, "pacs")
    assert (told.status, told.reason) == (Status.PARTIAL, "record_limit")


async def test_silence_after_the_first_record_and_before_it() -> None:
    def silent(after: int) -> Behaviour:
        def behave(keys: Dataset, honest: Answers) -> Answers:
            for _ in range(after):
                yield next(honest)
            time.sleep(1.5)

        return behave

    for after in (0, GOOD):
        with Scp(HELD, silent(after)) as scp, Scp(HELD) as good:
            start = time.monotonic()
            answered = await ask("studies", at=[pacs(scp, idle=0.3, first_byte=0.3), pacs(good, "good")])
            assert time.monotonic() - start < 1.3
        told = report_of(answered, "pacs")
        assert (told.kept, told.reason) == (after, "timeout")
        assert uids(answered) == STUDIES


async def test_a_wedged_archive_blocks_neither_the_loop_nor_others() -> None:
    """A mute peer, one that drips bytes, one that hangs in the middle: the good one answers as if alone."""
    request = pdu.ABORTED

    def hang(keys: Dataset, honest: Answers) -> Answers:
        yield next(honest)
        time.sleep(2)

    async with raw(first=None) as (mute, _), raw(first=request * 100, drip=0.05) as (drips, _):
        with Scp(HELD, hang) as hangs, Scp(HELD) as good:
            ticks = asyncio.create_task(_worst_tick())
            archives = [pacs(mute, "mute"), pacs(drips, "drips"), pacs(hangs, "hangs"), pacs(good, "good")]
            start = time.monotonic()
            answered = await ask("studies", at=archives, timeout=1.0)
            assert time.monotonic() - start < 1.0 + 0.25 + 0.5  # half a second for a busy machine
            ticks.cancel()
    assert report_of(answered, "good").ok
    assert report_of(answered, "good").seconds < 0.9
    assert report_of(answered, "mute").reason == "timeout"
    assert uids(answered) == STUDIES
    assert await ticks < 0.5


async def _worst_tick() -> float:
    worst, last = 0.0, time.monotonic()
    try:
        while True:
            await asyncio.sleep(0.01)
            worst, last = max(worst, time.monotonic() - last), time.monotonic()
    except asyncio.CancelledError:
        return worst


REJECTED = bytes([3, 0, 0, 0, 0, 4, 0, 2, 3, 2])
GARBAGE = [
    (b"HTTP/1.1 400 Bad Request\r\n\r\n", "bad_protocol"),
    (bytes([0x99, 0, 0, 0, 0, 4, 0, 0, 0, 0]), "bad_protocol"),
    (bytes([2, 0, 0xFF, 0xFF, 0xFF, 0xF0]), "bad_protocol"),
    (bytes([2, 0, 0, 0, 0, 4, 0, 0, 0, 0]), "bad_protocol"),
    (bytes([2, 0, 0, 0, 0, 70]) + bytes(68) + b"\x10\x00", "bad_protocol"),
    (bytes([3, 0, 0, 0, 0, 2, 0, 0]), "bad_protocol"),
    (pdu.ABORTED, "dimse_abort"),
    (bytes([3, 0, 0, 0, 0, 4, 0, 1, 1, 3]), "assoc_rejected"),
    (REJECTED, "assoc_rejected_transient"),
]


@pytest.mark.parametrize(("said", "reason"), GARBAGE, ids=[str(n) for n in range(len(GARBAGE))])
async def test_what_is_no_association_has_a_reason(said: bytes, reason: str) -> None:
    async with raw(first=said) as (port, closed):
        answered = await ask("studies", at=[pacs(port)], timeout=5)
        told = report_of(answered, "pacs")
        assert (told.status, told.reason) == (Status.FAILED, reason)
        end = time.monotonic() + 1
        while not closed and time.monotonic() < end:
            await asyncio.sleep(0.01)
        assert closed


async def test_bytes_that_trickle_do_not_renew_patience() -> None:
    async with raw(first=pdu.ABORTED, drip=0.2) as (port, _):
        start = time.monotonic()
        answered = await ask("studies", at=[pacs(port, connect=0.5)], timeout=5)
        assert time.monotonic() - start < 1.5
    assert report_of(answered, "pacs").reason == "timeout"


async def test_records_that_cannot_be_read_cost_themselves() -> None:
    """A sequence of garbage where a sequence was asked for."""

    def behave(keys: Dataset, honest: Answers) -> Answers:
        for number, (status, found) in enumerate(honest):
            if number == 1 and keys.QueryRetrieveLevel == "SERIES":
                assert found is not None
                found.add(DataElement(0x00321064, "OB", b"\x01\x02\x03\x04\xff\xff\xff\x7f"))
            yield status, found

    with Scp(HELD, behave) as scp:
        one = f"StudyInstanceUID={HELD[0]['study']['StudyInstanceUID']}"
        answered = await ask("series", one, at=[pacs(scp)], fields=["RequestedProcedureCodeSequence"])
    told = report_of(answered, "pacs")
    assert (told.status, told.reason, told.bad) == (Status.PARTIAL, "bad_records=1", 1)
    assert len(answered) == len(HELD[0]["series"]) - 1


async def test_names_in_every_character_set_are_read_and_wrong_labels_are_told() -> None:
    def each_its_own(charset: str | list[str]) -> Behaviour:
        def behave(keys: Dataset, honest: Answers) -> Answers:
            for status, found in honest:
                assert found is not None
                found.SpecificCharacterSet = charset
                found.PatientName = "山田^太郎" if isinstance(charset, list) else "Müller^Jörg"
                yield status, found

        return behave

    for charset, name in (("ISO_IR 100", "Müller^Jörg"), (["", "ISO 2022 IR 87"], "山田^太郎")):
        with Scp(HELD[:1], each_its_own(charset)) as scp:
            answered = await ask("studies", at=[pacs(scp)])
        assert answered.complete
        assert [s.first("PatientName") for s in answered] == [name]

    def mislabelled(keys: Dataset, honest: Answers) -> Answers:
        for status, found in honest:
            assert found is not None
            found.add(DataElement(0x00100010, "UN", b"M\xfcller^J\xf6rg "))
            yield status, found

    with Scp(HELD[:1], mislabelled) as scp:
        answered = await ask("studies", at=[pacs(scp)])
    assert report_of(answered, "pacs").reason == "charset"
    assert [s.first("PatientName") for s in answered] == ["Müller^Jörg"]


async def test_duplicates_come_once_and_children_of_nobody_not_at_all() -> None:
    def every_instance(keys: Dataset, honest: Answers) -> Answers:
        for status, found in honest:
            yield from [(status, found)] * 3
        if keys.QueryRetrieveLevel == "SERIES":
            stranger = {"StudyInstanceUID": "1.2.3", "SeriesInstanceUID": "1.2.3.4"}
            yield PENDING, answer(keys, stranger, "SERIES")

    with Scp(HELD, every_instance) as scp:
        answered = await ask("series", at=[pacs(scp)])
    assert uids(answered) == SERIES
    assert report_of(answered, "pacs").fetched == len(SERIES)


async def test_cancelling_closes_the_connection_at_once_and_tells_the_server() -> None:
    def slow(keys: Dataset, honest: Answers) -> Answers:
        for number in range(1000):
            time.sleep(0.01)
            yield PENDING, answer(keys, {"StudyInstanceUID": f"1.2.{number}"}, "STUDY")

    with Scp(HELD, slow) as scp:
        async with Session(Query("studies"), at=[pacs(scp)]).asking(30) as events:
            await anext(events)
            start = time.monotonic()
        assert time.monotonic() - start < 1
        assert await asyncio.to_thread(scp.settled, 1.0)
        assert len(scp.seen) == 1


async def test_200_cancelled_searches_leave_nothing() -> None:
    """No thread, no socket, no association: counted."""

    def slow(keys: Dataset, honest: Answers) -> Answers:
        for found in honest:
            time.sleep(0.02)
            yield found

    with Scp(HELD, slow, associations=1000) as scp:
        await ask("studies", at=[pacs(scp)])  # what is loaded once is loaded
        await asyncio.to_thread(scp.settled)
        before = set(threading.enumerate())
        sockets = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
        living: weakref.WeakSet[Association] = weakref.WeakSet()
        for number in range(200):
            archive = pacs(scp)
            task = asyncio.create_task(ask("series", at=[archive]))
            await asyncio.sleep((number % 20) * 0.002)
            living.update(archive._pool._busy if archive._pool else ())
            task.cancel()
            start = time.monotonic()
            await asyncio.wait([task])
            assert time.monotonic() - start < 1
        del archive, task
        assert await asyncio.to_thread(scp.settled, 10)
        end = time.monotonic() + 10
        while (left := _left(before, sockets, living)) and time.monotonic() < end:
            await asyncio.sleep(0.05)
        assert not left


def _left(before: set[threading.Thread], sockets: int, living: weakref.WeakSet[Association]) -> list[str]:
    """What is still there; threads of pynetdicom's server are its own."""
    gc.collect()
    fresh = [t for t in set(threading.enumerate()) - before if not t.name.startswith("asyncio_")]
    threads = [t.name for t in fresh if not type(t).__module__.startswith("pynetdicom")]
    more = len(os.listdir("/proc/self/fd")) - sockets  # noqa: PTH208
    return threads + ([f"{more} files or sockets"] if more > 0 else []) + [repr(a) for a in living]


async def test_an_association_is_used_again_and_one_that_was_closed_meanwhile_is_replaced() -> None:
    with Scp(HELD) as scp:
        archive = pacs(scp)
        for _ in range(3):
            assert await _studies(archive) == STUDIES
        assert len(scp.opened) == 1
        scp.server.active_associations[0].abort()
        await asyncio.sleep(0.2)
        assert await _studies(archive) == STUDIES
        assert len(scp.opened) == 2
        await archive.close()
        assert await asyncio.to_thread(scp.settled)


async def _studies(archive: Dimse) -> set[object]:
    """Every study, without closing anything."""
    pages = archive.find(Ask(Level.STUDY, (), ("StudyInstanceUID",)))
    return {row[0] async for page in pages for row in page.rows}


async def test_what_was_negotiated_is_recorded() -> None:
    with Scp(HELD, extended=b"\x01\x01\x01") as rich, Scp(HELD) as plain:
        for scp, expected in ((rich, True), (plain, False)):
            archive = pacs(scp)
            assert "PYNETDICOM" in await archive.check()
            assert archive.negotiated is not None
            assert (archive.negotiated.relational, archive.negotiated.combined) == (expected, expected)
            await archive.close()


async def test_no_find_context_is_a_refusal() -> None:
    from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

    with Scp(HELD, contexts=[Verification]) as scp:
        told = report_of(await ask("studies", at=[pacs(scp)]), "pacs")
    assert (told.status, told.reason) == (Status.FAILED, "not_supported")


async def test_learning_tells_what_is_matched_and_what_is_ignored() -> None:
    def matching(keys: Dataset, honest: Answers) -> Answers:
        wanted = str(keys.get("PatientName") or "*").strip("*").lower()
        modality = keys.get("ModalitiesInStudy")
        for status, found in honest:
            assert found is not None
            name = wanted in str(found.get("PatientName", wanted)).lower()
            own = found.get("ModalitiesInStudy") or []
            if name and (not modality or modality in ([own] if isinstance(own, str) else own)):
                yield status, found

    with Scp(HELD, matching) as good, Scp(HELD) as ignores:
        able, deaf = pacs(good), pacs(ignores)
        told = await able.learn()
        assert (told.any_case_pn, told.any_text) == (Proof.YES, Proof.YES)
        assert told.at(Level.STUDY).kinds("ModalitiesInStudy") == {Kind.SINGLE}
        assert Kind.ANY_OF in told.at(Level.STUDY).kinds("StudyInstanceUID")
        told = await deaf.learn()
        assert not told.at(Level.STUDY).kinds("ModalitiesInStudy")
        assert len(ignores.seen) <= 10
        await able.close()
        await deaf.close()


async def test_the_request_shown_is_the_identifier_sent() -> None:
    with Scp(HELD) as scp:
        archive = pacs(scp, called="PACS", calling="US")
        shown = Session(Query("studies", "StudyDate=2010-"), at=[archive]).explain()[0].requests[0]
        await ask("studies", "StudyDate=2010-", at=[archive])
        keys = scp.seen[0]
    assert "US to PACS" in shown
    assert f"at {HOST}:{scp.port}" in shown
    for element in keys:
        assert element.keyword in shown
        assert not element.value or str(element.value) in shown
    assert "StudyDate=20100101-" in shown


async def test_nobody_there_and_no_such_host() -> None:
    for peer, reason in ((Peer(HOST, 9), "unreachable"), (Peer("archive.invalid", 104), "dns")):
        told = report_of(await ask("studies", at=[Dimse("pacs", peer)]), "pacs")
        assert (told.status, told.reason) == (Status.FAILED, reason)


def test_rejections_are_errors_of_ours() -> None:
    assert isinstance(pdu.rejection(REJECTED), Limited)
    assert isinstance(pdu.rejection(bytes([3, 0, 0, 0, 0, 4, 0, 1, 1, 7])), Forbidden)
    assert isinstance(pdu.rejection(b""), ArchiveError)
