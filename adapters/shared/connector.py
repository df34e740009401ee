"""Connections of HTTP that do not believe more than was asked."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import aiohttp
from aiohttp.client_proto import ResponseHandler

INTERIM = 16  # replies that may have come and not been looked at: interim ones (RFC 9110 15.2), and the last


class _Handler(ResponseHandler):
    """Ends a connection on which replies come faster than they are wanted; each costs more than it weighs."""

    def feed_data(self, data: Any, size: int = 0) -> None:
        """A reply has begun."""
        if len(self) < INTERIM:
            super().feed_data(data, size)
        elif self.transport is not None:
            self.abort()
            self.set_exception(aiohttp.ClientConnectionError("too many replies to one request"))


class Connector(aiohttp.TCPConnector):
    """Connections that are used again, unless something came on them that nobody had asked for."""

    def __init__(self, **how: Any) -> None:
        super().__init__(**how)
        handler: type[ResponseHandler] = _Handler
        self._factory = partial(handler, loop=asyncio.get_running_loop())

    async def connect(self, *about: Any, **more: Any) -> aiohttp.connector.Connection:
        """One on which nothing has come yet: a late reply is not taken for that to the next request."""
        made = await super().connect(*about, **more)
        while made.protocol is not None and made.protocol.should_close:
            made.close()
            made = await super().connect(*about, **more)
        return made
