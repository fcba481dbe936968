"""One agent for many simulated nodes: thousands of pods in one process, for scale, what-if and tests.

It follows the pods of the whole cluster, takes those bound to its nodes, and makes the same plans as a real agent.
A pod that rests costs a few hundred bytes: what is needed again is recalled from its published status.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from dabbawala.api import core_v1
from dabbawala.api.kind import Kind
from dabbawala.apimachinery import meta
from dabbawala.apimachinery.clock import Clock
from dabbawala.apimachinery.meta import Object, ObjectKey
from dabbawala.apimachinery.status import Conflict, NotFound, StatusError
from dabbawala.cluster.kubelet import admission, pod_spec
from dabbawala.cluster.kubelet.heartbeat import RENEW_SECONDS, Heartbeat
from dabbawala.cluster.kubelet.memory import Memory, recall
from dabbawala.cluster.kubelet.node import Machine, NodeIdentity
from dabbawala.cluster.kubelet.plan import Settings
from dabbawala.cluster.kubelet.pod_status import NodeFacts
from dabbawala.cluster.kubelet.restarts import BackOff
from dabbawala.cluster.kubelet.runtimes.simulation import Paper, Restless, Settled
from dabbawala.reconcile.apply import Writer
from dabbawala.reconcile.cache import Change, revision_of
from dabbawala.reconcile.informer import Informer
from dabbawala.reconcile.plan import PatchType
from dabbawala.reconcile.queue import WorkQueue

log = logging.getLogger("dabbawala.kubelet")

CONCURRENCY = 64
"""Pods written at once: as many as make the store's group commit worth while."""

DEFAULT_MACHINE = Machine(cpu_milli=32_000, memory_bytes=256 * 1024**3, storage_bytes=1024**4)


@dataclass(slots=True)
class _Pod:
    """What is kept of one pod. `memory` is dropped when the pod rests; `newest` until the informer has caught up."""

    uid: str
    node: str
    address: str
    usage: admission.Usage
    refused: tuple[str, str] | None = None
    memory: Memory | None = None
    newest: Object | None = None


def simulated_nodes(
    count: int, *, machine: Machine = DEFAULT_MACHINE, prefix: str = "sim", zones: Sequence[str] = ("a", "b", "c")
) -> list[NodeIdentity]:
    """`count` nodes named prefix-1, prefix-2 …, spread over the zones."""
    return [
        NodeIdentity(
            name=f"{prefix}-{number}", address=f"10.{200 + number // 65536}.{number // 256 % 256}.{number % 256}",
            machine=machine, runtime="simulated", zone=zones[(number - 1) % len(zones)] if zones else "",
            labels={"dabbawala.dev/runtime": "simulated"},
        )
        for number in range(1, count + 1)
    ]  # fmt: skip


class SimulatedKubelet:
    """Runs the pods of `nodes` on paper. `run` registers the nodes and works until cancelled.

    `pods` is an informer on all pods, usually the one the process's controllers share; it must be started by its owner.
    """

    def __init__(
        self,
        client: Writer,
        pods: Informer,
        nodes: Sequence[NodeIdentity],
        clock: Clock,
        *,
        back_off: BackOff | None = None,
        renew_seconds: float = RENEW_SECONDS,
    ) -> None:
        self.heartbeat = Heartbeat(client, nodes, clock, renew_seconds=renew_seconds)
        self.pods = SimulatedPods(client, pods, nodes, clock, back_off=back_off)

    @property
    def idle(self) -> bool:
        """Nothing to do right now; pods may still wait for their time."""
        return self.pods.idle

    async def run(self) -> None:
        await self.heartbeat.register()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.heartbeat.run())
            tasks.create_task(self.pods.run())


def every_pod(pod: Object) -> bool:
    return True


class SimulatedPods:
    """The pods of some nodes, as far as `takes` says, on paper. `run` works until cancelled."""

    def __init__(
        self,
        client: Writer,
        pods: Informer,
        nodes: Sequence[NodeIdentity],
        clock: Clock,
        *,
        takes: Callable[[Object], bool] = every_pod,
        back_off: BackOff | None = None,
    ) -> None:
        self._client = client
        self._informer = pods
        self._clock = clock
        self._takes = takes
        self._machines = {node.name: node.machine for node in nodes}
        chosen = back_off or BackOff()
        self._settings = {node.name: Settings(NodeFacts(node.name, node.address), chosen) for node in nodes}
        self._pods: dict[ObjectKey, _Pod] = {}
        self._usage = {node.name: admission.Usage() for node in nodes}
        self._queue: WorkQueue[ObjectKey] = WorkQueue(clock)
        self._addresses = _addresses()
        self._places = asyncio.Semaphore(CONCURRENCY)

    @property
    def idle(self) -> bool:
        return self._queue.idle

    async def run(self) -> None:
        self._informer.listen(self)
        async with asyncio.TaskGroup() as tasks:
            while True:
                await self._places.acquire()
                key = await self._queue.get()
                tasks.create_task(self._work(key))

    # --- informer.Listener -------------------------------------------------------------------------------------

    def changed(self, kind: Kind, change: Change) -> None:
        pod = change.object
        if pod_spec.node_name(pod) in self._settings and self._takes(pod):
            self._queue.add(meta.key(pod))

    def progressed(self, kind: Kind) -> None:
        """Nothing waits for the cache: a newer answer of our own is kept beside it."""

    # --- one pod -----------------------------------------------------------------------------------------------

    async def _work(self, key: ObjectKey) -> None:
        try:
            await self._step(key)
            self._queue.succeed(key)
        except StatusError as refused:
            delay = self._queue.retry(key)
            log.info("simulated pod %s: %s; again in %.3f s", key, refused.message, delay)
        except Restless:
            log.exception("simulated pod %s is left alone until it changes", key)
        finally:
            self._queue.done(key)
            self._places.release()

    async def _step(self, key: ObjectKey) -> None:
        kept = self._pods.get(key)
        pod = self._newest(key, kept)
        if kept is not None and (pod is None or meta.uid(pod) != kept.uid):
            self._forget(key, kept)
            kept = None
        if pod is None or pod_spec.node_name(pod) not in self._settings:
            return
        now = self._clock.now()
        kept = kept or self._take(key, pod)
        memory = kept.memory or recall(pod, now, sandbox_alive=True)
        memory.rejected = kept.refused
        kept.memory = memory
        await self._speak(key, kept, pod, Paper(pod, memory, kept.address, now).settle(self._settings[kept.node]))

    async def _speak(self, key: ObjectKey, kept: _Pod, pod: Object, settled: Settled) -> None:
        if settled.wake is not None:
            self._queue.add_after(key, (settled.wake - self._clock.now()).total_seconds())
        try:
            if settled.finish:
                await self._client.delete(core_v1.POD, key.name, key.namespace, uid=kept.uid, grace_period_seconds=0)
            elif settled.publish is not None:
                body = {"metadata": {"uid": kept.uid}, "status": settled.publish.changes}
                kept.newest = await self._client.patch(
                    core_v1.POD, key.name, key.namespace, body, type=PatchType.STRATEGIC, subresource="status"
                )
                self._rest(kept, settled.wake)
                if pod_spec.is_terminal(kept.newest):
                    self._release(kept)
            else:
                self._rest(kept, settled.wake)
        except (NotFound, Conflict):
            self._forget(key, kept)

    def _rest(self, kept: _Pod, wake: datetime | None) -> None:
        if wake is None:
            kept.memory = None

    def _newest(self, key: ObjectKey, kept: _Pod | None) -> Object | None:
        """The pod as of the later of the cache and our own last write."""
        cached = self._informer.cache.get(key)
        if kept is None or kept.newest is None:
            return cached
        if self._informer.cache.revision < revision_of(kept.newest):
            return kept.newest
        kept.newest = None
        return cached

    def _take(self, key: ObjectKey, pod: Object) -> _Pod:
        address = str(pod_spec.status(pod).get("podIP") or "") or next(self._addresses)
        node = pod_spec.node_name(pod)
        asked = admission.Usage() if pod_spec.is_terminal(pod) else admission.usage(pod)
        fresh = not pod_spec.status(pod).get("startTime")
        refused = None
        if fresh:
            room = self._usage[node], self._machines[node]
            refused = admission.refuse_sysctls(pod) or admission.refuse_resources(asked, *room)
        if refused is not None:
            asked = admission.Usage()
        self._usage[node] += asked
        kept = self._pods[key] = _Pod(meta.uid(pod), node, address, asked, refused)
        return kept

    def _release(self, kept: _Pod) -> None:
        self._usage[kept.node] -= kept.usage
        kept.usage = admission.Usage()

    def _forget(self, key: ObjectKey, kept: _Pod) -> None:
        self._release(kept)
        self._pods.pop(key, None)


def _addresses() -> Iterator[str]:
    """Pod addresses that no real node uses: 10.128.0.1 to 10.255.255.254, around and around."""
    while True:
        for number in range(1, 2**23 - 1):
            yield f"10.{128 + (number >> 16)}.{number >> 8 & 255}.{number & 255}"
