"""Makes the picture of the matrix that stands in the README.

PYTHONPATH=tests python -m peers.picture docs/matrix.png
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path

from peers.chromium import Chromium

from broker.cli.matrix_html import page
from catalog.reading import shipped_matrix

CELL = 'a[href="#archives.xnat-central.deidentification_standard"]'
PART = {"x": 0, "y": 0, "width": 1280, "height": 880, "scale": 0.75}


async def main(target: Path) -> None:
    """The first screen, with the evidence of one cell."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "matrix.html")
        file.write_text(page(shipped_matrix()), encoding="utf-8")
        async with Chromium(1280, 880) as browser:
            await browser.open(file.as_uri())
            await browser.click(CELL)
            await browser.js(
                "scrollTo(0, 0); dispatchEvent(new Event('resize')); document.activeElement.blur()"
            )
            await asyncio.sleep(0.3)
            await browser.picture(target, clip=PART)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
