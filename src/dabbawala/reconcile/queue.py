"""A queue of keys that need a look: each key once, later when asked, slower after each failure.

Bounds: a key waits at most once in line and at most once on the timer, so the queue is never longer than there are
objects; a key that is being worked on and comes again waits until its worker is done, so the same object is never
reconciled twice at once. After the n-th failure in a row a key waits FIRST_DELAY * 2**(n-1), at most LAST_DELAY.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Hashable
from typing import Generic, TypeVar

from dabbawala.apimachinery.clock import Clock

FIRST_DELAY = 0.005
"""Seconds to the first retry (client-go's 5 ms)."""

LAST_DELAY = 30.0
"""Seconds between retries at most; client-go waits up to 1,000, too long for whoever is watching a laptop."""

K = TypeVar("K", bound=Hashable)


class WorkQueue(Generic[K]):
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._line: dict[K, None] = {}
        self._working: set[K] = set()
        self._again: set[K] = set()
        self._failures: dict[K, int] = {}
        self._due: dict[K, float] = {}
        self._timer: list[tuple[float, int, K]] = []
        self._order = itertools.count()
        self._arrived = asyncio.Event()

    def __len__(self) -> int:
        return len(self._line)

    @property
    def idle(self) -> bool:
        """Nothing in line and nothing being worked on; keys may still be waiting for their time."""
        return not self._line and not self._working

    def add(self, key: K) -> None:
        if key in self._working:
            self._again.add(key)
        else:
            self._line[key] = None
            self._arrived.set()

    def add_after(self, key: K, seconds: float) -> None:
        """Add the key when `seconds` have passed; the earliest of several wishes counts."""
        if seconds <= 0:
            self.add(key)
            return
        due = self._clock.monotonic() + seconds
        if self._due.get(key, due + 1) > due:
            self._due[key] = due
            heapq.heappush(self._timer, (due, next(self._order), key))
            self._arrived.set()

    def retry(self, key: K) -> float:
        """Add the key after its back-off, and return that in seconds."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        delay = min(FIRST_DELAY * 2.0 ** min(failures, 20), LAST_DELAY)
        self.add_after(key, delay)
        return delay

    def succeed(self, key: K) -> None:
        """Forget the key's failures."""
        self._failures.pop(key, None)

    def failures(self, key: K) -> int:
        """Failures in a row."""
        return self._failures.get(key, 0)

    def take(self) -> K | None:
        """The next key, now being worked on until `done`; None when nobody is in line."""
        self._promote()
        if not self._line:
            return None
        key = next(iter(self._line))
        del self._line[key]
        self._working.add(key)
        return key

    async def get(self) -> K:
        """The next key; waits for one."""
        while (key := self.take()) is None:
            self._arrived.clear()
            await self._wait()
        return key

    def done(self, key: K) -> None:
        self._working.discard(key)
        if key in self._again:
            self._again.discard(key)
            self.add(key)

    def next_due(self) -> float | None:
        """Monotonic seconds at which the next waiting key becomes due."""
        return self._timer[0][0] if self._timer else None

    def _promote(self) -> None:
        now = self._clock.monotonic()
        while self._timer and self._timer[0][0] <= now:
            due, _, key = heapq.heappop(self._timer)
            if self._due.get(key) == due:
                del self._due[key]
                self.add(key)

    async def _wait(self) -> None:
        due = self.next_due()
        if due is None:
            await self._arrived.wait()
            return
        arrival = asyncio.ensure_future(self._arrived.wait())
        alarm = asyncio.ensure_future(self._clock.sleep(max(due - self._clock.monotonic(), 0)))
        try:
            await asyncio.wait((arrival, alarm), return_when=asyncio.FIRST_COMPLETED)
        finally:
            arrival.cancel()
            alarm.cancel()
