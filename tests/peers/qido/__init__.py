"""Our QIDO-RS server, honest and in its twins; `python tests/peers/qido` serves synthetic archives."""

from peers.qido.server import QidoServer
from peers.qido.synthetic import synthetic

__all__ = ["QidoServer", "synthetic"]
