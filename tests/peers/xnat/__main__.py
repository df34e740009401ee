"""Serve the fixtures, or a large site, until ended; the address is one line of JSON on standard output."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from peers.xnat import XnatServer, fixture_site, large_site


async def _serve(port: int, large: bool, latency: float) -> None:
    site = large_site() if large else fixture_site()
    async with XnatServer(site, port=port, latency=latency, keep=large) as server:
        print(json.dumps({"url": server.url}), flush=True)
        await asyncio.Event().wait()


def main() -> None:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0: any free one")
    parser.add_argument("--large", action="store_true", help="1,000 sessions of 10 scans each")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds before every answer")
    told = parser.parse_args()
    asyncio.run(_serve(told.port, told.large, told.latency))


if __name__ == "__main__":
    main()
