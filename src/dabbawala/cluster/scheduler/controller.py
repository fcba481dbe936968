"""The scheduler's loop: hear of pods and nodes, place classes of waiting pods, carry the decisions out.

Decisions are made one class at a time on the event loop, in slices short enough that nothing else waits for long;
bindings are in flight meanwhile, on the assumption that they will succeed. One that is refused is taken back.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

from dabbawala.api import core_v1
from dabbawala.apimachinery import meta
from dabbawala.apimachinery.clock import Clock
from dabbawala.apimachinery.meta import Object
from dabbawala.apimachinery.status import NotFound, StatusError
from dabbawala.cluster.scheduler import volumes
from dabbawala.cluster.scheduler.binding import Binder, BindingWriter
from dabbawala.cluster.scheduler.hearing import NAME, ClusterView
from dabbawala.cluster.scheduler.needs import needs_of
from dabbawala.cluster.scheduler.plan import Decision, place_class
from dabbawala.cluster.scheduler.volume_waits import TOO_MANY, VolumeWaits
from dabbawala.reconcile import pods
from dabbawala.reconcile.apply import Recorder
from dabbawala.reconcile.informer import Informers

log = logging.getLogger("dabbawala.scheduler")

BINDINGS_AT_ONCE = 64
"""Pods that are being written about at once."""


class Scheduler:
    """Listens to shared informers; `run` places pods until cancelled. Call it when the caches are full."""

    name = NAME

    def __init__(self, client: BindingWriter, clock: Clock, informers: Informers, recorder: Recorder) -> None:
        self._clock = clock
        self._informers = informers
        self._binder = Binder(client, recorder, clock)
        self._slots = asyncio.Semaphore(BINDINGS_AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()
        self._volumes = VolumeWaits(self._binder, informers, clock, self._slots)
        self._view = ClusterView(clock, informers, self._gated, self._volumes.claim_changed)
        self.snapshot = self._view.snapshot
        self.waiting = self._view.waiting

    async def run(self) -> None:
        try:
            while True:
                batch = self.waiting.take()
                if batch:
                    self.place(batch)
                    await asyncio.sleep(0)
                else:
                    await self._rest()
        finally:
            for task in self._tasks:
                task.cancel()

    async def _rest(self) -> None:
        """Until something happens or a back-off ends."""
        self._view.wake.clear()
        due = self.waiting.next_due()
        if due is None:
            await self._view.wake.wait()
            return
        waking = asyncio.ensure_future(self._view.wake.wait())
        alarm = asyncio.ensure_future(self._clock.sleep(max(due - self._clock.monotonic(), 0)))
        try:
            await asyncio.wait((waking, alarm), return_when=asyncio.FIRST_COMPLETED)
        finally:
            waking.cancel()
            alarm.cancel()

    def place(self, batch: list[Object]) -> None:
        """Decide for a class of pods and start carrying the decisions out."""
        first = batch[0]
        needs = needs_of(first, self._view.runtime_class(first))
        found = volumes.volumes_of(needs.namespace, needs.claims, self._informers)
        moves = self.waiting.moves
        for decision in place_class(batch, needs, found, self.snapshot):
            if not decision.node:
                self._start(self._in_slot(self._unplaced(decision)))
                self.waiting.failed(decision.pod, moves=moves)
            elif not found.unbound:
                self._start(self._bind(decision))
            elif self._volumes.enter():
                self._start(self._bind_with_volumes(decision, needs.claims))
            else:
                self._take_back(decision, again=True)
                self._start(self._in_slot(self._unplaced(Decision(decision.pod, message=TOO_MANY))))

    def _gated(self, pod: Object) -> None:
        self._start(self._in_slot(self._binder.gated(pod)))

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _in_slot(self, work: Coroutine[Any, Any, None]) -> None:
        async with self._slots:
            try:
                await work
            except StatusError as refused:
                log.warning("%s", refused.message)

    async def _bind_with_volumes(self, decision: Decision, claims: tuple[str, ...]) -> None:
        try:
            await self._bind(decision, claims)
        finally:
            self._volumes.leave()

    async def _bind(self, decision: Decision, claims: tuple[str, ...] = ()) -> None:
        """`claims` are those to have bound first."""
        try:
            if claims:
                node = self.snapshot.node(decision.node)
                await self._volumes.bind(decision, claims, node.object if node else {})
            async with self._slots:
                await self._binder.bind(decision)
        except NotFound:
            self._take_back(decision, again=False)
        except StatusError as refused:
            log.warning("binding %s to %s: %s", meta.key(decision.pod), decision.node, refused.message)
            self._take_back(decision, again=True)

    def _take_back(self, decision: Decision, *, again: bool) -> None:
        uid = meta.uid(decision.pod)
        seen = self._informers.get(core_v1.POD, meta.key(decision.pod))
        if seen is not None and meta.uid(seen) == uid and pods.node_name(seen):
            return  # the answer was lost, not the binding
        self.snapshot.remove(uid)
        if again:
            self.waiting.retry(decision.pod)
            self._view.wake.set()
        else:
            self.waiting.forget(uid)

    async def _unplaced(self, decision: Decision) -> None:
        await self._binder.explain(decision)
        await self._binder.evict_victims(decision)
