"""Honest archives of every kind in a process of their own, so that what is measured is only the broker's.

python tests/injecting/upstreams.py    start them, print their addresses as JSON, end with standard input
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

ROOT = Path(__file__).parents[2]
if __name__ == "__main__":
    sys.path[:1] = [str(ROOT), str(ROOT / "tests")]

from injecting.place import HEALTHY, holdings
from peers.dcmqrscp import Dcmqrscp
from peers.girder import GirderServer
from peers.midas import MidasServer
from peers.nbia import NbiaServer
from peers.nbia_rows import fixture_rows
from peers.postgres import PASSWORD, Postgres
from peers.qido import QidoServer
from peers.scp import Scp
from peers.shelves import shelves
from peers.xnat import XnatServer, fixture_site

from catalog.store import store
from fixtures.dicom import truth, write


async def started(stack: AsyncExitStack, folder: Path) -> dict[str, str]:
    """Every archive, until the stack is left: kind -> address. PostgreSQL only where it is installed."""
    xnat = await stack.enter_async_context(
        XnatServer(fixture_site(), gzip=False, keep=True, session_timeout=5)
    )
    nbia = await stack.enter_async_context(NbiaServer(rows=fixture_rows()))
    midas = await stack.enter_async_context(MidasServer(held=shelves("b")[:1]))
    girder = await stack.enter_async_context(GirderServer(held=shelves("b")[:1]))
    found = {"xnat": xnat.url, "nbia": nbia.url, "midas": midas.url, "girder": girder.url}
    for number in range(HEALTHY + 1):
        web = await stack.enter_async_context(QidoServer(holdings(number)))
        found["dicomweb" if number == HEALTHY else f"healthy{number}"] = web.url
    found["dimse"] = _dimse(stack, folder)
    if not Postgres.missing():
        found["postgres"] = _postgres(stack)
    return found


def _dimse(stack: AsyncExitStack, folder: Path) -> str:
    """A real dcmqrscp, or our own server where that is not installed."""
    if Dcmqrscp.missing():
        ours = stack.enter_context(Scp(truth()["archives"]["b"], associations=100))
        return f"dimse://127.0.0.1:{ours.port}/{ours.title}"
    write(folder)
    files = sorted((folder / "b").glob("*.dcm"))
    pacs = stack.enter_context(Dcmqrscp(folder, files, associations=100))
    return f"dimse://127.0.0.1:{pacs.port}/{pacs.aet}"


def _postgres(stack: AsyncExitStack) -> str:
    from test_adapter_local import take, whole

    url = stack.enter_context(Postgres()).database("injecting")
    take(store(url, PASSWORD), whole(), "held")
    return url


@contextlib.contextmanager
def running() -> Iterator[dict[str, str]]:
    """The addresses of archives in another process, which ends with the block."""
    command = [sys.executable, __file__]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        try:
            line = child.stdout.readline()
            if not line:
                raise RuntimeError("the archives did not start")
            yield json.loads(line)
        finally:
            child.stdin.close()  # it ends its own children


async def main() -> None:
    """Start, tell, wait."""
    async with AsyncExitStack() as stack:
        with tempfile.TemporaryDirectory() as folder:
            print(json.dumps(await started(stack, Path(folder))), flush=True)
            await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main())
