"""How archives are reached: certificates, and proxies only as configured."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from asking import report_of
from injecting.place import holdings
from peers.faults import HOST, Faulty, Wire, through
from peers.qido import QidoServer

from broker.api import Session
from broker.errors import BadConfig
from broker.query import Query
from broker.report import Report
from broker.setup.network import Network


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for localhost that signs itself."""
    folder = tmp_path_factory.mktemp("tls")
    key, cert = folder / "key.pem", folder / "cert.pem"
    words = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost".split()
    more = ["-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(cert)]
    subprocess.run([*words, *more], check=True, capture_output=True)
    return key, cert


@pytest.fixture
async def secure(certificate: tuple[Path, Path]) -> AsyncIterator[int]:
    """The port of an honest archive behind TLS."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate[1], certificate[0])
    async with QidoServer(holdings(0)) as server:

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                await through(Wire(reader, writer, (HOST, server.port), []))
            except (OSError, ssl.SSLError, asyncio.CancelledError):
                pass
            finally:
                writer.close()

        front = await asyncio.start_server(serve, HOST, 0, ssl=context)
        async with front:
            yield front.sockets[0].getsockname()[1]


async def asked(tmp_path: Path, url: str, network: str) -> Report:
    file = tmp_path / "f.toml"
    entry = f'[archives.a]\nadapter = "dicomweb"\nurl = "{url}"\noptions = {{ lists_all = true }}\n'
    file.write_text(f"{entry}network = {network}\n")
    answer = await Session(Query("studies"), at=["a"], config_file=file).answer(10)
    return report_of(answer, "a")


async def test_a_certificate_that_nobody_vouches_for_is_not_accepted(secure: int, tmp_path: Path) -> None:
    told = await asked(tmp_path, f"https://localhost:{secure}/dicom-web", "{}")
    assert (told.status.value, told.reason) == ("failed", "tls")


async def test_certificates_of_ones_own(secure: int, certificate: tuple[Path, Path], tmp_path: Path) -> None:
    own = f'{{ ca_file = "{certificate[1]}" }}'
    told = await asked(tmp_path, f"https://localhost:{secure}/dicom-web", own)
    assert told.ok
    assert told.kept == 12
    assert told.notes == []
    wrong = await asked(tmp_path, f"https://127.0.0.1:{secure}/dicom-web", own)
    assert (wrong.status.value, wrong.reason) == ("failed", "tls"), "the name is another"


async def test_what_is_not_verified_is_said_in_every_report(secure: int, tmp_path: Path) -> None:
    told = await asked(tmp_path, f"https://localhost:{secure}/dicom-web", "{ insecure = true }")
    assert told.ok
    assert told.notes == ["tls_not_verified"]
    assert "tls_not_verified" in told.line()
    dead = await asked(tmp_path, "https://localhost:9/dicom-web", "{ insecure = true }")
    assert dead.notes == ["tls_not_verified"]


async def forward(wire: Wire) -> None:
    """One request as a proxy gets it, sent on as a server expects it."""
    head = await wire.reader.readuntil(b"\r\n\r\n")
    wire.requests.append(head.split(b"\r\n", 1)[0].decode())
    there, back = await asyncio.open_connection(*wire.upstream)
    origin = f"http://{wire.upstream[0]}:{wire.upstream[1]}".encode()
    back.write(head.replace(origin, b"", 1).replace(b"\r\n", b"\r\nConnection: close\r\n", 1))
    while data := await there.read(65536):
        wire.writer.write(data)
    back.close()


async def test_a_proxy_is_used_only_where_it_is_configured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with QidoServer(holdings(0)) as server, Faulty(forward, (HOST, server.port)) as proxy:
        monkeypatch.setenv("http_proxy", f"http://{HOST}:{proxy.port}")
        monkeypatch.setenv("HTTP_PROXY", f"http://{HOST}:{proxy.port}")
        assert (await asked(tmp_path, server.url, "{}")).ok
        assert proxy.connections == 0
        told = await asked(tmp_path, server.url, f'{{ proxy = "http://{HOST}:{proxy.port}" }}')
        assert told.ok
        assert proxy.connections > 0
        assert proxy.requests[0].startswith(f"GET http://{HOST}:{server.port}/dicom-web/studies")


@pytest.mark.parametrize(
    "given",
    [
        {"proxy": "socks5://x"},
        {"proxy": "http://user:secret@x"},
        {"ca_file": "/no/such/file"},
        {"insecure": "yes"},
        {"other": "x"},
    ],
)
def test_what_is_wrong_is_named(given: dict[str, object]) -> None:
    with pytest.raises(BadConfig, match="archive a: ") as raised:
        Network.of("a", given)
    assert "secret" not in str(raised.value)
