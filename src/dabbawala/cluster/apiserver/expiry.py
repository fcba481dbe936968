"""Events live for an hour after they were last written. Source: kube-apiserver --event-ttl."""

from __future__ import annotations

import logging

import orjson

from dabbawala.cluster.apiserver.core import Core
from dabbawala.cluster.store.entry import Entry
from dabbawala.cluster.store.errors import Mismatch, StoreError

log = logging.getLogger("dabbawala.apiserver.expiry")

LIFETIMES = {"events": 3600.0}  # seconds, by resource
INTERVAL = 60.0  # seconds between looks


async def run(core: Core) -> None:
    """Delete what has expired, until cancelled."""
    while True:
        await core.clock.sleep(INTERVAL)
        for resource, lifetime in LIFETIMES.items():
            try:
                await expire(core, resource, lifetime)
            except StoreError as error:
                log.warning("expired %s stay for now: %s", resource, error)


async def expire(core: Core, resource: str, lifetime: float) -> int:
    """Delete the objects whose last write is older than `lifetime` seconds; how many there were."""
    limit = core.store.revision_before(lifetime)
    old = [entry for entry in core.store.list(resource) if entry.revision <= limit]
    for entry in old:
        try:
            await core.store.delete(entry.key, _Last(entry), expect=entry.revision)
        except Mismatch:
            continue  # written again meanwhile
    return len(old)


class _Last:
    """Encodes the last version of an expired entry."""

    def __init__(self, entry: Entry) -> None:
        self._entry = entry

    def __call__(self, revision: int) -> bytes:
        obj = orjson.loads(self._entry.body)
        obj["metadata"]["resourceVersion"] = str(revision)
        return orjson.dumps(obj)
