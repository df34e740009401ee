"""A federation entry as the address, names and limits of a DIMSE archive."""

from __future__ import annotations

import re
import ssl
from dataclasses import replace
from urllib.parse import urlsplit

from adapters.dimse.link import Peer
from adapters.shared.options import Options
from broker.errors import BadConfig
from broker.setup.credentials import Secret, secret
from broker.setup.limits import Limits
from catalog.archives import Archive
from catalog.capability import Can, Proof
from catalog.keywords import UnknownKeyword, keyword

UTF8 = "ISO_IR 192"
ROOTS = ("study", "patient")
CHARSETS = (UTF8, "ISO_IR 100", "ISO_IR 6")
_AE = re.compile(r"(?=.*\S)[ -\[\]-~]{1,16}", re.ASCII)  # PS3.5 6.2: no backslash, no control character


def peer(archive: Archive, options: Options, root: str) -> Peer:
    """Where the archive is and how it is called; these are the last options. Raises BadConfig."""
    called = _title(options, "ae_title", "ANY-SCP")
    calling = _title(options, "calling_ae_title", "IMAGING_BROKER")
    secure = archive.url.startswith("dimse+tls:")
    tls = _tls(options, secure=secure)
    options.done()
    host, port = _address(archive)
    return Peer(
        host=host,
        port=port,
        called=called,
        calling=calling,
        root=root,
        tls=tls,
        limits=Limits.of(archive.name, archive.limits),
    )


def told(can: Can, options: Options, charset: str) -> Can:
    """The capabilities, as far as the federation file knows better than the standard. Raises BadConfig."""
    more = options.promises("matches")
    try:
        by_level = {
            level: {k: kinds for k, kinds in more.items() if keyword(k).level <= level}
            for level in can.levels
        }
    except UnknownKeyword as error:
        raise options.wrong("matches", str(error)) from error
    never, lacks = options.keywords("never_ask"), options.keywords("lacks")
    hopes = can.hopes
    can = replace(can.promising(by_level) if more else can, hopes=hopes).without(never)
    text = options.proof("any_text")
    return replace(
        can,
        absent=can.absent | frozenset(lacks),
        lists_all=bool(options.flag("lists_all")),
        any_text=text if charset == UTF8 else Proof.NO,
        any_case_pn=options.proof("any_case_pn"),
        cite=f"{can.cite}; the federation file" if more else can.cite,
    )


def _address(archive: Archive) -> tuple[str, int]:
    if archive.auth.get("kind", "none") != "none":
        raise BadConfig(
            f"archive {archive.name}: dimse has no auth; a client certificate stands in options.client_cert"
        )
    if archive.network:
        raise BadConfig(f"archive {archive.name}: dimse has its certificates in options; network is for HTTP")
    parts = urlsplit(archive.url)
    try:
        port = parts.port
    except ValueError:
        port = None
    if parts.scheme not in ("dimse", "dimse+tls") or not parts.hostname or not port or parts.path.strip("/"):
        raise BadConfig(
            f"archive {archive.name}: url {archive.url!r}: write dimse://HOST:PORT or dimse+tls://HOST:PORT"
        )
    return parts.hostname, port


def _title(options: Options, option: str, usual: str) -> str:
    title = options.text(option, usual)
    if not _AE.fullmatch(title):
        raise options.wrong(option, "must have 1 to 16 characters, of ASCII without backslash")
    return title


def _tls(options: Options, *, secure: bool) -> ssl.SSLContext | None:
    """The TLS side: whom to trust, and who we are. Raises BadConfig."""
    ca, cert, key = options.file("ca_file"), options.file("client_cert"), options.file("client_key")
    reference = options.text("client_key_password")
    if not secure:
        for option in ("ca_file", "client_cert", "client_key", "client_key_password"):
            if options.given(option):
                raise options.wrong(option, "is for dimse+tls:// addresses")
        return None
    if key and not cert:
        raise options.wrong("client_key", "needs client_cert beside it")
    where = f"archive {options.archive}: options.client_key_password"
    password = secret(where, reference) if reference else None
    try:
        context = ssl.create_default_context(cafile=ca)
        if cert:
            context.load_cert_chain(cert, key, (password or Secret("")).reveal)
    except (OSError, ssl.SSLError) as error:
        raise BadConfig(f"archive {options.archive}: cannot use its certificates: {error}") from error
    return context
