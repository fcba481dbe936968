"""Pods whose node is chosen and whose volumes are not there yet.

A volume of a class without a provisioner is reserved for its claim, for the others the provisioner is told the node;
then the pod waits until all its claims are bound. It is judged again at each step: what was possible when its node was
chosen may be so no more, and then it is placed anew. Waiting takes none of the places of those who write.
Source: scheduler/framework/plugins/volumebinding (BindPodVolumes) in Kubernetes 1.37.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from dabbawala.api import core_v1
from dabbawala.apimachinery import meta
from dabbawala.apimachinery.clock import Clock
from dabbawala.apimachinery.meta import Object, ObjectKey
from dabbawala.apimachinery.status import Conflict, NotFound, Timeout
from dabbawala.cluster.scheduler.binding import Binder
from dabbawala.cluster.scheduler.plan import Decision
from dabbawala.cluster.scheduler.volumes import Volumes, volumes_of
from dabbawala.reconcile.cache import Caches

VOLUME_WAITS_MAX = 1024
"""Pods that wait for their volumes at once; more than that are tried again later."""

VOLUME_SECONDS_MAX = 600.0
"""Seconds to wait for a pod's volumes to be bound to the node that was chosen for it."""

LOOK_SECONDS = 5.0
"""How often a waiting pod is judged again when nothing is heard of its claims."""

TOO_MANY = f"{VOLUME_WAITS_MAX} pods are waiting for their volumes already; this one is tried again when fewer do."


class VolumeWaits:
    """`enter` before `bind`, `leave` after it. `slots` are places of those who write to the API."""

    def __init__(self, binder: Binder, caches: Caches, clock: Clock, slots: asyncio.Semaphore) -> None:
        self._binder = binder
        self._caches = caches
        self._clock = clock
        self._slots = slots
        self._entered = 0
        self._news: dict[ObjectKey, set[asyncio.Event]] = {}

    def enter(self) -> bool:
        """Take a place among those who wait; False when there is none left."""
        if self._entered >= VOLUME_WAITS_MAX:
            return False
        self._entered += 1
        return True

    def leave(self) -> None:
        self._entered -= 1

    def claim_changed(self, claim: ObjectKey) -> None:
        for news in self._news.get(claim, ()):
            news.set()

    async def bind(self, decision: Decision, claims: tuple[str, ...], node: Object) -> None:
        """Have the claims bound to volumes that the node reaches. Raises Timeout; Conflict when that is impossible by
        now; NotFound when the pod is gone."""
        namespace = meta.namespace(decision.pod)
        judged = self._judge(decision, claims, node)
        chosen = judged.choose(node) or ()
        known = {meta.name(claim) for claim, _ in chosen}
        async with self._slots:
            for claim, volume in chosen:
                await self._binder.reserve(volume, claim)
            to_make = tuple(name for name in judged.unbound if name not in known)
            await self._binder.choose_node_for_volumes(namespace, to_make, decision.node)
        news = asyncio.Event()
        keys = [ObjectKey(namespace, name) for name in claims]
        for key in keys:
            self._news.setdefault(key, set()).add(news)
        try:
            await self._all_bound(decision, claims, node, news)
        finally:
            self._forget(keys, news)

    async def _all_bound(self, decision: Decision, claims: tuple[str, ...], node: Object, news: asyncio.Event) -> None:
        end = self._clock.monotonic() + VOLUME_SECONDS_MAX
        while self._judge(decision, claims, node).unbound:
            left = end - self._clock.monotonic()
            if left <= 0:
                names = ", ".join(claims)
                raise Timeout(
                    f"volumes {names} were not bound for node {decision.node} within {VOLUME_SECONDS_MAX:.0f} s"
                )
            news.clear()
            await self._rest(news, min(left, LOOK_SECONDS))

    def _judge(self, decision: Decision, claims: Iterable[str], node: Object) -> Volumes:
        """The pod's volumes as they are now. Raises NotFound or Conflict when waiting for them has lost its sense."""
        pod = self._caches.get(core_v1.POD, meta.key(decision.pod))
        if pod is None or meta.uid(pod) != meta.uid(decision.pod) or meta.is_deleting(pod):
            raise NotFound(f"pod {meta.key(decision.pod)} is gone")
        found = volumes_of(meta.namespace(decision.pod), claims, self._caches)
        if found.problem:
            raise Conflict(found.problem)
        if not found.reachable_from(node) or found.choose(node) is None:
            raise Conflict(f"node {decision.node} does not reach the volumes of the pod any more")
        return found

    async def _rest(self, news: asyncio.Event, seconds: float) -> None:
        waiting = asyncio.ensure_future(news.wait())
        alarm = asyncio.ensure_future(self._clock.sleep(seconds))
        try:
            await asyncio.wait((waiting, alarm), return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()
            alarm.cancel()

    def _forget(self, keys: Iterable[ObjectKey], news: asyncio.Event) -> None:
        for key in keys:
            heard = self._news.get(key, set())
            heard.discard(news)
            if not heard:
                self._news.pop(key, None)
