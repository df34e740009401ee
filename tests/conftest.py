"""What every test has: no way out of this machine, folders of its own, and real Orthancs where they exist."""

from __future__ import annotations

import itertools
import logging
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from asking import need, need_orthanc
from holdings import Catalog
from peers.dcmqrscp import Dcmqrscp
from peers.orthanc import Orthanc
from peers.postgres import PASSWORD, Postgres

from adapters.dicomweb import adapter as dicomweb
from broker import api
from broker.admitting.pauses import Pauses
from broker.errors import ArchiveError
from broker.planning.trust import Distrust
from broker.setup.credentials import Secret
from catalog.holdings import Store
from catalog.store import store
from fixtures.dicom import Truth, truth, write


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


LONG = 6  # characters of a name or secret that stands nowhere by chance


class Heard(logging.Handler):
    """What is said in the whole run by our loggers and errors of archives, and every secret that is read."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: set[str] = set()
        self.secrets: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.add(self.format(record))

    def listen(self, patch: pytest.MonkeyPatch) -> None:
        """Begin."""
        made, read = ArchiveError.__init__, Secret.__init__

        def said(error: ArchiveError, message: str, reason: str | None = None) -> None:
            made(error, message, reason)
            self.lines.update((str(error), repr(error), error.reason))

        def kept(secret: Secret, text: str) -> None:
            read(secret, text)
            self.secrets.add(text)

        patch.setattr(ArchiveError, "__init__", said)
        patch.setattr(Secret, "__init__", kept)
        logging.getLogger("broker").addHandler(self)
        logging.getLogger("broker").setLevel(logging.DEBUG)


@pytest.fixture(scope="session", autouse=True)
def _nobody_is_named_and_no_secret_told(_own_folders: None) -> Iterator[None]:
    """In the whole run no patient of the fixtures, and no secret, stands in a log, an error of an archive, or
    in what is kept as state."""
    heard, patch = Heard(), pytest.MonkeyPatch()
    heard.listen(patch)
    yield
    patch.undo()
    logging.getLogger("broker").removeHandler(heard)
    state = [f for f in Path(os.environ["XDG_STATE_HOME"]).rglob("*") if f.is_file()]
    said = "\n".join([*heard.lines, *(f.read_bytes().decode("latin-1") for f in state)])
    names = {h["study"].get("PatientName") for held in truth()["archives"].values() for h in held}
    marked = {name for name in names if isinstance(name, str)} | heard.secrets
    assert [mark for mark in marked if len(mark) >= LONG and mark in said] == []


@pytest.fixture(autouse=True)
def _fresh_trust(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test inherits what an archive of another test did."""
    monkeypatch.setattr(api, "DISTRUST", Distrust())
    Pauses().file.unlink(missing_ok=True)
    dicomweb._HABITS.clear()


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


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server."""
    need(Postgres.missing())
    with Postgres() as server:
        yield server


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


_DATABASES = itertools.count()


@pytest.fixture
def catalog(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Catalog:
    """An empty catalog of its own."""
    return Catalog(tmp_path, capsys)


@pytest.fixture
def duck(tmp_path: Path) -> Store:
    """An empty store in a file."""
    return store(tmp_path / "catalog.duckdb")


@pytest.fixture
def postgresql(postgres: Postgres) -> Store:
    """An empty store in a database."""
    return store(postgres.database(f"store{next(_DATABASES)}"), PASSWORD)


@pytest.fixture(params=["duck", "postgresql"])
def kept(request: pytest.FixtureRequest) -> Store:
    """An empty store of either kind."""
    found: Store = request.getfixturevalue(request.param)
    return found
