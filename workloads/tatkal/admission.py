"""Who may book now.

At 10:00 everyone comes at once. Up to `limit` bookings run together. Version 2.8 turns the rest away at once; the
enhanced queue of version 2.9 lets them wait in order, bounded in length and in seconds, so that a short burst becomes
a short wait instead of a page of errors.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

QUEUE_LENGTH_MAX = 10_000
QUEUE_WAIT_SECONDS_MAX = 5.0


class TurnedAway(Exception):
    """No place among the running bookings, nor (where there is one) in the queue."""


class Admission:
    def __init__(self, limit: int, *, enhanced_queue: bool) -> None:
        self.limit = limit
        self.enhanced_queue = enhanced_queue
        self.running = 0
        self.waiting: deque[asyncio.Future[None]] = deque()

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Hold a place while booking. Raises TurnedAway."""
        if self.running < self.limit:
            self.running += 1
        else:
            await self._wait()
        try:
            yield
        finally:
            self._leave()

    async def _wait(self) -> None:
        if not self.enhanced_queue or len(self.waiting) >= QUEUE_LENGTH_MAX:
            raise TurnedAway
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.waiting.append(turn)
        try:
            await asyncio.wait_for(asyncio.shield(turn), QUEUE_WAIT_SECONDS_MAX)
        except (TimeoutError, asyncio.CancelledError) as error:
            if turn.done():
                self._leave()
            else:
                self.waiting.remove(turn)
            if isinstance(error, TimeoutError):
                raise TurnedAway from None
            raise

    def _leave(self) -> None:
        """Hand the place to the next in the queue, who then counts as running."""
        if self.waiting:
            self.waiting.popleft().set_result(None)
        else:
            self.running -= 1
