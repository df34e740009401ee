"""Every archive of the survey: the commands that `broker archives` gives for it, run as a stranger would.

Archives that are asked stand on loopback; files that are imported are the real-shaped ones of fixtures/.
"""

from __future__ import annotations

import asyncio
import json
import shlex
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from holdings import Catalog
from importing import EXAMPLES, FILES
from peers.girder import GirderServer
from peers.midas import MidasServer
from peers.nbia import NbiaServer
from peers.nbia_rows import fixture_rows
from peers.shelves import shelves
from peers.xnat import XnatServer, fixture_site

from broker.cli import main
from catalog.reading import shipped_matrix
from fixtures.dicom import Truth

SURVEY = [row for row in shipped_matrix().of("archives").rows if row.layer == "survey"]
HELD = "PatientID=VN-88"  # a patient that every archive on loopback holds
EXAMPLE = {example.kind: example for example in EXAMPLES.values()}


def test_the_survey_has_fourteen_archives_and_each_says_how() -> None:
    assert len(SURVEY) == 14
    assert all(row.route and row.route.why for row in SURVEY)


@pytest.mark.parametrize("archive", [row.id for row in SURVEY])
def test_the_way_to_an_archive_can_be_walked(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    held: tuple[Path, Truth],
    archive: str,
) -> None:
    assert main(["archives", "--format", "json"]) == 0
    listed = {told["name"]: told for told in json.loads(capsys.readouterr().out)}
    commands = listed[archive]["commands"]
    assert commands
    asyncio.run(_walked(commands, tmp_path, capsys, held[0] / "a"))


async def _walked(
    commands: list[str], folder: Path, capsys: pytest.CaptureFixture[str], images: Path
) -> None:
    async with AsyncExitStack() as stack:
        urls = {
            "nbia": (await stack.enter_async_context(NbiaServer(rows=fixture_rows()))).url,
            "xnat": (await stack.enter_async_context(XnatServer(fixture_site()))).url,
            "midas": (await stack.enter_async_context(MidasServer(held=shelves("b")))).url,
            "girder": (await stack.enter_async_context(GirderServer(held=shelves("b")))).url,
        }
        imported = ""
        for number, command in enumerate(commands):
            place = folder / str(number)
            place.mkdir()
            own = Catalog(place, capsys)
            with own.config.open("a") as more:
                more.write(f'[archives.tcia]\nurl = "{urls["nbia"]}"\n')
                more.write(f'[archives.nitrc-ir]\nurl = "{urls["xnat"]}"\n')
            imported = command if " import " in command else imported
            await asyncio.to_thread(_run, own, command, urls, images, imported)


def _run(own: Catalog, command: str, urls: dict[str, str], images: Path, imported: str) -> None:
    """One command with what it needs before it: an import before its search, and a search after an entry."""
    words = shlex.split(command)
    assert words.pop(0) == "broker"
    at = words[words.index("--at") + 1] if "--at" in words else ""
    if "import" in words:
        _import(own, words, images)
    elif words[0] == "search" and imported.endswith(f"--archive {at}"):
        kind = _import(own, shlex.split(imported)[1:], images)
        _found(own, words, EXAMPLE[kind].asked)
    elif words[:2] == ["archives", "add"]:
        address = urls[words[words.index("--kind") + 1]]
        code, _, err = own.run(*(address if word == "URL" else word for word in words))
        assert code == 0, err
        _found(own, ["search", "series", "CONDITION", "--at", words[2]], [HELD])
    elif words[0] == "search":
        _found(own, words, [HELD])
    else:
        code, out, err = own.run(*words)
        assert code == 0, err
        assert len(out) > 100


def _import(own: Catalog, words: list[str], images: Path) -> str:
    kind = words[words.index("--as") + 1]
    made = EXAMPLE[kind].make(own.folder / "in", images)
    stand = {"FILE": str(made), "MAPPING": str(FILES / "mapped.toml")}
    code, out, err = own.run(*(stand.get(word, word) for word in words))
    assert code == (3 if EXAMPLE[kind].partial else 0), err
    assert f" {EXAMPLE[kind].rows} new" in out
    return kind


def _found(own: Catalog, words: list[str], asked: tuple[str, ...] | list[str]) -> None:
    at = words.index("CONDITION")
    found = own.search(*words[1:at], *asked, *words[at + 1 :], "--timeout", "200")
    assert found, (words, asked)
