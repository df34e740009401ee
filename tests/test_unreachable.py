"""Why no conversation began: what was tried, and what to look at next."""

from __future__ import annotations

import asyncio
import socket
import ssl
from pathlib import Path

import aiohttp
import pytest

from adapters.shared import unreachable
from broker.admitting.checks import check
from broker.errors import BadConfig
from broker.registry import adapter_for
from broker.setup.federation import checked
from catalog.archives import Archive


def why(adapter: str, url: str) -> str:
    """What a check of an archive says."""
    (found,) = asyncio.run(check([Archive("a", adapter, url=url)]))
    assert not found.ok
    return found.detail


@pytest.mark.parametrize(("adapter", "scheme"), [("dicomweb", "http"), ("dimse", "dimse"), ("xnat", "http")])
def test_a_closed_port_and_an_unknown_host_are_named(adapter: str, scheme: str) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        assert f"127.0.0.1:{port} refuses connections" in why(adapter, f"{scheme}://127.0.0.1:{port}")
    assert "host pacs.invalid: check the url" in why(adapter, f"{scheme}://pacs.invalid:104")


def test_a_web_server_asked_for_dimse_is_recognized() -> None:
    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async def asked() -> str:
        async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            (found,) = await check([Archive("a", "dimse", url=f"dimse://127.0.0.1:{port}")])
            return found.detail

    assert asyncio.run(asked()) == "HTTP is spoken at this port, not DIMSE"


def test_what_is_wrong_with_a_certificate_is_said() -> None:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_message = "certificate has expired"
    assert "certificate has expired; ca_file" in str(unreachable.insecure(error))
    assert "is it spoken at this port?" in str(unreachable.insecure(None))
    assert hasattr(aiohttp.ClientConnectorCertificateError, "certificate_error")


def test_other_failures_of_the_system_are_said_in_its_words() -> None:
    told = unreachable.connecting(OSError(101, "Network is unreachable"), "10.0.0.1", 104)
    assert str(told) == "10.0.0.1:104 cannot be reached (Network is unreachable)"


ENTRIES: list[tuple[dict[str, object], str]] = [
    ({"archives": {"a": {"url": "pacs:104"}}}, "archives.a.url: write it with its scheme"),
    ({"archives": {"a": {"askde": True}}}, "known are adapter, .*; did you mean asked[?]"),
    ({"archives": {"a": {"auth": {"kind": "none", "usrname": ""}}}}, "did you mean username[?]"),
    ({"archives": {"a": {"auth": {"kind": "basci"}}}}, "auth.kind: must be 'none', 'basic'"),
    ({"archives": {"a b": {}}}, "a name has letters"),
    ({"archivs": {}}, "archivs: there is no such field; .*; did you mean archives[?]"),
    ({"links": {"domain": []}}, "did you mean domains[?]"),
]


@pytest.mark.parametrize(("raw", "told"), ENTRIES)
def test_a_federation_file_is_refused_in_plain_words(raw: dict[str, object], told: str) -> None:
    with pytest.raises(BadConfig, match=told):
        checked(Path("f.toml"), raw)


def test_an_unknown_option_is_answered_with_those_that_there_are() -> None:
    with pytest.raises(BadConfig, match=r"known are lists_all, .*; did you mean patient_id[?]"):
        adapter_for(Archive("a", "xnat", url="http://x", options={"pateint_id": "dicom"}))
