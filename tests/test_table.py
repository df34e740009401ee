"""The table fits where it is shown: shorter UIDs first, then fewer columns, each named."""

from __future__ import annotations

import io
import os
import re
from types import SimpleNamespace
from unittest.mock import patch

import pytest
from rich.cells import cell_len

import broker
from adapters.rows import Rows
from broker.answering.columns import SHOWN
from broker.cli.table import _SPARE, _fitted, _room, write
from catalog.keywords import Level

UID = "1.3.6.1.4.1.14519.5.2.1.6834.5010.46520568912698505218429361"
CELLS = {
    Level.SERIES: {c: [UID if c.endswith("UID") else "x" * 12] for c in SHOWN[Level.SERIES]},
    Level.STUDY: {c: [UID if c.endswith("UID") else "x" * 12] for c in SHOWN[Level.STUDY]},
}


@pytest.mark.parametrize("level", CELLS)
@pytest.mark.parametrize("width", [400, 200, 160, 120, 100])
def test_it_fits_and_keeps_what_names_the_row(level: Level, width: int) -> None:
    cells = CELLS[level]
    shown = _fitted(cells, width, usual=True)
    assert _room(shown) <= width or not set(_SPARE) & set(shown) - {level.uid}
    assert level.uid in shown
    assert all(v == cells[c] or c.endswith("UID") for c, v in shown.items())


def test_uids_keep_their_ends_and_wide_places_keep_everything() -> None:
    cells = CELLS[Level.SERIES]
    assert _fitted(cells, 400, usual=True) == cells
    short = _fitted(cells, 200, usual=True)["SeriesInstanceUID"][0]
    assert UID.startswith(short.split("…")[0])
    assert UID.endswith(short.split("…")[1])


def test_columns_that_were_chosen_all_stay() -> None:
    assert list(_fitted(CELLS[Level.SERIES], 60, usual=False)) == list(SHOWN[Level.SERIES])


@pytest.mark.parametrize("width", [20, 40, 60, 80, 100, 200])
@pytest.mark.parametrize("level", ["patients", "studies", "series"])
def test_no_value_is_cut_on_a_terminal_of_any_width(level: str, width: int) -> None:
    """UIDs by their ends, or rows told one below the other; nothing is wider than the terminal."""
    rows = [{c: UID if c.endswith("UID") else "肺" * 9 for c in SHOWN[Level.SERIES] if c != "archives"}]
    answer = broker.search(level, at=[Rows("an-archive", rows, Level.SERIES)], limit=5)
    stream = io.BytesIO()
    size = os.terminal_size((width, 24))
    with (
        patch("sys.stdout", SimpleNamespace(isatty=lambda: True, buffer=stream)),
        patch("shutil.get_terminal_size", return_value=size),
    ):
        write(answer, stream, SHOWN[answer.query.level])
    lines = re.sub(r"\x1b\[[0-9;]*m", "", stream.getvalue().decode()).splitlines()
    drawn = [line for line in lines if "no room for" not in line]
    assert max(map(cell_len, drawn)) <= width
    told = "".join(line.strip() for line in drawn)
    assert "an-archive" in told
    assert "肺" * 9 in told
