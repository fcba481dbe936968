"""Reading as events come, and in batches when they come fast: a wake-up costs more than an event, and the kernel merges
what is alike while it waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Paced:
    """Calls `read` when the descriptor has something, but not again within `pause` seconds of the time before."""

    def __init__(self, descriptor: int, read: Callable[[], None], *, pause: float) -> None:
        self._descriptor = descriptor
        self._read = read
        self._pause = pause
        self._last = 0.0
        self._resting: asyncio.TimerHandle | None = None
        self._listen()

    def _listen(self) -> None:
        self._resting = None
        asyncio.get_running_loop().add_reader(self._descriptor, self._ready)

    def _ready(self) -> None:
        self._read()
        loop = asyncio.get_running_loop()
        now = loop.time()
        if now - self._last < self._pause:
            loop.remove_reader(self._descriptor)
            self._resting = loop.call_later(self._pause, self._listen)
        self._last = now

    def close(self) -> None:
        """Read no more; the descriptor stays open."""
        if self._resting is not None:
            self._resting.cancel()
        else:
            asyncio.get_running_loop().remove_reader(self._descriptor)
