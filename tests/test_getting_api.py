"""`broker.get` from Python: of an answer, a cohort or a query, blocking and in a loop, watched, reported."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
import studies
from peers.wado import Wado
from test_getting import dicomweb, federation, got, same

import broker
from broker.errors import BadConfig, BadQuery
from broker.getting.target import State, Target


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Two studies, four series, twelve instances."""
    return studies.write(tmp_path / "source", studies=2)


def entry(folder: Path, *servers: Wado) -> Path:
    """A federation of them: a0, a1 ..."""
    return federation(folder, *(dicomweb(f"a{n}", server.url) for n, server in enumerate(servers)))


async def test_an_answer_a_query_and_a_cohort_give_the_same(files: list[Path], tmp_path: Path) -> None:
    seen: list[Target] = []
    async with Wado(files=files) as server:
        config = entry(tmp_path, server)
        asked = {"at": ["a0"], "config_file": config, "scan": True}
        answer = await broker.search_async("series", **asked)  # type: ignore[arg-type]
        first = await broker.get_async(answer, into=tmp_path / "1", watch=seen.append, config_file=config)
        second = await broker.get_async("studies", into=tmp_path / "2", **asked)  # type: ignore[arg-type]
        kept = await broker.Cohort.save_async(
            "all", broker.Query("series"), ["a0"], tmp_path / "kept", config, scan=True
        )
        third = await broker.get_async(kept, into=tmp_path / "3", config_file=config)
    for number, found in enumerate((first, second, third), start=1):
        assert found.complete
        assert found.files == got(tmp_path / str(number))
        same(files, tmp_path / str(number))
        assert repr(found).startswith("<Fetched: 4 series complete; 12 instances came (")
    assert {t.state for t in seen} == {State.COMPLETE}
    assert len(seen) >= len(files)  # at least once for each instance
    assert [len(f.answers) for f in (first, second)] == [1, 2]


async def test_it_works_where_a_loop_is_running_and_says_what_is_missing(
    files: list[Path], tmp_path: Path
) -> None:
    async with Wado(files=files, counts=1) as server:
        config = entry(tmp_path, server)
        words = ("series", f"StudyInstanceUID={studies.study(1)}")
        found = await asyncio.to_thread(_in_a_loop, words, tmp_path, config)
    assert not found.complete
    assert repr(found).startswith("<Fetched: 2 series partial; 6 instances came (")
    page = found._repr_html_()
    assert "it counts 4 instances, and gives 3" in page
    assert page.count("<tr>") == 3
    assert "<script>" not in page
    told = json.loads((tmp_path / "out" / "report.json").read_text())
    assert [s["state"] for s in told["series"]] == ["partial", "partial"]


def _in_a_loop(words: tuple[str, ...], folder: Path, config: Path) -> broker.Fetched:
    async def cell() -> broker.Fetched:
        return broker.get(*words, into=folder / "out", at=["a0"], config_file=config)

    return asyncio.run(cell())


async def test_a_cancelled_fetch_goes_on_from_there(files: list[Path], tmp_path: Path) -> None:
    async with Wado(files=files, delay=0.02) as server:
        config = entry(tmp_path, server)
        some = asyncio.Event()
        work = asyncio.create_task(
            broker.get_async(
                "series", into=tmp_path / "out", at=["a0"], config_file=config, scan=True,
                watch=lambda t: some.set() if t.came else None,
            )
        )  # fmt: skip
        await some.wait()
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work
        found = await broker.get_async(
            "series", into=tmp_path / "out", at=["a0"], config_file=config, scan=True
        )
    assert found.complete
    assert not list((tmp_path / "out" / ".broker").glob("in-*"))
    same(files, tmp_path / "out")


async def test_what_an_archive_says_is_escaped_in_the_table(files: list[Path], tmp_path: Path) -> None:
    kind = "<script>alert(1)</script>"
    async with Wado(files=files, sends=lambda parts: (b"no", kind, {})) as server:
        config = entry(tmp_path, server)
        found = await broker.get_async(
            "series", into=tmp_path / "out", at=["a0"], config_file=config, scan=True
        )
    assert {t.state for t in found.targets} == {State.FAILED}
    assert "<script>" not in found._repr_html_()


def test_what_cannot_be_is_refused(tmp_path: Path) -> None:
    answer = broker.search("series", "Collection=rider_pilot", at=["idc"], limit=1)
    with pytest.raises(BadQuery, match="has been asked already"):
        broker.get(answer, "Modality=CT", into=tmp_path)
    with pytest.raises(BadQuery, match="studies or series"):
        broker.get("patients", "Collection=rider_pilot", at=["idc"], into=tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(BadConfig, match=r"folder .*file"):
        broker.get(answer, into=tmp_path / "file")
