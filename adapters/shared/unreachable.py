"""Why no conversation began, with the place that was tried and what to look at next."""

from __future__ import annotations

import socket
import ssl

from broker.errors import Unreachable


def connecting(error: OSError, host: str | None, port: int | None) -> Unreachable:
    """A connection that did not come about."""
    place = f"{host}:{port}"
    if isinstance(error, socket.gaierror):
        return unknown_host(host)
    if isinstance(error, ConnectionRefusedError):
        return Unreachable(f"{place} refuses connections: check the port, and whether the archive runs")
    return Unreachable(f"{place} cannot be reached ({error.strerror or type(error).__name__})")


def unknown_host(host: str | None) -> Unreachable:
    """A name that no address was found for."""
    return Unreachable(
        f"no address is known for the host {host}: check the url, and this machine's network", "dns"
    )


def insecure(error: BaseException | None) -> Unreachable:
    """TLS that did not come about: what OpenSSL says of the certificate, where that is the reason."""
    if isinstance(error, ssl.SSLCertVerificationError):
        why = error.verify_message.rstrip(".")
        text = f"its TLS certificate is not accepted: {why}; ca_file names a certificate authority to trust"
        return Unreachable(text, "tls")
    return Unreachable("no TLS can be agreed on: is it spoken at this port?", "tls")
