"""A zip that an archive spoiled ends in an error of ours, however its files are packed."""

from __future__ import annotations

import io
import random
import zipfile
from pathlib import Path

import pytest

from adapters.nbia.zips import instances
from adapters.shared.download import Budget, Files
from broker.errors import ArchiveError


@pytest.mark.parametrize(
    "method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]
)
def test_a_spoiled_zip_is_an_error_of_the_archive(method: int, tmp_path: Path) -> None:
    made, rng, refused = io.BytesIO(), random.Random(1), 0
    with zipfile.ZipFile(made, "w", method) as packed:
        for number in range(5):
            packed.writestr(f"{number}.dcm", bytes(range(256)) * 40)
    for number in range(300):
        raw = bytearray(made.getvalue())
        for _ in range(rng.choice((1, 2, 5))):
            raw[rng.randrange(len(raw))] = rng.randrange(256)
        place = tmp_path / f"{number}.zip"
        place.write_bytes(raw)
        try:
            refused += any(
                found.wrong for found in instances(place, Files(_folder(place)), Budget(10**7, 10**7, 60))
            )
        except ArchiveError:
            refused += 1
    assert refused > 100


def _folder(place: Path) -> Path:
    folder = place.with_suffix("")
    folder.mkdir()
    return folder
