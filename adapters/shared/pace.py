"""How hard an archive is pressed: requests at once, requests in a second, requests asked twice."""

from __future__ import annotations

import asyncio

from broker.setup.limits import Limits


class Tokens:
    """Requests asked a second time, at most one in ten, so that an outage is not made worse by asking."""

    def __init__(self, have: float = 1.0) -> None:
        self._have = have

    @classmethod
    def of(cls, base: str) -> Tokens:
        """Those of an address, shared by all who ask it in this process."""
        return _TOKENS.setdefault(base, cls())

    def earn(self) -> None:
        """A request is made."""
        self._have = min(self._have + 0.1, 10.0)

    def take(self) -> bool:
        """Whether one may be repeated."""
        if self._have < 1.0:
            return False
        self._have -= 1.0
        return True


_TOKENS: dict[str, Tokens] = {}


class Pace:
    """So many requests at once, and so many in a second, as one archive's limits say."""

    def __init__(self, limits: Limits) -> None:
        self._turns = asyncio.Semaphore(limits.connections)
        self._gap = 1 / limits.rate if limits.rate else 0.0
        self._next = 0.0

    async def __aenter__(self) -> None:
        await self._turns.acquire()
        now = asyncio.get_running_loop().time()
        start, self._next = max(now, self._next), max(now, self._next) + self._gap
        try:
            if start > now:
                await asyncio.sleep(start - now)
        except BaseException:
            self._turns.release()
            raise

    async def __aexit__(self, *_: object) -> None:
        self._turns.release()
