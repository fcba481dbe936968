"""Search results kept for a while. Two ways to forget:

`TtlCache` looks at an entry's age when it is asked for, and drops the oldest entry when it is full.
`ExactExpiryCache` never keeps an entry a moment too long: on every change it goes through all entries and drops the
expired ones.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import Protocol

ENTRIES_MAX = 20_000

Results = list[dict[str, object]]


class Cache(Protocol):
    def get(self, key: str) -> Results | None: ...

    def put(self, key: str, results: Results) -> None: ...


class TtlCache:
    def __init__(self, ttl_seconds: float) -> None:
        self._ttl = ttl_seconds
        self._entries: OrderedDict[str, tuple[float, Results]] = OrderedDict()

    def get(self, key: str) -> Results | None:
        kept = self._entries.get(key)
        return kept[1] if kept and time.monotonic() - kept[0] < self._ttl else None

    def put(self, key: str, results: Results) -> None:
        self._entries[key] = (time.monotonic(), results)
        self._entries.move_to_end(key)
        if len(self._entries) > ENTRIES_MAX:
            self._entries.popitem(last=False)


class ExactExpiryCache:
    def __init__(self, ttl_seconds: float) -> None:
        self._ttl = ttl_seconds
        self._entries: dict[str, tuple[float, Results]] = {}

    def get(self, key: str) -> Results | None:
        kept = self._entries.get(key)
        return kept[1] if kept else None

    def put(self, key: str, results: Results) -> None:
        now = time.monotonic()
        self._entries[key] = (now, results)
        by_age = sorted(self._entries.items(), key=lambda entry: entry[1][0])
        self._entries = {kept: entry for kept, entry in by_age[-ENTRIES_MAX:] if now - entry[0] < self._ttl}


def make(kind: str, ttl_seconds: float) -> Cache:
    """Raises KeyError for a kind there is not."""
    return {"ttl": TtlCache, "exact-expiry": ExactExpiryCache}[kind](ttl_seconds)
