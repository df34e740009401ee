"""Serve synthetic archives until ended; their ports are one line of JSON on standard output."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from contextlib import AsyncExitStack
from pathlib import Path

PROJECT = Path(__file__).parents[3]
sys.path[:0] = [str(PROJECT), str(PROJECT / "tests")]

from peers.qido.searching import ROOT
from peers.qido.server import BenchmarkServer
from peers.qido.synthetic import synthetic


async def _serve(first_port: int, servers: int, studies: int, latency: float) -> None:
    async with AsyncExitStack() as stack:
        ports = []
        for number in range(servers):
            port = first_port + number if first_port else 0
            server = BenchmarkServer(synthetic(number, studies), port=port, delay=latency)
            ports.append((await stack.enter_async_context(server)).port)
        print(json.dumps({"ports": ports, "root": ROOT}), flush=True)
        await asyncio.Event().wait()


def main() -> None:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="the first port; 0: any free ones")
    parser.add_argument("--studies", type=int, default=200)
    parser.add_argument("--latency", type=float, default=0.0, help="seconds before every answer")
    parser.add_argument("--servers", type=int, default=1)
    told = parser.parse_args()
    asyncio.run(_serve(told.port, told.servers, told.studies, told.latency))


if __name__ == "__main__":
    main()
