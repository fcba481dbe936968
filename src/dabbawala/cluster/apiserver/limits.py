"""How many requests are served at once: the rest queue, and beyond the queue they are told to come back.

One limiter each for reads and writes; watches and streams are not counted. Source: kube-apiserver's
--max-requests-inflight and --max-mutating-requests-inflight, and the queues of priority and fairness.
"""

from __future__ import annotations

import asyncio
from collections import deque
from types import TracebackType

from dabbawala.apimachinery import status

READS, WRITES = 400, 200
QUEUED = 2000
RETRY_SECONDS = 1


class Slots:
    """`async with slots:` holds one of `size` slots; waiters are served in order. Raises TooManyRequests."""

    def __init__(self, size: int, queued: int = QUEUED) -> None:
        self._free = size
        self._queued = queued
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def __aenter__(self) -> None:
        if self._free > 0:
            self._free -= 1
            return
        if len(self._waiting) >= self._queued:
            raise status.too_many_requests("Too many requests, please try again later.", RETRY_SECONDS)
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._pass_on()  # the turn came at the same moment
            else:
                self._waiting.remove(turn)
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pass_on()

    def _pass_on(self) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1
