"""Our XNAT: a server on loopback that real clients accept. `python tests/peers/xnat` serves the fixtures."""

from peers.xnat.server import XnatServer
from peers.xnat.sites import fixture_site, large_site

__all__ = ["XnatServer", "fixture_site", "large_site"]
