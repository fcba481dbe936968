"""The store: every object of the cluster, every change in one order, durable before visible.

A write gets the next revision, goes to the writer thread, and becomes visible (to gets, lists and watchers, and to its
caller) only when its transaction is on disk. Writes to one key happen one after the other. See DESIGN.md.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path

from dabbawala.apimachinery.clock import Clock, SystemClock
from dabbawala.cluster.store import history, log
from dabbawala.cluster.store.entry import Entry, Event, Key
from dabbawala.cluster.store.errors import Closed, Mismatch, StoreError
from dabbawala.cluster.store.events import Subscription
from dabbawala.cluster.store.lock import DirectoryLock
from dabbawala.cluster.store.log import Row
from dabbawala.cluster.store.shelf import Snapshot
from dabbawala.cluster.store.visible import Settings, Visible
from dabbawala.cluster.store.writer import Writer

Encode = Callable[[int], bytes]
"""Gives the body for the revision that the write got."""


_DEFAULTS = Settings()


class Store(Visible):
    """Belongs to one event loop. Open it with `open` or `in_memory`; close it with `close`."""

    def __init__(self, clock: Clock, settings: Settings) -> None:
        super().__init__(clock, settings)
        self._assigned = 0
        self._pending: dict[Key, asyncio.Future[Entry]] = {}
        self._leftover: list[int] = []  # rows that a crash kept from being deleted
        self._writer: Writer | None = None
        self._log: log.Log | None = None
        self._lock: DirectoryLock | None = None
        self._closed = False

    @classmethod
    def in_memory(cls, *, clock: Clock | None = None, settings: Settings = _DEFAULTS) -> Store:
        """A store without a file: everything is visible at once, and gone with the process."""
        return cls(clock or SystemClock(), settings)

    @classmethod
    async def open(
        cls, path: Path, *, cluster: str = "", clock: Clock | None = None, settings: Settings = _DEFAULTS
    ) -> Store:
        """Open or create the file. Raises Locked, Corrupt, NoSpace or WriteFailed with a remedy in the message."""
        store = cls(clock or SystemClock(), settings)
        store._lock = DirectoryLock(path.parent / "lock", cluster)
        try:
            store._log = await asyncio.to_thread(log.Log, path, max_bytes=settings.max_file_bytes)
            await asyncio.to_thread(store._load, store._log)
        except BaseException:
            if store._log:
                store._log.close()
            store._lock.release()
            raise
        loop = asyncio.get_running_loop()

        def done(rows: list[Row], error: StoreError | None) -> None:
            with contextlib.suppress(RuntimeError):  # the loop has ended without closing the store
                loop.call_soon_threadsafe(store._committed, rows, error)

        store._writer = Writer(store._log, log.Checkpointer(path), done)
        store._writer.discard(store._leftover, store.floor)
        return store

    def _load(self, source: log.Log) -> None:
        now = self.clock.monotonic()
        floor = self._history.floor = source.fact("floor")
        for row in source.rows():
            shelf = self._shelf(row.key.resource)
            event = shelf.load(Entry(row.key, row.revision, row.body), deleted=row.deleted, keep=row.revision > floor)
            if row.revision > floor:
                self._history.add(now, shelf, event)
            else:
                self._leftover += history.garbage(event)
            self.revision = row.revision
        self.revision = self._assigned = max(self.revision, source.fact("revision"))

    async def close(self) -> None:
        """Write what is queued, end all watches, and let go of the directory."""
        if self._closed:
            return
        self._closed = True
        if self._writer:
            await asyncio.to_thread(self._writer.close)
            await asyncio.sleep(0)  # lets the last acknowledgements run
        for shelf in self._shelves.values():
            shelf.events.close()
        if self._log:
            self._log.close()
        if self._lock:
            self._lock.release()

    # Writing -----------------------------------------------------------------------------------------------------

    async def put(self, key: Key, encode: Encode, *, expect: int | None = None) -> Entry:
        """Write a new version. `expect` is the revision it replaces (0: the key must not exist); Mismatch otherwise."""
        return await self._write(key, encode, expect=expect, deleted=False)

    async def delete(self, key: Key, encode: Encode, *, expect: int | None = None) -> Entry:
        """Delete; `encode` gives the last body, under the revision of the deletion."""
        return await self._write(key, encode, expect=expect, deleted=True)

    async def _write(self, key: Key, encode: Encode, *, expect: int | None, deleted: bool) -> Entry:
        while pending := self._pending.get(key):
            await asyncio.wait((pending,))
        if self._closed:
            raise Closed("the store has been closed")
        found = self.get(key)
        revision = found.revision if found else 0
        if (expect is not None and expect != revision) or (deleted and not found):
            raise Mismatch(key, expect or 0, revision)
        row = Row(self._assigned + 1, key, deleted, encode(self._assigned + 1))
        self._assigned += 1  # only now: an encoding that raises has written nothing
        if self._writer is None:
            entry = self._show(row)
            self.compact()
            return entry
        future: asyncio.Future[Entry] = asyncio.get_running_loop().create_future()
        self._pending[key] = future
        self._writer.submit(row)
        return await asyncio.shield(future)

    def _committed(self, rows: list[Row], error: StoreError | None) -> None:
        """On the loop, after every transaction, in the order of the revisions."""
        for row in rows:
            future = self._pending.pop(row.key)
            if error is None:
                future.set_result(self._show(row))
            else:
                future.set_exception(error)
                future.exception()  # its caller may be gone
        self.compact()

    def compact(self, *, everything: bool = False) -> None:
        """Let go of events older than the window, or of all of them."""
        garbage = self._history.trim(self.clock.monotonic(), everything=everything)
        if garbage and self._writer:
            self._writer.discard(garbage, self._history.floor)


__all__ = ["Encode", "Entry", "Event", "Key", "Settings", "Snapshot", "Store", "Subscription"]
