"""Watches every kind that can be deleted and looks at each object whose owners, or whose own fate, have changed.

Its keys are uids, not names, so it has a loop of its own over the shared queue and executor. Kinds that nobody else
watches are kept as metadata only. Before anything is deleted, the object and its missing owners are asked for at the
API itself: a cache may be late, and a deletion cannot be taken back.
"""

from __future__ import annotations

import asyncio
import logging

from dabbawala.api import apiextensions_v1, core_v1
from dabbawala.api.kind import Kind
from dabbawala.apimachinery import meta
from dabbawala.apimachinery.clock import Clock
from dabbawala.apimachinery.status import StatusError
from dabbawala.cluster.controllers import served
from dabbawala.cluster.controllers.garbagecollector import plan as planning
from dabbawala.cluster.controllers.garbagecollector.graph import Graph, metadata_only
from dabbawala.cluster.controllers.garbagecollector.owners import Owners
from dabbawala.reconcile.apply import Executor, LostAnswer
from dabbawala.reconcile.cache import Change
from dabbawala.reconcile.informer import Informer, Informers
from dabbawala.reconcile.plan import Record
from dabbawala.reconcile.queue import WorkQueue
from dabbawala.reconcile.runtime import Client

log = logging.getLogger("dabbawala.garbage")

WORKERS = 8
_EPHEMERAL = frozenset({core_v1.EVENT.resource})
"""Kinds that come in masses, own nothing, are owned by nothing and expire by themselves."""


class GarbageCollector:
    """`informers` are those of the other controllers in the process; their caches are shared."""

    name = "generic-garbage-collector"

    def __init__(self, client: Client, clock: Clock, informers: Informers) -> None:
        self.graph = Graph()
        self.queue: WorkQueue[str] = WorkQueue(clock)
        self._client = client
        self._clock = clock
        self._shared = informers
        self._own: dict[str, tuple[Informer, asyncio.Task[None]]] = {}
        self._kinds: dict[str, Kind] = {}
        self._owners = Owners(client, self.graph, self._kinds)
        self._executor = Executor(client, self, field_manager=self.name)
        self._definitions_changed = asyncio.Event()
        informers.watch(apiextensions_v1.CUSTOM_RESOURCE_DEFINITION, self)

    def record(self, event: Record) -> None:
        """Garbage collection records no events."""

    def changed(self, kind: Kind, change: Change) -> None:
        if kind is apiextensions_v1.CUSTOM_RESOURCE_DEFINITION:
            self._definitions_changed.set()
        if kind.resource not in self._kinds:
            return
        for uid in self.graph.take_in(kind, change):
            self.queue.add(uid)

    def progressed(self, kind: Kind) -> None:
        """Nothing waits for a revision: every deletion is checked at the API."""

    async def run(self) -> None:
        """Work until cancelled. Call when the shared informers are running."""
        try:
            await self._watch_kinds()
            async with asyncio.TaskGroup() as group:
                group.create_task(self._follow_definitions())
                for _ in range(WORKERS):
                    group.create_task(self._work())
        finally:
            for _, task in self._own.values():
                task.cancel()

    async def _follow_definitions(self) -> None:
        while True:
            await self._definitions_changed.wait()
            self._definitions_changed.clear()
            await self._watch_kinds()

    async def _watch_kinds(self) -> None:
        """Listen to every kind that is served now, and stop listening to those that are not."""
        await self._shared.watch(apiextensions_v1.CUSTOM_RESOURCE_DEFINITION).filled()
        wanted = {kind.resource: kind for kind in served.deletable(self._shared) if kind.resource not in _EPHEMERAL}
        for resource in [resource for resource in self._kinds if resource not in wanted]:
            del self._kinds[resource]
            if resource in self._own:
                self._own.pop(resource)[1].cancel()
        fresh = [kind for resource, kind in wanted.items() if resource not in self._kinds]
        self._kinds.update((kind.resource, kind) for kind in fresh)
        await asyncio.gather(*(self._watch(kind).filled() for kind in fresh if not kind.custom))
        for kind in fresh:
            if kind.custom:
                self._watch(kind)  # a definition may be broken; nobody waits for its list

    def _watch(self, kind: Kind) -> Informer:
        if self._shared.watching(kind):
            return self._shared.watch(kind, self)
        informer = Informer(self._client, kind, self._clock, trim=metadata_only)
        informer.listen(self)
        self._own[kind.resource] = informer, asyncio.create_task(informer.run(), name=f"garbage {kind.resource}")
        return informer

    async def _work(self) -> None:
        while True:
            uid = await self.queue.get()
            try:
                await self._look(uid)
            except (StatusError, LostAnswer) as refused:
                log.debug("%s: %s", uid, refused)
                self.queue.retry(uid)
            except Exception:
                log.exception("garbage collection of %s failed unexpectedly; it will be tried again", uid)
                self.queue.retry(uid)
            else:
                self.queue.succeed(uid)
            finally:
                self.queue.done(uid)

    async def _look(self, uid: str) -> None:
        known = self.graph.get(uid)
        if known is None:
            return
        if planning.is_settled(known, self._owners.known(known.object)):
            return
        dependents = self.graph.dependents(uid)
        if not planning.plan(known, self._owners.known(known.object), dependents).actions:
            return
        item = await self._owners.live(known)
        if item is None:
            return
        owners = {
            str(ref.get("uid")): await self._owners.state_of(ref, item) for ref in meta.owner_references(item.object)
        }
        await self._executor.apply(planning.plan(item, owners, dependents), lambda written: None)
