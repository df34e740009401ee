"""What every test has: no way out of this machine, folders of its own, and real Orthancs where they exist."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from asking import need, need_orthanc
from peers.dcmqrscp import Dcmqrscp
from peers.orthanc import Orthanc

from broker import api
from broker.pauses import Pauses
from broker.planning.trust import Distrust
from fixtures.dicom import Truth, write


@pytest.fixture(scope="session", autouse=True)
def _loopback_only() -> Iterator[None]:
    """A test that would reach another machine fails instead."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: Any) -> None:
        host = address[0] if isinstance(address, tuple) else "local"
        if self.family in (socket.AF_INET, socket.AF_INET6) and not str(host).startswith(
            ("127.", "::1", "localhost")
        ):
            raise AssertionError(f"a test tried to reach {host}")
        connect(self, address)

    patch = pytest.MonkeyPatch()
    patch.setattr(socket.socket, "connect", guarded)
    yield
    patch.undo()


@pytest.fixture(scope="session", autouse=True)
def _own_folders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Configuration, cache and state of the user are neither read nor written."""
    home = tmp_path_factory.mktemp("home")
    patch = pytest.MonkeyPatch()
    for name in ("CONFIG", "CACHE", "STATE", "DATA"):
        patch.setenv(f"XDG_{name}_HOME", str(home / name.lower()))
    patch.delenv("IMAGING_BROKER_CONFIG", raising=False)
    yield
    patch.undo()


@pytest.fixture(autouse=True)
def _fresh_trust(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test inherits what an archive of another test did."""
    monkeypatch.setattr(api, "DISTRUST", Distrust())
    Pauses().file.unlink(missing_ok=True)


@pytest.fixture(scope="session")
def held(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Truth]:
    """The generated files of archives A and B, and the truth about them."""
    folder = tmp_path_factory.mktemp("dicom")
    return folder, write(folder)


@pytest.fixture(scope="session")
def packaged(held: tuple[Path, Truth]) -> Iterator[Orthanc]:
    """Archive A in an Orthanc as packaged, which decodes no query value."""
    yield from _orthanc(held[0], "a", decode=False)


@pytest.fixture(scope="session")
def mended(held: tuple[Path, Truth]) -> Iterator[Orthanc]:
    """Archive B in an Orthanc that decodes what it is asked."""
    yield from _orthanc(held[0], "b", decode=True)


def _orthanc(folder: Path, name: str, decode: bool) -> Iterator[Orthanc]:
    need_orthanc()
    with Orthanc(folder=folder, files=sorted((folder / name).glob("*.dcm")), decode=decode) as orthanc:
        yield orthanc


@pytest.fixture(scope="session")
def dcmqrscp(held: tuple[Path, Truth]) -> Iterator[Dcmqrscp]:
    """Archive B in dcmtk's dcmqrscp."""
    need(Dcmqrscp.missing())
    with Dcmqrscp(held[0], sorted((held[0] / "b").glob("*.dcm"))) as peer:
        yield peer
