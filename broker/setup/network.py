"""How an archive is reached: whose certificates are believed, and by which proxy, if any."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from broker.errors import BadConfig


@dataclass(frozen=True, slots=True)
class Network:
    """The `network` table of a federation entry. Nothing is taken from the environment.

    ca_file   certificates to trust instead of the system's, PEM
    insecure  the archive's certificate is not verified; every report says so (`tls_not_verified`)
    proxy     the address of an HTTP proxy, without credentials; None: straight
    """

    ca_file: str | None = None
    insecure: bool = False
    proxy: str | None = None

    def __post_init__(self) -> None:
        if self.ca_file is not None and not Path(self.ca_file).is_file():
            raise BadConfig(f"no file of certificates {self.ca_file}")
        if self.ca_file is not None and self.insecure:
            raise BadConfig("network.ca_file and network.insecure exclude each other")
        parts = urlsplit(self.proxy or "http://none")
        if parts.scheme != "http" or not parts.hostname or "@" in parts.netloc:
            raise BadConfig("network.proxy must be an address such as http://proxy.example.org:3128")

    @classmethod
    def of(cls, archive: str, given: Mapping[str, Any]) -> Network:
        """From the `network` table of a federation entry. Raises BadConfig naming the archive."""
        types = {"ca_file": str, "insecure": bool, "proxy": str}
        for name, value in given.items():
            if name not in types:
                known = ", ".join(field.name for field in fields(cls))
                raise BadConfig(f"archive {archive}: network.{name} is unknown; known are {known}")
            if not isinstance(value, types[name]):
                raise BadConfig(f"archive {archive}: network.{name} must be a {types[name].__name__}")
        try:
            return cls(**given)
        except BadConfig as error:
            raise BadConfig(f"archive {archive}: {error}") from error

    def tls(self) -> ssl.SSLContext | bool:
        """What aiohttp wants to know of certificates. Raises BadConfig."""
        if self.ca_file is None:
            return not self.insecure
        try:
            return ssl.create_default_context(cafile=self.ca_file)
        except (OSError, ssl.SSLError) as error:
            raise BadConfig(f"cannot use the certificates in {self.ca_file}: {error}") from error
