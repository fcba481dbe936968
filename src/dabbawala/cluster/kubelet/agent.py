"""The node agent: one node, its pods, its heartbeat. `run` works until cancelled; nothing is lost when it is killed.

Pods come from a watch on those bound to this node. Sandboxes of an earlier agent are found at the runtime and taken
over; those whose pod is gone are removed. Pods of the RuntimeClass `simulated` are run on paper. A worker is looked at
when its pod changes, when a container of it has ended (its shim writes a record, seen by inotify), when a probe or hook
has news, and when its plan asked for it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Hashable, Iterable, Mapping
from typing import Any

from dabbawala.api import core_v1
from dabbawala.api.kind import Kind
from dabbawala.apimachinery import meta
from dabbawala.apimachinery.meta import Object, ObjectKey
from dabbawala.apimachinery.status import StatusError
from dabbawala.client.client import Client, ObjectList, WatchEvent
from dabbawala.cluster.kubelet import admission, pod_spec
from dabbawala.cluster.kubelet import node as nodes
from dabbawala.cluster.kubelet.exit_watch import ExitWatch
from dabbawala.cluster.kubelet.heartbeat import Heartbeat
from dabbawala.cluster.kubelet.node_parts import NodeParts
from dabbawala.cluster.kubelet.runtimes.runtime import RuntimeFailure
from dabbawala.cluster.kubelet.simulated_kubelet import SimulatedPods
from dabbawala.cluster.kubelet.strays import Strays
from dabbawala.cluster.kubelet.worker import PodWorker
from dabbawala.cluster.sandbox.spec import PodStatus
from dabbawala.reconcile.cache import Change
from dabbawala.reconcile.informer import Informer
from dabbawala.reconcile.queue import WorkQueue

log = logging.getLogger("dabbawala.kubelet")

RESYNC_SECONDS = 15.0
BLIND_SECONDS = 1.0
REFRESH_SECONDS = 10.0
"""How often volumes made of ConfigMaps, Secrets and tokens are brought up to date (upstream: up to about a minute)."""


class NodeReader:
    """The pods of one node, as an informer reads them."""

    def __init__(self, client: Client, node: str) -> None:
        self._client = client
        self._selector = f"spec.nodeName={node}"

    async def list(self, kind: Kind, namespace: str | None = None) -> ObjectList:
        return await self._client.list(kind, namespace, field_selector=self._selector)

    def watch(
        self,
        kind: Kind,
        namespace: str | None = None,
        *,
        resource_version: str = "",
        send_initial_events: bool = False,
    ) -> AsyncIterator[WatchEvent]:
        return self._client.watch(
            kind, namespace, resource_version=resource_version, send_initial_events=send_initial_events,
            field_selector=self._selector,
        )  # fmt: skip


class Agent:
    """One node's agent. `workers` is by pod; the kubelet's server reads it."""

    def __init__(
        self, parts: NodeParts, queue: WorkQueue[ObjectKey], *, refresh_seconds: float = REFRESH_SECONDS
    ) -> None:
        self.parts = parts
        self.workers: dict[ObjectKey, PodWorker] = {}
        self._queue = queue
        self._refresh_seconds = refresh_seconds
        self._heartbeat = Heartbeat(parts.client, (parts.identity,), parts.clock)
        self._pods = Informer(NodeReader(parts.client, parts.identity.name), core_v1.POD, parts.clock)
        self._simulated = SimulatedPods(
            parts.client, self._pods, (parts.identity,), parts.clock,
            takes=pod_spec.is_simulated, back_off=parts.settings.back_off,
        )  # fmt: skip
        self.strays = Strays(parts.runtime, parts.addresses)
        self._done: dict[ObjectKey, str] = {}
        self._exits = ExitWatch(self._heard)

    async def run(self) -> None:
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._pods.run())
                await self._heartbeat.register()
                await self._pods.filled()
                tasks.create_task(self._heartbeat.run())
                await self._adopt()
                self._exits.begin()
                self._pods.listen(self)
                self._heard(None)  # a pod may have gone while its sandbox was adopted
                tasks.create_task(self._simulated.run(), name="simulated pods")
                tasks.create_task(self._resync())
                tasks.create_task(self._refresh_volumes())
                while True:
                    key = await self._queue.get()
                    tasks.create_task(self._work(key), name=f"pod {key}")
        finally:
            self._exits.close()
            for worker in self.workers.values():
                worker.close()

    def look_again(self) -> None:
        """Ask the runtime about every pod, soon."""
        self._heard(None)

    def worker(self, namespace: str, name: str) -> PodWorker | None:
        return self.workers.get(ObjectKey(namespace, name))

    # --- informer.Listener -------------------------------------------------------------------------------------

    def changed(self, kind: Kind, change: Change) -> None:
        if not pod_spec.is_simulated(change.object):
            self._queue.add(meta.key(change.object))

    def progressed(self, kind: Kind) -> None:
        """Own writes are kept by the workers; nothing waits for the cache."""

    # --- pods --------------------------------------------------------------------------------------------------

    async def _adopt(self) -> None:
        """Find the sandboxes of an earlier agent, and remove those whose pod the API has no more.

        Every address in use is known here before any new pod is given one.
        """
        found = await _sandboxes(self.parts, self._heartbeat.troubles)
        pods = {meta.uid(pod): pod for pod in self._pods.cache.list()}
        for report in found:
            self.parts.addresses.adopt(report.uid, report.address)
            pod = pods.get(report.uid)
            if pod is None:
                self.strays.add(report)
            else:
                self.workers[meta.key(pod)] = PodWorker(pod, self.parts, report)
        log.info("node %s: %d pods, %d of them running already", self.parts.identity.name, len(pods),
                 len(self.workers))  # fmt: skip
        await self.strays.remove()
        for uid in set(self.parts.files.uids()) - pods.keys():
            await asyncio.to_thread(self.parts.files.remove, uid)

    async def _work(self, key: ObjectKey) -> None:
        try:
            await self._meet(key)
            worker = self.workers.get(key)
            if worker is not None:
                wait = await worker.step()
                self._after(key, worker, wait)
            self._queue.succeed(key)
        except (StatusError, RuntimeFailure, OSError) as failed:
            log.info("pod %s: %s; again in %.3f s", key, failed, self._queue.retry(key))
        except Exception:  # one pod's defect must not take the node's other pods down
            log.exception("pod %s", key)
            self._queue.retry(key)
        finally:
            self._queue.done(key)

    def _after(self, key: ObjectKey, worker: PodWorker, wait: float | None) -> None:
        if worker.state.finished:
            self._done[key] = worker.state.uid
            del self.workers[key]
            self._exits.remove(key)
            # A namesake made while this one was ending has been waiting for its turn.
            self._queue.add(key)
            return
        state = self.parts.files.state(worker.state.uid)
        if worker.state.memory.sandbox is not None and not self._exits.knows(key) and self._exits.add(key, state):
            self._heard(key)  # what ended before anybody listened is found by one more look
        if wait is not None:
            self._queue.add_after(key, wait)

    async def _meet(self, key: ObjectKey) -> None:
        """Bring the worker up to date with the cache; make one for a pod that is new here."""
        pod, worker = self._pods.cache.get(key), self.workers.get(key)
        if worker is not None:
            if pod is None or meta.uid(pod) != worker.state.uid:
                worker.lose()
            else:
                worker.update(pod)
        elif pod is None:
            self._done.pop(key, None)
        elif self._done.get(key) != meta.uid(pod):
            self._done.pop(key, None)
            node = await self._node_for(pod)
            self.workers[key] = self._new_worker(pod, node)

    async def _node_for(self, pod: Object) -> Object:
        """This node as the scheduler saw it: labels given since the start are asked for when the pod wants them."""
        identity = self.parts.identity
        node: Object = {"metadata": {"labels": nodes.node_labels(identity)}}
        if admission.refuse_selector(pod, node) is None:
            return node
        return await self.parts.client.get(core_v1.NODE, identity.name)

    def _new_worker(self, pod: Object, node: Object) -> PodWorker:
        worker = PodWorker(pod, self.parts)
        if not pod_spec.is_terminal(pod) and not pod_spec.status(pod).get("startTime"):
            worker.state.memory.rejected = refusal(self.parts, self.workers.values(), pod, node)
        return worker

    # --- what the runtime has to say ---------------------------------------------------------------------------

    def _heard(self, key: Hashable | None) -> None:
        """A record was written; None: some were, nobody knows whose."""
        for known, worker in self.workers.items():
            if key is None or key == known:
                worker.state.stale = True
                self._queue.add(known)

    async def _resync(self) -> None:
        """Look at every pod now and then, in case a sign was missed: a shim that died says nothing."""
        while True:
            await self.parts.clock.sleep(RESYNC_SECONDS if self._exits.available else BLIND_SECONDS)
            self.look_again()
            await self.strays.remove()

    async def _refresh_volumes(self) -> None:
        while True:
            await self.parts.clock.sleep(self._refresh_seconds)
            for key, worker in self.workers.items():
                if worker.state.address and self.parts.volumes.is_live(worker.state.pod):
                    worker.state.volumes_due = True
                    self._queue.add(key)


async def _sandboxes(parts: NodeParts, troubles: dict[str, str]) -> list[PodStatus]:
    """Wait for the runtime: whoever went on without knowing what runs would start it a second time."""
    while True:
        try:
            found = await parts.runtime.sandboxes()
        except RuntimeFailure as failed:
            log.error("the runtime does not answer: %s; again in %g s", failed.message, BLIND_SECONDS)
            troubles[parts.identity.name] = failed.message
        else:
            troubles.pop(parts.identity.name, None)
            return found
        await parts.clock.sleep(BLIND_SECONDS)


def refusal(
    parts: NodeParts, workers: Iterable[PodWorker], pod: Mapping[str, Any], node: Object
) -> tuple[str, str] | None:
    """Why the node does not take a pod that is new to it, if it does not: reason and message."""
    used = admission.Usage()
    for worker in workers:
        if not pod_spec.is_terminal(worker.state.pod) and worker.state.memory.rejected is None:
            used += admission.usage(worker.state.pod)
    refused = admission.refuse_sysctls(pod) or admission.refuse_selector(pod, node)
    return refused or admission.refuse_resources(admission.usage(pod), used, parts.identity.machine)
