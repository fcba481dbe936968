"""Writes into the status of every quota what is allowed and what is used, whenever that has changed.

Nothing is decided by this status: it is what people and tools read. Changes that come while a status is being written
go into the next one. Source: pkg/controller/resourcequota.
"""

from __future__ import annotations

import asyncio
import logging

import orjson

from dabbawala.apimachinery.meta import Object
from dabbawala.cluster.apiserver.core import Core
from dabbawala.cluster.apiserver.quotas import RESOURCE
from dabbawala.cluster.store.entry import Entry, Key
from dabbawala.cluster.store.errors import Closed, Mismatch, StoreError
from dabbawala.cluster.store.store import Subscription

log = logging.getLogger("dabbawala.apiserver.quotas")

RETRY_SECONDS = 1.0
"""Seconds until a status that could not be written is tried again."""


class QuotaStatus:
    def __init__(self, core: Core) -> None:
        self._core = core
        self._changed = asyncio.Event()
        self._closed = False
        self._listeners: dict[Subscription, asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Until cancelled, or until the store is closed."""
        try:
            while not self._closed:
                self._changed.clear()
                await self._settle()
                self._listen()
                await self._changed.wait()
        except Closed:
            return
        finally:
            for task in self._listeners.values():
                task.cancel()

    async def _settle(self) -> None:
        for namespace, ledger in list(self._core.quotas.all().items()):
            if not ledger.is_moved:
                continue
            ledger.is_moved = False
            try:
                for quota in ledger.quotas:
                    await self._write(Key(RESOURCE, namespace, quota.name), quota.status())
            except Mismatch:
                ledger.is_moved = True
                self._changed.set()
            except StoreError as error:
                if isinstance(error, Closed):
                    raise
                log.warning("the status of the quotas of %s stays for now: %s", namespace, error)
                ledger.is_moved = True
                await self._core.clock.sleep(RETRY_SECONDS)
                self._changed.set()

    async def _write(self, key: Key, wanted: Object) -> None:
        entry = self._core.store.get(key)
        if entry is None:
            return
        obj: Object = orjson.loads(entry.body)
        if obj.get("status") != wanted:
            await self._core.store.put(key, _Next(entry, obj, wanted), expect=entry.revision)

    def _listen(self) -> None:
        wanted = set(self._core.quotas.subscriptions())
        for gone in self._listeners.keys() - wanted:
            self._listeners.pop(gone).cancel()
        for subscription in wanted - self._listeners.keys():
            task = asyncio.get_running_loop().create_task(self._tell(subscription), name="quota changes")
            self._listeners[subscription] = task

    async def _tell(self, subscription: Subscription) -> None:
        """Whenever there are events, let the ledgers take them in, and say so; until it is no longer followed."""
        try:
            while subscription in self._core.quotas.subscriptions():
                await subscription.wait()
                self._core.quotas.all()
                self._changed.set()
        except Closed:
            self._closed = True
            self._changed.set()


class _Next:
    """Encodes the next version of a quota."""

    def __init__(self, entry: Entry, obj: Object, status: Object) -> None:
        self._entry = entry
        self._object = {**obj, "status": status}

    def __call__(self, revision: int) -> bytes:
        metadata = {**self._object["metadata"], "resourceVersion": str(revision)}
        return orjson.dumps({**self._object, "metadata": metadata})
